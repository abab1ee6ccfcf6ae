"""The service starts, says what keeps it from its work, and stops, whatever is away."""

import asyncio
import logging

import httpx

from service.api import build
from service.app import Service
from service.settings import load


async def test_a_service_whose_index_is_away_says_so_and_can_be_stopped(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    nowhere = "http://127.0.0.1:9"
    settings = load({"data_dir": tmp_path, "endpoint_url": nowhere, "opensearch_url": nowhere}, {})
    async with Service.open(settings) as service:
        running = asyncio.create_task(service.run())
        transport = httpx.ASGITransport(app=build(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.get("/health")).status_code == 200
            ready = await client.get("/ready")
            assert ready.status_code == 503
            assert any("index: http://127.0.0.1:9: " in reason for reason in ready.json()["reasons"])
            assert not (await client.get("/status")).json()["index"]["healthy"]
            assert (await client.get("/scores")).status_code == 503
        assert not running.done()
        service.stop()
        assert await running
    assert "index http://127.0.0.1:9" in caplog.text
