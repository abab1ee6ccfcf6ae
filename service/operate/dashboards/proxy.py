"""A way for a person to OpenSearch Dashboards in a VPC: a proxy on this machine that signs what the browser asks.

A browser cannot sign requests by AWS Signature Version 4, and through a forwarded port it would ask a host by another
name than the domain's, which neither the signature nor the certificate is for. So the proxy asks the domain by its own
name, in Host, TLS and signature, whichever address leads there.

Guarantee: it serves a browser on this machine and nobody else; what another site makes that browser send is refused, as
everything is signed with the user's credentials.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from service import UserError
from service.sinks.index.auth import Auth

LARGEST_BODY = 100 << 20  # bytes of a request, an import of saved objects for one
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=15, sock_read=300)
_HOPS = {  # headers between two neighbours, which are not passed on
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "trailer", "transfer-encoding"),
    *("upgrade", "host", "content-length", "content-encoding", "accept-encoding", "authorization"),
}


class ProxyError(UserError):
    """The proxy cannot begin."""


class _Through(AbstractResolver):
    """Leads to one address whatever name is asked for."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        """The address."""
        found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=int(address[1]), family=family, proto=proto, flags=0
            )
            for family, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Nothing to close."""


@contextlib.asynccontextmanager
async def serving(url: str, auth: Auth, *, through: str = "", port: int = 5601) -> AsyncIterator[str]:
    """The proxy while it serves, and its address for the browser. Raises ProxyError and IndexSetupError.

    Args:
        url: of Dashboards as the domain has it, with its base path (``/_dashboards``).
        auth: how requests are signed, and which certificates are trusted.
        through: HOST:PORT that leads to the domain, such as a forwarded port; by default what its name says.
        port: on 127.0.0.1; 0 takes a free one.
    """
    target = urlsplit(url)
    if target.scheme not in ("http", "https") or not target.hostname:
        raise ProxyError(
            f"dashboards_url = {url!r}: give its whole address, such as https://search.example/_dashboards"
        )
    options = auth.client_options(f"{target.scheme}://{target.netloc}")
    connector = aiohttp.TCPConnector(
        ssl=options.get("ssl_context", True), resolver=_Through(*_host_and_port(through)) if through else None
    )
    async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, auto_decompress=True) as session:
        app = web.Application(client_max_size=LARGEST_BODY)
        proxy = _Proxy(f"{target.scheme}://{target.netloc}", options, session)
        app.router.add_route("*", "/{path:.*}", proxy.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            proxy.port = runner.addresses[0][1]
            yield f"http://127.0.0.1:{proxy.port}{target.path.rstrip('/') or ''}/"
        except OSError as error:
            raise ProxyError(f"127.0.0.1:{port}: {error.strerror or error}; choose another --listen-port") from None
        finally:
            await runner.cleanup()


class _Proxy:
    """Asks the domain what the browser asks."""

    def __init__(self, origin: str, options: dict[str, Any], session: aiohttp.ClientSession) -> None:
        """``options`` as ``Auth.client_options`` makes them."""
        auth = options.get("http_auth")
        self.port = 0
        self._origin, self._session = origin, session
        self._sign = auth if callable(auth) else None
        self._headers: dict[str, str] = dict(options.get("headers", {}))
        if isinstance(auth, tuple):
            self._headers["authorization"] = f"Basic {base64.b64encode(':'.join(auth).encode()).decode()}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        if refusal := self._stranger(request):
            return web.Response(status=403, text=refusal)
        url = URL(self._origin + request.raw_path, encoded=True)
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOPS}
        for name in ("Origin", "Referer"):  # the domain's own, as it knows itself
            if name in headers:
                headers[name] = headers[name].replace(f"http://{request.host}", self._origin)
        headers |= self._headers
        if self._sign:
            headers.update(self._sign(request.method, str(url), body, {}))
        try:
            async with self._session.request(
                request.method, url, data=body or None, headers=headers, allow_redirects=False
            ) as found:
                return await self._pass_on(found, request)
        except (aiohttp.ClientError, TimeoutError) as error:
            return web.Response(status=502, text=f"{self._origin}: {error or type(error).__name__}")

    def _stranger(self, request: web.Request) -> str:
        """Why a request is not of a page that this proxy serves; nothing if it is."""
        ours = {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}
        if request.host not in ours:
            return f"ask for http://127.0.0.1:{self.port}"
        origin = request.headers.get("Origin")
        if origin and origin.removeprefix("http://") not in ours:
            return "this is asked by another site"
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and request.method != "GET":
            return "this is asked by another site"
        return ""

    async def _pass_on(self, found: aiohttp.ClientResponse, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=found.status, reason=found.reason)
        for name, value in found.headers.items():
            if name.lower() in _HOPS:
                continue
            if name.lower() == "location":
                value = value.replace(self._origin, f"http://{request.host}", 1)
            if name.lower() == "set-cookie":  # for this machine, and without TLS
                value = re.sub(r";\s*(secure|domain=[^;]*)(?=;|$)", "", value, flags=re.I)
            answer.headers.add(name, value)
        await answer.prepare(request)
        async for chunk in found.content.iter_chunked(1 << 16):
            await answer.write(chunk)
        await answer.write_eof()
        return answer


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ProxyError(f"--through {text}: give HOST:PORT, such as 127.0.0.1:8443")
    return host.strip("[]"), int(port)
