"""Shapes that were not there before: faults that every single reading hides within the usual range.

The last ``WINDOW`` readings of a value are held against a sample of earlier such windows. The distance to the nearest
three, in units of what is usual, says how new the shape is; the sum over all values says it of the whole sensor, so
that small changes of many values at once count together. It is compared with the tail of its own past
(``tail_exceedance``), so that the limit depends on no unit, rate, noise or number of values. Single outliers are
bounded before: the features see those.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.alerting.outliers import bounded
from detector.forest.closed_form import uniform
from detector.jit import jit_entry

WINDOW = 8  # readings of a shape, as AWS's library takes by default
NEAREST = 3  # earlier windows: what came less often is still new
_BOUND = 4.0  # standard deviations from the long mean, beyond which a reading counts as there
_LONG = 2000.0  # readings of the long mean
_USUAL = 1000.0  # readings of the usual distance
_LARGEST = 30.0  # usual distances, of one value's shape
_LEAST = 0.05  # of the standard deviation: smaller distances are equal
_ACCEPT = 1.5  # usual distances at which a window is always learnt
_REFRESH = 0.02  # share of windows that is learnt in any case

# What each value keeps, besides a sample of earlier windows.
SHAPE = np.dtype(
    [
        ("readings", np.float64),
        ("mean", np.float64),
        ("variance", np.float64),
        ("distance", np.float64),  # usual, to the nearest windows
        ("origin", np.float64),  # subtracted from what the windows hold
        ("ring", np.float64, (WINDOW,)),
    ],
    align=True,
)
_LIMIT = 1e18  # of what the windows hold, so that the sum of eight squares is a float32

# What is kept of sizes to know their tail.
TAIL = np.dtype(
    [
        ("count", np.float64),
        ("centre", np.float64),
        ("scale", np.float64),
        ("high", np.float64),  # the _QUANTILE
        ("excess", np.float64),  # mean, of clusters' peaks over it
        ("peak", np.float64),  # of the cluster that goes on
        ("quiet", np.float64),  # sizes below the high one since
        ("clusters", np.float64),
    ],
    align=True,
)
_QUANTILE = 0.9
_EARLY = 256.0  # sizes before the tail is tracked by itself
_CLUSTER = 30.0  # sizes below the high one that end a cluster
_UNCERTAIN = 4.0  # reaches more, while no cluster is known: a mean of few says little of the next


@jit_entry
def tail_exceedance(tail: Any, size: float, reach: float, warm: float) -> float:
    """How far ``size`` lies beyond what its own past makes likely (1: at the limit), 0 while calibrating; learns it.

    The limit lies ``reach`` mean excesses above the ``_QUANTILE`` of all sizes, higher while few excesses are known.
    Excesses are of the peaks of clusters, since neighbouring sizes say the same; sizes beyond the limit teach as much
    as one at it. It does not depend on the unit of the sizes.
    """
    count, centre, scale, high = tail.count, tail.centre, tail.scale, tail.high
    limit = high + reach * (1.0 + _UNCERTAIN / (tail.clusters + 1.0)) * max(tail.excess, 0.3 * scale)
    ratio = (size - centre) / (limit - centre) if count >= warm and limit > centre else 0.0
    counted = min(size, limit) if count >= 32.0 and scale > 0.0 else size
    tail.count += 1.0
    rate = max(1.0 / tail.count, 1e-3)
    tail.centre += rate * (counted - centre)
    tail.scale += rate * (1.25 * abs(counted - tail.centre) - scale)
    if count < _EARLY:
        tail.high = tail.centre + 1.3 * tail.scale  # as of a normal distribution
        tail.excess = 0.5 * tail.scale
        return ratio
    step = max(5.0 / count, 0.01) * tail.scale
    tail.high += step * (_QUANTILE if size > high else _QUANTILE - 1.0)
    if size > tail.high:
        tail.peak = max(tail.peak, counted - tail.high)
        tail.quiet = 0.0
    elif tail.peak > 0.0:
        tail.quiet += 1.0
        if tail.quiet > _CLUSTER:
            tail.clusters += 1.0
            tail.excess += max(1.0 / (tail.clusters + 3.0), 0.02) * (tail.peak - tail.excess)
            tail.peak = 0.0
    return ratio


@jit_entry
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


@jit_entry
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


@jit_entry
def shape_novelty(x: float, shape: Any, windows: Any, random: Any, window: Any, sums: Any) -> float:
    """How new the shape of a value's last readings is, in usual distances; learns the reading ``x``.

    ``shape`` (SHAPE) and ``windows`` [WINDOW, N] float32 are the value's; ``window`` [WINDOW] and ``sums`` [N], both
    float32, are room to work in.
    """
    seen = int(shape.readings)
    x = bounded(x)
    ring = shape.ring
    sigma = np.sqrt(shape.variance)
    away = x - shape.mean
    if seen == 0:
        shape.mean = x
        away = 0.0
    elif seen > 64:
        away = max(-_BOUND * sigma, min(_BOUND * sigma, away))
    y = shape.mean + away
    rate = max(1.0 / (seen + 1.0), 1.0 / _LONG)
    shape.mean += rate * away
    shape.variance += rate * (away * away - shape.variance)
    sigma = np.sqrt(shape.variance)
    at = seen % WINDOW
    ring[at] = y
    shape.readings += 1.0
    if seen < WINDOW:
        return 0.0
    if seen == WINDOW:
        shape.origin = _median_of_five(ring, at)
    capacity = windows.shape[1]
    held = min(seen - WINDOW, capacity)
    for j in range(WINDOW):
        window[j] = np.float32(max(-_LIMIT, min(_LIMIT, ring[(at + 1 + j) % WINDOW] - shape.origin)))
    distance = _nearest(windows, held, window, sums) if held >= WINDOW else 0.0
    usual = max(shape.distance, _LEAST * sigma)
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
    shape.distance += max(1.0 / (seen + 1.0), 1.0 / _USUAL) * (counted - shape.distance)
    return float(min(new, _LARGEST))
