"""An index that answers 400 to every bulk request, as a proxy does that is spoken to in the wrong protocol.

The service asked about 50 times a second for ever, without a pause, a word in the log or in /ready, and could not be
stopped in time.
"""

import asyncio
import base64
import json
import logging
import time

import httpx
import pytest

from service.api.app import build
from service.settings.model import load
from service.worker.service import Service
from simulator.stream import LocalStream
from tests.servers.bulk import BulkServer, refused

PROXY = refused(400, "The plain HTTP request was sent to HTTPS port")
RECORDS = [json.dumps({"iotName": "p", "iotValue": 20 + number % 7}).encode() for number in range(300)]


async def put(stream: LocalStream, records) -> None:
    """Records into the only shard."""
    body = {
        "StreamName": "S",
        "Records": [{"Data": base64.b64encode(record).decode(), "PartitionKey": "p"} for record in records],
    }
    headers = {"x-amz-target": "Kinesis_20131202.PutRecords", "content-type": "application/x-amz-json-1.1"}
    async with httpx.AsyncClient() as client:
        (await client.post(stream.endpoint_url, headers=headers, json=body)).raise_for_status()


async def until(condition) -> None:
    """Wait for it; the detector's compiling may be part of that."""
    async with asyncio.timeout(300):
        while not condition():  # noqa: ASYNC110 - what a server is asked is no event
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "answer",
    [PROXY, refused(413, "too large"), (400, b"<html><title>Bad Request</title></html>")],
    ids=["400", "413", "page"],
)
@pytest.mark.timeout(600)
async def test_a_proxy_that_refuses_everything_is_waited_for_and_said(tmp_path, caplog, answer):
    caplog.set_level(logging.WARNING)
    async with LocalStream(streams={"S": 1}) as stream:
        with BulkServer(lambda body: answer) as server:
            names = {"stream": "S", "endpoint_url": stream.endpoint_url, "opensearch_url": server.url}
            settings = load({"data_dir": tmp_path, "index": "all", "samples": 16, **names}, {})
            await put(stream, RECORDS)
            async with Service.open(settings) as service:
                running = asyncio.create_task(service.run())
                await until(lambda: "the smallest bulk request is refused, too" in caplog.text)
                transport = httpx.ASGITransport(app=build(service))
                async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                    reasons = (await client.get("/ready")).json()["reasons"]
                    assert any("the smallest bulk request is refused, too" in reason for reason in reasons)
                before = server.requests
                await asyncio.sleep(1)
                assert server.requests - before <= 20, "pauses"
                assert await service.letters.count() == 0
                began = time.monotonic()
                service.stop()
                assert not await running, "not all is committed"
                assert time.monotonic() - began < settings.stop_seconds / 2

            server.rule = lambda body: None  # mended: the next worker delivers all of it
            async with Service.open(settings) as service:
                running = asyncio.create_task(service.run())
                await until(lambda: len(server.documents) >= len(RECORDS) - 16)
                service.stop()
                assert await running
                assert await service.letters.count() == 0


@pytest.mark.timeout(600)
async def test_one_record_whose_document_is_refused_goes_to_the_dead_letter_alone(tmp_path):
    async with LocalStream(streams={"S": 1}) as stream:
        poison = json.dumps({"iotName": "poison", "iotValue": 7}).encode()
        with BulkServer(lambda body: refused(400) if b'"sensor":"poison"' in body else None) as server:
            names = {"stream": "S", "endpoint_url": stream.endpoint_url, "opensearch_url": server.url}
            settings = load({"data_dir": tmp_path, "index": "all", "samples": 16, **names}, {})
            await put(stream, [*RECORDS[:150], *[poison] * 20, *RECORDS[150:]])
            async with Service.open(settings) as service:
                running = asyncio.create_task(service.run())
                await until(lambda: len(server.documents) >= len(RECORDS) - 16 + 4)
                service.stop()
                assert await running
                letters = await service.letters.newest(10)
                assert {letter["errorCode"] for letter in letters} == {"bad_request"}
                assert len(letters) == 4, "one for each scored reading; their sensor learnt from 16"
