"""Questions to stores that are away are answered all the same."""

import asyncio
from types import SimpleNamespace

import httpx
import pytest

from service.api import operations
from service.api.app import build
from service.settings.model import load
from service.worker.service import Service


class Away:
    """A store of dead letters that does not answer."""

    last_error = "Could not connect to S3"

    async def newest(self, limit):
        await asyncio.sleep(3600)


@pytest.mark.parametrize("last_error", ["Could not connect to S3", None])
async def test_dead_letters_that_are_away_are_said_to_be(tmp_path, monkeypatch, last_error):
    monkeypatch.setattr(operations, "LETTERS_SECONDS", 0.05)
    settings = load({"data_dir": tmp_path, "endpoint_url": "http://127.0.0.1:9"}, {})
    async with Service.open(settings) as service:
        transport = httpx.ASGITransport(app=build(service))
        real = service.letters
        service.letters = SimpleNamespace(newest=Away().newest, last_error=last_error)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answer = await client.get("/dead-letter")
        service.letters = real
    assert answer.status_code == 503
    assert answer.json()["detail"] == f"dead letters: {last_error or 'no answer within 0.05 s'}"
