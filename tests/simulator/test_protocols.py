"""CBOR, as the SDK for Java speaks it, beside JSON: the same calls have the same answers."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager

import aiohttp
import cbor2
import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from simulator.stream import LocalStream
from simulator.stream.errors import KinesisError
from simulator.stream.protocols import CBOR, JSON, protocol_of

MIDDLE = str(2**127)


class Client:
    """Sends requests as an SDK does that speaks CBOR, or JSON; blobs are bytes, times ms since 1970."""

    def __init__(self, url, session, protocol):
        self.url, self.session, self.protocol = url, session, protocol

    def post(self, operation, request):
        headers = {"X-Amz-Target": f"Kinesis_20131202.{operation}", "Content-Type": self.protocol.content_type}
        body = cbor2.dumps(request) if self.protocol is CBOR else json.dumps(request, default=as_json)
        return self.session.post(self.url, data=body, headers=headers)

    async def __call__(self, operation, **request):
        async with self.post(operation, request) as answer:
            assert answer.headers["Content-Type"] == self.protocol.content_type
            return answer.status, self.read(await answer.read())

    def read(self, body):
        if self.protocol is CBOR:
            return cbor2.loads(body, semantic_decoders={1: lambda value, _: Moment(value)})
        return from_json(json.loads(body))


class Moment(int):
    """Milliseconds since 1970, which are a tag in CBOR."""


def as_json(value):
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value.value / 1000


def from_json(value, name=""):
    if isinstance(value, dict):
        return {key: from_json(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [from_json(each) for each in value]
    if name == "Data":
        return base64.b64decode(value)
    return Moment(round(1000 * value)) if name.endswith("Timestamp") else value


def tag(milliseconds):
    return cbor2.CBORTag(1, milliseconds)


@asynccontextmanager
async def speaking(protocol):
    """A client of a local stream of its own whose clock stands still."""
    async with LocalStream(clock=lambda: 1_700_000_000.123) as local, aiohttp.ClientSession() as session:
        yield Client(local.endpoint_url, session, protocol)


@pytest.fixture(params=[JSON, CBOR], ids=["json", "cbor"])
async def client(request):
    async with speaking(request.param) as client:
        yield client


async def test_both_protocols_answer_alike():
    async with speaking(JSON) as json_client, speaking(CBOR) as cbor_client:
        assert await life(json_client) == await life(cbor_client)


async def life(client):
    """The answers to all that KCL, Flink's connector and Terraform call in a stream's life."""
    stream = {"StreamName": "both"}
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/both"
    shard = "shardId-000000000000"
    records = [{"Data": bytes([0, 255, number]), "PartitionKey": f"key {number}"} for number in range(5)]
    calls = [
        ("CreateStream", {**stream, "ShardCount": 1, "Tags": {"team": "night"}}),
        ("DescribeLimits", {}),
        ("DescribeAccountSettings", {}),
        ("DescribeStreamSummary", stream),
        ("DescribeStreamSummary", {"StreamARN": arn}),
        ("IncreaseStreamRetentionPeriod", {**stream, "RetentionPeriodHours": 48}),
        ("AddTagsToStream", {**stream, "Tags": {"cost": "7", "a": ""}}),
        ("ListTagsForStream", {**stream, "Limit": 2}),
        ("ListTagsForStream", {**stream, "ExclusiveStartTagKey": "cost"}),
        ("RemoveTagsFromStream", {**stream, "TagKeys": ["a", "absent"]}),
        ("TagResource", {"ResourceARN": arn, "Tags": {"b": "c"}}),
        ("UntagResource", {"ResourceARN": arn, "TagKeys": ["b"]}),
        ("ListTagsForResource", {"ResourceARN": arn}),
        ("EnableEnhancedMonitoring", {**stream, "ShardLevelMetrics": ["ALL"]}),
        ("DisableEnhancedMonitoring", {**stream, "ShardLevelMetrics": ["IncomingBytes", "OutgoingBytes"]}),
        ("StartStreamEncryption", {**stream, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}),
        ("DescribeStreamSummary", stream),
        ("StopStreamEncryption", {**stream, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}),
        ("UpdateMaxRecordSize", {"StreamARN": arn, "MaxRecordSizeInKiB": 2048}),
        ("PutRecord", {**stream, "Data": b"\xff\x00", "PartitionKey": "x"}),
        ("PutRecords", {**stream, "Records": records}),
        ("ListShards", stream),
        ("SplitShard", {**stream, "ShardToSplit": shard, "NewStartingHashKey": MIDDLE}),
        ("ListShards", {**stream, "ShardFilter": {"Type": "AT_TIMESTAMP", "Timestamp": tag(1_700_000_000_123)}}),
        ("DescribeStream", stream),
        ("RegisterStreamConsumer", {"StreamARN": arn, "ConsumerName": "reader"}),
        ("ListStreamConsumers", {"StreamARN": arn, "StreamCreationTimestamp": tag(1_700_000_000_123)}),
        ("GetShardIterator", {**stream, "ShardId": shard, "ShardIteratorType": "SIDEWAYS"}),
        ("PutRecord", {**stream, "Data": b"x" * 3 * 1024 * 1024, "PartitionKey": "x"}),
        ("DescribeStream", {"StreamName": "nowhere"}),
        ("UpdateStreamMode", {"StreamARN": arn, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
        ("Fly", {}),
    ]
    answers = [await client(operation, **request) for operation, request in calls]
    for start in (
        {"ShardIteratorType": "TRIM_HORIZON"},
        {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": tag(1_700_000_000_000)},
    ):
        _, found = await client("GetShardIterator", **stream, ShardId=shard, **start)
        answers.append(await client("GetRecords", ShardIterator=found["ShardIterator"]))
        (first, *_) = answers[-1][1]["Records"]
        assert first["Data"] == b"\xff\x00"
        assert first["ApproximateArrivalTimestamp"] == 1_700_000_000_123
        assert isinstance(first["ApproximateArrivalTimestamp"], Moment), "a tag in CBOR"
    assert [status for status, _ in answers].count(400) == 4
    assert answers[7] == (
        200,
        {"Tags": [{"Key": "a", "Value": ""}, {"Key": "cost", "Value": "7"}], "HasMoreTags": True},
    )
    return answers


async def test_pushed_events_are_written_as_the_request_was(client):
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/pushed"
    await client("CreateStream", StreamName="pushed", ShardCount=1)
    _, made = await client("RegisterStreamConsumer", StreamARN=arn, ConsumerName="reader")
    await client("PutRecord", StreamName="pushed", Data=b"\x00\xff", PartitionKey="x")
    request = {
        "ConsumerARN": made["Consumer"]["ConsumerARN"],
        "ShardId": "shardId-000000000000",
        "StartingPosition": {"Type": "AT_TIMESTAMP", "Timestamp": tag(1_700_000_000_000)},
    }
    buffer, messages = EventStreamBuffer(), []
    async with asyncio.timeout(30), client.post("SubscribeToShard", request) as answer:
        while len(messages) < 2:
            buffer.add_data(await answer.content.readany())
            messages += list(buffer)
    assert {message.headers[":content-type"] for message in messages} == {client.protocol.content_type}
    (record,) = client.read(messages[1].payload)["Records"]
    assert (record["Data"], record["ApproximateArrivalTimestamp"]) == (b"\x00\xff", 1_700_000_000_123)


async def test_an_error_is_written_as_the_request_was(client):
    headers = {"X-Amz-Target": "Kinesis_20131202.ListStreams", "Content-Type": client.protocol.content_type}
    for body in (b"", b"\xff\xfe", b"[1]", cbor2.dumps([1]), cbor2.dumps({"Limit": cbor2.undefined})):
        async with client.session.post(client.url, data=body, headers=headers) as answer:
            assert answer.status == 400
            assert client.read(await answer.read())["__type"] == "SerializationException"


@given(st.binary())
def test_any_bytes_are_a_request_or_refused(body):
    for protocol in (JSON, CBOR):
        try:
            assert isinstance(protocol.read(body), dict)
        except KinesisError as error:
            assert error.type == "SerializationException"  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("content_type", "protocol"),
    [
        ("application/x-amz-cbor-1.1", CBOR),
        ("Application/X-AMZ-CBOR-1.1; charset=binary", CBOR),
        ("application/x-amz-json-1.1", JSON),
        ("application/json", JSON),
        ("", JSON),
    ],
)
def test_the_content_type_says_which(content_type, protocol):
    assert protocol_of(content_type) is protocol
