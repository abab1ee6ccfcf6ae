"""Who reads which shard, and how far it is done: a table with a row a shard that all workers share.

The rows are those of the Kinesis Client Library (KCL), under its names, so that its tools read them; ours add the name
of the snapshot that belongs to the checkpoint.

Guarantee: every change of a row is conditional on its owner and counter, and each change raises the counter. So of two
workers that change a row one loses, a worker that has lost a lease changes nothing any more, and the checkpoint and the
snapshot's name change together or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from service.pipeline.records import ALL_HASH_KEYS, HashKeys, Position

TRIM_HORIZON, AT_TIMESTAMP, SHARD_END = "TRIM_HORIZON", "AT_TIMESTAMP", "SHARD_END"  # checkpoints without a number


class LeaseLostError(Exception):
    """Another worker has the lease; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A row.

    Attributes:
        shard: the shard's id.
        owner: the worker that reads the shard; None if nobody does.
        counter: raised by every change; one that stands still tells that the owner is gone.
        checkpoint: sequence number up to which all is done, or TRIM_HORIZON, AT_TIMESTAMP or SHARD_END.
        subsequence: sub-sequence number up to which all is done, in a KPL aggregate.
        since: where a shard without a sequence number yet begins, if at AT_TIMESTAMP: milliseconds since 1970.
        snapshot: name of the models as of the checkpoint.
        switches: changes of owner since the last checkpoint.
        parents, children: ids of the shards that it came from and that came from it.
        hash_keys: the first and the last of its hash keys.
    """

    shard: str
    owner: str | None = None
    counter: int = 0
    checkpoint: str = TRIM_HORIZON
    subsequence: int = 0
    since: int | None = None
    snapshot: str | None = None
    switches: int = 0
    parents: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    hash_keys: HashKeys = ALL_HASH_KEYS

    @property
    def position(self) -> Position | None:
        """The last record that is done; None before the first and after the shard's end."""
        return Position(int(self.checkpoint), self.subsequence) if self.checkpoint.isdigit() else None

    @property
    def ended(self) -> bool:
        """Whether the whole shard is done."""
        return self.checkpoint == SHARD_END


class LeaseStore(Protocol):
    """Where the rows lie. While the store is away each call waits; StateError says what waiting cannot mend."""

    @property
    def last_error(self) -> str | None:
        """Why the store cannot be used at the moment, in one line; None if it can."""
        ...

    async def open(self) -> None:
        """Connect, and make the table unless it is there. Raises StateError."""
        ...

    async def rows(self) -> list[Lease]:
        """All rows, as of now."""
        ...

    async def row(self, shard: str) -> Lease | None:
        """One row, as of now."""
        ...

    async def insert(self, row: Lease) -> bool:
        """Add a row unless the shard has one; whether it was added."""
        ...

    async def replace(self, old: Lease, new: Lease) -> bool:
        """Put ``new`` in the place of ``old`` if that still has the same owner and counter; whether it had."""
        ...

    async def delete(self, row: Lease) -> bool:
        """Delete a row if it still has the same owner and counter; whether it had."""
        ...

    async def dead(self, worker: str) -> bool:
        """Whether a worker is known to be gone. False: it may live."""
        ...

    async def close(self) -> None:
        """Let go of the store."""
        ...


class LeaseManager:
    """What one worker does to the rows of a table.

    Each method returns the row as it is now, which the next one needs.
    """

    def __init__(self, store: LeaseStore, worker: str) -> None:
        self.worker = worker
        self._store = store

    async def all(self) -> list[Lease]:
        """All rows, parents before children."""
        return sorted(await self._store.rows(), key=lambda lease: lease.shard)

    async def row(self, shard: str) -> Lease | None:
        """A shard's row as of now."""
        return await self._store.row(shard)

    async def add(self, lease: Lease) -> bool:
        """Add a shard's first row; False if it has one already."""
        return await self._store.insert(lease)

    async def take(self, lease: Lease) -> Lease:
        """Become the owner, whoever was. Raises LeaseLostError if the row has changed meanwhile."""
        return await self._change(lease, owner=self.worker, switches=lease.switches + 1)

    async def renew(self, lease: Lease) -> Lease:
        """Renew a lease, so that it does not expire. Raises LeaseLostError."""
        return await self._change(lease)

    async def checkpoint(
        self, lease: Lease, position: Position | None, snapshot: str | None, ended: bool = False
    ) -> Lease:
        """Commit: all up to ``position`` is done, ``snapshot`` holds the models as of there. Raises LeaseLostError."""
        number = SHARD_END if ended else str(position.sequence) if position else lease.checkpoint
        subsequence = position.subsequence if position and not ended else 0
        return await self._change(lease, checkpoint=number, subsequence=subsequence, snapshot=snapshot, switches=0)

    async def adopt(self, lease: Lease, children: Sequence[str]) -> Lease:
        """Note a finished shard's children. Raises LeaseLostError."""
        return await self._change(lease, children=tuple(children))

    async def release(self, lease: Lease) -> Lease:
        """Let somebody else have it at once. Raises LeaseLostError."""
        return await self._change(lease, owner=None)

    async def remove(self, lease: Lease) -> None:
        """Forget a shard. Raises LeaseLostError."""
        if not await self._store.delete(lease):
            raise LeaseLostError(lease.shard)

    async def dead(self, worker: str) -> bool:
        """Whether another worker is known to be gone; False: it may live."""
        return worker != self.worker and await self._store.dead(worker)

    async def close(self) -> None:
        """Let go of the table."""
        await self._store.close()

    async def _change(self, old: Lease, **changes: object) -> Lease:
        new = replace(old, counter=old.counter + 1, **changes)  # type: ignore[arg-type]
        if await self._store.replace(old, new):
            return new
        # Our own write whose answer was lost, and which was tried again, looks like somebody else's.
        if await self._store.row(old.shard) != new:
            raise LeaseLostError(old.shard)
        return new
