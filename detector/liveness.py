"""Sensors that fall silent, judged by the event times of the other sensors of their shard.

The shard's *watermark* is the newest event time that a sensor has gone on from: of two readings in a row of one sensor
the smaller time counts, so a single wild time moves nothing. A sensor is silent once the watermark has moved on by more
than the sensor's own patience since its last reading; it does not matter if its clock runs behind the others'.

A pause of the whole stream makes nobody silent: what the watermark moves on because of a sensor that was itself overdue
counts for nobody. So the first that returns says nothing about the others; who then stays away is found by the time
that passes from there on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, Self

import numpy as np

from detector.types import NEVER, Floats, Integers

_OVERDUE = 10.0  # gaps before, after which a sensor is overdue whose patience is not known


@dataclass(frozen=True, slots=True)
class Silence:
    """A sensor from which nothing comes while others go on.

    Attributes:
        row: the reading in the batch that revealed it.
        sensor: its name.
        since: event time of its newest reading, in milliseconds since 1970.
        time: the watermark that revealed it.
        patience: the silence that would have been usual, in milliseconds.
        alert: whether someone should be notified.
        grade, severity: as of a reading's score; a silence is certain.
    """

    row: int
    sensor: str
    since: int
    time: int
    patience: float
    alert: bool = True
    grade: float = 1.0

    @property
    def severity(self) -> int:
        """0 to 100: the grade in percent."""
        return round(100 * self.grade)


@dataclass(slots=True)
class Heard:
    """When a sensor was last heard of.

    Attributes:
        watermark, paused: the shard's, at its last reading.
        newest, last: its newest and its last event time.
        gap: between its last two readings.
        overdue: whether its last one came later than it usually does, or is its first.
        told: whether its silence was reported.
        patience: how long it may be silent.
        scheduled: when it is looked at next.
    """

    watermark: int = NEVER
    paused: int = 0
    newest: int = NEVER
    last: int = NEVER
    gap: int = 0
    overdue: bool = True
    told: bool = False
    patience: float = np.inf
    scheduled: float = np.inf

    @property
    def due(self) -> float:
        """The greatest watermark, less pauses, at which nothing is unusual."""
        return np.inf if self.watermark == NEVER else self.watermark - self.paused + self.patience

    def pack(self) -> list[int]:
        """What cannot be known from the sensor's detector."""
        return [self.watermark, self.paused, self.newest, self.last, self.gap, int(self.overdue), int(self.told)]

    @classmethod
    def unpack(cls, packed: Any, patience: float) -> Self:
        """The inverse of ``pack``. Raises ValueError."""
        numbers = packed if isinstance(packed, list) else []
        if len(numbers) != 7 or not all(type(number) is int and abs(number) <= 2**62 for number in numbers):
            raise ValueError(f"when it was last heard of cannot be {packed!r}")
        watermark, paused, newest, last, gap, overdue, told = numbers
        return cls(watermark, paused, newest, last, gap, bool(overdue), bool(told), patience)


class Watch:
    """Tells each silence of a shard's sensors once.

    Guarantee: what is told, and at which reading, depends only on the readings in their order. A reading costs the
    same however many sensors there are; a sensor costs one entry in a heap.
    """

    def __init__(self) -> None:
        self.watermark = NEVER
        self.paused = 0  # of the watermark's way, what sensors moved it on that were overdue themselves
        self.heard: dict[str, Heard] = {}
        self._due: list[tuple[float, str]] = []

    def restore(self, heard: dict[str, Heard]) -> None:
        """Go on from what was known when a snapshot was taken."""
        self.heard |= heard
        self.watermark = max((one.watermark for one in self.heard.values()), default=NEVER)
        self.paused = max((one.paused for one in self.heard.values()), default=0)
        for one in self.heard.values():
            one.scheduled = np.inf if one.told else one.due
        self._due = [(one.scheduled, name) for name, one in self.heard.items() if one.scheduled < np.inf]
        heapify(self._due)

    def remember(self, sensor: str, heard: Heard) -> None:
        """Go on with a sensor that was forgotten; nothing happens if it was not."""
        if sensor not in self.heard:
            heard.scheduled = np.inf
            self.heard[sensor] = heard

    def forget(self, sensor: str) -> None:
        """Give back a sensor's memory, unless its silence is still to be told."""
        heard = self.heard[sensor]
        if heard.told or heard.due == np.inf:
            del self.heard[sensor]

    def observe(
        self, sensors: Sequence[str], order: Integers, starts: Integers, times: Integers, patience: Floats
    ) -> tuple[list[Silence], Integers]:
        """Silences that n > 0 readings reveal, in order, and the rows of readings that end one that was told.

        Args:
            sensors: [g] the names of the sensors in the batch.
            order: [n] rows, those of one sensor together and ascending, the sensors as in ``sensors``.
            starts: [g] where in ``order`` each sensor's rows begin.
            times: [n] event times (ms).
            patience: [n] how long each reading's sensor may be silent after it (ms).
        """
        known = [self.heard.setdefault(name, Heard()) for name in sensors]

        def previous(column: Any, first: list[Any]) -> Any:
            """Of each reading's sensor, the column's value at the reading before."""
            shifted = np.concatenate((column[:1], column[:-1]))
            shifted[starts] = first
            return shifted

        time, limit = times[order], patience[order]
        before = previous(time, [heard.last for heard in known])
        gap = np.where(before == NEVER, 0, time - before)
        usual = previous(limit, [heard.patience for heard in known])
        learning = _OVERDUE * previous(gap, [heard.gap for heard in known])
        overdue = (before == NEVER) | (gap > np.where(np.isfinite(usual), usual, learning))
        confirmed, pausing = np.empty_like(times), np.empty(len(times), dtype=bool)
        confirmed[order] = np.minimum(before, time)
        pausing[order] = previous(overdue, [heard.overdue for heard in known])
        confirmed[0] = max(confirmed[0], self.watermark)
        watermark = np.maximum.accumulate(confirmed)
        earlier = np.concatenate(([self.watermark], watermark[:-1]))
        paused = self.paused + np.cumsum(np.where(pausing & (earlier != NEVER), watermark - earlier, 0))
        active = watermark - paused
        # due before each reading, and how far the others had gone on by then
        due = previous(np.where(watermark == NEVER, np.inf, active + patience)[order], [0.0] * len(known))
        due[starts] = [-np.inf if heard.told else heard.due for heard in known]
        others = np.concatenate(([self.watermark - self.paused], active[:-1]))[order]
        late = np.flatnonzero(others > due)
        ends = np.append(starts[1:], len(order))
        newest = np.maximum.reduceat(time, starts)
        found: list[Silence] = []
        for at, group in zip(late.tolist(), (np.searchsorted(starts, late, side="right") - 1).tolist(), strict=True):
            heard, start = known[group], int(starts[group])
            if at > start:
                row, so_far = order[at - 1], max(heard.newest, int(time[start:at].max()))
                heard = Heard(int(watermark[row]), int(paused[row]), so_far, patience=float(patience[row]))
            self._tell(found, sensors[group], heard, watermark, active)
        last = order[ends - 1]
        columns = (column.tolist() for column in (watermark[last], paused[last], newest, patience[last]))
        lasting = (column[ends - 1].tolist() for column in (time, gap, overdue))
        for name, heard, mark, pause, latest, allowed, at, distance, missed in zip(
            sensors, known, *columns, *lasting, strict=True
        ):
            heard.watermark, heard.paused, heard.newest, heard.last = mark, pause, max(heard.newest, latest), at
            heard.gap, heard.overdue, heard.told, heard.patience = distance, missed, False, allowed
            self._schedule(name, heard)
        self.watermark, self.paused = int(watermark[-1]), int(paused[-1])
        self._tell_overdue(found, watermark, active)
        found.sort(key=lambda silence: (silence.row, silence.sensor))
        return found, order[late]

    def _tell_overdue(self, found: list[Silence], watermark: Integers, active: Integers) -> None:
        """Tell of those who have said nothing more."""
        now = self.watermark - self.paused
        while self._due and self._due[0][0] < now:
            due, name = heappop(self._due)
            heard = self.heard.get(name)
            if heard is not None and due == heard.scheduled:
                heard.scheduled = np.inf
                if heard.due < now:
                    self._tell(found, name, heard, watermark, active)
                else:
                    self._schedule(name, heard)

    def _tell(self, found: list[Silence], name: str, heard: Heard, watermark: Integers, active: Integers) -> None:
        if not heard.told:
            row = int(np.searchsorted(active, heard.due, side="right"))
            found.append(Silence(row, name, heard.newest, int(watermark[row]), heard.patience))
            heard.told = True

    def _schedule(self, name: str, heard: Heard) -> None:
        """Have an entry in the heap that is not later than the sensor is due."""
        if heard.due < heard.scheduled:
            heard.scheduled = heard.due
            heappush(self._due, (heard.due, name))
