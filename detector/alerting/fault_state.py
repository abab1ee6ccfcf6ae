"""Faults that go on: a state with a beginning and an end, held against what was normal before it.

The mean of a value's last twenty readings, and that of their distances from it, are compared with what they usually
are: their centre and deviation over some three hundred readings. ``displacement`` is the larger of the two distances in
those deviations; where the season explains a value, it is the season's remainder that is compared. The sum of squares
over all values, held against the tail of its own past (``tail_exceedance``), is evidence of a fault as shapes are.

An alert opens the state, and what is normal is frozen: a fault of hours does not become normal in minutes. It lasts
while a value is displaced by more than ``AWAY``, or a change detector whose fault was alerted is in alarm, and closes
``_CALM`` readings after. What lasts as long as the sensor had been known, or for two days, is the new normal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.alerting.change_detectors import ALERTED, NORMAL_AFTER, STATISTIC_KINDS, STATISTICS, seasonal_value
from detector.alerting.features import HOUR
from detector.alerting.shapes import tail_exceedance
from detector.jit import jit_entry
from detector.types import CORRELATION_BREAK, DRIFT, PATTERN_CHANGE, STUCK

AWAY = 10.0  # deviations of the mean of twenty
_FAST = 2.0 / 21.0  # as a mean of twenty readings varies
_NORMAL = 1.0 / 300.0
_BOUND = 4.0  # deviations from the mean beyond which a reading counts as there
_LONG = 1.0 / 2000.0
_LEAST = 0.05  # of the standard deviation of all readings: a smaller deviation of means is none
_LARGEST = 30.0  # deviations of one value
_REACH = 4.0  # mean excesses; see ``tail_exceedance``
_WARM = 400.0  # readings before the first alert by displacement
_CALM = 60  # readings
_LEAST_ACCEPTED = 240  # readings that become normal at the earliest
_SEASONAL = 0.8  # of the error without the season is left with it
LEVEL, REST, ROUGHNESS = range(3)  # of readings, of what the season leaves of them, of distances from their mean
MEASURES = 3

NORMAL = np.dtype(
    [
        ("readings", np.float64),
        ("season_readings", np.float64),  # with a season known
        ("centre", np.float64),  # of all
        ("variance", np.float64),
        ("means", np.float64, (MEASURES,)),  # fast
        ("usual", np.float64, (MEASURES,)),
        ("deviation", np.float64, (MEASURES,)),  # mean absolute
        ("error", np.float64),  # without the season
        ("season_error", np.float64),
        ("seasonal", np.float64),  # 1 if the season explains the value
    ],
    align=True,
)
FAULT = np.dtype(
    [
        ("open", np.int64),  # 1 if a state is
        ("first", np.int64),  # reading
        ("first_time", np.int64),
        ("last_away", np.int64),  # reading
    ],
    align=True,
)


@jit_entry
def follow_value(x: float, usual: float, frozen: bool, n: Any) -> float:
    """How far a value's recent readings are displaced, in deviations; learns ``x``.

    ``usual`` is what the season says of it, NaN if nothing yet. While ``frozen``, what is normal stays as it is.
    """
    seen = n.readings
    if seen == 0.0:
        n.centre = x
        n.means[LEVEL] = n.usual[LEVEL] = x
    n.readings += 1.0
    sigma = np.sqrt(n.variance)
    away = x - n.centre
    rate = max(1.0 / n.readings, _LONG)
    n.centre += rate * away
    n.variance += rate * (away * away - n.variance)
    away = x - n.means[LEVEL]
    if seen > 64.0:
        away = max(-_BOUND * sigma, min(_BOUND * sigma, away))
    rate = max(_FAST, 1.0 / n.readings)
    n.means[ROUGHNESS] += rate * (abs(away) - n.means[ROUGHNESS])
    x = n.means[LEVEL] + away
    n.means[LEVEL] += rate * away
    known = usual == usual
    if known:
        if n.season_readings == 0.0:
            n.means[REST] = n.usual[REST] = x - usual
        n.season_readings += 1.0
        n.means[REST] += rate * (x - usual - n.means[REST])
        slow = max(1.0 / n.season_readings, 1e-3)
        n.error += slow * (abs(x - n.usual[LEVEL]) - n.error)
        n.season_error += slow * (abs(x - usual) - n.season_error)
    if not frozen:
        n.seasonal = 1.0 if n.season_readings > 100.0 and n.season_error < _SEASONAL * n.error else 0.0
        for g in range(MEASURES):
            if g == REST and not known:
                continue
            count = n.season_readings if g == REST else n.readings
            step = n.means[g] - n.usual[g]
            if count > 100.0:
                step = max(-4.0 * n.deviation[g], min(4.0 * n.deviation[g], step))
            rate = max(_NORMAL, 1.0 / count)
            n.usual[g] += rate * step
            n.deviation[g] += rate * (abs(step) - n.deviation[g])
    least = _LEAST * np.sqrt(n.variance) + 1e-6 * abs(n.centre) + 1e-12
    place = REST if n.seasonal == 1.0 else LEVEL
    displaced = 0.0
    for g in (place, ROUGHNESS):
        displaced = max(displaced, abs(n.means[g] - n.usual[g]) / max(n.deviation[g], least))
    return float(min(displaced, 1e9))


@jit_entry
def displacement(
    fault: Any, tail: Any, normal: Any, time: int, values: Any, memory: Any, profile: Any, visits: Any
) -> tuple[float, float]:
    """How far the farthest of a reading's ``values`` [d] is displaced, and how much that is evidence of a fault.

    The evidence is of all values together (1: at the limit), and 0 while a state is open or none is far away.
    """
    farthest = total = 0.0
    for j in range(len(values)):
        shifted = time + np.int64(memory[j].clock_shift) * HOUR
        usual = seasonal_value(shifted, profile[j], visits[j])
        displaced = follow_value(values[j], usual, fault.open == 1, normal[j])
        farthest = max(farthest, displaced)
        total += min(displaced, _LARGEST) ** 2
    evidence = tail_exceedance(tail, total, _REACH, _WARM)
    return farthest, float(evidence) if farthest > AWAY and fault.open == 0 else 0.0


@jit_entry
def is_alarmed(statistics: Any) -> bool:
    """Whether a change detector is in alarm for a fault that was alerted and that displaces no mean."""
    for j in range(len(statistics)):
        for k in range(STATISTICS):
            kind = STATISTIC_KINDS[k]
            if kind in (STUCK, DRIFT, PATTERN_CHANGE, CORRELATION_BREAK) and statistics[j, k].alarm == ALERTED:
                return True
    return False


@jit_entry
def update_fault(fault: Any, normal: Any, seen: int, time: int, begins: bool, away: bool) -> bool:
    """Open, go on with or close the state at the ``seen``-th reading; whether this reading is in a fault."""
    f = fault
    if begins and f.open == 0:
        f.open, f.first, f.first_time, f.last_away = 1, seen, time, seen
    if f.open == 0:
        return False
    inside = begins or away
    if inside:
        f.last_away = seen
    lasted = seen - f.first
    if seen - f.last_away > _CALM:
        f.open = 0
    elif lasted > _LEAST_ACCEPTED and (lasted > f.first or time - f.first_time >= NORMAL_AFTER * HOUR):
        f.open = 0
        for j in range(len(normal)):
            for g in range(MEASURES):
                normal[j].usual[g] = normal[j].means[g]
    return bool(inside)
