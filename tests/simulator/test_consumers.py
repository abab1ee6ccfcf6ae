"""Enhanced fan-out of the local stream, read by aiobotocore: nothing is lost or doubled, whatever ends a subscription.

The clock is real but can be put forward, so that nobody waits five seconds for another subscription.
"""

import asyncio
import time

import aiohttp
import pytest
from botocore.eventstream import EventStreamError
from botocore.exceptions import ClientError

from simulator.stream import Fault, LocalStream
from tests.simulator.conftest import kinesis

SHARD = "shardId-000000000000"
OLDEST = {"Type": "TRIM_HORIZON"}


class Fanout:
    """A local stream with a consumer, and shorter ways to use them."""

    def __init__(self):
        self.ahead = 0.0
        self.local = LocalStream(streams={"raw": 1}, clock=lambda: time.time() + self.ahead)
        self.faults = self.local.faults

    async def register(self, name="me"):
        summary = await self.client.describe_stream_summary(StreamName="raw")
        arn = summary["StreamDescriptionSummary"]["StreamARN"]
        answer = await self.client.register_stream_consumer(StreamARN=arn, ConsumerName=name)
        return answer["Consumer"]["ConsumerARN"]

    async def put(self, *data):
        """The sequence numbers."""
        records = [{"Data": str(item).encode(), "PartitionKey": str(item)} for item in data]
        answer = await self.client.put_records(StreamName="raw", Records=records)
        return [entry["SequenceNumber"] for entry in answer["Records"]]

    async def split(self):
        await self.client.split_shard(StreamName="raw", ShardToSplit=SHARD, NewStartingHashKey=str(2**127))

    async def subscribe(self, start, shard=SHARD, arn=None):
        """The events, as they come."""
        answer = await self.client.subscribe_to_shard(
            ConsumerARN=arn or self.arn, ShardId=shard, StartingPosition=start
        )
        return events(answer["EventStream"])

    async def read(self, start, count):
        """The data of the first so many records."""
        read = []
        async for event in await self.subscribe(start):
            read += data(event)
            if len(read) >= count:
                return read
        return read


async def events(stream):
    async for event in stream:
        yield event["SubscribeToShardEvent"]
    stream.close()


def data(event):
    return [int(record["Data"]) for record in event["Records"]]


def after(event):
    return {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": event["ContinuationSequenceNumber"]}


@pytest.fixture
async def fanout():
    fanout = Fanout()
    async with fanout.local, kinesis(fanout.local.endpoint_url) as fanout.client:
        fanout.arn = await fanout.register()
        yield fanout


async def test_where_subscriptions_start(fanout):
    numbers = await fanout.put(0, 1, 2)
    fanout.ahead += 2
    moment = int(time.time() + fanout.ahead)  # botocore sends whole seconds
    await fanout.put(3)
    for start, expected in (
        (OLDEST, [0, 1, 2, 3]),
        ({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": numbers[1]}, [1, 2, 3]),
        ({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": numbers[1]}, [2, 3]),
        ({"Type": "AT_TIMESTAMP", "Timestamp": moment}, [3]),
    ):
        assert await fanout.read(start, len(expected)) == expected
        fanout.ahead += 5
    latest = await fanout.subscribe({"Type": "LATEST"})
    assert data(await anext(latest)) == []
    await fanout.put(4)
    assert data(await anext(latest)) == [4]


async def test_records_are_pushed_as_get_records_would_give_them(fanout):
    stream = await fanout.subscribe(OLDEST)
    assert (await anext(stream))["Records"] == []
    await fanout.put(0, 1)
    pushed = await anext(stream)
    iterator = await fanout.client.get_shard_iterator(StreamName="raw", ShardId=SHARD, ShardIteratorType="TRIM_HORIZON")
    polled = await fanout.client.get_records(ShardIterator=iterator["ShardIterator"])
    assert pushed["Records"] == polled["Records"]
    assert pushed["MillisBehindLatest"] == 0


async def test_two_consumers_and_two_shards_do_not_disturb_each_other(fanout):
    await fanout.split()
    other = await fanout.register("other")
    streams = [
        await fanout.subscribe(OLDEST, f"shardId-00000000000{number}", arn)
        for number in (1, 2)
        for arn in (fanout.arn, other)
    ]
    for stream in streams:
        assert (await anext(stream))["Records"] == []
    await fanout.put(*range(20))
    first, same, second, also = [data(await anext(stream)) for stream in streams]
    assert (first, second) == (same, also)
    assert sorted(first + second) == list(range(20))


async def test_at_the_end_of_a_shard_its_children_are_named_and_the_subscription_ends(fanout):
    await fanout.put(0)
    stream = await fanout.subscribe(OLDEST)
    assert data(await anext(stream)) == [0]
    await fanout.split()
    (last,) = [event async for event in stream]
    assert last["Records"] == []
    assert "ContinuationSequenceNumber" not in last
    assert [child["ShardId"][-1] for child in last["ChildShards"]] == ["1", "2"]
    assert all(child["ParentShards"] == [SHARD] for child in last["ChildShards"])
    assert last["ChildShards"][1]["HashKeyRange"]["StartingHashKey"] == str(2**127)


async def test_a_subscription_ends_after_five_minutes_and_another_goes_on(fanout):
    await fanout.put(0)
    stream = await fanout.subscribe(OLDEST)
    event = await anext(stream)
    fanout.ahead += 300
    rest = [event async for event in stream]
    await fanout.put(1)
    assert await fanout.read(after(([event, *rest])[-1]), 1) == [1]


async def test_silence_is_told(fanout):
    await fanout.put(0)
    stream = await fanout.subscribe(OLDEST)
    event = await anext(stream)
    fanout.ahead += 5
    silent = await anext(stream)
    assert (silent["Records"], silent["MillisBehindLatest"]) == ([], 0)
    assert after(silent) == after(event)


async def test_a_subscription_is_taken_over_after_five_seconds_and_no_sooner(fanout):
    stream = await fanout.subscribe(OLDEST)
    await anext(stream)
    fanout.ahead += 4
    with pytest.raises(ClientError, match="Another active subscription exists for this consumer") as refused:
        await fanout.subscribe(OLDEST)
    assert refused.value.response["Error"]["Code"] == "ResourceInUseException"
    fanout.ahead += 1
    successor = await fanout.subscribe(OLDEST)
    with pytest.raises(EventStreamError, match="ResourceInUseException"):
        async for _ in stream:
            pass
    await fanout.put(0)
    assert [data(await anext(successor)) for _ in range(2)] == [[], [0]]


async def test_a_subscription_ends_with_its_consumer(fanout):
    stream = await fanout.subscribe(OLDEST)
    await anext(stream)
    await fanout.client.deregister_stream_consumer(ConsumerARN=fanout.arn)
    with pytest.raises(EventStreamError, match="ResourceNotFoundException"):
        await anext(stream)


async def test_a_subscription_ends_with_its_server(fanout):
    stream = await fanout.subscribe(OLDEST)
    await anext(stream)
    await fanout.local.__aexit__(None, None, None)
    assert [event async for event in stream] == []


async def test_a_client_that_goes_is_not_complained_of(fanout, caplog):
    await fanout.put(0)
    assert await fanout.read(OLDEST, 1) == [0]
    async with aiohttp.ClientSession() as session:
        request = {"ConsumerARN": await fanout.register("other"), "ShardId": SHARD, "StartingPosition": OLDEST}
        headers = {"X-Amz-Target": "Kinesis_20131202.SubscribeToShard"}
        async with session.post(fanout.local.endpoint_url, json=request, headers=headers) as answer:
            await answer.content.readany()
    for number in range(5):
        await fanout.put(number)
    await fanout.local.__aexit__(None, None, None)
    assert caplog.records == []


async def test_a_slow_client_gets_everything_in_order(fanout):
    for _ in range(8):
        records = [{"Data": bytes(500_000), "PartitionKey": str(key)} for key in range(8)]
        await fanout.client.put_records(StreamName="raw", Records=records)
    sizes, keys = [], []
    async for event in await fanout.subscribe(OLDEST):
        sizes.append(len(event["Records"]))
        keys += [int(record["PartitionKey"]) for record in event["Records"]]
        if len(keys) == 64:
            break
        await asyncio.sleep(0.01)
    assert keys == [*range(8)] * 8
    assert max(sizes) == 2  # a mebibyte in an event


# Faults on demand


@pytest.mark.parametrize(
    ("kind", "code"), [("throttle", "LimitExceededException"), ("fail", "InternalFailureException")]
)
async def test_a_call_that_is_hit_has_done_nothing(fanout, kind, code):
    fanout.faults.add(Fault(kind, operation="SubscribeToShard", shard=SHARD, times=1))
    with pytest.raises(ClientError, match=code):
        await fanout.subscribe(OLDEST)
    await fanout.put(0)
    assert await fanout.read(OLDEST, 1) == [0]


async def test_lag_holds_records_back(fanout):
    fanout.faults.add(Fault("lag", seconds=2))
    stream = await fanout.subscribe(OLDEST)
    await fanout.put(0)
    assert data(await anext(stream)) == []
    fanout.ahead += 1
    waiting = asyncio.ensure_future(anext(stream))
    assert await asyncio.wait([waiting], timeout=0.3) == (set(), {waiting})
    fanout.ahead += 1
    assert data(await waiting) == [0]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "break"}, aiohttp.ClientPayloadError),
        ({"kind": "fail", "operation": "SubscribeToShardEvent"}, EventStreamError),
    ],
    ids=["break", "fail"],
)
async def test_whoever_goes_on_from_the_continuation_loses_and_doubles_nothing(fanout, fault, error):
    start, read, ended = OLDEST, [], 0
    fanout.faults.add(Fault(**fault, share=0.4, times=6))
    while len(read) < 40:
        try:
            async for event in await fanout.subscribe(start):
                read += data(event)
                start = after(event)
                if len(read) == 40:
                    break
                await fanout.put(len(read), len(read) + 1)
        except error:
            ended += 1
            fanout.ahead += 5
    assert read == [*range(40)]
    assert ended == 6
