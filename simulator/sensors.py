"""Simulated sensors: the classic scenario of Kinesis Data Analytics' RANDOM_CUT_FOREST."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import orjson

_BLOCK = 1024  # readings drawn at once; part of what a seed means


class Message(NamedTuple):
    """A record to be put. ``outlier`` is for tests and is not in ``data``."""

    key: str
    data: bytes
    outlier: bool = False


@dataclass(frozen=True, slots=True)
class Classic:
    """Temperatures: whole numbers from 10 to 20, and now and then, for no reason, from 100 to 120.

    The same parameters give the same readings. Sensors take turns.

    Attributes:
        sensors: how many; a single one is called DemoSensor, several DemoSensor-0001 and so on.
        outliers: share of readings that are outliers.
        count: readings in all; None for no end.
        start: event time of the first reading; without it readings carry no time and take their arrival's.
        interval: seconds of event time between two readings.
    """

    sensors: int = 1
    outliers: float = 0.01
    seed: int = 0
    count: int | None = None
    start: datetime | None = None
    interval: float = 1.0

    def __iter__(self) -> Iterator[Message]:
        """The readings as messages."""
        random = np.random.default_rng(self.seed)
        names = self.names()
        number = 0
        while self.count is None or number < self.count:
            outliers = random.random(_BLOCK) < self.outliers
            values = np.where(outliers, random.integers(100, 121, _BLOCK), random.integers(10, 21, _BLOCK))
            for value, outlier in zip(values.tolist(), outliers.tolist(), strict=True):
                if number == self.count:
                    return
                name = names[number % len(names)]
                body = {"iotName": name, "iotValue": value}
                if self.start is not None:
                    body["iotTime"] = _iso(self.start + timedelta(seconds=number * self.interval))
                yield Message(name, orjson.dumps(body), outlier)
                number += 1

    def names(self) -> list[str]:
        """The sensors' names."""
        return ["DemoSensor"] if self.sensors == 1 else [f"DemoSensor-{i:04d}" for i in range(1, self.sensors + 1)]


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
