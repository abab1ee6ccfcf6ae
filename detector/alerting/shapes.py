"""Shapes that were not there before: faults that every single reading hides within the usual range.

The last ``WINDOW`` readings of a value are held against a sample of earlier such windows. The distance to the nearest
three, in units of what is usual, says how new the shape is; the sum over all values says it of the whole sensor, so
that small changes of many values at once count together. It is compared with the tail of its own past
(``exceedance``), so that the limit depends on no unit, rate, noise or number of values. Single outliers are bounded
before: the views of the readings see those.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.alerting.outliers import bounded
from detector.forest.closed_form import uniform
from detector.jit import entry

WINDOW = 8  # readings of a shape, as AWS's library takes by default
NEAREST = 3  # earlier windows: what came less often is still new
_BOUND = 4.0  # standard deviations from the long mean, beyond which a reading counts as there
_LONG = 2000.0  # readings of the long mean
_USUAL = 1000.0  # readings of the usual distance
_LARGEST = 30.0  # usual distances, of one value's shape
_LEAST = 0.05  # of the standard deviation: smaller distances are equal
_ACCEPT = 1.5  # usual distances at which a window is always learnt
_REFRESH = 0.02  # share of windows that is learnt in any case

# Columns of a value's state.
SHAPE = 5 + WINDOW
_SEEN, _MEAN, _VARIANCE, _DISTANCE, _ZERO, _RING = range(6)
_LIMIT = 1e18  # of what the windows hold, so that the sum of eight squares is a float32

# Columns of a tail.
TAIL_COLUMNS = 8
_COUNT, _CENTRE, _SCALE, _HIGH, _EXCESS, _PEAK, _QUIET, _CLUSTERS = range(TAIL_COLUMNS)
_QUANTILE = 0.9
_EARLY = 256.0  # sizes before the tail is tracked by itself
_CLUSTER = 30.0  # sizes below the high one that end a cluster
_UNCERTAIN = 4.0  # reaches more, while no cluster is known: a mean of few says little of the next


@entry
def exceedance(tail: Any, size: float, reach: float, warm: float) -> float:
    """How far ``size`` lies beyond what its own past makes likely (1: at the limit), 0 while calibrating; learns it.

    The limit lies ``reach`` mean excesses above the ``_QUANTILE`` of all sizes, higher while few excesses are known.
    Excesses are of the peaks of clusters, since neighbouring sizes say the same; sizes beyond the limit teach as much
    as one at it. It does not depend on the unit of the sizes.
    """
    count, centre, scale, high = tail[_COUNT], tail[_CENTRE], tail[_SCALE], tail[_HIGH]
    limit = high + reach * (1.0 + _UNCERTAIN / (tail[_CLUSTERS] + 1.0)) * max(tail[_EXCESS], 0.3 * scale)
    ratio = (size - centre) / (limit - centre) if count >= warm and limit > centre else 0.0
    counted = min(size, limit) if count >= 32.0 else size
    tail[_COUNT] += 1.0
    rate = max(1.0 / tail[_COUNT], 1e-3)
    tail[_CENTRE] += rate * (counted - centre)
    tail[_SCALE] += rate * (1.25 * abs(counted - tail[_CENTRE]) - scale)
    if count < _EARLY:
        tail[_HIGH] = tail[_CENTRE] + 1.3 * tail[_SCALE]  # as of a normal distribution
        tail[_EXCESS] = 0.5 * tail[_SCALE]
        return ratio
    step = max(5.0 / count, 0.01) * tail[_SCALE]
    tail[_HIGH] += step * (_QUANTILE if size > high else _QUANTILE - 1.0)
    if size > tail[_HIGH]:
        tail[_PEAK] = max(tail[_PEAK], counted - tail[_HIGH])
        tail[_QUIET] = 0.0
    elif tail[_PEAK] > 0.0:
        tail[_QUIET] += 1.0
        if tail[_QUIET] > _CLUSTER:
            tail[_CLUSTERS] += 1.0
            tail[_EXCESS] += max(1.0 / (tail[_CLUSTERS] + 3.0), 0.02) * (tail[_PEAK] - tail[_EXCESS])
            tail[_PEAK] = 0.0
    return ratio


@entry
def _nearest(windows: Any, held: int, window: Any, sums: Any) -> float:
    """Mean distance of ``window`` [WINDOW] to the nearest of ``windows`` [WINDOW, N]; ``sums`` [N] is room to work."""
    for k in range(held):
        sums[k] = np.float32(0.0)
    for j in range(WINDOW):
        row, x = windows[j], window[j]
        for k in range(held):
            sums[k] += (row[k] - x) * (row[k] - x)
    first = second = third = np.float32(3e38)
    for k in range(held):
        s = sums[k]
        if s < third:
            if s < first:
                first, second, third = s, first, second
            elif s < second:
                second, third = s, second
            else:
                third = s
    return float((np.sqrt(first) + np.sqrt(second) + np.sqrt(third)) / NEAREST)


@entry
def _median_of_five(ring: Any, at: int) -> float:
    """Of the five readings before place ``at`` of the ring."""
    five = np.empty(5)
    for k in range(5):
        x = ring[(at - 1 - k) % WINDOW]
        place = k
        while place > 0 and five[place - 1] > x:
            five[place] = five[place - 1]
            place -= 1
        five[place] = x
    return float(five[2])


@entry
def look_at_shape(x: float, state: Any, windows: Any, random: Any, window: Any, sums: Any) -> float:
    """How new the shape of a value's last readings is, in usual distances; learns the reading ``x``.

    ``state`` [SHAPE] and ``windows`` [WINDOW, N] float32 are the value's; ``window`` [WINDOW] and ``sums`` [N], both
    float32, are room to work in.
    """
    seen = int(state[_SEEN])
    x = bounded(x)
    ring = state[_RING:]
    sigma = np.sqrt(state[_VARIANCE])
    away = x - state[_MEAN]
    if seen == 0:
        state[_MEAN] = x
        away = 0.0
    elif seen > 64:
        away = max(-_BOUND * sigma, min(_BOUND * sigma, away))
    y = state[_MEAN] + away
    rate = max(1.0 / (seen + 1.0), 1.0 / _LONG)
    state[_MEAN] += rate * away
    state[_VARIANCE] += rate * (away * away - state[_VARIANCE])
    sigma = np.sqrt(state[_VARIANCE])
    at = seen % WINDOW
    ring[at] = y
    state[_SEEN] += 1.0
    if seen < WINDOW:
        return 0.0
    if seen == WINDOW:
        state[_ZERO] = _median_of_five(ring, at)
    capacity = windows.shape[1]
    held = min(seen - WINDOW, capacity)
    for j in range(WINDOW):
        window[j] = np.float32(max(-_LIMIT, min(_LIMIT, ring[(at + 1 + j) % WINDOW] - state[_ZERO])))
    distance = _nearest(windows, held, window, sums) if held >= WINDOW else 0.0
    usual = max(state[_DISTANCE], _LEAST * sigma)
    new = distance / usual if usual > 0.0 else 0.0
    place = held
    if held == capacity:
        likely = new / _ACCEPT
        place = -1
        if uniform(random) <= likely * likely + _REFRESH:
            place = min(int(uniform(random) * capacity), capacity - 1)
    if place >= 0:
        for j in range(WINDOW):
            windows[j, place] = window[j]
    counted = min(distance, 4.0 * usual) if seen > 64 else distance
    state[_DISTANCE] += max(1.0 / (seen + 1.0), 1.0 / _USUAL) * (counted - state[_DISTANCE])
    return float(min(new, _LARGEST))
