"""The HTTP server of the API and the page."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from service import UserError


class Server(uvicorn.Server):
    """Uvicorn that leaves signals to the service."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections. Raises UserError if there can be none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = "it is taken by another process" if error.errno == errno.EADDRINUSE else error.strerror
        raise UserError(f"cannot listen on {host}:{port}: {reason}; set another host or port") from None


def _tls(certificate: Path, key: Path | None) -> dict[str, Any]:
    """Uvicorn's settings for HTTPS. Raises UserError if the files do not hold a certificate and its key."""
    given = f"tls_certificate = {str(certificate)!r}" + (f", tls_key = {str(key)!r}" if key else "")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        reason = "these are no PEM files of a certificate and its key without a password"
        raise UserError(f"{given}: {reason if isinstance(error, ssl.SSLError) else error}") from None
    return {"ssl_certfile": certificate, "ssl_keyfile": key}


@asynccontextmanager
async def serve(
    app: Any, host: str, port: int, certificate: Path | None = None, key: Path | None = None
) -> AsyncIterator[str]:
    """Serve an ASGI application; yields its address.

    Raises UserError if the port is taken, or if ``certificate`` and ``key``, for HTTPS, cannot be used.
    """
    tls = _tls(certificate, key) if certificate else {}
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", log_config=None, timeout_graceful_shutdown=1, **tls
    )
    listening = _listen(host, port)
    server = Server(config)
    task = asyncio.create_task(server.serve([listening]))
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0.01)
    if not server.started:
        await task
    try:
        bound = listening.getsockname()[1]
        yield f"http{'s' if tls else ''}://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{bound}"
    finally:
        server.should_exit = True
        await task
