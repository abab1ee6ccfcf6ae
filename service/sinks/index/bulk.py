"""Documents to OpenSearch or Elasticsearch in bulk requests, several at once, as large as the server likes them.

Whoever writes shares the requests: documents that come while all requests are on their way go together in the next
one. A request leaves when none is on its way, when it is full (bytes or count), or when its oldest document is old
enough. The server's answers steer size and number: less after "too many requests" or "too large", slowly more while all
goes well.

A request that is refused as a whole (400, 413) tells nothing of its documents: it may be one of them, or a proxy that
speaks another protocol. So the smallest bulk request there is goes first, as a probe. If the server takes that one, the
documents go again in halves until those that are refused are alone: they are rejected. If it does not, no document is
at fault: all wait, with growing pauses, and no document goes to the dead letter.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from opensearchpy.exceptions import SerializationError, TransportError

from service.retry import REMIND_SECONDS, Retrier, jittered
from service.sinks.index import Rejected
from service.sinks.index.failures import explain

log = logging.getLogger("cutwater.index")

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

    unfinished: int
    done: asyncio.Future[list[Rejected]]
    refused: list[Rejected] = field(default_factory=list)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def settle(self, refusal: Rejected | None = None) -> None:
        if refusal:
            self.refused.append(refusal)
        self.unfinished -= 1
        if self.unfinished == 0 and not self.done.done():
            self.done.set_result(self.refused)


@dataclass(slots=True)
class _Item:
    """A document on its way."""

    id: str
    lines: bytes
    call: _Call
    attempts: int = 0


class _Unfinished(NamedTuple):
    """What is unfinished of a request's documents, and why.

    ``busy``: the server took some and had no room for the others, so that a short pause will do. ``halve``: the request
    was refused because of its documents, and there are several.
    """

    items: list[_Item]
    error: str = ""
    busy: bool = False
    halve: bool = False


def action(index: str, identity: str, document: bytes) -> bytes:
    """The two lines of a bulk request that create a document unless it exists."""
    return orjson.dumps({"create": {"_index": index, "_id": identity}}) + b"\n" + document + b"\n"


class BulkWriter:
    """Sends documents until each is acknowledged or refused.

    Guarantee: ``write`` returns when the server has said 201 or 409 (it has it already) of every document, or something
    that no repetition will change; those are returned. Everything else is tried again, with growing pauses, for as long
    as it takes. Documents may reach the server in any order. A document is never rejected because of a request that the
    server would refuse whatever it held: see the module. An error of our own is raised to those who write.
    """

    def __init__(self, send: Send, retrier: Retrier, probe: bytes) -> None:
        """``send``: one bulk request's body to the server; ``probe``: a body of one action that changes nothing."""
        self.bytes, self.parallel = BULK_BYTES, FIRST_PARALLEL  # how large and how many requests may be now
        self._most_bytes = BULK_BYTES
        self._send = send
        self._retrier = retrier
        self._probe = probe
        self._logged = -REMIND_SECONDS
        self._waiting: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._retrying = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def write(self, actions: Sequence[tuple[str, bytes]]) -> list[Rejected]:
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
        if not task.cancelled():
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
        """Send documents in one request, or in halves of it; put back what has to go again."""
        groups = [items]
        while groups:
            group = groups.pop()
            try:
                unfinished = await self._attempt(group)
            except Exception as error:  # a bug of ours: who writes shall know, and not wait for ever
                for item in itertools.chain(group, *groups):
                    item.call.fail(error)
                return
            if unfinished.error:
                self._count_attempt(unfinished.items)
            if unfinished.halve:
                middle = len(group) // 2
                groups += [group[middle:], group[:middle]]
                await self._retrier.pause(unfinished.error, 0)
            elif unfinished.items:
                await self._pause(unfinished)
                self._put_back([*unfinished.items, *itertools.chain(*reversed(groups))])
                return
        self._grow()
        if not self._retrying:
            self._retrier.recovered()

    def _count_attempt(self, items: Sequence[_Item]) -> None:
        for item in items:
            self._retrying += not item.attempts
            item.attempts += 1

    async def _pause(self, unfinished: _Unfinished) -> None:
        if unfinished.busy:
            await asyncio.sleep(jittered(BUSY_PAUSE))
        else:
            await self._retrier.pause(unfinished.error, max(item.attempts for item in unfinished.items) - 1)

    async def _attempt(self, items: list[_Item]) -> _Unfinished:
        """One request with these documents."""
        body = b"".join([item.lines for item in items])
        try:
            outcomes = _outcomes(await self._send(body), len(items))
        except TransportError as error:
            return await self._interpret_failure(items, len(body), error)
        except SerializationError:
            outcomes = None
        if outcomes is None:
            return _Unfinished(items, "what came back answers no bulk request; check opensearch_url")
        return self._sort_outcomes(items, outcomes)

    def _sort_outcomes(self, items: list[_Item], outcomes: list[tuple[int, Any]]) -> _Unfinished:
        """Tell the callers of what is done, and keep the rest."""
        unfinished: list[_Item] = []
        error = ""
        for item, (status, error) in zip(items, outcomes, strict=True):
            if status < 300 or status == 409:
                self._done(item)
                continue
            kind, reason = _described(error, status)
            if 400 <= status < 500 and status not in _PASSING_STATUS and kind not in _PASSING_TYPES:
                self._done(item, Rejected(item.id, kind, reason, item.attempts + 1))
            else:
                unfinished.append(item)
                error = f"{status} {kind}: {reason}" + (_NO_RIGHT if status in (401, 403) else "")
        busy = len(unfinished) < len(items) and all(status < 300 or status in (409, 429) for status, _ in outcomes)
        if any(status == 429 for status, _ in outcomes):
            self._shrink(sum(len(item.lines) for item in items), smaller=not busy)
        return _Unfinished(unfinished, error, busy)

    async def _interpret_failure(self, items: list[_Item], size: int, error: TransportError) -> _Unfinished:
        """What to do after a request that failed as a whole."""
        status = error.status_code
        pressure = _PRESSURE.search(str(error.error) + str(error.info)) if status == 429 else None
        crushing = pressure is not None and int(pressure[1]) > int(pressure[2])
        if status not in (400, 413) and not crushing:
            self._shrink(size, smaller=status == 429)
            return _Unfinished(items, explain(error) + (_NO_RIGHT if status in (401, 403) else ""))
        if not crushing and (why := await self._refuses_any()):
            self._shrink(size, smaller=False)
            return _Unfinished(items, f"{explain(error)}; {why}")
        if status != 400:
            self._most_bytes = max(1, size // 2)
            self.bytes = min(self.bytes, self._most_bytes)
        self._say(f"refuses a request of {len(items)} documents and {size} bytes: {explain(error)}")
        if len(items) > 1:
            return _Unfinished(items, f"{explain(error)}; looking for the documents that it refuses", halve=True)
        reason = f"the server refuses the document, alone in a request of {size} bytes: {explain(error)}"
        code = "bad_request" if status == 400 else "too_large"
        self._done(items[0], Rejected(items[0].id, code, reason, items[0].attempts + 1))
        return _Unfinished([])

    async def _refuses_any(self) -> str | None:
        """Why no document can be blamed for a refused request; None if the server takes the smallest there is."""
        try:
            if _outcomes(await self._send(self._probe), 1) is not None:
                return None
            answer = "what is no answer"
        except TransportError as error:
            answer = explain(error)
        except SerializationError:
            answer = "no JSON"
        return f"the smallest bulk request is refused, too ({answer}); check opensearch_url and what stands before it"

    def _say(self, what: str) -> None:
        """One line in the log, now and then."""
        now = asyncio.get_running_loop().time()
        if now - self._logged >= REMIND_SECONDS:
            self._logged = now
            log.warning("index: %s", what)

    def _done(self, item: _Item, refusal: Rejected | None = None) -> None:
        self._retrying -= bool(item.attempts)
        item.call.settle(refusal)

    def _shrink(self, size: int, *, smaller: bool) -> None:
        """Fewer requests at once, and smaller ones if it was not the others that left no memory."""
        if smaller and len(self._tasks) == 1:
            self.bytes = max(LEAST_BYTES, size // 2)
        self.parallel = max(1.0, self.parallel / 2)

    def _grow(self) -> None:
        self.bytes = min(self._most_bytes, int(self.bytes * GROWTH))
        self.parallel = min(MOST_PARALLEL, self.parallel + 1 / (4 * self.parallel))


def _outcomes(answer: Any, number: int) -> list[tuple[int, Any]] | None:
    """Status and error of each action of a bulk request; None if it is no answer to ``number`` actions."""
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list) or len(items) != number:
        return None
    outcomes = []
    for item in items:
        result: Any = next(iter(item.values()), None) if isinstance(item, dict) else None
        status = result.get("status") if isinstance(result, dict) else None
        if not isinstance(status, int):
            return None
        outcomes.append((status, result.get("error")))
    return outcomes


def _described(error: Any, status: int) -> tuple[str, str]:
    """The server's name for an error, and its sentence with the cause."""
    if not isinstance(error, dict):
        return str(status), str(error)[:1000]
    cause = error["caused_by"].get("reason") if isinstance(error.get("caused_by"), dict) else None
    return str(error.get("type", status)), ": ".join(str(part) for part in (error.get("reason"), cause) if part)[:1000]
