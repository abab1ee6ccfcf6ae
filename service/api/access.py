"""Who may use the API, by tokens, and what browsers may do with its answers.

Guarantee: every request passes the guard before any route sees it. What is not named as open here needs a token, if
there is one; a token is compared in constant time, and is neither logged nor answered. There are no CORS headers, so no
page of another site reads an answer.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse

from service.api.responses import failure
from service.settings.model import Settings, SettingsError

log = logging.getLogger("cutwater.api")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Role(IntEnum):
    """What a request may do; each role includes those before it."""

    NOBODY = 0
    READ = 1
    OPERATE = 2


OPEN = frozenset({"/", "/health", "/ready", "/docs"})  # these hold nothing of the stream
OPEN_FOLDERS = ("/page/", "/static-offline-docs/")
_CHANGE_NOTHING = {("POST", "/score")}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_ROLE = "cutwater.role"

_POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
# Swagger's page draws with images in its style sheet and with styles in its elements.
_DOCS_POLICY = f"{_POLICY}; img-src 'self' data:; style-src 'self' 'unsafe-inline'"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",  # an address of the page names sensors
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Which token has which role; with none, everyone operates.

    Attributes:
        operate, read: the tokens, "" for none.
        hosts: whether a request must name this machine, or an address in figures, as its host: else any site could
            point a name of its own at a loopback address and read from a browser there.
    """

    operate: str = ""
    read: str = ""
    hosts: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Access:
        """The access that the settings grant. Raises SettingsError for an open address that nobody said is meant so."""
        operate, read = settings.api_token.get_secret_value(), settings.api_read_token.get_secret_value()
        loopback = _is_loopback(settings.host)
        if not (operate or read or loopback):
            if not settings.api_open:
                raise SettingsError(
                    f"host = {settings.host!r}: everyone who reaches this address could use the page and the API; set "
                    "api_token (or api_token_file), or api_open = true if something else keeps strangers away"
                )
            log.warning(
                "page and API at %s:%d are open to everyone who reaches them (api_open = true)",
                settings.host,
                settings.port,
            )
        return cls(operate, read, hosts=loopback and not (operate or read or settings.api_open))

    @property
    def closed(self) -> bool:
        """Whether a token is needed."""
        return bool(self.operate or self.read)

    def role(self, authorization: str) -> Role:
        """The role of a request with this header ``Authorization``."""
        if not self.closed:
            return Role.OPERATE
        scheme, _, token = authorization.partition(" ")
        given = token.strip().encode() if scheme.lower() == "bearer" else b""
        operates = hmac.compare_digest(given, self.operate.encode())
        reads = hmac.compare_digest(given, self.read.encode())
        if not given:
            return Role.NOBODY
        return Role.OPERATE if operates else Role.READ if reads else Role.NOBODY


def role_of(request: Request) -> Role:
    """The role of a request that has passed the guard."""
    found = request.scope[_ROLE]
    assert isinstance(found, Role)
    return found


def needed(method: str, path: str) -> Role:
    """The least role that a path asks for."""
    if method in ("GET", "HEAD") and (path in OPEN or path.startswith(OPEN_FOLDERS)):
        return Role.NOBODY
    return Role.READ if method in _SAFE or (method, path) in _CHANGE_NOTHING else Role.OPERATE


class Guard:
    """Lets requests in, and puts the headers on every answer that tell browsers what not to do.

    Args:
        app: what answers.
        access: who may.
        root: prefix of all paths behind a proxy, such as /cutwater, whether the proxy takes it off or not.
    """

    def __init__(self, app: App, access: Access, root: str = "") -> None:
        self._app, self._access, self._root = app, access, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if self._root and (path == self._root or path.startswith(f"{self._root}/")):
            path = path.removeprefix(self._root)
        scope = {**scope, "path": self._root + path, "root_path": self._root}
        policy = _DOCS_POLICY if path == "/docs" else _POLICY
        opens = needed("GET", path) is Role.NOBODY

        async def answer(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {"content-security-policy": policy, **_HEADERS}.items():
                    headers[name] = value
                if self._access.closed and not opens:
                    headers["cache-control"] = "no-store"
            await send(message)

        if not path:  # relative addresses need the slash
            await RedirectResponse(f"{self._root}/")(scope, receive, answer)
            return
        refusal = self._refuse(scope, path)
        if refusal is None:
            await self._app(scope, receive, answer)
        else:
            await refusal(scope, receive, answer)

    def _refuse(self, scope: Scope, path: str) -> Any:
        """The answer to a request that may not be; None for one that may. Notes the role."""
        headers, method = Headers(scope=scope), scope["method"]
        if not self._access.closed and (reason := self._origin_error(headers, method)):
            return failure(403, reason)
        role = scope[_ROLE] = self._access.role(headers.get("authorization", ""))
        least = needed(method, path)
        if role >= least:
            return None
        if role is Role.NOBODY:
            words = "a token is needed, or this one is wrong: send Authorization: Bearer with api_token"
            return failure(401, words, {"www-authenticate": 'Bearer realm="cutwater"'})
        return failure(403, "this token may only read; what changes something needs the one of api_token")

    def _origin_error(self, headers: Headers, method: str) -> str:
        """Why a request without a token looks like one that another site's page makes; nothing if it does not."""
        host = headers.get("host", "")
        if self._access.hosts and host and not _is_address(_name(f"//{host}")):
            return f"host: {host!r} is not a name of this machine; behind a proxy set a token, or api_open = true"
        if method not in _SAFE:
            site, origin = headers.get("sec-fetch-site"), headers.get("origin")
            if site not in (None, "same-origin", "none") or (
                site is None and origin and urlsplit(origin).netloc != host
            ):
                return "origin: another site's page may change nothing here"
        return ""


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    """Whether a host is this machine or an address in figures: no site can make its name point elsewhere."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
