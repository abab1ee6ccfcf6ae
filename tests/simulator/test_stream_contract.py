"""What AWS documents of Kinesis, asked of the local stream and of two emulators by others, through aiobotocore.

The local stream must answer as documented. Where an emulator is known to differ, the test names it and says how, and it
must differ in just that way, so that this stays true. The emulators vouch for the suite: what all three answer was not
merely written to fit ours.

Enhanced fan-out: kinesalite has none. Kinesis-local's subscriptions begin without an initial response, so that botocore
cannot read them, and here they are read without it; it refuses SubscribeToShard within the stream, pushes once a
second, and does not tell of a shard's end.
"""

import base64
import hashlib
import itertools
import json
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import ClientError

from simulator.stream import LocalStream
from tests.servers.kinesis import KINESALITE, KINESIS_LOCAL, shared
from tests.simulator.conftest import kinesis

SAME = object()
HASH_KEYS = 2**128
MIB = 1024**2


@dataclass
class Server:
    """One of the three, and what a test does with it."""

    name: str
    url: str
    client: Any

    def expect(self, observed, documented, *, kinesalite=SAME, kinesis_local=SAME):
        """What was observed is what AWS documents, or exactly the difference that is known of this server."""
        known = {"kinesalite": kinesalite, "kinesis_local": kinesis_local}.get(self.name, SAME)
        assert known is SAME or known != documented
        assert observed == (documented if known is SAME else known)

    async def create(self, shards=1):
        """A new stream's name."""
        stream = f"contract-{uuid.uuid4().hex[:12]}"
        await self.client.create_stream(StreamName=stream, ShardCount=shards)
        await self.active(stream)
        return stream

    async def active(self, stream):
        """Wait until the stream is ACTIVE; its summary."""
        while True:
            summary = (await self.client.describe_stream_summary(StreamName=stream))["StreamDescriptionSummary"]
            if summary["StreamStatus"] == "ACTIVE":
                return summary

    async def register(self, stream):
        """A new consumer's ARN."""
        arn = (await self.active(stream))["StreamARN"]
        made = await self.client.register_stream_consumer(StreamARN=arn, ConsumerName=uuid.uuid4().hex)
        await self.consumer_active(ConsumerARN=made["Consumer"]["ConsumerARN"])
        return made["Consumer"]["ConsumerARN"]

    async def consumer_active(self, **identity):
        """Wait until the consumer is ACTIVE."""
        while True:
            answer = await self.client.describe_stream_consumer(**identity)
            if answer["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE":
                return

    async def shards(self, stream, **more):
        return (await self.client.list_shards(StreamName=stream, **more))["Shards"]

    async def put(self, stream, *keys):
        """Put a record with the data ``b"<number>"`` for each key; the answer's entries."""
        records = [{"Data": str(number).encode(), "PartitionKey": key} for number, key in enumerate(keys)]
        answer = await self.client.put_records(StreamName=stream, Records=records)
        assert answer["FailedRecordCount"] == 0
        return answer["Records"]

    async def iterator(self, stream, shard="shardId-000000000000", kind="TRIM_HORIZON", **more):
        answer = await self.client.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType=kind, **more)
        return answer["ShardIterator"]

    async def read(self, stream, shard="shardId-000000000000", kind="TRIM_HORIZON", **more):
        """The data of one read at an iterator."""
        answer = await self.client.get_records(ShardIterator=await self.iterator(stream, shard, kind, **more))
        return [record["Data"] for record in answer["Records"]]

    async def drain(self, stream, shard):
        """All records of a shard up to its tip or end, and the last answer."""
        iterator, records = await self.iterator(stream, shard), []
        while True:
            answer = await self.client.get_records(ShardIterator=iterator)
            records += answer["Records"]
            iterator = answer.get("NextShardIterator")
            if not iterator or not (answer["Records"] or answer["MillisBehindLatest"]):
                return records, answer

    async def raw(self, target, body):
        """Status and error type of a request that aiobotocore would not send."""
        async with self._post(target, body) as answer:
            return answer.status, (await answer.json(content_type=None)).get("__type")

    @asynccontextmanager
    async def subscribe(self, consumer, start, shard="shardId-000000000000"):
        """The events of a subscription. Not through aiobotocore: it expects an initial response."""
        request = {"ConsumerARN": consumer, "ShardId": shard, "StartingPosition": start}
        async with self._post("Kinesis_20131202.SubscribeToShard", json.dumps(request)) as answer:
            messages = _messages(answer)
            if self.name == "local":  # kinesis-local leaves it out, so that no botocore reads what it pushes
                assert (await anext(messages)).headers[":event-type"] == "initial-response"
            yield (json.loads(message.payload) async for message in messages)

    @asynccontextmanager
    async def _post(self, target, body):
        headers = {
            "X-Amz-Target": target,
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Date": "20260101T000000Z",
            "Authorization": "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/kinesis/aws4_request, "
            "SignedHeaders=host, Signature=0",
        }
        async with aiohttp.ClientSession() as session, session.post(self.url, data=body, headers=headers) as answer:
            yield answer


async def _messages(answer):
    buffer = EventStreamBuffer()
    async for chunk in answer.content.iter_any():
        buffer.add_data(chunk)
        for message in buffer:
            yield message


@pytest.fixture(params=["local", "kinesalite", "kinesis_local"])
async def server(request):
    if request.param == "local":
        async with LocalStream() as local, kinesis(local.endpoint_url) as client:
            yield Server("local", local.endpoint_url, client)
        return
    url = shared(KINESALITE if request.param == "kinesalite" else KINESIS_LOCAL)
    async with kinesis(url) as client:
        yield Server(request.param, url, client)


# For tests of sizes: kinesis-local takes half a minute for what the others do in a second.
quick_servers = pytest.mark.parametrize("server", ["local", "kinesalite"], indirect=True)

# Kinesalite has no consumers with enhanced fan-out.
fanout_servers = pytest.mark.parametrize("server", ["local", "kinesis_local"], indirect=True)


async def outcome(call):
    """``ok``, or the error's code."""
    try:
        await call
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"


def hash_keys(shard):
    keys = shard["HashKeyRange"]
    return int(keys["StartingHashKey"]), int(keys["EndingHashKey"])


def is_open(shard):
    return "EndingSequenceNumber" not in shard["SequenceNumberRange"]


# Streams


async def test_a_new_stream_is_described(server):
    stream = await server.create(shards=3)
    summary = await server.active(stream)
    assert summary["StreamName"] == stream
    assert summary["StreamARN"].startswith("arn:aws:kinesis:us-east-1:")
    assert summary["StreamARN"].endswith(f":stream/{stream}")
    assert summary["OpenShardCount"] == 3
    assert summary["RetentionPeriodHours"] == 24
    assert abs(datetime.now(UTC) - summary["StreamCreationTimestamp"]) < timedelta(minutes=1)


async def test_describe_stream_pages_through_shards(server):
    stream = await server.create(shards=3)
    first = (await server.client.describe_stream(StreamName=stream, Limit=2))["StreamDescription"]
    rest = await server.client.describe_stream(StreamName=stream, ExclusiveStartShardId="shardId-000000000001")
    rest = rest["StreamDescription"]
    pages = [[shard["ShardId"][-1] for shard in page["Shards"]] for page in (first, rest)]
    server.expect(pages, [["0", "1"], ["2"]], kinesalite=[["0", "1", "2"]] * 2)
    server.expect([first["HasMoreShards"], rest["HasMoreShards"]], [True, False], kinesalite=[False, False])


async def test_a_name_is_taken_once(server):
    stream = await server.create()
    assert await outcome(server.client.create_stream(StreamName=stream, ShardCount=1)) == "ResourceInUseException"


async def test_a_deleted_stream_is_gone(server):
    stream = await server.create()
    await server.client.delete_stream(StreamName=stream)
    while await outcome(server.client.describe_stream_summary(StreamName=stream)) == "ok":
        pass
    assert await outcome(server.put(stream, "key")) == "ResourceNotFoundException"


async def test_a_stream_of_the_same_name_starts_empty(server):
    stream = await server.create()
    await server.put(stream, "key")
    await server.client.delete_stream(StreamName=stream)
    while await outcome(server.client.create_stream(StreamName=stream, ShardCount=1)) != "ok":
        pass
    await server.active(stream)
    assert await server.read(stream) == []


async def test_streams_are_listed_in_pages(server):
    made = sorted([await server.create() for _ in range(3)])
    listed, after = [], "contract-"
    while True:
        page = await server.client.list_streams(Limit=2, ExclusiveStartStreamName=after)
        assert len(page["StreamNames"]) <= 2
        listed += page["StreamNames"]
        if not page["HasMoreStreams"]:
            break
        after = page["StreamNames"][-1]
    assert listed == sorted(listed)
    assert set(made) <= set(listed)


@pytest.mark.parametrize(
    "operation",
    [
        ("describe_stream", {}),
        ("describe_stream_summary", {}),
        ("list_shards", {}),
        ("delete_stream", {}),
        ("put_record", {"Data": b"", "PartitionKey": "key"}),
        ("put_records", {"Records": [{"Data": b"", "PartitionKey": "key"}]}),
        ("get_shard_iterator", {"ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST"}),
        ("split_shard", {"ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "2"}),
        ("merge_shards", {"ShardToMerge": "shardId-000000000000", "AdjacentShardToMerge": "shardId-000000000001"}),
        ("increase_stream_retention_period", {"RetentionPeriodHours": 48}),
        ("decrease_stream_retention_period", {"RetentionPeriodHours": 24}),
        ("update_shard_count", {"TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}),
    ],
    ids=lambda operation: operation[0],
)
async def test_a_stream_that_is_not_there(server, operation):
    name, parameters = operation
    call = getattr(server.client, name)(StreamName="nowhere", **parameters)
    unknown = {"kinesalite": "UnknownOperationException"} if name == "update_shard_count" else {}
    server.expect(await outcome(call), "ResourceNotFoundException", **unknown)


async def test_a_stream_is_named_by_its_arn_everywhere(server):
    stream = await server.create()
    arn = {"StreamARN": (await server.active(stream))["StreamARN"]}
    described = await outcome(server.client.describe_stream_summary(**arn))
    server.expect(described, "ok", kinesalite="ValidationException")
    if described != "ok":
        return
    client, shard = server.client, "shardId-000000000000"
    await client.put_record(**arn, Data=b"a", PartitionKey="key")
    await client.put_records(**arn, Records=[{"Data": b"b", "PartitionKey": "key"}])
    assert [found["ShardId"] for found in (await client.list_shards(**arn))["Shards"]] == [shard]
    at = await client.get_shard_iterator(**arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    answer = await client.get_records(**arn, ShardIterator=at["ShardIterator"])
    assert [record["Data"] for record in answer["Records"]] == [b"a", b"b"]
    await client.increase_stream_retention_period(**arn, RetentionPeriodHours=48)
    await client.decrease_stream_retention_period(**arn, RetentionPeriodHours=24)
    await client.split_shard(**arn, ShardToSplit=shard, NewStartingHashKey=str(HASH_KEYS // 2))
    await server.active(stream)
    merged = {"ShardToMerge": "shardId-000000000001", "AdjacentShardToMerge": "shardId-000000000002"}
    await client.merge_shards(**arn, **merged)
    await server.active(stream)
    await client.update_shard_count(**arn, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    await server.active(stream)
    assert (await client.describe_stream(**arn))["StreamDescription"]["StreamName"] == stream
    await client.delete_stream(**arn)


async def test_retention_is_changed_within_its_limits(server):
    stream = await server.create()
    increase, decrease = server.client.increase_stream_retention_period, server.client.decrease_stream_retention_period
    await increase(StreamName=stream, RetentionPeriodHours=48)
    assert (await server.active(stream))["RetentionPeriodHours"] == 48
    for change, hours in ((increase, 47), (decrease, 49)):
        assert await outcome(change(StreamName=stream, RetentionPeriodHours=hours)) == "InvalidArgumentException"
    assert await outcome(decrease(StreamName=stream, RetentionPeriodHours=23)) == "InvalidArgumentException"
    beyond = await outcome(increase(StreamName=stream, RetentionPeriodHours=8761))
    server.expect(beyond, "InvalidArgumentException", kinesalite="ValidationException")
    year = await outcome(increase(StreamName=stream, RetentionPeriodHours=8760))
    server.expect(year, "ok", kinesalite="ValidationException")  # its longest is a week, as once on AWS
    await decrease(StreamName=stream, RetentionPeriodHours=24)
    assert (await server.active(stream))["RetentionPeriodHours"] == 24


# Consumers with enhanced fan-out


@fanout_servers
async def test_a_consumer_is_registered_described_listed_and_deregistered(server):
    stream = await server.create()
    arn = (await server.active(stream))["StreamARN"]
    made = (await server.client.register_stream_consumer(StreamARN=arn, ConsumerName="me"))["Consumer"]
    created = int(made["ConsumerCreationTimestamp"].timestamp())
    assert made["ConsumerName"] == "me"
    assert made["ConsumerARN"] == f"{arn}/consumer/me:{created}"
    assert abs(datetime.now(UTC) - made["ConsumerCreationTimestamp"]) < timedelta(minutes=1)
    by_arn, by_name = {"ConsumerARN": made["ConsumerARN"]}, {"StreamARN": arn, "ConsumerName": "me"}
    await server.consumer_active(**by_arn)
    for identity in (by_arn, by_name, by_arn | by_name):
        described = (await server.client.describe_stream_consumer(**identity))["ConsumerDescription"]
        assert described["ConsumerARN"] == made["ConsumerARN"]
        assert described["ConsumerStatus"] == "ACTIVE"
        assert described["StreamARN"] == arn
    listed = (await server.client.list_stream_consumers(StreamARN=arn))["Consumers"]
    assert [(found["ConsumerName"], found["ConsumerStatus"]) for found in listed] == [("me", "ACTIVE")]
    assert (await server.active(stream))["ConsumerCount"] == 1
    await server.client.deregister_stream_consumer(**by_name)
    while await outcome(server.client.describe_stream_consumer(**by_arn)) == "ok":
        pass
    assert await outcome(server.client.describe_stream_consumer(**by_arn)) == "ResourceNotFoundException"
    assert (await server.client.list_stream_consumers(StreamARN=arn))["Consumers"] == []
    assert (await server.active(stream))["ConsumerCount"] == 0


@fanout_servers
async def test_consumers_that_cannot_be_registered_or_found(server):
    stream = await server.create()
    arn = (await server.active(stream))["StreamARN"]
    nowhere = arn.replace(stream, "nowhere")
    register, describe = server.client.register_stream_consumer, server.client.describe_stream_consumer
    made = (await register(StreamARN=arn, ConsumerName="me"))["Consumer"]["ConsumerARN"]
    await server.consumer_active(ConsumerARN=made)
    assert await outcome(register(StreamARN=arn, ConsumerName="me")) == "ResourceInUseException"
    assert await outcome(register(StreamARN=nowhere, ConsumerName="me")) == "ResourceNotFoundException"
    assert await outcome(server.client.list_stream_consumers(StreamARN=nowhere)) == "ResourceNotFoundException"
    for absent in ({"StreamARN": arn, "ConsumerName": "you"}, {"ConsumerARN": f"{made}1"}):
        for call in (describe, server.client.deregister_stream_consumer):
            assert await outcome(call(**absent)) == "ResourceNotFoundException", absent
    for incomplete in ({}, {"StreamARN": arn}, {"ConsumerName": "me"}):
        for call in (describe, server.client.deregister_stream_consumer):
            assert await outcome(call(**incomplete)) == "InvalidArgumentException", incomplete


@fanout_servers
async def test_a_stream_has_twenty_consumers_at_most_and_they_are_listed_in_pages(server):
    arn = (await server.active(await server.create()))["StreamARN"]
    register, listing = server.client.register_stream_consumer, server.client.list_stream_consumers
    names = [f"consumer{number:02d}" for number in range(20)]
    for name in names:
        made = await register(StreamARN=arn, ConsumerName=name)
        await server.consumer_active(ConsumerARN=made["Consumer"]["ConsumerARN"])
    assert await outcome(register(StreamARN=arn, ConsumerName="more")) == "LimitExceededException"
    page = await listing(StreamARN=arn, MaxResults=8)
    listed = page["Consumers"]
    while "NextToken" in page:
        page = await listing(StreamARN=arn, MaxResults=8, NextToken=page["NextToken"])
        assert len(page["Consumers"]) <= 8
        listed += page["Consumers"]
    assert sorted(consumer["ConsumerName"] for consumer in listed) == names


@fanout_servers
async def test_a_stream_with_consumers_is_deleted_only_if_that_is_said(server):
    stream = await server.create()
    arn = (await server.active(stream))["StreamARN"]
    made = (await server.client.register_stream_consumer(StreamARN=arn, ConsumerName="me"))["Consumer"]["ConsumerARN"]
    await server.consumer_active(ConsumerARN=made)
    assert await outcome(server.client.delete_stream(StreamName=stream)) == "ResourceInUseException"
    if server.name == "kinesis_local":  # it says so, and deletes the stream all the same
        return
    await server.client.delete_stream(StreamName=stream, EnforceConsumerDeletion=True)
    while await outcome(server.client.describe_stream_summary(StreamName=stream)) == "ok":
        pass
    assert await outcome(server.client.describe_stream_consumer(ConsumerARN=made)) == "ResourceNotFoundException"


@fanout_servers
async def test_a_subscription_starts_where_it_is_told_and_says_where_to_go_on(server):
    stream = await server.create()
    numbers = [entry["SequenceNumber"] for entry in await server.put(stream, *"abc")]
    for start, expected in (
        ({"Type": "TRIM_HORIZON"}, [b"0", b"1", b"2"]),
        ({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": numbers[1]}, [b"1", b"2"]),
        ({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": numbers[1]}, [b"2"]),
        ({"Type": "LATEST"}, []),
    ):
        async with server.subscribe(await server.register(stream), start) as events:
            event = await anext(events)
        assert [base64.b64decode(record["Data"]) for record in event["Records"]] == expected
        assert [record["SequenceNumber"] for record in event["Records"]] == numbers[3 - len(expected) :]
        assert event["ContinuationSequenceNumber"] == numbers[-1]
        assert event["MillisBehindLatest"] == 0


@fanout_servers
async def test_records_are_pushed_to_who_is_subscribed(server):
    stream = await server.create()
    async with server.subscribe(await server.register(stream), {"Type": "TRIM_HORIZON"}) as events:
        assert (await anext(events))["Records"] == []
        numbers = [entry["SequenceNumber"] for entry in await server.put(stream, *"abc")]
        found = [record["SequenceNumber"] for record in (await anext(events))["Records"]]
    assert found == numbers


@fanout_servers
async def test_a_subscription_ends_with_its_shard(server):
    stream = await server.create()
    async with server.subscribe(await server.register(stream), {"Type": "TRIM_HORIZON"}) as events:
        assert (await anext(events))["Records"] == []
        await server.client.split_shard(
            StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(HASH_KEYS // 2)
        )
        event = await anext(events)
        children = [child["ShardId"][-1] for child in event["ChildShards"] or []]
        server.expect(children, ["1", "2"], kinesis_local=[])
        more = await anext(events, None) is not None
        server.expect(more, False, kinesis_local=True)  # events without records, for ever


# Writing


async def test_the_md5_of_the_partition_key_selects_the_shard(server):
    stream = await server.create(shards=4)
    ranges = {shard["ShardId"]: hash_keys(shard) for shard in await server.shards(stream)}
    keys = [f"sensor {number}" for number in range(50)] + ["Zähler", "温度"]
    for key, entry in zip(keys, await server.put(stream, *keys), strict=True):
        first, last = ranges[entry["ShardId"]]
        assert first <= int(hashlib.md5(key.encode()).hexdigest(), 16) <= last


async def test_an_explicit_hash_key_overrides_the_partition_key(server):
    stream = await server.create(shards=2)
    keys = [0, HASH_KEYS // 2 - 1, HASH_KEYS // 2, HASH_KEYS - 1]
    records = [{"Data": b"", "PartitionKey": "same", "ExplicitHashKey": str(key)} for key in keys]
    answer = await server.client.put_records(StreamName=stream, Records=records)
    found = [entry["ShardId"][-1] for entry in answer["Records"]]
    server.expect(found, ["0", "0", "1", "1"], kinesis_local=["0", "1", "1", "1"])  # its first shard is one key short
    alone = await server.client.put_record(StreamName=stream, **records[2])
    assert alone["ShardId"][-1] == "1"


async def test_a_hash_key_beyond_128_bits_is_refused(server):
    stream = await server.create()
    record = {"Data": b"", "PartitionKey": "key", "ExplicitHashKey": str(HASH_KEYS)}
    assert await outcome(server.client.put_record(StreamName=stream, **record)) == "InvalidArgumentException"
    assert await outcome(server.client.put_records(StreamName=stream, Records=[record])) == "InvalidArgumentException"


async def test_sequence_numbers_grow_within_a_shard(server):
    stream = await server.create()
    entries = await server.put(stream, *"abc")
    entries.append(await server.client.put_record(StreamName=stream, Data=b"", PartitionKey="d"))
    entries += await server.put(stream, *"ef")
    numbers = [int(entry["SequenceNumber"]) for entry in entries]
    assert numbers == sorted(set(numbers))
    assert all(len(entry["SequenceNumber"]) == 56 for entry in entries)
    start = (await server.shards(stream))[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    assert int(start) <= numbers[0]


async def test_put_record_follows_the_sequence_number_given_for_ordering(server):
    stream = await server.create()
    put = server.client.put_record
    first = await put(StreamName=stream, Data=b"1", PartitionKey="key")
    second = await put(
        StreamName=stream, Data=b"2", PartitionKey="key", SequenceNumberForOrdering=first["SequenceNumber"]
    )
    assert int(second["SequenceNumber"]) > int(first["SequenceNumber"])


async def test_500_records_are_put_at_once_and_no_more(server):
    stream = await server.create()
    assert len(await server.put(stream, *("key",) * 500)) == 500
    refused = await outcome(server.put(stream, *("key",) * 501))
    server.expect(refused, "ValidationException", kinesis_local="ok")


async def test_a_record_may_have_a_mebibyte(server):
    stream = await server.create()
    put = server.client.put_record
    assert await outcome(put(StreamName=stream, Data=bytes(MIB - 3), PartitionKey="key")) == "ok"
    refused = await outcome(put(StreamName=stream, Data=bytes(MIB + 1), PartitionKey="key"))
    server.expect(refused, "ValidationException", kinesis_local="InvalidArgumentException")


@quick_servers
async def test_a_call_may_have_ten_mebibytes(server):
    stream = await server.create()
    records = [{"Data": bytes(MIB - 3), "PartitionKey": "key"}] * 11
    put = server.client.put_records
    server.expect(await outcome(put(StreamName=stream, Records=records[:10])), "ok", kinesalite="413")  # 7 MiB of JSON
    eleven = await outcome(put(StreamName=stream, Records=records))
    server.expect(eleven, "InvalidArgumentException", kinesalite="413")


# Reading


async def test_records_come_as_they_were_put(server):
    stream = await server.create()
    put = [(bytes(range(256)), "key"), (b"", "Zähler"), (b'{"iotValue": 17}', "x" * 256)]
    records = [{"Data": data, "PartitionKey": key} for data, key in put]
    entries = (await server.client.put_records(StreamName=stream, Records=records))["Records"]
    answer = await server.client.get_records(ShardIterator=await server.iterator(stream))
    assert [(record["Data"], record["PartitionKey"]) for record in answer["Records"]] == put
    assert [record["SequenceNumber"] for record in answer["Records"]] == [entry["SequenceNumber"] for entry in entries]
    for record in answer["Records"]:
        assert abs(datetime.now(UTC) - record["ApproximateArrivalTimestamp"]) < timedelta(minutes=1)


async def test_reading_goes_on_where_it_stopped(server):
    stream = await server.create()
    await server.put(stream, *"abcdefg")
    iterator, read = await server.iterator(stream), []
    for size in (3, 3, 1):
        answer = await server.client.get_records(ShardIterator=iterator, Limit=3)
        assert len(answer["Records"]) == size
        read += [record["Data"] for record in answer["Records"]]
        iterator = answer["NextShardIterator"]
    assert read == [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]
    await server.put(stream, "h")
    assert len((await server.client.get_records(ShardIterator=iterator))["Records"]) == 1


async def test_an_iterator_can_be_used_again(server):
    stream = await server.create()
    await server.put(stream, *"abc")
    iterator = await server.iterator(stream)
    first, second = [await server.client.get_records(ShardIterator=iterator) for _ in range(2)]
    assert first["Records"] == second["Records"]


async def test_where_iterators_start(server):
    stream = await server.create()
    entries = await server.put(stream, *"abc")
    middle = entries[1]["SequenceNumber"]
    latest = await server.iterator(stream, kind="LATEST")
    assert await server.read(stream, kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=middle) == [b"1", b"2"]
    assert await server.read(stream, kind="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=middle) == [b"2"]
    assert await server.read(stream, kind="LATEST") == []
    start = (await server.shards(stream))[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    assert await server.read(stream, kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=start) == [b"0", b"1", b"2"]
    await server.put(stream, "d")
    assert len((await server.client.get_records(ShardIterator=latest))["Records"]) == 1


async def test_an_iterator_starts_at_a_time(server):
    stream = await server.create()
    await server.put(stream, "a")
    arrived = (await server.drain(stream, "shardId-000000000000"))[0][0]["ApproximateArrivalTimestamp"]
    hour = timedelta(hours=1)
    assert await server.read(stream, kind="AT_TIMESTAMP", Timestamp=arrived) == [b"0"]
    assert await server.read(stream, kind="AT_TIMESTAMP", Timestamp=arrived - hour) == [b"0"]
    await server.put(stream, "b")
    while (await server.read(stream, kind="AT_TIMESTAMP", Timestamp=arrived + timedelta(milliseconds=1))) != [b"0"]:
        await server.put(stream, "c")  # until one arrives in another millisecond


async def test_iterators_that_make_no_sense(server):
    stream = await server.create(shards=2)
    entries = await server.put(stream, *"abcdefgh")
    other = next(entry for entry in entries if entry["ShardId"][-1] == "1")["SequenceNumber"]
    future = datetime.now(UTC) + timedelta(hours=1)
    elsewhere = await outcome(server.iterator(stream, kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=other))
    server.expect(elsewhere, "InvalidArgumentException", kinesis_local="ResourceNotFoundException")
    for request in ({"kind": "AFTER_SEQUENCE_NUMBER"}, {"kind": "AT_TIMESTAMP"}):
        assert await outcome(server.iterator(stream, **request)) == "InvalidArgumentException", request
    ahead = await outcome(server.iterator(stream, kind="AT_TIMESTAMP", Timestamp=future))
    assert ahead == "InvalidArgumentException"
    absent = await outcome(server.iterator(stream, shard="shardId-000000000009"))
    assert absent == "ResourceNotFoundException"
    forged = await outcome(server.client.get_records(ShardIterator="bogus"))
    server.expect(forged, "InvalidArgumentException", kinesis_local="500")


async def test_a_read_may_ask_for_10_000_records(server):
    stream = await server.create()
    iterator = await server.iterator(stream)
    assert await outcome(server.client.get_records(ShardIterator=iterator, Limit=10_000)) == "ok"
    beyond = await outcome(server.client.get_records(ShardIterator=iterator, Limit=10_001))
    server.expect(beyond, "InvalidArgumentException", kinesalite="ValidationException")


@quick_servers
async def test_a_read_returns_10_000_records_at_most(server):
    stream = await server.create()
    iterator = await server.iterator(stream)
    for _ in range(21):
        await server.put(stream, *("key",) * 500)
    answer = await server.client.get_records(ShardIterator=iterator)
    assert len(answer["Records"]) == 10_000
    assert len((await server.client.get_records(ShardIterator=answer["NextShardIterator"]))["Records"]) == 500


@quick_servers
async def test_a_read_is_limited_by_size(server):
    stream = await server.create()
    for _ in range(11):
        await server.client.put_record(StreamName=stream, Data=bytes(MIB - 3), PartitionKey="key")
    answer = await server.client.get_records(ShardIterator=await server.iterator(stream))
    server.expect(len(answer["Records"]), 10, kinesalite=11)
    rest = await server.client.get_records(ShardIterator=answer["NextShardIterator"])
    assert len(answer["Records"]) + len(rest["Records"]) == 11


async def test_how_far_a_reader_is_behind(server):
    stream = await server.create()
    await server.put(stream, *"abc")
    iterator = await server.iterator(stream)
    behind = await server.client.get_records(ShardIterator=iterator, Limit=1)
    server.expect(behind["MillisBehindLatest"] > 0, True, kinesalite=False, kinesis_local=False)
    level = await server.client.get_records(ShardIterator=iterator)
    assert level["MillisBehindLatest"] == 0


# Resharding


async def test_a_split_closes_the_shard_and_opens_two(server):
    stream = await server.create()
    before = await server.put(stream, *"abc")
    await server.client.split_shard(
        StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(HASH_KEYS // 4)
    )
    await server.active(stream)
    parent, low, high = await server.shards(stream)
    assert [is_open(shard) for shard in (parent, low, high)] == [False, True, True]
    assert low["ParentShardId"] == high["ParentShardId"] == parent["ShardId"]
    assert hash_keys(low) == (0, HASH_KEYS // 4 - 1)
    assert hash_keys(high) == (HASH_KEYS // 4, HASH_KEYS - 1)
    assert (await server.active(stream))["OpenShardCount"] == 2

    records, end = await server.drain(stream, parent["ShardId"])
    assert [record["SequenceNumber"] for record in records] == [entry["SequenceNumber"] for entry in before]
    assert "NextShardIterator" not in end
    server.expect(end["MillisBehindLatest"] == 0, True, kinesalite=False)
    children = [(child["ShardId"], child["ParentShards"], hash_keys(child)) for child in end.get("ChildShards", [])]
    documented = [(shard["ShardId"], [parent["ShardId"]], hash_keys(shard)) for shard in (low, high)]
    server.expect(children, documented, kinesalite=[])

    after = await server.put(stream, *"abcdefgh")
    assert {entry["ShardId"] for entry in after} == {low["ShardId"], high["ShardId"]}
    assert min(int(entry["SequenceNumber"]) for entry in after) > max(int(entry["SequenceNumber"]) for entry in before)


async def test_a_closed_shard_that_is_empty_ends_at_once(server):
    stream = await server.create()
    latest = await server.iterator(stream, kind="LATEST")
    await server.client.split_shard(
        StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(HASH_KEYS // 2)
    )
    await server.active(stream)
    iterators = [latest, await server.iterator(stream), await server.iterator(stream, kind="LATEST")]
    answers = [await server.client.get_records(ShardIterator=iterator) for iterator in iterators]
    assert [answer["Records"] for answer in answers] == [[], [], []]
    from_before, oldest, newest = ["NextShardIterator" in answer for answer in answers]
    server.expect([oldest, newest], [False, False], kinesalite=[True, False])
    if server.name != "kinesalite":  # there it depends on whether the second has changed since the split
        assert not from_before


async def test_a_merge_closes_two_shards_and_opens_one(server):
    stream = await server.create(shards=3)
    put = await server.put(stream, *(f"key {number}" for number in range(30)))
    merge = server.client.merge_shards
    first, second, third = (f"shardId-00000000000{number}" for number in range(3))
    apart = await outcome(merge(StreamName=stream, ShardToMerge=first, AdjacentShardToMerge=third))
    assert apart == "InvalidArgumentException"
    await merge(StreamName=stream, ShardToMerge=first, AdjacentShardToMerge=second)
    await server.active(stream)
    child = (await server.shards(stream))[-1]
    assert child["ParentShardId"] == first
    assert child["AdjacentParentShardId"] == second
    assert hash_keys(child) == (0, HASH_KEYS * 2 // 3 - 1)
    for parent in (first, second):
        records, end = await server.drain(stream, parent)
        assert len(records) == sum(entry["ShardId"] == parent for entry in put)
        assert "NextShardIterator" not in end
        children = [(found["ShardId"], sorted(found["ParentShards"])) for found in end.get("ChildShards", [])]
        server.expect(children, [(child["ShardId"], [first, second])], kinesalite=[])
    after = await server.put(stream, *(f"key {number}" for number in range(30)))
    assert {entry["ShardId"] for entry in after} == {third, child["ShardId"]}


async def test_splits_that_make_no_sense(server):
    stream = await server.create()
    split = server.client.split_shard
    shard, invalid = "shardId-000000000000", "InvalidArgumentException"
    outcomes = []
    for key in (HASH_KEYS, HASH_KEYS - 1, 1):
        outcomes.append(await outcome(split(StreamName=stream, ShardToSplit=shard, NewStartingHashKey=str(key))))
        await server.active(stream)
    server.expect(outcomes, [invalid] * 3, kinesis_local=[invalid, "ok", "ResourceInUseException"])
    middle = str(HASH_KEYS // 2)
    absent = await outcome(split(StreamName=stream, ShardToSplit="shardId-000000000009", NewStartingHashKey=middle))
    assert absent == "ResourceNotFoundException"


async def test_a_closed_shard_cannot_be_split_or_merged(server):
    stream = await server.create(shards=2)
    first, second = "shardId-000000000000", "shardId-000000000001"
    split, merge = server.client.split_shard, server.client.merge_shards
    await split(StreamName=stream, ShardToSplit=first, NewStartingHashKey="1000")
    await server.active(stream)
    again = await outcome(split(StreamName=stream, ShardToSplit=first, NewStartingHashKey="900"))
    server.expect(again, "InvalidArgumentException", kinesalite="ok", kinesis_local="ResourceInUseException")
    await server.active(stream)
    merged = await outcome(merge(StreamName=stream, ShardToMerge=first, AdjacentShardToMerge=second))
    server.expect(merged, "InvalidArgumentException", kinesalite="ok", kinesis_local="ResourceInUseException")


@pytest.mark.parametrize(("current", "target"), [(2, 4), (4, 2), (2, 3), (3, 2), (5, 4)])
async def test_the_shard_count_is_updated_uniformly(server, current, target):
    stream = await server.create(shards=current)
    keys = [f"key {number}" for number in range(60)]
    before = await server.put(stream, *keys)
    update = server.client.update_shard_count(StreamName=stream, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
    if server.name == "kinesalite":
        server.expect(await outcome(update), "ok", kinesalite="UnknownOperationException")
        return
    answer = await update
    assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (current, target)
    await server.active(stream)
    ranges = sorted(hash_keys(shard) for shard in await server.shards(stream) if is_open(shard))
    assert len(ranges) == target
    assert (ranges[0][0], ranges[-1][1]) == (0, HASH_KEYS - 1)
    assert all(low[1] + 1 == high[0] for low, high in itertools.pairwise(ranges))
    sizes = [last - first for first, last in ranges]
    uneven = SAME if (current, target) in ((2, 4), (4, 2)) else False
    server.expect(max(sizes) - min(sizes) < 10, True, kinesis_local=uneven)
    after = await server.put(stream, *keys)
    found = [await server.drain(stream, shard["ShardId"]) for shard in await server.shards(stream)]
    read = [record["SequenceNumber"] for records, _ in found for record in records]
    assert sorted(read) == sorted(entry["SequenceNumber"] for entry in before + after)


async def test_the_shard_count_is_doubled_or_halved_at_most(server):
    stream = await server.create(shards=3)
    update, known = server.client.update_shard_count, {"kinesalite": "UnknownOperationException"}
    for target, other in ((7, "InvalidArgumentException"), (1, "ok")):
        refused = await outcome(update(StreamName=stream, TargetShardCount=target, ScalingType="UNIFORM_SCALING"))
        server.expect(refused, "LimitExceededException", kinesis_local=other, **known)


# ListShards


async def test_shards_are_listed_in_pages(server):
    stream = await server.create(shards=5)
    ranges = [hash_keys(shard) for shard in await server.shards(stream)]
    assert (ranges[0][0], ranges[-1][1]) == (0, HASH_KEYS - 1)
    assert all(low[1] + 1 == high[0] for low, high in itertools.pairwise(ranges))
    page = await server.client.list_shards(StreamName=stream, MaxResults=2)
    listed = page["Shards"]
    server.expect([shard["ShardId"][-1] for shard in listed], ["0", "1"], kinesalite=["0", "1", "2", "3", "4"])
    if server.name == "kinesalite":  # it has no paging, and a NextToken of any kind kills it
        return
    together = await outcome(server.client.list_shards(StreamName=stream, NextToken=page["NextToken"]))
    assert together == "InvalidArgumentException"
    while "NextToken" in page:
        page = await server.client.list_shards(NextToken=page["NextToken"], MaxResults=2)
        assert len(page["Shards"]) <= 2
        listed += page["Shards"]
    assert [shard["ShardId"][-1] for shard in listed] == ["0", "1", "2", "3", "4"]
    rest = await server.shards(stream, ExclusiveStartShardId="shardId-000000000002")
    assert [shard["ShardId"][-1] for shard in rest] == ["3", "4"]
    assert await outcome(server.client.list_shards(NextToken="bogus")) == "InvalidArgumentException"


async def test_shards_are_filtered(server):
    stream = await server.create(shards=2)
    created = (await server.active(stream))["StreamCreationTimestamp"]
    await server.client.split_shard(
        StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(HASH_KEYS // 4)
    )
    await server.active(stream)

    async def numbers(**wanted):
        return [shard["ShardId"][-1] for shard in await server.shards(stream, ShardFilter=wanted)]

    everything = ["0", "1", "2", "3"]
    server.expect(await numbers(Type="AT_LATEST"), ["1", "2", "3"], kinesalite=everything)
    server.expect(
        await numbers(Type="AFTER_SHARD_ID", ShardId="shardId-000000000001"), ["2", "3"], kinesalite=everything
    )
    assert await numbers(Type="FROM_TRIM_HORIZON") == everything
    assert await numbers(Type="FROM_TIMESTAMP", Timestamp=created) == everything
    now = datetime.now(UTC) + timedelta(seconds=1)
    server.expect(await numbers(Type="FROM_TIMESTAMP", Timestamp=now), ["1", "2", "3"], kinesalite=everything)
    server.expect(await numbers(Type="AT_TIMESTAMP", Timestamp=now), ["1", "2", "3"], kinesalite=everything)


# Tags and limits


async def test_tags_are_added_listed_and_removed(server):
    stream = await server.create()
    client = server.client
    await client.add_tags_to_stream(StreamName=stream, Tags={"b": "2", "a": "1", "c": ""})
    await client.add_tags_to_stream(StreamName=stream, Tags={"b": "3"})
    await client.remove_tags_from_stream(StreamName=stream, TagKeys=["c", "absent"])
    listed = await client.list_tags_for_stream(StreamName=stream)
    assert sorted((tag["Key"], tag["Value"]) for tag in listed["Tags"]) == [("a", "1"), ("b", "3")]
    assert not listed["HasMoreTags"]
    first = await client.list_tags_for_stream(StreamName=stream, Limit=1)
    rest = await client.list_tags_for_stream(StreamName=stream, ExclusiveStartTagKey=first["Tags"][0]["Key"])
    assert first["HasMoreTags"]
    assert [tag["Key"] for tag in first["Tags"] + rest["Tags"]] == ["a", "b"]


async def test_a_stream_has_no_more_than_50_tags(server):
    stream = await server.create()
    many = {f"tag {number}": "" for number in range(45)}
    added = await outcome(server.client.add_tags_to_stream(StreamName=stream, Tags=many))
    server.expect(added, "ok", kinesalite="ValidationException", kinesis_local="InvalidArgumentException")
    more = {f"more {number}": "" for number in range(6)}
    over = await outcome(server.client.add_tags_to_stream(StreamName=stream, Tags=more))
    server.expect(over, "InvalidArgumentException", kinesalite="ok", kinesis_local="ok")


async def test_the_limits_are_described(server):
    known = await outcome(server.client.describe_limits())
    server.expect(known, "ok", kinesalite="UnknownOperationException")
    if known != "ok":
        return
    before = await server.client.describe_limits()
    await server.create(shards=2)
    after = await server.client.describe_limits()
    assert after["ShardLimit"] == before["ShardLimit"] >= after["OpenShardCount"]
    assert after["OpenShardCount"] >= before["OpenShardCount"] + 2


# Malformed requests


async def test_a_value_that_breaks_a_constraint(server):
    name = await outcome(server.client.create_stream(StreamName="no spaces", ShardCount=1))
    server.expect(name, "ValidationException", kinesis_local="InvalidArgumentException")
    stream = await server.create()
    kind = await outcome(server.iterator(stream, kind="SIDEWAYS"))
    server.expect(kind, "ValidationException", kinesis_local="SerializationException")
    key = await outcome(server.put(stream, "x" * 257))
    server.expect(key, "ValidationException", kinesis_local="InvalidArgumentException")


async def test_a_member_of_the_wrong_type(server):
    answer = await server.raw("Kinesis_20131202.DescribeStream", b'{"StreamName": 5}')
    assert answer == (400, "SerializationException")


async def test_a_body_that_is_not_json(server):
    answer = await server.raw("Kinesis_20131202.ListStreams", b"{,")
    assert answer == (400, "SerializationException")


async def test_an_operation_that_does_not_exist(server):
    status, error = await server.raw("Kinesis_20131202.Fly", b"{}")
    assert status == 400
    server.expect(error, "UnknownOperationException", kinesis_local="AccessDeniedException")
