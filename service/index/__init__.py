"""Where anomalies are kept: one interface, an embedded store and OpenSearch/Elasticsearch behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.documents import Document, Entry
from service.records import DeadLetter


class IndexSetupError(Exception):
    """The index cannot be used as configured and waiting will not help; the message names the remedy."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A document that the index will never accept."""

    id: str
    code: str
    reason: str


class Index(Protocol):
    """A store of documents and dead letters.

    Guarantee: when ``write`` or ``bury`` returns, everything handed over is durable or, for documents, named among the
    refused. Writing an id again changes nothing, so at-least-once delivery becomes exactly once. While the store cannot
    be reached both wait and try again with growing pauses; they never drop.
    """

    async def open(self) -> None:
        """Connect and prepare mappings. Raises IndexSetupError."""
        ...

    async def write(self, entries: Sequence[Entry]) -> list[Refused]:
        """Store documents, each once by its id."""
        ...

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Store dead letters, each once by its id."""
        ...

    async def dead_letters(self, limit: int) -> list[Document]:
        """The newest dead letters, newest first."""
        ...

    async def healthy(self) -> str | None:
        """None when the store answers, else what is wrong with it in one line."""
        ...

    async def close(self) -> None:
        """Flush and let go. Nothing may be written afterwards."""
        ...
