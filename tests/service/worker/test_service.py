"""The service starts, says what keeps it from its work, and stops, whatever is away."""

import asyncio
import logging
import socket
import threading
from contextlib import asynccontextmanager

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from service import StateError
from service.api.app import build
from service.settings.model import load
from service.source.client import StreamError, connect
from service.worker import service as worker_service
from service.worker.service import Service
from simulator.stream import LocalStream
from tests.servers import aws

NOWHERE = "http://127.0.0.1:9"
SHARED = {"lease_table": "leases", "snapshot_url": "s3://state/models", "dead_letter_url": "s3://state/dead"}


@asynccontextmanager
async def api_of(service):
    """Its API, without a server."""
    transport = httpx.ASGITransport(app=build(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


async def reasons(client) -> list[str]:
    """What /ready complains of."""
    answer = await client.get("/ready")
    assert answer.json()["ready"] == (answer.status_code == 200)
    return answer.json()["reasons"]


async def until(look, wanted) -> None:
    async with asyncio.timeout(60):
        while await look() != wanted:  # noqa: ASYNC110 - what other processes do is no event
            await asyncio.sleep(0.1)


async def said(caplog, text) -> bool:
    """Whether the log has it by now."""
    return text in caplog.text


async def test_a_service_whose_index_is_away_says_so_and_can_be_stopped(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    settings = load({"data_dir": tmp_path, "endpoint_url": NOWHERE, "opensearch_url": NOWHERE}, {})
    async with Service.open(settings) as service, api_of(service) as client:
        running = asyncio.create_task(service.run())
        assert (await client.get("/health")).status_code == 200
        assert any("index: http://127.0.0.1:9: " in reason for reason in await reasons(client))
        assert not (await client.get("/status")).json()["index"]["healthy"]
        assert (await client.get("/scores")).json()["history"] == "unavailable"
        assert (await client.get("/anomalies")).status_code == 503
        assert not running.done()
        await until(lambda: said(caplog, "index http://127.0.0.1:9"), True)  # what is away for a moment is no news
        service.stop()
        assert await running


async def test_a_service_whose_stream_and_state_are_away_names_each_of_them(tmp_path):
    settings = load({"data_dir": tmp_path, "endpoint_url": NOWHERE, **SHARED}, {})
    with aws.here():
        async with Service.open(settings) as service, api_of(service) as client:
            running = asyncio.create_task(service.run())
            assert (await client.get("/health")).status_code == 200
            waiting = await reasons(client)
            assert [reason.partition(":")[0] for reason in waiting] == [
                "stream 'RawStreamData'", "dead letters", "leases", "snapshots"
            ]  # fmt: skip
            assert all("Could not connect" in reason for reason in waiting[1:])
            service.stop()
            assert await running


async def test_a_service_that_still_compiles_can_be_stopped(tmp_path, monkeypatch):
    compiling, compiled = threading.Event(), threading.Event()
    monkeypatch.setattr(worker_service, "warm_up", lambda configuration: (compiling.set(), compiled.wait()))
    async with Service.open(load({"data_dir": tmp_path, "endpoint_url": NOWHERE}, {})) as service:
        running = asyncio.create_task(service.run())
        await asyncio.to_thread(compiling.wait)
        service.stop()
        assert await running
        assert not compiled.is_set()
    compiled.set()


async def test_what_fails_while_compiling_ends_the_service(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_service, "warm_up", lambda configuration: {}[configuration])
    async with Service.open(load({"data_dir": tmp_path, "endpoint_url": NOWHERE}, {})) as service:
        with pytest.raises(KeyError):
            await service.run()


async def test_a_service_goes_to_work_when_what_was_away_is_there(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    async with LocalStream(streams={"stream": 1}) as local:
        settings = load({"data_dir": tmp_path, "stream": "stream", "endpoint_url": local.endpoint_url, **SHARED}, {})
        with aws.here(dynamodb=url, s3=url):
            async with Service.open(settings) as service, api_of(service) as client:
                running = asyncio.create_task(service.run())
                assert len(await reasons(client)) == 4
                server = await asyncio.to_thread(moto_with_a_bucket, port)
                try:
                    await until(lambda: reasons(client), [])
                    service.stop()
                    assert await running
                finally:
                    server.stop()


def moto_with_a_bucket(port: int) -> ThreadedMotoServer:
    """It has the bucket before the service may ask for it."""
    import moto.backends

    moto.backends.get_backend("s3")["123456789012"]["aws"].create_bucket("state", "us-east-1")
    server = ThreadedMotoServer("127.0.0.1", port)
    server.start()
    return server


async def test_what_waiting_cannot_mend_ends_the_service(tmp_path):
    url = aws.moto()
    settings = load({"data_dir": tmp_path, "endpoint_url": NOWHERE, **SHARED, "snapshot_url": "s3://nobodys"}, {})
    with aws.here(dynamodb=url, s3=url):
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="state")
        with pytest.raises(StateError, match=r"snapshot_url s3://nobodys: .*; make the bucket"):
            async with Service.open(settings):
                pass


async def test_a_stream_made_anew_ends_the_service_with_one_line_and_its_lease_handed_over(tmp_path, caplog):
    settings = {"data_dir": tmp_path, "stream": "stream", "checkpoint_seconds": "0.1"}
    async with LocalStream(streams={"stream": 1}) as local:
        old = load(settings | {"endpoint_url": local.endpoint_url}, {})
        async with Service.open(old) as service, connect(old) as kinesis:
            running = asyncio.create_task(service.run())
            await kinesis.put_record(StreamName="stream", Data=b'{"iotName": "a", "iotValue": 1}', PartitionKey="a")
            await until(lambda: committed(service), True)
            service.stop()
            assert await running
    async with LocalStream(streams={"stream": 1}) as local:
        new = load(settings | {"endpoint_url": local.endpoint_url}, {})
        async with Service.open(new) as service, api_of(service) as client:
            running = asyncio.create_task(service.run())
            await until(lambda: says(client, "was deleted and made anew since its checkpoint"), True)
            with pytest.raises(StreamError, match="use another data_dir, or another lease_table"):
                await running
            (lease,) = await service._leases.rows()
            assert lease.owner is None
    assert caplog.text.count("its pipeline ended") == 1


async def committed(service) -> bool:
    return any(pipeline.committed for pipeline in service.consumer.pipelines.values())


async def says(client, text) -> bool:
    return any(text in reason for reason in await reasons(client))
