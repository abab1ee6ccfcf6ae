"""The local stream's HTTP face."""

import aiohttp
import pytest

from simulator.stream import Fault, LocalStream
from tests.simulator.conftest import kinesis


@pytest.fixture
async def local():
    async with LocalStream(streams={"raw": 1}) as local:
        yield local


async def test_it_listens_on_loopback_on_a_free_port(local):
    assert local.endpoint_url.startswith("http://127.0.0.1:")
    async with LocalStream() as other:
        assert other.endpoint_url != local.endpoint_url


async def test_a_port_that_is_taken(local):
    port = int(local.endpoint_url.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        async with LocalStream(port=port):
            pass


async def test_it_has_no_address_until_it_runs():
    with pytest.raises(RuntimeError, match="not running"):
        _ = LocalStream().endpoint_url


@pytest.mark.parametrize(("name", "shards"), [("a b", 1), ("raw", 0), ("raw", 501)])
def test_streams_that_it_cannot_begin_with(name, shards):
    with pytest.raises(ValueError, match=f"stream '{name}', {shards} shards: "):
        LocalStream(streams={name: shards})


async def test_it_stops_although_clients_keep_their_connection(local):
    async with LocalStream() as short, kinesis(short.endpoint_url) as client:
        await client.list_streams()
        await short.__aexit__(None, None, None)
        with pytest.raises(RuntimeError):
            _ = short.endpoint_url


async def test_the_largest_call(local):
    records = [{"Data": bytes(1024 * 1024 - 256), "PartitionKey": "x" * 256}] * 10
    async with kinesis(local.endpoint_url) as client:
        assert (await client.put_records(StreamName="raw", Records=records))["FailedRecordCount"] == 0


@pytest.mark.parametrize(
    ("target", "body", "kind"),
    [
        (None, b"{}", "UnknownOperationException"),
        ("ListStreams", b"{}", "UnknownOperationException"),
        ("DynamoDB_20120810.ListStreams", b"{}", "UnknownOperationException"),
        ("Kinesis_20131202.ListStreams", b"", "SerializationException"),
        ("Kinesis_20131202.ListStreams", b"[]", "SerializationException"),
        ("Kinesis_20131202.ListStreams", b'{"Limit": NaN}', "SerializationException"),
        ("Kinesis_20131202.ListStreams", b'{"Limit": "\xff"}', "SerializationException"),
    ],
)
async def test_requests_that_are_none(local, target, body, kind):
    headers = {} if target is None else {"X-Amz-Target": target}
    async with (
        aiohttp.ClientSession() as session,
        session.post(local.endpoint_url, data=body, headers=headers) as answer,
    ):
        assert answer.status == 400
        assert answer.headers["x-amzn-RequestId"]
        assert (await answer.json(content_type="application/x-amz-json-1.1"))["__type"] == kind


async def test_faults_are_set_listed_and_lifted_over_http(local):
    url = f"{local.endpoint_url}/faults"
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json={"kind": "throttle", "share": 0.5, "times": 3}) as answer:
            assert answer.status == 200
        assert local.faults.active == [Fault("throttle", share=0.5, times=3)]
        async with session.get(url) as answer:
            assert (await answer.json(content_type=None))["faults"][0]["times"] == 3
        for wrong, complaint in (
            ({"kind": "explode"}, "kind = 'explode': must be one of throttle, fail, expire, lag, break"),
            ({"kind": "fail", "when": "now"}, "unknown field 'when': a fault has kind, operation, "),
            ({}, "kind"),
        ):
            async with session.post(url, json=wrong) as answer:
                assert answer.status == 400
                assert complaint in (await answer.json(content_type=None))["error"]
        async with session.delete(url) as answer:
            assert answer.status == 200
        assert local.faults.active == []
