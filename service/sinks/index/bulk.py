"""Documents to OpenSearch or Elasticsearch in bulk requests, several at once, as large as the server likes them.

Whoever writes shares the requests: documents that come while all requests are on their way go together in the next
one. A request leaves when none is on its way, when it is full (bytes or count), or when its oldest document is old
enough. The server's answers steer size and number: less after "too many requests" or "too large", slowly more while all
goes well.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from opensearchpy.exceptions import OpenSearchException, TransportError

from service.retry import Patience
from service.sinks.index import Refused
from service.sinks.index.failures import explain

BULK_BYTES = 5 * 1024 * 1024  # small AWS instances take no request above 10 MB
BULK_COUNT = 2_000
LEAST_BYTES = 4 * 1024
MOST_AGE = 0.2  # s, that a document waits for company
FIRST_PARALLEL, MOST_PARALLEL = 2.0, 8.0
GROWTH = 1.05
BUSY_PAUSE = 0.03  # s, when the server takes some documents of a request and has no room for the others

# Client errors of single documents that somebody can mend: rights, blocks, full disks, missing indices, shard limits.
_PASSING_STATUS = {401, 403, 404, 408, 409, 429}
_PASSING_TYPES = {"cluster_block_exception", "validation_exception"}
# Indexing pressure refuses a request that is larger than the whole budget even when the server is idle.
_PRESSURE = re.compile(r"coordinating_operation_bytes=(\d+), max_coordinating(?:_and_primary)?_bytes=(\d+)")

_NO_RIGHT = " (docs/how-to/opensearch.md lists the privileges and what else stops writing)"

Send = Callable[[bytes], Awaitable[Any]]


@dataclass(slots=True)
class _Call:
    """One ``write`` and what is still missing of it."""

    left: int
    done: asyncio.Future[list[Refused]]
    refused: list[Refused] = field(default_factory=list)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def settle(self, refusal: Refused | None = None) -> None:
        if refusal:
            self.refused.append(refusal)
        self.left -= 1
        if self.left == 0 and not self.done.done():
            self.done.set_result(self.refused)


@dataclass(slots=True)
class _Item:
    """A document on its way."""

    id: str
    lines: bytes
    call: _Call
    attempts: int = 0


class _Left(NamedTuple):
    """What is left of a request's documents, and why: no reason means to go on at once.

    ``busy``: the server took some and had no room for the others, so that a short pause will do.
    """

    items: list[_Item]
    trouble: str = ""
    busy: bool = False


def action(index: str, identity: str, document: bytes) -> bytes:
    """The two lines of a bulk request that create a document unless it exists."""
    return orjson.dumps({"create": {"_index": index, "_id": identity}}) + b"\n" + document + b"\n"


class BulkWriter:
    """Sends documents until each is acknowledged or refused.

    Guarantee: ``write`` returns when the server has said 201 or 409 (it has it already) of every document, or something
    that no repetition will change; those are returned. Everything else is tried again, with growing pauses, for as long
    as it takes. Documents may reach the server in any order.
    """

    def __init__(self, send: Send, patience: Patience) -> None:
        self.bytes, self.parallel = BULK_BYTES, FIRST_PARALLEL  # how large and how many requests may be now
        self._most_bytes = BULK_BYTES
        self._send = send
        self._patience = patience
        self._waiting: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._retrying = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def write(self, actions: Sequence[tuple[str, bytes]]) -> list[Refused]:
        """Send (id, lines) pairs, as ``action`` makes them; returns what the server will never take."""
        if not actions:
            return []
        call = _Call(len(actions), asyncio.get_running_loop().create_future())
        for identity, lines in actions:
            self._waiting.append(_Item(identity, lines, call))
            self._waiting_bytes += len(lines)
        self._dispatch()
        return await call.done

    async def close(self) -> None:
        """Give up what is on its way."""
        if self._timer:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Gathering

    def _dispatch(self, *, overdue: bool = False) -> None:
        """Start the requests that may start now."""
        while self._waiting and len(self._tasks) < int(self.parallel):
            full = self._waiting_bytes >= self.bytes or len(self._waiting) >= BULK_COUNT
            if not (full or overdue or not self._tasks):
                break
            task = asyncio.create_task(self._deliver(self._take()))
            self._tasks.add(task)
            task.add_done_callback(self._finished)
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(MOST_AGE, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._dispatch(overdue=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        task.result()  # an error here is a bug: let the event loop's handler show it
        self._dispatch()

    def _take(self) -> list[_Item]:
        """The next request's documents: at least one, else no more than the limits say."""
        items: list[_Item] = []
        size = 0
        while self._waiting and len(items) < BULK_COUNT:
            size += len(self._waiting[0].lines)
            if items and size > self.bytes:
                break
            items.append(self._waiting.popleft())
            self._waiting_bytes -= len(items[-1].lines)
        return items

    def _put_back(self, items: Sequence[_Item]) -> None:
        """To the head of the queue, in order."""
        self._waiting.extendleft(reversed(items))
        self._waiting_bytes += sum(len(item.lines) for item in items)

    # Sending

    async def _deliver(self, items: list[_Item]) -> None:
        """Send one request; put back what has to go again."""
        try:
            left, trouble, busy = await self._attempt(items)
        except Exception as error:
            for item in items:
                item.call.fail(error)
            raise
        if not left:
            self._grow()
            if not self._retrying:
                self._patience.over()
            return
        if trouble:
            for item in left:
                self._retrying += not item.attempts
                item.attempts += 1
            if busy:
                await asyncio.sleep(random.uniform(BUSY_PAUSE / 2, BUSY_PAUSE))
            else:
                await self._patience.wait(trouble, max(item.attempts for item in left) - 1)
        self._put_back(left)

    async def _attempt(self, items: list[_Item]) -> _Left:
        """One request with these documents."""
        body = b"".join([item.lines for item in items])
        try:
            answer = await self._send(body)
            results = [next(iter(result.values())) for result in answer["items"]]
            outcomes = [(int(result["status"]), result.get("error")) for result in results]
            if len(outcomes) != len(items):
                raise ValueError("as many results as documents")
        except TransportError as error:
            return self._learn(items, len(body), error)
        except (OpenSearchException, LookupError, TypeError, ValueError, AttributeError) as error:
            return _Left(items, f"what came back answers no bulk request ({type(error).__name__})")
        return self._settle(items, outcomes)

    def _settle(self, items: list[_Item], outcomes: list[tuple[int, Any]]) -> _Left:
        """Tell the callers of what is done, and keep the rest."""
        left: list[_Item] = []
        trouble = ""
        for item, (status, error) in zip(items, outcomes, strict=True):
            if status < 300 or status == 409:
                self._done(item)
                continue
            kind, reason = _described(error, status)
            if 400 <= status < 500 and status not in _PASSING_STATUS and kind not in _PASSING_TYPES:
                self._done(item, Refused(item.id, kind, reason, item.attempts + 1))
            else:
                left.append(item)
                trouble = f"{status} {kind}: {reason}" + (_NO_RIGHT if status in (401, 403) else "")
        busy = len(left) < len(items) and all(status < 300 or status in (409, 429) for status, _ in outcomes)
        if any(status == 429 for status, _ in outcomes):
            self._shrink(sum(len(item.lines) for item in items), smaller=not busy)
        return _Left(left, trouble, busy)

    def _learn(self, items: list[_Item], size: int, error: TransportError) -> _Left:
        """What to do after a request that failed as a whole."""
        status = error.status_code
        pressure = _PRESSURE.search(str(error.error) + str(error.info)) if status == 429 else None
        hopeless = pressure is not None and int(pressure[1]) > int(pressure[2])
        if status == 413 or hopeless or status == 400:
            if len(items) == 1:
                reason = f"the document of {size} bytes is more than the server takes: {explain(error)}"
                code = "too_large" if status != 400 else "bad_request"
                self._done(items[0], Refused(items[0].id, code, reason, items[0].attempts + 1))
                return _Left([])
            if status != 400:
                self._most_bytes = max(LEAST_BYTES, size // 2)
            self.bytes = max(LEAST_BYTES, size // 2)
            return _Left(items)
        self._shrink(size, smaller=status == 429)
        return _Left(items, explain(error) + (_NO_RIGHT if status in (401, 403) else ""))

    def _done(self, item: _Item, refusal: Refused | None = None) -> None:
        self._retrying -= bool(item.attempts)
        item.call.settle(refusal)

    def _shrink(self, size: int, *, smaller: bool) -> None:
        """Fewer requests at once, and smaller ones if it was not the others that left no room."""
        if smaller and len(self._tasks) == 1:
            self.bytes = max(LEAST_BYTES, size // 2)
        self.parallel = max(1.0, self.parallel / 2)

    def _grow(self) -> None:
        self.bytes = min(self._most_bytes, int(self.bytes * GROWTH))
        self.parallel = min(MOST_PARALLEL, self.parallel + 1 / (4 * self.parallel))


def _described(error: Any, status: int) -> tuple[str, str]:
    """The server's name for an error, and its sentence with the cause."""
    if not isinstance(error, dict):
        return str(status), str(error)[:1000]
    cause = (error.get("caused_by") or {}).get("reason")
    return str(error.get("type", status)), ": ".join(str(part) for part in (error.get("reason"), cause) if part)[:1000]
