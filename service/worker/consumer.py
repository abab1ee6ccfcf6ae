"""One worker among those that share a stream: which shards it reads, and when it lets them go.

The protocol is that of the Kinesis Client Library. Workers see each other in the leases only. A lease has expired when
its counter stood still for ``failover_seconds`` by the clock of who looks. Each takes its fair share of what nobody
has, and else one shard at a time from whoever has two more than it.

Guarantee: a shard is read only after both its parents were read to their ends, and its checkpoints are committed by one
worker at a time. Two workers may read a shard at once for a while, as when one is stopped and woken again; they make
the same documents, and the one that has lost the lease drops its work as soon as it learns of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from service.metrics import Metrics
from service.source.kinesis import Shard
from service.state.checkpoints import Checkpoints, Hold
from service.state.leases import AT_TIMESTAMP, TRIM_HORIZON, Lease, LeaseLostError

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
    """What reads one shard."""

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
        pipeline: Callable[[Hold], P],
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
        self._holds: dict[str, Hold] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._listed: frozenset[str] = frozenset()
        self._observed = Observations(failover_seconds)
        self._look = asyncio.Event()

    async def run(self) -> bool:
        """Read until ``stop``; True if all that was fetched is committed. Raises StreamError, StateError."""
        async with asyncio.TaskGroup() as tasks:
            renewing = tasks.create_task(self._renew())
            coordinating = tasks.create_task(self._coordinate(tasks))
            await self.stopping.wait()
            await asyncio.wait((coordinating,), timeout=_RELEASE_SECONDS)
            coordinating.cancel()  # the stream or the leases do not answer
            await asyncio.wait((coordinating,))
            finished = await self._hand_over()
            renewing.cancel()
        return finished

    def stop(self) -> None:
        """Take no more shards, finish and commit what is fetched, release the leases."""
        self.stopping.set()
        self._look.set()
        for pipeline in self.pipelines.values():
            pipeline.stop()

    @property
    def worker(self) -> str:
        """Who we are among the workers."""
        return self._checkpoints.leases.worker

    # Renewal

    async def _renew(self) -> None:
        """Keep what we hold."""
        while True:
            await asyncio.sleep(self._failover / ROUNDS)
            await asyncio.gather(*(self._renew_one(hold) for hold in list(self._holds.values())))

    async def _renew_one(self, hold: Hold) -> None:
        with contextlib.suppress(LeaseLostError):  # the pipeline sees it too
            await hold.renew()

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
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self._failover / ROUNDS)

    async def _discover(self) -> None:
        """Keep a row for each shard of the stream, and none for those that are past."""
        shards = await self._stream.shards()
        self._listed = frozenset(shard.id for shard in shards)
        rows = {lease.shard: lease for lease in await self._checkpoints.leases.all()}
        for shard in shards:
            if shard.id not in rows:
                lease = self._first(shard, rows)
                if await self._checkpoints.leases.add(lease):
                    rows[shard.id] = lease
        children = {lease: [other.shard for other in rows.values() if lease in other.parents] for lease in rows}
        for lease in rows.values():
            if lease.ended and lease.owner is None:
                with contextlib.suppress(LeaseLostError):  # somebody else was faster
                    await self._settle(lease, [rows[child] for child in children[lease.shard]])

    def _first(self, shard: Shard, rows: Mapping[str, Lease]) -> Lease:
        """A shard's first row. It begins where its parents began, else where the settings say."""
        known = [rows[parent] for parent in shard.parents if parent in rows]
        since = known[0].since if known else self._since
        return Lease(
            shard.id,
            checkpoint=TRIM_HORIZON if since is None else AT_TIMESTAMP,
            since=since,
            parents=tuple(sorted(shard.parents)),
            hash_keys=shard.hash_keys,
        )

    async def _settle(self, lease: Lease, children: Sequence[Lease]) -> None:
        """A finished shard: note its children, and forget it once they have checkpoints and it left the stream."""
        names = tuple(child.shard for child in children)
        if names and set(names) != set(lease.children):
            await self._checkpoints.leases.adopt(lease, names)
        elif names and lease.shard not in self._listed and all(child.snapshot for child in children):
            await self._checkpoints.forget(lease)
            log.info("%s: read to its end and gone from the stream; its lease is deleted", lease.shard)

    async def _take(self, tasks: asyncio.TaskGroup) -> None:
        """Take what is ours to take now."""
        leases = self.leases = await self._checkpoints.leases.all()
        dead = {owner for owner in owners(leases) if await self._checkpoints.leases.dead(owner)}
        free = self._observed.expired(leases, asyncio.get_running_loop().time(), dead)
        free |= {lease.shard for lease in leases if lease.owner == self.worker and lease.shard not in self._holds}
        rows = {lease.shard: lease for lease in leases}
        for lease in choose(leases, free, self.worker):
            if lease.shard in self._holds or self.stopping.is_set():
                continue
            parents = [rows[parent] for parent in lease.parents if parent in rows]
            try:
                hold = await self._checkpoints.take(lease, parents)
            except LeaseLostError:
                continue
            log.info("%s: taken%s", lease.shard, f" from {lease.owner}" if lease.owner else "")
            self._holds[lease.shard] = hold
            self._metrics.leases_held.set(len(self._holds))
            self._readers[lease.shard] = tasks.create_task(self._read(hold))

    async def _read(self, hold: Hold) -> None:
        """One shard from taking it to letting it go."""
        pipeline = self.pipelines[hold.shard] = self._pipeline(hold)
        try:
            await pipeline.run()
            await hold.release()
        except* LeaseLostError:
            log.warning(
                "%s: another worker has taken it; what we have of it is dropped, and read again there", hold.shard
            )
            self._metrics.leases_lost.inc()
        finally:
            del self._holds[hold.shard], self.pipelines[hold.shard]
            self._metrics.leases_held.set(len(self._holds))
            self._look.set()

    # Handing over

    async def _hand_over(self) -> bool:
        """Let the pipelines finish; whoever cannot in time is dropped and its lease released as it is."""
        holds = dict(self._holds)
        if not holds:
            return True
        readers = [self._readers[shard] for shard in holds]
        for pipeline in self.pipelines.values():
            pipeline.stop()  # one may have begun after ``stop``
        late, reason = await self._finish(readers)
        for reader in late:
            reader.cancel()
        if late:
            await asyncio.wait(late)
            unfinished = [hold for shard, hold in holds.items() if self._readers[shard] in late]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await asyncio.gather(*(hold.release() for hold in unfinished))
            names = ", ".join(hold.shard for hold in unfinished)
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


class Observations:
    """When each lease was last seen to change, by the observer's clock."""

    def __init__(self, failover_seconds: float) -> None:
        self._failover = failover_seconds
        self._seen: dict[str, tuple[str | None, int, float]] = {}

    def expired(self, leases: Iterable[Lease], now: float, dead: Collection[str] = ()) -> set[str]:
        """Shards that nobody reads: without an owner, or with one that is dead or shows no life."""
        seen = {}
        for lease in leases:
            owner, counter, since = self._seen.get(lease.shard, (None, -1, now))
            moved = (owner, counter) != (lease.owner, lease.counter)
            seen[lease.shard] = (lease.owner, lease.counter, now if moved else since)
        self._seen = seen
        return {
            shard
            for shard, (owner, _, since) in seen.items()
            if owner is None or owner in dead or now - since >= self._failover
        }


def owners(leases: Iterable[Lease]) -> set[str]:
    """All owners."""
    return {lease.owner for lease in leases if lease.owner is not None}


def choose(leases: Sequence[Lease], free: Collection[str], worker: str) -> list[Lease]:
    """Which leases a worker takes now.

    Of the ``free`` ones as many as make up its fair share; if there are none, one of whoever holds at least two more.
    Only shards count that are not finished and whose parents are.
    """
    rows = {lease.shard: lease for lease in leases}
    open_ = [
        lease
        for lease in leases
        if not lease.ended and all(rows[parent].ended for parent in lease.parents if parent in rows)
    ]
    load = Counter(lease.owner for lease in open_ if lease.shard not in free and lease.owner is not None)
    mine = load.pop(worker, 0)
    share = math.ceil(len(open_) / (len(load) + 1))
    available = sorted((lease for lease in open_ if lease.shard in free), key=lambda lease: _preference(lease, worker))
    if available or not load:
        return available[: max(share - mine, 0)]
    victim = max(load, key=lambda owner: (load[owner], str(owner)))
    if load[victim] < mine + 2:
        return []
    return [min((lease for lease in open_ if lease.owner == victim), key=lambda lease: _preference(lease, worker))]


def _preference(lease: Lease, worker: str) -> bytes:
    """Another order for each worker, so that those who start together do not all reach for the same shard."""
    return hashlib.blake2b(f"{worker}/{lease.shard}".encode(), digest_size=8).digest()
