"""Sensors that fall silent, judged by the event times of the other sensors of their shard.

The shard's *watermark* is the newest event time that a sensor has gone on from: of two readings in a row of one sensor
the smaller time counts, so a single wild time moves nothing. A sensor is silent once the watermark has moved on by more
than the sensor's own patience since its last reading; it does not matter if its clock runs behind the others'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, Self

import numpy as np

from detector.types import NEVER, Floats, Integers


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
    """When a sensor was last heard of: watermark, its newest and its last event time; whether its silence was told."""

    watermark: int = NEVER
    newest: int = NEVER
    last: int = NEVER
    told: bool = False
    patience: float = np.inf
    scheduled: float = np.inf

    @property
    def due(self) -> float:
        """The greatest watermark at which nothing is unusual."""
        return np.inf if self.watermark == NEVER else self.watermark + self.patience

    def pack(self) -> list[int]:
        """What cannot be known from the sensor's detector."""
        return [self.watermark, self.newest, self.last, int(self.told)]

    @classmethod
    def unpack(cls, packed: Any, patience: float) -> Self:
        """The inverse of ``pack``. Raises ValueError."""
        numbers = packed if isinstance(packed, list) else []
        if len(numbers) != 4 or not all(type(number) is int and abs(number) <= 2**62 for number in numbers):
            raise ValueError(f"when it was last heard of cannot be {packed!r}")
        return cls(numbers[0], numbers[1], numbers[2], bool(numbers[3]), patience)


class Watch:
    """Tells each silence of a shard's sensors once.

    Guarantee: what is told, and at which reading, depends only on the readings in their order. A reading costs the
    same however many sensors there are; a sensor costs one entry in a heap.
    """

    def __init__(self) -> None:
        self.watermark = NEVER
        self.heard: dict[str, Heard] = {}
        self._due: list[tuple[float, str]] = []

    def restore(self, heard: dict[str, Heard]) -> None:
        """Go on from what was known when a snapshot was taken."""
        self.heard |= heard
        self.watermark = max((one.watermark for one in self.heard.values()), default=NEVER)
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
        time = times[order]
        before = np.concatenate(([NEVER], time[:-1]))  # of the same sensor
        before[starts] = [heard.last for heard in known]
        confirmed = np.empty_like(times)
        confirmed[order] = np.minimum(before, time)
        confirmed[0] = max(confirmed[0], self.watermark)
        watermark = np.maximum.accumulate(confirmed)
        # due before each reading, and how far the others had gone on by then
        due = np.concatenate(([0.0], np.where(watermark == NEVER, np.inf, watermark + patience)[order[:-1]]))
        due[starts] = [-np.inf if heard.told else heard.due for heard in known]
        others = np.concatenate(([self.watermark], watermark[:-1]))[order]
        late = np.flatnonzero(others > due)
        ends = np.append(starts[1:], len(order))
        newest = np.maximum.reduceat(time, starts)
        found: list[Silence] = []
        for at, group in zip(late.tolist(), (np.searchsorted(starts, late, side="right") - 1).tolist(), strict=True):
            heard, start = known[group], int(starts[group])
            if at > start:
                row, so_far = order[at - 1], max(heard.newest, int(time[start:at].max()))
                heard = Heard(int(watermark[row]), so_far, patience=float(patience[row]))
            self._tell(found, sensors[group], heard, watermark)
        last = order[ends - 1]
        columns = (watermark[last].tolist(), newest.tolist(), time[ends - 1].tolist(), patience[last].tolist())
        for name, heard, mark, latest, at, limit in zip(sensors, known, *columns, strict=True):
            heard.watermark, heard.newest, heard.last = mark, max(heard.newest, latest), at
            heard.told, heard.patience = False, limit
            self._schedule(name, heard)
        self.watermark = int(watermark[-1])
        self._tell_overdue(found, watermark)
        found.sort(key=lambda silence: (silence.row, silence.sensor))
        return found, order[late]

    def _tell_overdue(self, found: list[Silence], watermark: Integers) -> None:
        """Tell of those who have said nothing more."""
        while self._due and self._due[0][0] < self.watermark:
            due, name = heappop(self._due)
            heard = self.heard.get(name)
            if heard is not None and due == heard.scheduled:
                heard.scheduled = np.inf
                if heard.due < self.watermark:
                    self._tell(found, name, heard, watermark)
                else:
                    self._schedule(name, heard)

    def _tell(self, found: list[Silence], name: str, heard: Heard, watermark: Integers) -> None:
        if not heard.told:
            row = int(np.searchsorted(watermark, heard.due, side="right"))
            found.append(Silence(row, name, heard.newest, int(watermark[row]), heard.patience))
            heard.told = True

    def _schedule(self, name: str, heard: Heard) -> None:
        """Have an entry in the heap that is not later than the sensor is due."""
        if heard.due < heard.scheduled:
            heard.scheduled = heard.due
            heappush(self._due, (heard.due, name))
