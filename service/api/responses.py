"""How responses are written: bytes made and compressed away from the event loop, and errors in one shape."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import orjson
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from service import StateError
from service.reasons import reason
from service.sinks.index import IndexUnavailableError

T = TypeVar("T")

JSON = "application/json"
AT_ONCE = 4  # answers that are made at the same time; more wait for their turn
SMALL = 1_000  # bytes that are not worth compressing
_LEVEL = 2  # of compression: a third of the time of the usual one, and a tenth more bytes


class ResponseWriter:
    """Makes answers in threads of its own, so that large ones hold up neither the stream nor other requests."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="api")

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def answer(
        self,
        request: Request,
        make: Callable[[], bytes],
        media_type: str = JSON,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """An answer whose body ``make`` makes, compressed if the client takes that."""
        takes_gzip = "gzip" in request.headers.get("accept-encoding", "")
        body, encoding = await self.run(_encode, make, takes_gzip)
        every = {"vary": "accept-encoding", **(headers or {}), **({"content-encoding": encoding} if encoding else {})}
        return Response(body, media_type=media_type, headers=every)


def _encode(make: Callable[[], bytes], takes_gzip: bool) -> tuple[bytes, str]:
    body = make()
    if not takes_gzip or len(body) < SMALL:
        return body, ""
    return gzip.compress(body, _LEVEL, mtime=0), "gzip"


def json(content: Any, status: int = 200) -> Response:
    """A small answer. NaN and infinity become null: JSON cannot say them."""
    return Response(orjson.dumps(content), status, media_type=JSON)


def failure(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error: every one has this shape."""
    return Response(orjson.dumps({"detail": detail}), status, media_type=JSON, headers=dict(headers or {}))


async def explain_rejection(_: Request, error: Exception) -> Response:
    """What is wrong with a request, a sentence a parameter."""
    assert isinstance(error, RequestValidationError)
    problems = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0])
        value = problem.get("input")
        shown = "" if problem["type"] in ("missing", "extra_forbidden") or isinstance(value, dict) else f" = {value!r}"
        problems.append(f"{name}{shown}: {reason(problem)}")
    return failure(422, "; ".join(problems))


async def explain_http(request: Request, error: Exception) -> Response:
    """An error that a route raised, or that there is no route."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:  # the framework names the methods of one route of several with the path
        paths = request.app.openapi()["paths"]
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        methods = {method.upper() for each in paths if compile_path(each)[0].match(path) for method in paths[each]}
        return failure(405, error.detail, {"allow": ", ".join(sorted(methods))} if methods else error.headers)
    if error.status_code == 400:  # what FastAPI says of a body that it cannot read
        return failure(422, "the body is not JSON in UTF-8")
    return failure(error.status_code, error.detail, error.headers)


async def explain_absence(_: Request, error: Exception) -> Response:
    """A store that cannot be asked now."""
    assert isinstance(error, IndexUnavailableError | StateError)
    return failure(503, str(error))


async def explain_fault(_: Request, error: Exception) -> Response:
    """An error in Cutwater, which the server logs with its traceback."""
    return failure(500, f"{type(error).__name__}: a fault of the service; its log has more")
