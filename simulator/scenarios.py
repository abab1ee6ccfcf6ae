"""What a demo can show: each scenario makes readings, and names the settings that its records need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulator.plant import MACHINES, START, Plant
from simulator.reading import Reading
from simulator.sensors import Sensors


@dataclass(frozen=True, slots=True)
class Scenario:
    """One of them.

    Attributes:
        summary: what it is, for a help text.
        sensors: how many it has unless told otherwise.
        make: readings of (sensors, rate, outliers, seed, count, start).
        ahead: whether event time runs ahead of the clock, so that readings need a beginning in the past.
        settings: of the service that is to read them.
    """

    summary: str
    sensors: int
    make: Callable[[int, float, float, int, int | None, datetime | None], Iterable[Reading]]
    ahead: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def _plant(
    sensors: int, rate: float, _: float, seed: int, count: int | None, start: datetime | None
) -> Iterable[Reading]:
    return Plant(sensors, rate, seed, count, start or START)


SCENARIOS = {
    "plant": Scenario(
        "temperatures with a daily season and a fault of each kind, a week a minute",
        len(MACHINES),
        _plant,
        ahead=True,
        settings={
            "value_fields": {"temperature": "iotValue"},
            "value_units": {"temperature": "°C"},
            "label_fields": {"area": "area"},
            "max_future_seconds": 100 * 366 * 86_400.0,
        },
    ),
    "classic": Scenario("integers from 10 to 20, one in a hundred from 100 to 120", 1, Sensors),
}
