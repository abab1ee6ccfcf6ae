"""The service with its page, for the commands that run it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from service.api.access import Access
from service.api.app import build
from service.cli.stopping import Stop
from service.settings.model import Settings
from service.worker.server import serve
from service.worker.service import Service


@contextlib.asynccontextmanager
async def serving(settings: Settings, stop: Stop) -> AsyncIterator[tuple[Service, str]]:
    """A service whose API is up, and its address; ``stop`` stops it.

    Raises SettingsError if the API would be open to strangers and nobody said that this is meant.
    """
    access = Access.of(settings)
    listening = (settings.host, settings.port, settings.tls_certificate, settings.tls_key)
    async with Service.open(settings) as service, serve(build(service, access), *listening) as address:

        async def stop_on_signal() -> None:
            await stop.wait()
            service.stop()

        stopping = asyncio.create_task(stop_on_signal())
        stop.graceful = True
        try:
            yield service, address + settings.root_path
        finally:
            stopping.cancel()
