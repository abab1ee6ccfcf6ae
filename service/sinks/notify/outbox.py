"""What is to be told of one shard's episodes and was not yet, as part of the shard's checkpoint.

Guarantee: a change that was noted is told to each route that wants it, at least once, or given up into the dead
letters. It is noted with the readings that made it; it lies in every checkpoint behind these until it was told; and
readings behind the checkpoint are scored again after a crash, and make the same changes under the same keys. So a
change may be told twice, with the same key, but is never lost.

At most ``MOST_PENDING`` changes wait in memory and in the checkpoint; of those beyond it only the number is kept, and
told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from service.pipeline.documents import Document, ScoredBatch
from service.pipeline.episodes import EpisodeTracker
from service.sinks.notify.routes import Route

MOST_PENDING = 2_000


@dataclass(slots=True)
class Notice:
    """A change that waits.

    Attributes:
        owed: the routes that were not told yet.
        since: when it was noted, in seconds since 1970.
        refusals: how often a receiver said that it will not take it, by route.
    """

    change: Document
    owed: set[str]
    since: float
    refusals: dict[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """By which receivers know it again."""
        return str(self.change["key"])


class Outbox:
    """Of one shard, while this worker reads it.

    Args:
        shard: its id.
        routes: all that there are.
        clock: seconds since 1970.
        wake: called when there is something new.
    """

    def __init__(
        self, shard: str, routes: Sequence[Route], clock: Callable[[], float], wake: Callable[[], None]
    ) -> None:
        self.shard = shard
        self.pending: dict[str, Notice] = {}
        self.uncounted: dict[str, int] = {}  # changes beyond the bound, by route
        self.changed = False  # since the last snapshot
        self._routes, self._clock, self._wake = routes, clock, wake
        self._tracker = EpisodeTracker()

    def note(self, batch: ScoredBatch) -> None:
        """Note what the next readings change."""
        changes = self._tracker.follow(batch)
        now = self._clock()
        for change in changes:
            owed = {route.name for route in self._routes if route.wants(change)}
            if len(self.pending) < MOST_PENDING:
                if owed:
                    self.pending[change["key"]] = Notice(change, owed, now)
            else:
                for name in owed:
                    self.uncounted[name] = self.uncounted.get(name, 0) + 1
        if changes:
            self._wake()

    def open_episodes(self) -> Iterator[Document]:
        """The worst document of each episode that goes on."""
        return self._tracker.documents()

    def settle(self, key: str, route: str) -> None:
        """A route was told, or never will be."""
        notice = self.pending.get(key)
        if notice is not None:
            self.changed = True
            notice.owed.discard(route)
            if not notice.owed:
                del self.pending[key]

    def settle_uncounted(self, route: str, number: int) -> None:
        """A route was told of so many more."""
        self.changed = True
        self.uncounted[route] = max(self.uncounted.get(route, 0) - number, 0)

    def snapshot(self) -> bytes:
        """Everything, for the checkpoint."""
        self.changed = False
        waiting = [[each.change, sorted(each.owed), each.since] for each in self.pending.values()]
        state = {"open": self._tracker.snapshot(), "pending": waiting, "uncounted": self.uncounted}
        return json.dumps(state, separators=(",", ":")).encode()  # which says any name

    def restore(self, states: Sequence[bytes], sensors: Collection[str] | None = None) -> None:
        """Go on from a checkpoint's snapshot, or those of the parents; of these with the given ``sensors`` only."""
        known = {route.name for route in self._routes}
        for state in map(json.loads, filter(None, states)):
            self._tracker.restore([row for row in state["open"] if sensors is None or row[0] in sensors])
            for change, owed, since in state["pending"]:
                if (kept := known & set(owed)) and (sensors is None or change["sensor"] in sensors):
                    self.pending[change["key"]] = Notice(change, kept, since)
            for name, number in state["uncounted"].items():
                if name in known:
                    self.uncounted[name] = self.uncounted.get(name, 0) + number
        if self.pending or self.uncounted:
            self._wake()
