"""Sensors with realistic behaviour, and labelled faults on them.

A sensor has a daily and a weekly season, correlated noise, a slow trend and a resolution. A fault changes a stretch of
its readings and comes with a label; everything follows from the seed.

Sizes are given in standard deviations of the noise, beside a daily season of 4 to 16 of them from low to high, so that
most faults stay inside the range of healthy values and no fixed limit finds them:

- spike, 12 to 25: a bit flipped, a unit mistaken, a reading of another sensor. Smaller ones are rare but healthy in
  sensors with heavy tails; one of the season's own size must be seen against the hour, not against the range.
- level shift, 5 to 10 for six hours: a recalibration, a valve left open; less than most sensors' season.
- drift, 8 to 15 within two days: a filter that clogs, a reference that ages; a quarter of a deviation an hour.
- stuck for six hours at the last value; silent for six hours: a bus or a radio that hangs until it is reset.
- noise change: 2.5 to 4 of further noise for six hours, as from a loose contact or a bearing.
- pattern change: a day on which the season comes 6 to 18 hours late, as on a holiday or after a wrong timer; every
  value is one that the sensor often has.
- correlation break: one of three values that share four fifths of their noise mirrors itself for six hours, as after a
  swapped sign; its range and its spread stay as they were.

Not simulated: faults of several kinds at once, sensors with heavy tails or without a season, readings that come late.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.reading import format_time

KINDS = (
    "spike",
    "level shift",
    "drift",
    "stuck",
    "silent",
    "noise change",
    "pattern change",
    "correlation break",
)
DAY = 86_400_000
MINUTE = 60_000
START = 1_767_571_200_000  # Monday, 2026-01-05T00:00Z


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong from ``start`` to ``end`` (event times, ms), and with which of the values."""

    kind: str
    start: int
    end: int
    value: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """One sensor's readings: ``times`` [n] in ms, ``values`` [n, d], and the faults in them."""

    times: NDArray[np.int64]
    values: NDArray[np.float64]
    faults: tuple[Fault, ...]

    def labels(self) -> NDArray[np.bool_]:
        """[n] whether a reading lies in a fault."""
        inside = np.zeros(len(self.times), dtype=bool)
        for fault in self.faults:
            inside |= (self.times >= fault.start) & (self.times <= fault.end)
        return inside

    def save(self, path: Path) -> None:
        """Write a CSV file: timestamp, the values, and the kind of the fault as label where there is one."""
        width = self.values.shape[1]
        names = ["value"] if width == 1 else [f"value_{column + 1}" for column in range(width)]
        labels = [""] * len(self.times)
        for fault in self.faults:
            for row in np.flatnonzero((self.times >= fault.start) & (self.times <= fault.end)).tolist():
                labels[row] = fault.kind
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(("timestamp", *names, "label"))
            for time, row, label in zip(self.times.tolist(), self.values.tolist(), labels, strict=True):
                stamp = format_time(datetime.fromtimestamp(time / 1000, UTC))
                out.writerow((stamp, *(f"{value:.10g}" for value in row), label))


def sensor(
    seed: int, days: float = 30, dimensions: int = 1, interval: int = MINUTE
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Times [n], values [n, d] and the noise's standard deviation [d] of a healthy sensor.

    The values of one sensor are correlated: they share the season and four fifths of the noise's variance.
    """
    random = np.random.default_rng(seed)
    times = START + interval * np.arange(round(days * DAY / interval), dtype=np.int64)
    day = (times % DAY) / DAY
    weekend = ((times - START) // DAY % 7) >= 5
    phase = random.uniform(0, 2 * np.pi)
    season = np.sin(2 * np.pi * day + phase) + random.uniform(0, 0.4) * np.sin(4 * np.pi * day + random.uniform(0, 6))
    season *= np.where(weekend, random.uniform(0.5, 1.0), 1.0)

    def noise() -> NDArray[np.float64]:
        shocks = random.normal(size=len(times))
        memory = random.uniform(0, 0.5)
        shocks *= np.sqrt(1 - memory**2)
        for step in range(5):  # (1 + m z)(1 + m^2 z^2)... = 1 / (1 - m z), up to m^32
            lag = 2**step
            shocks[lag:] = shocks[lag:] + memory**lag * shocks[:-lag]
        return shocks

    common = noise() if dimensions > 1 else np.zeros(len(times))
    values = np.empty((len(times), dimensions))
    scale = np.empty(dimensions)
    for j in range(dimensions):
        scale[j] = 10.0 ** random.uniform(-1, 2)
        own = noise() if dimensions == 1 else np.sqrt(0.8) * common + np.sqrt(0.2) * noise()
        shape = random.uniform(20, 60) + random.uniform(2, 8) * season + own
        shape += random.uniform(-0.5, 0.5) * (times - START) / (30 * DAY)
        resolution = random.choice([0.01, 0.1, 0.5])
        values[:, j] = np.round(shape / resolution) * resolution * scale[j]
    return times, values, scale


def record(kind: str | None, seed: int, days: float = 30, interval: int = MINUTE) -> Recording:
    """A sensor with two faults of this kind in the last half of its recording (None: a healthy one)."""
    dimensions = 3 if kind == "correlation break" else 1
    times, values, scale = sensor(seed, days, dimensions, interval)
    if kind is None:
        return Recording(times, values, ())
    random = np.random.default_rng((seed, KINDS.index(kind)))
    faults = []
    keep = np.ones(len(times), dtype=bool)
    for part in (0.55, 0.8):
        at = int((part + random.uniform(0, 0.1)) * len(times))
        length = {"spike": 1, "drift": 2 * DAY // interval, "pattern change": DAY // interval}.get(
            kind, 6 * 3_600_000 // interval
        )
        end = min(at + length, len(times))
        rows, sign = slice(at, end), random.choice([-1.0, 1.0])
        deviation = scale[0]
        if kind == "spike":
            values[rows, 0] += sign * random.uniform(12, 25) * deviation
        elif kind == "level shift":
            values[rows, 0] += sign * random.uniform(5, 10) * deviation
        elif kind == "drift":
            values[rows, 0] += sign * random.uniform(8, 15) * deviation * np.linspace(0, 1, end - at)
        elif kind == "stuck":
            values[rows, 0] = values[at, 0]
        elif kind == "silent":
            keep[rows] = False
        elif kind == "noise change":
            values[rows, 0] += random.normal(0, random.uniform(2.5, 4), end - at) * deviation
        elif kind == "pattern change":
            shift = int(random.uniform(6, 18) * 3_600_000 // interval)
            values[rows, 0] = values[at - shift : end - shift, 0]
        else:
            middle = values[rows, 0].mean()
            values[rows, 0] = 2 * middle - values[rows, 0]
        faults.append(Fault(kind, int(times[at]), int(times[min(end, len(times) - 1)])))
    return Recording(times[keep], np.ascontiguousarray(values[keep]), tuple(faults))
