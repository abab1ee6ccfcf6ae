"""Where anomalies are kept: one interface, an embedded store and OpenSearch/Elasticsearch behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service import UserError
from service.pipeline.documents import Document, IndexDocument
from service.sinks.query import NEWEST, Filter, Find, Order, cursor_after

ALERTS = 20  # of an episode that are shown; few have more than one


class IndexSetupError(UserError):
    """The index cannot be used as configured and waiting will not help; the message names the remedy."""


class IndexUnavailableError(Exception):
    """The index does not answer a search now; the message says why."""


@dataclass(frozen=True, slots=True)
class Rejected:
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
    """Documents in the order asked for; pass ``cursor`` for the next page. None: there is no more.

    The order is the same in every store and in memory. So a cursor, which names the last document's place in it, goes
    on wherever the next page comes from.
    """

    documents: list[Document]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Episode:
    """What an index holds of an episode.

    Attributes:
        last: event time of its last document, ms since 1970.
        kind: as its last document says.
        peak: the highest score; None if no document has one, as of a silence.
        severity: the highest one.
        documents: how many.
        alerts: the documents that are alerts, oldest first, at most ``ALERTS``.
    """

    last: int
    kind: str | None
    peak: float | None
    severity: int
    documents: int
    alerts: list[Document]


class Index(Protocol):
    """A store of documents.

    Guarantee: when ``write`` returns, every document is durable or named among the refused. Writing an id again changes
    nothing, so at-least-once delivery becomes exactly once. While the store cannot be reached it waits and tries again
    with growing pauses; it never drops.
    """

    @property
    def last_error(self) -> str | None:
        """Why nothing can be written at the moment, in one line; None if it can."""
        ...

    async def open(self) -> None:
        """Connect and prepare mappings. Raises IndexSetupError."""
        ...

    async def write(self, documents: Sequence[IndexDocument]) -> list[Rejected]:
        """Store documents, each once by its id."""
        ...

    async def index_dead_letters(self, letters: Sequence[Document]) -> None:
        """Let the charts know of dead letters, which are kept elsewhere."""
        ...

    async def search(self, wanted: Filter, limit: int, cursor: str | None = None, order: Order = NEWEST) -> Page:
        """Up to ``limit`` (at most 10 000) matching documents in an order; a cursor goes on in its own.

        Raises:
            ValueError: a cursor that is none of ours.
            IndexUnavailableError: it cannot be searched now.
        """
        ...

    async def find(self, wanted: Find, limit: int, cursor: str | None = None, order: Order = NEWEST) -> Page:
        """Up to ``limit`` matching events or windows by time; errors as of ``search``."""
        ...

    async def episodes(self, ids: Sequence[str]) -> dict[str, Episode]:
        """What is known of these episodes (at most 1000), by their ids. Raises IndexUnavailableError."""
        ...

    async def healthy(self) -> str | None:
        """None when the store answers, else what is wrong with it in one line."""
        ...

    async def close(self) -> None:
        """Flush and let go. Nothing may be written afterwards."""
        ...


def page(documents: list[Document], limit: int, order: Order) -> Page:
    """A page whose cursor names its last document, if there may be more."""
    return Page(documents, cursor_after(documents[-1], order) if len(documents) == limit else None)
