"""What can never be scored or indexed, kept with its reason until somebody mends the cause."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from service.pipeline.documents import Document
from service.pipeline.records import DeadLetter


class DeadLetters(Protocol):
    """A store of dead letters.

    Guarantee: when ``put`` returns, every letter is durable, once by its id. While the store cannot be reached it
    waits and tries again.
    """

    @property
    def last_error(self) -> str | None:
        """What keeps the store from answering at the moment."""
        ...

    async def open(self) -> None:
        """Connect. Raises StateError."""
        ...

    async def put(self, letters: Sequence[DeadLetter]) -> None:
        """Keep letters, each once by its id."""
        ...

    async def newest(self, limit: int) -> list[Document]:
        """The letters whose records arrived last, newest first."""
        ...

    async def count(self) -> int:
        """How many there are."""
        ...

    def pages(self, size: int) -> AsyncIterator[list[Document]]:
        """All letters, so many at a time; those handed out may be removed meanwhile."""
        ...

    async def mark_in_flight(self, ids: Sequence[str]) -> None:
        """Note that these are about to be sent again, and that it will show only afterwards whether they were."""
        ...

    async def in_flight(self) -> set[str]:
        """Those that were sent off and neither removed nor called back."""
        ...

    async def clear_in_flight(self, ids: Sequence[str]) -> None:
        """Note that these were not sent."""
        ...

    async def remove(self, letters: Sequence[Document]) -> None:
        """Forget letters that are where they belong, and that they were on their way."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...
