"""One worker among those that share a stream: which shards it reads, and when it lets them go.

The protocol is that of the Kinesis Client Library. Workers see each other in the leases only. A lease expires after
``failover_seconds`` without a change of its counter, by the clock of who looks. Each worker takes its fair share of
what nobody has, and else one shard at a time from whoever has two more than it.

Guarantee: a shard is read only after both its parents were read to their ends, and its checkpoints are committed by one
worker at a time. Two workers may read a shard at once for a while, as when one is stopped and woken again; they make
the same documents, and the one that has lost the lease drops its work as soon as it learns of it.

A fault in one shard's pipeline ends that pipeline only: it is tried again from its checkpoint, after a pause that
grows. The worker ends when the leases or the list of shards cannot be read, or when none of its shards can be, for
reasons that waiting does not mend; then too it hands its leases over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Generic, Protocol, TypeVar

from service.metrics import Metrics
from service.pipeline.records import Position
from service.source.shards import Shard
from service.state.checkpoints import Checkpoints, HeldLease
from service.state.leases import Lease, LeaseLostError
from service.worker.assignment import Observations, choose, first_lease, owners
from service.worker.faults import RECOVERY_SECONDS, Faults, first_error

log = logging.getLogger("cutwater.consumer")

DISCOVERY_SECONDS = 10.0  # between two looks for new shards
ROUNDS = 3  # renewals, and looks at the leases, in the time after which a lease expires
BLOCKED_SECONDS = 2.0  # that what is stopped waits for a sink that is away: it may be back at once
_RELEASE_SECONDS = 5.0  # to release what could not be finished


class Shards(Protocol):
    """A stream, as far as the consumer asks it."""

    async def shards(self) -> list[Shard]:
        """All shards, parents before children."""
        ...


class Pipeline(Protocol):
    """What reads one shard. ``committed`` is up to where all is done."""

    committed: Position | None

    async def run(self) -> bool:
        """Work until the shard's end (True), or until stopped and all is committed (False). Raises LeaseLostError."""
        ...

    def stop(self) -> None:
        """Fetch no more; finish what is fetched."""
        ...


P = TypeVar("P", bound=Pipeline)


class Consumer(Generic[P]):
    """Takes shards and reads them until stopped.

    Args:
        stream: whose shards.
        checkpoints: of this worker.
        pipeline: makes what reads a shard.
        since: where a stream that was never read begins, in milliseconds since 1970; None for its oldest record.
        failover_seconds: after which a lease that is not renewed has expired.
        stop_seconds: longest time to finish what is fetched when stopped; then leases are released as they are.
        metrics: where leases are counted.
        blocked: why what is fetched cannot be finished at the moment; None if it can. If that lasts when stopped, there
            is nothing to wait for.
    """

    def __init__(
        self,
        stream: Shards,
        checkpoints: Checkpoints,
        pipeline: Callable[[HeldLease], P],
        since: int | None,
        failover_seconds: float,
        stop_seconds: float,
        metrics: Metrics,
        blocked: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.leases: Sequence[Lease] = ()
        self.pipelines: dict[str, P] = {}
        self.stopping = asyncio.Event()
        self._stream = stream
        self._checkpoints = checkpoints
        self._pipeline = pipeline
        self._since = since
        self._failover = failover_seconds
        self._stop_seconds = stop_seconds
        self._metrics = metrics
        self._blocked = blocked
        self.faults = Faults(metrics)
        self._failure: Exception | None = None  # that ends this worker
        self._held: dict[str, HeldLease] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._listed: frozenset[str] = frozenset()
        self._began: dict[str, float] = {}  # by shard: when its pipeline began, and from which position
        self._began_at: dict[str, Position | None] = {}
        self._observed = Observations(failover_seconds)
        self._look = asyncio.Event()

    async def run(self) -> bool:
        """Read until ``stop``; True if all that was fetched is committed. Raises StreamError, StateError."""
        async with asyncio.TaskGroup() as tasks:
            renewing = tasks.create_task(self._or_fail(self._renew()))
            coordinating = tasks.create_task(self._or_fail(self._coordinate(tasks)))
            await self.stopping.wait()
            await asyncio.wait((coordinating,), timeout=_RELEASE_SECONDS)
            coordinating.cancel()  # the stream or the leases do not answer
            await asyncio.wait((coordinating,))
            finished = await self._hand_over()
            renewing.cancel()
        if self._failure:
            raise self._failure
        return finished

    def stop(self) -> None:
        """Take no more shards, finish and commit what is fetched, release the leases."""
        self.stopping.set()
        self._look.set()
        for pipeline in self.pipelines.values():
            pipeline.stop()

    async def _or_fail(self, work: Awaitable[None]) -> None:
        """What goes wrong there ends this worker."""
        try:
            await work
        except Exception as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """End this worker: hand the leases over, then raise the error."""
        error = first_error(error)
        if self._failure is None and isinstance(error, Exception):
            self._failure = error
        self.stop()

    @property
    def worker(self) -> str:
        """This worker's id."""
        return self._checkpoints.leases.worker

    # Renewal

    async def _renew(self) -> None:
        """Keep what we held."""
        while True:
            await asyncio.sleep(self._failover / ROUNDS)
            await asyncio.gather(*(self._renew_one(held) for held in list(self._held.values())))

    async def _renew_one(self, held: HeldLease) -> None:
        with contextlib.suppress(LeaseLostError):  # the pipeline sees it too
            await held.renew()

    # Taking

    async def _coordinate(self, tasks: asyncio.TaskGroup) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while not self.stopping.is_set():
            woken = self._look.is_set()
            self._look.clear()
            if woken or clock() >= due:
                await self._discover()
                due = clock() + DISCOVERY_SECONDS
            await self._take(tasks)
            self._note_recoveries()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self._failover / ROUNDS)

    async def _discover(self) -> None:
        """Keep a row for each shard of the stream, and none for those that are past."""
        shards = await self._stream.shards()
        self._listed = frozenset(shard.id for shard in shards)
        rows = {lease.shard: lease for lease in await self._checkpoints.leases.all()}
        for shard in shards:
            if shard.id not in rows:
                lease = first_lease(shard, rows, self._since)
                if await self._checkpoints.leases.add(lease):
                    rows[shard.id] = lease
        children = {lease: [other.shard for other in rows.values() if lease in other.parents] for lease in rows}
        for lease in rows.values():
            if lease.ended and lease.owner is None:
                with contextlib.suppress(LeaseLostError):  # somebody else was faster
                    await self._settle(lease, [rows[child] for child in children[lease.shard]])

    async def _settle(self, lease: Lease, children: Sequence[Lease]) -> None:
        """A finished shard: note its children, and forget it once they have checkpoints and it left the stream."""
        names = tuple(child.shard for child in children)
        if names and set(names) != set(lease.children):
            await self._checkpoints.leases.adopt(lease, names)
        elif names and lease.shard not in self._listed and all(child.snapshot for child in children):
            await self._checkpoints.delete(lease)
            log.info("%s: read to its end and gone from the stream; its lease is deleted", lease.shard)

    async def _take(self, tasks: asyncio.TaskGroup) -> None:
        """Take what is ours to take now."""
        leases = self.leases = await self._checkpoints.leases.all()
        dead = {owner for owner in owners(leases) if await self._checkpoints.leases.dead(owner)}
        free = self._observed.expired(leases, asyncio.get_running_loop().time(), dead)
        free |= {lease.shard for lease in leases if lease.owner == self.worker and lease.shard not in self._held}
        rows = {lease.shard: lease for lease in leases}
        for lease in choose(leases, free, self.worker):
            if lease.shard in self._held or self.stopping.is_set():
                continue
            parents = [rows[parent] for parent in lease.parents if parent in rows]
            try:
                held = await self._checkpoints.take(lease, parents)
            except LeaseLostError:
                continue
            log.info("%s: taken%s", lease.shard, f" from {lease.owner}" if lease.owner else "")
            self._held[lease.shard] = held
            self._metrics.leases_held.set(len(self._held))
            self._readers[lease.shard] = tasks.create_task(self._read(lease.shard))

    # Reading

    async def _read(self, shard: str) -> None:
        """One shard from taking it to letting it go, whatever goes wrong meanwhile."""
        try:
            while not await self._attempt(shard):
                await self._pause(shard)
            await self._held[shard].release()
        except LeaseLostError:
            log.warning("%s: another worker has taken it; what we have of it is dropped, and read again there", shard)
            self._metrics.leases_lost.inc()
        except Exception as error:  # the lease expires
            log.warning("%s: its lease could not be released: %s", shard, first_error(error))
        finally:
            del self._held[shard]
            self.pipelines.pop(shard, None)
            self.faults.forget(shard)
            self._metrics.leases_held.set(len(self._held))
            self._look.set()

    async def _attempt(self, shard: str) -> bool:
        """Read a shard from its checkpoint; False if that ends with a fault. Raises LeaseLostError."""
        clock = asyncio.get_running_loop().time
        held = self._held[shard]
        try:
            pipeline = self.pipelines[shard] = self._pipeline(held)
            self._began[shard], self._began_at[shard] = clock(), held.lease.position
            if self.stopping.is_set():
                pipeline.stop()
            await pipeline.run()
        except Exception as error:
            if held.lost.is_set() or _has_lost_lease(error):
                raise LeaseLostError(shard) from None
            self.pipelines.pop(shard, None)
            self.faults.note(shard, first_error(error), clock())
            if self.faults.all_permanent(self._held):
                self._fail(error)
            return self.stopping.is_set()
        return True

    async def _pause(self, shard: str) -> None:
        """Wait before a shard is tried again, from its lease as it is now. Raises LeaseLostError."""
        try:
            self._held[shard] = await self._checkpoints.refresh(self._held[shard])
        except LeaseLostError:
            raise
        except Exception as error:
            log.debug("%s: %s", shard, error)  # the next attempt will tell
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), self.faults.current[shard].pause)

    def _note_recoveries(self) -> None:
        """A fault is over when the shard's checkpoint has moved on, or when all has been well for a while."""
        now = asyncio.get_running_loop().time()
        for shard in list(self.faults.current):
            if pipeline := self.pipelines.get(shard):
                moved = pipeline.committed not in (None, self._began_at[shard])  # None: still being restored
                if moved or now - self._began[shard] > RECOVERY_SECONDS:
                    self.faults.over(shard)

    # Handing over

    async def _hand_over(self) -> bool:
        """Let the pipelines finish; whoever cannot in time is dropped and its lease released as it is."""
        if not self._held:
            return True
        readers = [self._readers[shard] for shard in self._held]
        for pipeline in self.pipelines.values():
            pipeline.stop()  # one may have begun after ``stop``
        late, reason = await self._finish(readers)
        unfinished = [held for shard, held in self._held.items() if self._readers[shard] in late]
        for reader in late:
            reader.cancel()
        if late:
            await asyncio.wait(late)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await asyncio.gather(*(held.release() for held in unfinished), return_exceptions=True)
            names = ", ".join(held.shard for held in unfinished)
            log.warning("not finished (%s), so read again from the last checkpoint: %s", reason, names)
        return not late

    async def _finish(self, readers: Collection[asyncio.Task[None]]) -> tuple[set[asyncio.Task[None]], str]:
        """Wait for readers as long as there is hope; those that are not done, and why they are not waited for."""
        clock = asyncio.get_running_loop().time
        began = going = clock()
        late = set(readers)
        while late and clock() - began < self._stop_seconds:
            _, late = await asyncio.wait(late, timeout=min(0.1, self._stop_seconds))
            blocked = self._blocked()
            if blocked is None:
                going = clock()
            elif clock() - going >= BLOCKED_SECONDS:
                return late, blocked
        return late, f"within {self._stop_seconds:g} s"


def _has_lost_lease(error: BaseException) -> bool:
    """Whether a lease was lost, among other things that went wrong."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(LeaseLostError) is not None
    return isinstance(error, LeaseLostError)
