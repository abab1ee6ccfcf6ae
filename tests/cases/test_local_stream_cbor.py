"""The AWS SDK for Java sends CBOR to Kinesis unless told not to, and reads CBOR only."""

import aiohttp
import cbor2
import pytest

from simulator.stream import LocalStream

CBOR = "application/x-amz-cbor-1.1"


async def test_create_stream_in_cbor():
    body = b"\xa2jStreamName\x61CjShardCount\x01"
    headers = {"X-Amz-Target": "Kinesis_20131202.CreateStream", "Content-Type": CBOR}
    async with LocalStream() as local, aiohttp.ClientSession() as session:
        async with session.post(local.endpoint_url, data=body, headers=headers) as answer:
            assert (answer.status, answer.headers["Content-Type"]) == (200, CBOR)
            assert cbor2.loads(await answer.read()) == {}
        async with session.post(local.endpoint_url, data=body, headers=headers) as answer:
            assert (answer.status, answer.headers["Content-Type"]) == (400, CBOR)
            assert cbor2.loads(await answer.read())["__type"] == "ResourceInUseException"


@pytest.mark.parametrize(
    "operation",
    [
        "AddTagsToStream",
        "RemoveTagsFromStream",
        "ListTagsForStream",
        "ListTagsForResource",
        "DescribeLimits",
        "DescribeAccountSettings",
        "EnableEnhancedMonitoring",
        "UpdateStreamMode",
    ],
)
async def test_what_terraform_calls_is_known(operation):
    headers = {"X-Amz-Target": f"Kinesis_20131202.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    async with (
        LocalStream(streams={"S": 1}) as local,
        aiohttp.ClientSession() as session,
        session.post(local.endpoint_url, json={"StreamName": "S"}, headers=headers) as answer,
    ):
        body = await answer.json(content_type=None)
    assert body.get("__type") in (None, "ValidationException"), "a request without what it needs is named as such"


async def test_what_is_unknown_is_named():
    headers = {"X-Amz-Target": "Kinesis_20131202.PutResourcePolicy", "Content-Type": CBOR}
    async with (
        LocalStream() as local,
        aiohttp.ClientSession() as session,
        session.post(local.endpoint_url, data=b"\xa0", headers=headers) as answer,
    ):
        body = cbor2.loads(await answer.read())
    assert body["__type"] == "UnknownOperationException"
    assert body["message"].startswith("the local stream has no operation 'PutResourcePolicy'; it has AddTagsToStream, ")
