"""Sensors that fall silent, judged by the event times of the other sensors of their shard.

The shard's *watermark* is the newest event time that a sensor has gone on from: of two readings in a row of one sensor
the smaller time counts, so a single wild time moves nothing. A sensor is silent once the watermark has moved on by more
than the sensor's own silence timeout since its last reading; it does not matter if its clock runs behind the others'.

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

_OVERDUE = 10.0  # gaps before, after which a sensor is overdue whose timeout is not known


@dataclass(frozen=True, slots=True)
class SilenceEvent:
    """A sensor from which nothing comes while others go on.

    Attributes:
        row: the reading in the batch that revealed it.
        sensor: its name.
        since: event time of its newest reading, in milliseconds since 1970.
        time: the watermark that revealed it.
        silence_timeout: the silence that would have been usual, in milliseconds.
        alert: whether someone should be notified.
        grade, severity: as of a reading's score; a silence is certain.
    """

    row: int
    sensor: str
    since: int
    time: int
    silence_timeout: float
    alert: bool = True
    grade: float = 1.0

    @property
    def severity(self) -> int:
        """0 to 100: the grade in percent."""
        return round(100 * self.grade)


@dataclass(slots=True)
class LastSeen:
    """When a sensor was last seen.

    Attributes:
        watermark, paused: the shard's, at its last reading.
        newest, last: its newest and its last event time.
        gap: between its last two readings.
        overdue: whether its last one came later than it usually does, or is its first.
        reported: whether its silence was reported.
        silence_timeout: how long it may be silent.
        scheduled: when it is looked at next.
    """

    watermark: int = NEVER
    paused: int = 0
    newest: int = NEVER
    last: int = NEVER
    gap: int = 0
    overdue: bool = True
    reported: bool = False
    silence_timeout: float = np.inf
    scheduled: float = np.inf

    @property
    def due(self) -> float:
        """The greatest watermark, less pauses, at which nothing is unusual."""
        return np.inf if self.watermark == NEVER else self.watermark - self.paused + self.silence_timeout

    def pack(self) -> list[int]:
        """What cannot be known from the sensor's detector."""
        return [self.watermark, self.paused, self.newest, self.last, self.gap, int(self.overdue), int(self.reported)]

    @classmethod
    def unpack(cls, packed: Any, silence_timeout: float) -> Self:
        """The inverse of ``pack``. Raises ValueError."""
        numbers = packed if isinstance(packed, list) else []
        if len(numbers) != 7 or not all(type(number) is int and abs(number) <= 2**62 for number in numbers):
            raise ValueError(f"when it was last seen cannot be {packed!r}")
        watermark, paused, newest, last, gap, overdue, reported = numbers
        return cls(watermark, paused, newest, last, gap, bool(overdue), bool(reported), silence_timeout)


class LivenessMonitor:
    """Reports each silence of a shard's sensors once.

    Guarantee: what is reported, and at which reading, depends only on the readings in their order. A reading costs the
    same however many sensors there are; a sensor costs one entry in a heap.
    """

    def __init__(self) -> None:
        self.watermark = NEVER
        self.paused = 0  # of the watermark's way, what sensors moved it on that were overdue themselves
        self.last_seen: dict[str, LastSeen] = {}
        self._due: list[tuple[float, str]] = []

    def restore(self, last_seen: dict[str, LastSeen]) -> None:
        """Go on from what was known when a snapshot was taken."""
        self.last_seen |= last_seen
        self.watermark = max((one.watermark for one in self.last_seen.values()), default=NEVER)
        self.paused = max((one.paused for one in self.last_seen.values()), default=0)
        for one in self.last_seen.values():
            one.scheduled = np.inf if one.reported else one.due
        self._due = [(one.scheduled, name) for name, one in self.last_seen.items() if one.scheduled < np.inf]
        heapify(self._due)

    def remember(self, sensor: str, one: LastSeen) -> None:
        """Go on with a sensor that was forgotten; nothing happens if it was not."""
        if sensor not in self.last_seen:
            one.scheduled = np.inf
            self.last_seen[sensor] = one

    def forget(self, sensor: str) -> None:
        """Give back a sensor's memory, unless its silence is still to be reported."""
        one = self.last_seen[sensor]
        if one.reported or one.due == np.inf:
            del self.last_seen[sensor]

    def observe(
        self, sensors: Sequence[str], order: Integers, starts: Integers, times: Integers, silence_timeout: Floats
    ) -> list[SilenceEvent]:
        """Silences that n > 0 readings reveal, in order.

        Args:
            sensors: [g] the names of the sensors in the batch.
            order: [n] rows, those of one sensor together and ascending, the sensors as in ``sensors``.
            starts: [g] where in ``order`` each sensor's rows begin.
            times: [n] event times (ms).
            silence_timeout: [n] how long each reading's sensor may be silent after it (ms).
        """
        known = [self.last_seen.setdefault(name, LastSeen()) for name in sensors]

        def previous(column: Any, first: list[Any]) -> Any:
            """Of each reading's sensor, the column's value at the reading before."""
            shifted = np.concatenate((column[:1], column[:-1]))
            shifted[starts] = first
            return shifted

        time, limit = times[order], silence_timeout[order]
        before = previous(time, [one.last for one in known])
        gap = np.where(before == NEVER, 0, time - before)
        usual = previous(limit, [one.silence_timeout for one in known])
        learning = _OVERDUE * previous(gap, [one.gap for one in known])
        overdue = (before == NEVER) | (gap > np.where(np.isfinite(usual), usual, learning))
        confirmed, pausing = np.empty_like(times), np.empty(len(times), dtype=bool)
        confirmed[order] = np.minimum(before, time)
        pausing[order] = previous(overdue, [one.overdue for one in known])
        confirmed[0] = max(confirmed[0], self.watermark)
        watermark = np.maximum.accumulate(confirmed)
        earlier = np.concatenate(([self.watermark], watermark[:-1]))
        paused = self.paused + np.cumsum(np.where(pausing & (earlier != NEVER), watermark - earlier, 0))
        active = watermark - paused
        # due before each reading, and how far the others had gone on by then
        due = previous(np.where(watermark == NEVER, np.inf, active + silence_timeout)[order], [0.0] * len(known))
        due[starts] = [-np.inf if one.reported else one.due for one in known]
        others = np.concatenate(([self.watermark - self.paused], active[:-1]))[order]
        late = np.flatnonzero(others > due)
        ends = np.append(starts[1:], len(order))
        newest = np.maximum.reduceat(time, starts)
        found: list[SilenceEvent] = []
        for at, group in zip(late.tolist(), (np.searchsorted(starts, late, side="right") - 1).tolist(), strict=True):
            one, start = known[group], int(starts[group])
            if at > start:
                row, so_far = order[at - 1], max(one.newest, int(time[start:at].max()))
                one = LastSeen(
                    int(watermark[row]), int(paused[row]), so_far, silence_timeout=float(silence_timeout[row])
                )
            self._report(found, sensors[group], one, watermark, active)
        last = order[ends - 1]
        columns = (column.tolist() for column in (watermark[last], paused[last], newest, silence_timeout[last]))
        lasting = (column[ends - 1].tolist() for column in (time, gap, overdue))
        for name, one, mark, pause, latest, allowed, at, distance, missed in zip(
            sensors, known, *columns, *lasting, strict=True
        ):
            one.watermark, one.paused, one.newest, one.last = mark, pause, max(one.newest, latest), at
            one.gap, one.overdue, one.reported, one.silence_timeout = distance, missed, False, allowed
            self._schedule(name, one)
        self.watermark, self.paused = int(watermark[-1]), int(paused[-1])
        self._report_overdue(found, watermark, active)
        found.sort(key=lambda silence: (silence.row, silence.sensor))
        return found

    def _report_overdue(self, found: list[SilenceEvent], watermark: Integers, active: Integers) -> None:
        """Report those of which nothing more came."""
        now = self.watermark - self.paused
        while self._due and self._due[0][0] < now:
            due, name = heappop(self._due)
            one = self.last_seen.get(name)
            if one is not None and due == one.scheduled:
                one.scheduled = np.inf
                if one.due < now:
                    self._report(found, name, one, watermark, active)
                else:
                    self._schedule(name, one)

    def _report(
        self, found: list[SilenceEvent], name: str, one: LastSeen, watermark: Integers, active: Integers
    ) -> None:
        if not one.reported:
            row = int(np.searchsorted(active, one.due, side="right"))
            found.append(SilenceEvent(row, name, one.newest, int(watermark[row]), one.silence_timeout))
            one.reported = True

    def _schedule(self, name: str, one: LastSeen) -> None:
        """Have an entry in the heap that is not later than the sensor is due."""
        if one.due < one.scheduled:
            one.scheduled = one.due
            heappush(self._due, (one.due, name))
