"""The classic scenario: sensors that report temperatures, and now and then a wild one.

A reading is ``{"iotName": "DemoSensor", "iotValue": 17}``: an integer from 10 to 20, or, once in a hundred, from 100 to
120.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from simulator.reading import Reading, format_time

USUAL = (10, 20)  # least and greatest value
WILD = (100, 120)
_BATCH = 4096  # drawn at once; part of what a seed means


@dataclass(frozen=True)
class Sensors:
    """Readings of one or more sensors, in turn. Iterate over it; each pass starts anew and yields the same.

    Attributes:
        sensors: how many; one is called DemoSensor, several DemoSensor-0001 and so on.
        rate: readings per second of all sensors together; it says when a reading is due.
        outliers: share of wild readings, 0 to 1.
        seed: the same seed gives the same values, whatever the count.
        count: readings in all; None never ends.
        start: event time of the first reading, the others follow at ``rate``; None leaves event times out, so that the
            record's arrival counts.

    Raises:
        ValueError: a value is out of its range.
    """

    sensors: int = 1
    rate: float = 10.0
    outliers: float = 0.01
    seed: int = 0
    count: int | None = None
    start: datetime | None = None

    def __post_init__(self) -> None:
        if self.sensors < 1:
            raise ValueError(f"sensors = {self.sensors}: must be at least 1")
        if not 0.0 < self.rate < float("inf"):
            raise ValueError(f"rate = {self.rate}: must be a positive number of readings per second")
        if not 0.0 <= self.outliers <= 1.0:
            raise ValueError(f"outliers = {self.outliers}: must lie between 0 and 1")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}: must not be negative")
        if self.count is not None and self.count < 0:
            raise ValueError(f"count = {self.count}: must not be negative")

    @property
    def names(self) -> list[str]:
        """The sensors' names."""
        if self.sensors == 1:
            return ["DemoSensor"]
        width = max(4, len(str(self.sensors)))
        return [f"DemoSensor-{number:0{width}d}" for number in range(1, self.sensors + 1)]

    def __length_hint__(self) -> int:
        return self.count or 0

    def __iter__(self) -> Iterator[Reading]:
        names = self.names
        heads = [f'{{"iotName": "{name}", "iotValue": ' for name in names]
        generator = np.random.default_rng(self.seed)
        number = 0
        while self.count is None or number < self.count:
            wild = generator.random(_BATCH) < self.outliers
            usual_values = generator.integers(*USUAL, _BATCH, endpoint=True)
            wild_values = generator.integers(*WILD, _BATCH, endpoint=True)
            values = np.where(wild, wild_values, usual_values)
            left = _BATCH if self.count is None else min(_BATCH, self.count - number)
            for value, outlier in zip(values[:left].tolist(), wild[:left].tolist(), strict=True):
                sensor, offset = number % self.sensors, number / self.rate
                data = f"{heads[sensor]}{value}{self._event_time(offset)}}}"
                yield Reading(names[sensor], offset, data.encode(), outlier)
                number += 1

    def _event_time(self, offset: float) -> str:
        if self.start is None:
            return ""
        return f', "iotTime": "{format_time(self.start + timedelta(seconds=offset))}"'
