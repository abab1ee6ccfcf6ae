"""What sensors measured once, played back: each reading becomes a record again.

One value becomes ``{"iotName": "boiler", "iotTime": "2014-04-01T00:00:00Z", "iotValue": 20.0}``; of several each stands
under its own name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import orjson
from numpy.typing import NDArray

from simulator.reading import Reading, format_time


@dataclass(frozen=True, slots=True)
class Playback:
    """Readings in order of time. Iterate over it; each pass yields the same.

    A value that is missing is left out of its record, and a reading without any value makes no record.

    Attributes:
        sensors: [n] names.
        times: [n] ms since 1970, ascending.
        values: [n, d], NaN where one is missing.
        names: [d] what several values are called in a record.
    """

    sensors: Sequence[str]
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    names: Sequence[str]

    def __len__(self) -> int:
        """Records there will be."""
        return int(np.isfinite(self.values).any(axis=1).sum())

    def __iter__(self) -> Iterator[Reading]:
        names = ["iotValue"] if len(self.names) == 1 else self.names
        rows = zip(self.sensors, self.times.tolist(), self.values.tolist(), strict=True)
        for sensor, time, values in rows:
            measured = {name: value for name, value in zip(names, values, strict=True) if value == value}
            if measured:
                when = format_time(datetime.fromtimestamp(time / 1000, UTC))
                body = orjson.dumps({"iotName": sensor, "iotTime": when, **measured})
                yield Reading(sensor, (time - int(self.times[0])) / 1000, body)
