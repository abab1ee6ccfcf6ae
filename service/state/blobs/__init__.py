"""A store of named bytes, which snapshots and tables lie in."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol


class Blobs(Protocol):
    """Bytes by their names. While the store is away each call waits; StateError says what waiting cannot mend."""

    @property
    def last_error(self) -> str | None:
        """Why the store cannot be used at the moment, in one line; None if it can."""
        ...

    async def open(self) -> None:
        """Connect. Raises StateError."""
        ...

    async def put(self, name: str, data: bytes) -> None:
        """Store bytes durably."""
        ...

    async def get(self, name: str) -> bytes | None:
        """The bytes of this name; None if there are none."""
        ...

    async def names(self, prefix: str) -> list[str]:
        """Names that begin so."""
        ...

    async def delete(self, names: Collection[str]) -> None:
        """Delete what has these names; what is gone already does not matter."""
        ...

    async def close(self) -> None:
        """Let go of the store."""
        ...
