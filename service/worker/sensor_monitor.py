"""How many sensors a shard has, and a warning where there are more than have room."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from service.pipeline.core import SensorCounts

log = logging.getLogger("cutwater.sensors")

WARN_SECONDS = 300.0  # between two warnings of a shard


@dataclass(slots=True)
class _LastWarning:
    at: float
    counts: SensorCounts


class SensorMonitor:
    """Warns of shards with more sensors than have room in memory, at once and then every five minutes.

    Args:
        sensor_field: the setting, which the warning names.
        max_sensors: the setting.
        clock: seconds that only grow.
    """

    def __init__(self, sensor_field: str, max_sensors: int, clock: Callable[[], float]) -> None:
        self._sensor_field, self._max_sensors, self._clock = sensor_field, max_sensors, clock
        self._warned: dict[str, _LastWarning] = {}

    def note(self, shard: str, counts: SensorCounts) -> None:
        """What a shard has now."""
        if counts.known <= self._max_sensors:
            return
        now, last = self._clock(), self._warned.get(shard)
        if last is not None and now - last.at < WARN_SECONDS:
            return
        before = last.counts if last else SensorCounts(0, 0, 0)
        self._warned[shard] = _LastWarning(now, counts)
        new, readings = counts.made - before.made, counts.readings - before.readings
        since = f"in the last {now - last.at:.0f} s" if last else "since the start"
        log.warning(
            "%s: %d sensors, but room in memory for %d (max_sensors); the models of the others lie on disk, and in "
            "every snapshot. %s %d sensors were new in %d readings. %s",
            *(shard, counts.known, self._max_sensors, since.capitalize(), new, readings),
            f"sensor_field = {self._sensor_field!r} seems to name something that is different in each record, as a "
            "request's id is: name the device instead"
            if new > readings / 2
            else "Raise max_sensors if there is memory, or use more shards",
        )
