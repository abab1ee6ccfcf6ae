"""The service with its page, for the commands that run it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

from service.api.access import Access
from service.api.app import build
from service.cli.stopping import Stop
from service.settings.model import Settings
from service.worker.server import serve
from service.worker.service import Service

NEW_OBJECTS = 20_000, 20, 20  # until garbage is looked for, see ``gc.set_threshold``


def collect_rarely() -> None:
    """Look for garbage where there may be some, and less often.

    What a process consists of once it serves stays as long as the process does, and readings are columns: few objects
    are made of them, none of which refer to each other in a circle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*NEW_OBJECTS)


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
        collect_rarely()
        try:
            yield service, address + settings.root_path
        finally:
            stopping.cancel()
