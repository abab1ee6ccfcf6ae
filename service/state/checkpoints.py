"""Where each shard stands: its position and the models as of there, committed together.

Guarantee: a commit first writes the snapshot and then, conditionally on owner and counter, the lease that names both
position and snapshot. So it happens wholly or not at all, and only if the lease is still ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from service import StateError
from service.pipeline.models import Model, in_hash_range, merge_models
from service.pipeline.records import Position
from service.state.blobs import Blobs
from service.state.leases import Lease, LeaseLostError, LeaseManager
from service.state.snapshots import ModelFingerprint, OtherConfigurationError, SnapshotError, Written
from service.state.snapshots.shard import ShardSnapshots

log = logging.getLogger("cutwater.checkpoints")

_NOTICES = b"\x00notices\x00"  # no state of a core begins so


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All records up to ``position`` are done, and the whole shard if ``ended``.

    ``models`` are all of them when it is read, and those that changed since the last checkpoint when it is written.
    ``states`` are what the core has besides models: when it is written one, when it is read one or its parents';
    ``notices`` likewise what is to be told of its episodes.
    """

    position: Position | None = None
    ended: bool = False
    models: Mapping[str, Model] = field(default_factory=dict)
    states: Sequence[bytes] = ()
    notices: Sequence[bytes] = ()


class Checkpoints:
    """The checkpoints of one stream's shards.

    Args:
        leases: this worker's.
        blobs: where snapshots lie.
        stream: name of the stream.
        fingerprint: what makes the models.
        on_bad_snapshot: what to do about a snapshot that cannot be read: "refuse" to start, or "learn" anew.
    """

    def __init__(
        self,
        leases: LeaseManager,
        blobs: Blobs,
        stream: str,
        fingerprint: ModelFingerprint,
        on_bad_snapshot: Literal["refuse", "learn"],
    ) -> None:
        self.leases = leases
        self._blobs = blobs
        self._stream = stream
        self._fingerprint = fingerprint
        self._on_bad_snapshot = on_bad_snapshot

    async def take(self, lease: Lease, parents: Sequence[Lease]) -> HeldLease:
        """Take a shard's lease, whoever had it. Raises LeaseLostError if somebody else was faster."""
        return HeldLease(self, await self.leases.take(lease), parents)

    async def refresh(self, held: HeldLease) -> HeldLease:
        """A held lease as the store has it now: to go on from its checkpoint after a fault.

        Raises LeaseLostError if it is somebody else's by now.
        """
        async with held.row_lock:  # no renewal meanwhile
            row = await self.leases.row(held.shard)
            if row is None or row.owner != self.leases.worker:
                raise LeaseLostError(held.shard)
            return HeldLease(self, await self.leases.renew(row), held.parents)

    async def delete(self, lease: Lease) -> None:
        """Delete a finished shard's models and row. Raises LeaseLostError."""
        await self.snapshots(lease).delete_all()
        await self.leases.remove(lease)

    def snapshots(self, lease: Lease) -> ShardSnapshots:
        """The snapshots of a shard whose lease was just taken."""
        return ShardSnapshots(self._blobs, f"{self._stream}/{lease.shard}", lease.counter, self._fingerprint)

    def refuse(self, shard: str, reason: str) -> None:
        """A snapshot cannot be used: go on without it, if that is what the settings say. Raises StateError."""
        if self._on_bad_snapshot == "refuse":
            raise StateError(
                f"{shard}: {reason}; restore it from a copy, or set on_bad_snapshot = learn to go on from the same "
                "position and learn all its sensors anew"
            )
        log.error("%s: %s; all its sensors are learnt anew (on_bad_snapshot = learn)", shard, reason)


class HeldLease:
    """A lease held by this worker, with its shard's checkpoints, until it is lost or released."""

    def __init__(self, checkpoints: Checkpoints, lease: Lease, parents: Sequence[Lease]) -> None:
        self.lease = lease
        self.lost = asyncio.Event()
        self._checkpoints = checkpoints
        self.parents = parents
        self._snapshots = checkpoints.snapshots(lease)
        self._inherited: dict[str, Model] = {}
        self.row_lock = asyncio.Lock()  # one change of the row at a time; each needs the counter of the one before

    @property
    def shard(self) -> str:
        """The shard's id."""
        return self.lease.shard

    async def restore(self) -> Checkpoint:
        """Where to go on, with the models as of there: its own, else its parents' for the keys in its hash range.

        Raises StateError if a snapshot cannot be used and the settings say that this must not pass.
        """
        lease = self.lease
        models: dict[str, Model] = {}
        states: list[bytes] = []
        if lease.snapshot:
            states = [await self._state(self._snapshots, lease.snapshot)]
            models = await self._read(self._snapshots, lease.snapshot)
            if models:  # else nothing says what is still needed
                await self._snapshots.delete_orphans()
        elif lease.position is None:
            parents = [(self._checkpoints.snapshots(parent), parent.snapshot) for parent in self.parents]
            states = [await self._state(snapshots, name) for snapshots, name in parents if name]
            read = [await self._read(snapshots, name) for snapshots, name in parents if name]
            models = self._inherited = in_hash_range(merge_models(read), lease.hash_keys)
        else:
            log.warning(
                "%s: the lease at %s names no snapshot; its sensors are learnt anew", self.shard, lease.position
            )
        parts = [_unpack(state) for state in states]
        return Checkpoint(
            lease.position,
            lease.ended,
            models,
            states=tuple(state for state, _ in parts if state),
            notices=tuple(notices for _, notices in parts if notices),
        )

    def refuse(self, reason: str) -> None:
        """The restored models turn out to be unusable. Raises StateError unless the settings say to learn anew."""
        self._checkpoints.refuse(self.shard, reason)
        self._inherited = {}

    def needs_rewrite(self) -> set[str]:
        """Sensors whose models the next checkpoint must hold even if they have not changed."""
        return self._snapshots.needs_rewrite()

    async def renew(self) -> None:
        """Renew the lease, so that it does not expire. Raises LeaseLostError."""
        async with self._unless_lost():
            self.lease = await self._checkpoints.leases.renew(self.lease)

    async def commit(self, checkpoint: Checkpoint) -> Written:
        """Move the shard to ``checkpoint``. All up to there must be acknowledged. Raises LeaseLostError."""
        models = self._inherited | dict(checkpoint.models)
        state = _pack(b"".join(checkpoint.states), b"".join(checkpoint.notices))
        written = await self._snapshots.write(checkpoint.position, models, state)
        async with self._unless_lost():
            self.lease = await self._checkpoints.leases.checkpoint(
                self.lease, checkpoint.position, written.name, checkpoint.ended
            )
        self._inherited = {}
        await self._snapshots.delete_unreferenced(written.name)
        return written

    async def release(self) -> None:
        """Let another worker have the shard at once."""
        with contextlib.suppress(LeaseLostError):
            async with self._unless_lost():
                self.lease = await self._checkpoints.leases.release(self.lease)

    @contextlib.asynccontextmanager
    async def _unless_lost(self) -> AsyncIterator[None]:
        async with self.row_lock:
            if self.lost.is_set():
                raise LeaseLostError(self.shard)
            try:
                yield
            except LeaseLostError:
                self.lost.set()
                raise

    async def _state(self, snapshots: ShardSnapshots, name: str) -> bytes:
        try:
            return await snapshots.state(name)
        except SnapshotError:
            return b""  # reported when its models are read, which needs the same blob

    async def _read(self, snapshots: ShardSnapshots, name: str) -> dict[str, Model]:
        try:
            return await snapshots.read(name)
        except OtherConfigurationError as error:
            log.warning("%s: %s; its sensors are learnt anew from the same position on", self.shard, error)
        except SnapshotError as error:
            self._checkpoints.refuse(self.shard, str(error))
        return {}


def _pack(state: bytes, notices: bytes) -> bytes:
    """The core's state behind the notices, where there are any."""
    return _NOTICES + len(notices).to_bytes(8, "big") + notices + state if notices else state


def _unpack(packed: bytes) -> tuple[bytes, bytes]:
    """(state, notices)."""
    if not packed.startswith(_NOTICES):
        return packed, b""
    start = len(_NOTICES) + 8
    end = start + int.from_bytes(packed[len(_NOTICES) : start], "big")
    return packed[end:], packed[start:end]
