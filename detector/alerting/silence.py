"""How long a sensor may be silent, by its own intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.alerting.baseline import PROVISIONAL
from detector.alerting.features import HOUR
from detector.jit import jit_entry
from detector.types import NEVER

WARM = 128  # readings before the first alert
MIN_SILENCE_MS = 10_000.0  # a shorter pause is none: fast streams stall for a moment, and nobody could act on it
DAY = 24 * HOUR
_CLOCKLESS = 1000.0 * DAY  # ms; a gap that no sensor pauses for: the device had no clock before


@jit_entry
def silence_timeout(sensor: Any) -> float:
    """Milliseconds after which a silence is longer than this sensor's own; infinity before that is known."""
    if sensor.readings_seen < WARM:
        return np.inf
    return float(max(10.0 * sensor.interval, 3.0 * sensor.longest_gap, MIN_SILENCE_MS))


@jit_entry
def gap_ratio(sensor: Any, time: int) -> float:
    """The gap before a reading at ``time`` over the silence timeout; learns the gap."""
    s, seen = sensor, sensor.readings_seen
    if s.time == NEVER:
        return 0.0
    gap = np.float64(time - s.time) if s.late == 0 else 0.0  # late readings broke the silence
    if seen < WARM and gap > DAY and s.interval < HOUR:  # a clock that was set, unless it happens again
        s.clock_sets += 1.0
        if gap > _CLOCKLESS or s.clock_sets == 1.0:
            return 0.0
    ratio = gap / silence_timeout(s)
    longest = max(s.longest_gap, gap if seen < WARM else s.interval)
    s.longest_gap = max(0.9999 * s.longest_gap, min(gap, 3.0 * longest))
    bounded = min(gap, 10.0 * s.interval) if seen > PROVISIONAL else gap
    s.interval += max(1.0 / seen, 0.01) * (bounded - s.interval)
    return float(ratio)
