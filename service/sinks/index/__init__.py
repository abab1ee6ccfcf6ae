"""Where anomalies are kept: one interface, an embedded store and OpenSearch/Elasticsearch behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service import UserError
from service.pipeline.documents import Document, Entry, timestamp
from service.pipeline.times import TimeError, parse_time
from service.sinks.recent_scores import Filter


class IndexSetupError(UserError):
    """The index cannot be used as configured and waiting will not help; the message names the remedy."""


class IndexUnavailableError(Exception):
    """The index does not answer a search now; the message says why."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A document that the index will never accept.

    ``attempts`` says how often it was asked, ``index`` which one of the store's.
    """

    id: str
    code: str
    reason: str
    attempts: int = 1
    index: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Documents, newest event time first; pass ``cursor`` for the next, older page. None: there is no more.

    Documents of one event time come in falling order of their ids, in every store and in memory. So a cursor, which
    names the last document's place in that order, goes on wherever the next page comes from.
    """

    documents: list[Document]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Episode:
    """What an index holds of an episode: its last document's event time (ms) and kind, the highest score, how many."""

    last: int
    kind: str | None
    peak: float
    documents: int


class Index(Protocol):
    """A store of documents.

    Guarantee: when ``write`` returns, every document is durable or named among the refused. Writing an id again changes
    nothing, so at-least-once delivery becomes exactly once. While the store cannot be reached it waits and tries again
    with growing pauses; it never drops.
    """

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written at the moment, in one line; None if it can."""
        ...

    async def open(self) -> None:
        """Connect and prepare mappings. Raises IndexSetupError."""
        ...

    async def write(self, entries: Sequence[Entry]) -> list[Refused]:
        """Store documents, each once by its id."""
        ...

    async def mention(self, letters: Sequence[Document]) -> None:
        """Let the charts know of dead letters, which are kept elsewhere."""
        ...

    async def search(self, wanted: Filter, limit: int, cursor: str | None = None) -> Page:
        """Up to ``limit`` (at most 10 000) matching documents.

        Raises:
            ValueError: a cursor of somebody else.
            IndexUnavailableError: it cannot be searched now.
        """
        ...

    async def episodes(self, ids: Sequence[str]) -> dict[str, Episode]:
        """What is known of these episodes (at most 10 000), by their ids."""
        ...

    async def healthy(self) -> str | None:
        """None when the store answers, else what is wrong with it in one line."""
        ...

    async def close(self) -> None:
        """Flush and let go. Nothing may be written afterwards."""
        ...


def page(documents: list[Document], limit: int) -> Page:
    """A page whose cursor names its last document, if there may be more."""
    last = documents[-1] if len(documents) == limit else None
    return Page(documents, cursor_after(last) if last else None)


def cursor_after(document: Document) -> str:
    """The cursor for what comes after a document."""
    return f"{document['@timestamp']}_{document['event.id']}"


def place(cursor: str) -> tuple[int, str]:
    """Event time (ms) and id that a cursor names. Raises ValueError."""
    time, _, identity = cursor.partition("_")
    try:
        moment = parse_time(time)
    except TimeError:
        moment = None
    if moment is None or not identity or timestamp(moment) != time:
        raise ValueError(f"cursor {cursor!r} is none of ours; leave it out to begin with the newest")
    return moment, identity
