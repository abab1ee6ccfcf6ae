"""Which shards a worker takes: a pure function of the leases and of when each was last seen to change."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from service.source.shards import Shard
from service.state.leases import AT_TIMESTAMP, TRIM_HORIZON, Lease


class Observations:
    """When each lease was last seen to change, by the observer's clock."""

    def __init__(self, failover_seconds: float) -> None:
        self._failover = failover_seconds
        self._seen: dict[str, tuple[str | None, int, float]] = {}

    def expired(self, leases: Iterable[Lease], now: float, dead: Collection[str] = ()) -> set[str]:
        """Shards that nobody reads.

        A lease expires after ``failover_seconds`` without a change of its counter, and at once if it has no owner or a
        dead one.
        """
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


def first_lease(shard: Shard, rows: Mapping[str, Lease], since: int | None) -> Lease:
    """A shard's first row. It begins where its parents began, else at ``since`` (ms), else at the oldest record."""
    known = [rows[parent] for parent in shard.parents if parent in rows]
    start = known[0].since if known else since
    return Lease(
        shard.id,
        checkpoint=TRIM_HORIZON if start is None else AT_TIMESTAMP,
        since=start,
        parents=tuple(sorted(shard.parents)),
        hash_keys=shard.hash_keys,
    )


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
    busiest = max(load, key=lambda owner: (load[owner], str(owner)))
    if load[busiest] < mine + 2:
        return []
    return [min((lease for lease in open_ if lease.owner == busiest), key=lambda lease: _preference(lease, worker))]


def _preference(lease: Lease, worker: str) -> bytes:
    """Another order for each worker, so that those who start together do not all reach for the same shard."""
    return hashlib.blake2b(f"{worker}/{lease.shard}".encode(), digest_size=8).digest()
