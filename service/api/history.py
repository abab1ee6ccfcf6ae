"""What the index holds, for the API: asked in small pages, and not waited for when it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Literal, TypeVar

from service.pipeline.documents import Document, timestamp
from service.sinks.index import Episode, Index, IndexUnavailableError, Page
from service.sinks.query import Filter, Find, Order, cursor_after

T = TypeVar("T")

WAIT_SECONDS = 3.0  # for one page
AGAIN_SECONDS = 5.0  # after a failure, until the index is asked again
AT_ONCE = 1_000  # documents in one page: so many are decoded between two turns of the event loop
EPISODES_AT_ONCE = 200
MOST_PAGES = 20  # looked through for one answer of episodes

State = Literal["complete", "unavailable", "not asked"]


class History:
    """The index, as the API asks it.

    Guarantee: a request waits ``WAIT_SECONDS`` for an index that does not answer, and those within ``AGAIN_SECONDS``
    after it not at all.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._problem = ""
        self._again = 0.0  # when to ask again, by the event loop's clock

    async def search(
        self, wanted: Filter, limit: int, cursor: str | None, order: Order
    ) -> tuple[list[Document], State]:
        """Matching documents, as far as the index answers."""
        found: list[Document] = []
        try:
            async for page in self._pages(
                lambda some, after: self._index.search(wanted, some, after, order), limit, cursor
            ):
                found += page.documents
        except IndexUnavailableError:
            return found, "unavailable"
        return found, "complete"

    async def find(
        self, wanted: Find, limit: int, cursor: str | None, order: Order
    ) -> tuple[list[Document], str | None]:
        """Matching events or windows, and the cursor for those that follow. Raises IndexUnavailableError."""
        found: list[Document] = []
        async for page in self._pages(lambda some, after: self._index.find(wanted, some, after, order), limit, cursor):
            found += page.documents
            cursor = page.cursor
        return found, cursor

    async def _pages(
        self, ask: Callable[[int, str | None], Awaitable[Page]], limit: int, cursor: str | None
    ) -> AsyncIterator[Page]:
        """Pages of at most ``AT_ONCE`` documents until there are ``limit`` or none. Raises IndexUnavailableError."""
        while limit > 0:
            page = await self._ask(partial(ask, min(AT_ONCE, limit), cursor))
            yield page
            limit -= len(page.documents)
            cursor = page.cursor
            if cursor is None:
                return

    async def episodes(
        self, wanted: Filter, limit: int, cursor: str | None, order: Order, matches: Callable[[Document], bool]
    ) -> tuple[list[Document], str | None]:
        """Episodes by their first alerts, each once, and the cursor for those that follow.

        An answer may be short, with a cursor, where few of many match. Raises IndexUnavailableError.
        """
        found: list[Document] = []
        for _ in range(MOST_PAGES):
            page = await self._ask(lambda: self._index.search(wanted, EPISODES_AT_ONCE, cursor, order))  # noqa: B023
            ids = sorted({alert["episode_id"] for alert in page.documents})
            known = await self._ask(lambda: self._index.episodes(ids))  # noqa: B023
            for alert in page.documents:
                cursor = cursor_after(alert, order)
                episode = known[alert["episode_id"]]
                if alert["event.id"] == episode.alerts[0]["event.id"] and matches(
                    described := _describe(alert, episode)
                ):
                    found.append(described)
                    if len(found) == limit:
                        return found, cursor
            if page.cursor is None:
                return found, None
        return found, cursor

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer to a question. Raises IndexUnavailableError, also if it takes too long or has just failed."""
        clock = asyncio.get_running_loop().time
        if clock() < self._again:
            raise IndexUnavailableError(self._problem)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await question()
        except (IndexUnavailableError, TimeoutError) as error:
            self._problem = str(error) or f"the index has not answered for {WAIT_SECONDS:g} s"
            self._again = clock() + AGAIN_SECONDS
            raise IndexUnavailableError(self._problem) from None


def _describe(first: Document, episode: Episode) -> Document:
    """An episode by the alert that began it and what the index knows of it."""
    return {
        "episode_id": first["episode_id"],
        "sensor": first["sensor"],
        "anomaly_kind": first["anomaly_kind"],
        "episode_kind": episode.kind or first["anomaly_kind"],
        "severity": episode.severity,
        "approx_anomaly_start_time": first["approx_anomaly_start_time"],
        "last_seen": timestamp(episode.last),
        "episode_peak_score": episode.peak,
        "documents": episode.documents,
        "alerts": episode.alerts,
    }
