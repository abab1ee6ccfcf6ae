"""A service whose scores the tests know, and its API."""

from contextlib import asynccontextmanager

import httpx
import pytest

from service.api.app import build
from service.settings.model import load
from service.worker.service import Service
from tests.service.sinks.test_recent_scores import batch

NOW = 1_700_000_000_000
ROWS = [("boiler" if i % 2 else "=1+1,\n<b>", NOW + 1000 * i, float(i % 7), i % 7 == 6) for i in range(50)]


@asynccontextmanager
async def serving(folder, **settings):
    """A service that reads nothing, and a client of its API."""
    known = {"data_dir": folder, "endpoint_url": "http://127.0.0.1:9", "value_fields": "v", **settings}
    async with Service.open(load(known, {})) as service:
        transport = httpx.ASGITransport(app=build(service), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield service, client


@pytest.fixture
async def client(tmp_path):
    async with serving(tmp_path) as (service, client):
        service.recent.append(batch(ROWS))
        yield client
