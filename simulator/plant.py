"""The plant: temperatures with a daily season, and on each now and then a fault of its own kind.

A reading is ``{"iotName": "boiler", "iotTime": "2026-01-05T00:05:00Z", "iotValue": 71.6, "area": "heating"}``. Event
time runs ahead of the clock: each sensor reports every five minutes of event time, so that at 200 readings a second the
seven machines' day takes ten seconds and their week little more than a minute.

The first fault comes once the sensors have been learnt, the next follow day by day; each sensor has at least
one a week. Sizes
are in standard deviations of the sensor's noise, as in ``simulator.faults``: most faults stay inside the range of
healthy values, so no fixed limit finds them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from simulator.reading import Reading, format_time

MINUTES = 5  # of event time between two readings of a sensor
PER_DAY = 24 * 60 // MINUTES
WEEK = 7
START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
_MEMORY = 0.4  # of the noise, from one reading to the next


@dataclass(frozen=True, slots=True)
class Machine:
    """One sensor: what it usually reads, and what befalls it.

    Attributes:
        level, season, noise: mean, amplitude of the day and standard deviation of the noise, in degrees.
        phase: the part of the day at which the season is highest.
        fault: its kind, one of ``simulator.faults.KINDS``.
        day: when the first one begins, in days after the start; the others follow ``every`` so many.
        hours: how long it lasts; 0 is one reading.
        size: in standard deviations of the noise.
    """

    name: str
    area: str
    level: float
    season: float
    noise: float
    phase: float
    fault: str
    day: float
    hours: float
    size: float
    every: float = 7.0


MACHINES = (
    Machine("boiler", "heating", 71.0, 3.0, 0.8, 0.44, "spike", 1.1, 0, 18, every=2.0),
    Machine("cold-store", "storage", -18.0, 1.2, 0.3, 0.50, "level shift", 2.5, 8, 9),
    Machine("compressor", "cooling", 46.0, 2.5, 0.6, 0.46, "drift", 5.2, 44, 14),
    Machine("furnace", "heating", 840.0, 24.0, 6.0, 0.42, "noise change", 6.6, 8, 4),
    Machine("mixer", "mixing", 34.0, 2.0, 0.5, 0.45, "stuck", 3.4, 8, 0),
    Machine("pump", "cooling", 28.0, 1.8, 0.5, 0.48, "silent", 4.3, 10, 0),
    Machine("warehouse", "storage", 19.0, 2.2, 0.4, 0.47, "pattern change", 7.1, 24, 0),
)


@dataclass(frozen=True)
class Plant:
    """Readings of all machines, in the order of event time. Iterate over it; each pass yields the same.

    Attributes:
        sensors: how many; more than there are machines are further ones of the same kinds, boiler-2 and so on.
        rate: readings a second of all machines together; it says when a reading is due.
        seed: the same seed gives the same readings, whatever the count.
        count: readings in all; None never ends.
        start: event time of the first readings.

    Raises:
        ValueError: a value is out of its range.
    """

    sensors: int = len(MACHINES)
    rate: float = 200.0
    seed: int = 0
    count: int | None = None
    start: datetime = START

    def __post_init__(self) -> None:
        if self.sensors < 1:
            raise ValueError(f"sensors = {self.sensors}: must be at least 1")
        if not 0.0 < self.rate < float("inf"):
            raise ValueError(f"rate = {self.rate}: must be a positive number of readings per second")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}: must not be negative")
        if self.count is not None and self.count < 0:
            raise ValueError(f"count = {self.count}: must not be negative")

    def __length_hint__(self) -> int:
        return self.count or 0

    @property
    def machines(self) -> list[Machine]:
        """The sensors; the faults of further ones come on other days."""
        return [_copy(MACHINES[number % len(MACHINES)], number // len(MACHINES)) for number in range(self.sensors)]

    def __iter__(self) -> Iterator[Reading]:
        machines = self.machines
        random = np.random.default_rng(self.seed)
        noise, held = np.zeros(len(machines)), np.zeros(len(machines))
        tails = [f', "area": "{machine.area}"}}' for machine in machines]
        number = step = 0
        while True:
            values, faulty, noise, held = _day(machines, step, random, noise, held)
            for row, wrong in zip(values.tolist(), faulty.tolist(), strict=True):
                time = format_time(self.start + timedelta(minutes=MINUTES * step))
                for machine, tail, value, fault in zip(machines, tails, row, wrong, strict=True):
                    if math.isnan(value):  # a silent sensor sends nothing
                        continue
                    if number == self.count:
                        return
                    data = f'{{"iotName": "{machine.name}", "iotTime": "{time}", "iotValue": {value}{tail}'
                    yield Reading(machine.name, number / self.rate, data.encode(), fault)
                    number += 1
                step += 1


def _copy(machine: Machine, number: int) -> Machine:
    """The machine itself (0), or a further one like it."""
    if number == 0:
        return machine
    day = 1.1 + (machine.day + 0.37 * number) % machine.every
    return replace(machine, name=f"{machine.name}-{number + 1}", day=day)


def _day(
    machines: Sequence[Machine],
    first: int,
    random: np.random.Generator,
    noise: NDArray[np.float64],
    held: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """One day from step ``first`` on: values [n, machines] (NaN where one is silent), whether faulty, and what lasts.

    ``noise`` and ``held`` are the last noise and the last value of each machine.
    """
    shape = (PER_DAY, len(machines))
    shocks, jitter = random.normal(size=shape), random.normal(size=shape)
    days = (first + np.arange(PER_DAY)) / PER_DAY
    values, faulty = np.empty(shape), np.zeros(shape, dtype=bool)
    for step in range(PER_DAY):
        noise = _MEMORY * noise + np.sqrt(1 - _MEMORY**2) * shocks[step]
        values[step] = noise
    for column, machine in enumerate(machines):
        since = (days - machine.day) % machine.every
        wrong = (days >= machine.day) & (since < max(machine.hours / 24, 1 / PER_DAY))
        faulty[:, column] = wrong
        shown = values[:, column]
        when = days
        if machine.fault == "drift":
            shown[wrong] += machine.size * since[wrong] / (machine.hours / 24)
        elif machine.fault in ("spike", "level shift"):
            shown[wrong] += machine.size
        elif machine.fault == "noise change":
            shown[wrong] += machine.size * jitter[wrong, column]
        elif machine.fault == "pattern change":
            when = np.where(wrong, days - 0.5, days)  # the day comes twelve hours late
        shown *= machine.noise
        shown += machine.level + machine.season * _season(when, machine.phase)
        if machine.fault == "stuck":
            for step in np.flatnonzero(wrong).tolist():
                shown[step] = shown[step - 1] if step else held[column]
        elif machine.fault == "silent":
            shown[wrong] = np.nan
    values = np.round(values, 2)
    return values, faulty, noise, values[-1].copy()


def _season(days: NDArray[np.float64], phase: float) -> NDArray[np.float64]:
    """The day's course, from -1 to 1; a weekend's is flatter."""
    weekend = days % WEEK >= 5
    turn = 2 * np.pi * (days - phase)
    return (np.cos(turn) + 0.2 * np.cos(2 * turn)) / 1.2 * np.where(weekend, 0.7, 1.0)
