"""Jumps on a smooth curve, within its usual range.

A curve's last two readings foretell the next one if it goes on straight. How far off that is has a tail of its own
(``extremes``); beyond it is a jump. That says something of curves only: where straight on is nearly as far off as the
mean, there is noise; where nine of ten readings lie on it, steps are how the value moves; and after a gap, a missing
value or a gross outlier there is no line to go on with. Of many values, shapes tell more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.alerting.extremes import chance_of, extremity
from detector.alerting.outliers import bounded
from detector.jit import jit_entry

WIDEST = 4  # values of a sensor
_BUDGET = 0.05  # jumps a day, by chance
_SMOOTH = 0.5  # of the distance from the mean; readings that keep nine tenths of the last one have .65, independent 2.4
_WARM = 600.0  # readings before the first
_BOUND = 4.0  # mean absolute distances, beyond which a distance counts as there
_LONG = 2000.0  # readings
_FIRST = 32.0  # readings before any is bounded
_IN_TIME = 1.5  # usual intervals, beyond which a reading was left out

CURVE = np.dtype(
    [
        ("readings", np.float64),  # whose distance is known
        ("line", np.float64),  # readings in a row, at most two
        ("before", np.float64, (2,)),  # these, the newest first
        ("deviation", np.float64),  # mean absolute, of distances bounded
    ],
    align=True,
)


@jit_entry
def follow_curve(x: float, spread: float, chance: float, curve: Any, tail: Any) -> float:
    """How far ``x`` lies off the straight on in units of what ``chance`` exceeds, 0 if that is unknown; learns it.

    ``spread`` is the mean absolute distance of the readings from their mean.
    """
    c = curve
    distance = abs(x - (2.0 * c.before[0] - c.before[1]))
    known = c.line == 2.0
    c.line = min(c.line + 1.0, 2.0)
    c.before[1] = c.before[0]
    c.before[0] = x
    if not known:
        return 0.0
    c.readings += 1.0
    counted = min(distance, _BOUND * c.deviation) if c.readings > _FIRST and c.deviation > 0.0 else distance
    is_curve = c.readings > _WARM and c.deviation < min(_SMOOTH * spread, tail.high)
    # a little more than the bounded distance, else the bound would draw itself together
    c.deviation += max(1.0 / c.readings, 1.0 / _LONG) * (1.1 * counted - c.deviation)
    size = extremity(distance, c.deviation, chance, tail)
    return size if is_curve else 0.0


@jit_entry
def roughness(
    interval: float, gap: float, values: Any, missing: Any, learnt: Any, spreads: Any, curves: Any, tails: Any
) -> float:
    """How far the farthest of the values [d] lies beyond what chance brings (1: at the limit); learns them.

    ``interval`` and ``gap`` are the usual time between readings and that before this one, in ms, ``learnt`` what is
    learnt of the ``values``, ``spreads`` their autocorrelations.
    """
    d = len(values)
    if d > WIDEST:
        return 0.0
    largest = 0.0
    for j in range(d):
        usual = not missing[j] and learnt[j] == bounded(values[j])
        if not usual or gap > _IN_TIME * interval:
            curves[j].line = 0.0
        if usual:
            chance = chance_of(_BUDGET / d, interval)
            largest = max(largest, follow_curve(learnt[j], spreads[j].deviation, chance, curves[j], tails[j]))
    return largest
