"""Whether a value's readings have anything to do with each other.

In most sensors a reading resembles the ones before it, so one that does not is news. A value whose readings are
independent is noise: any of them may be the highest so far, and the heavier its tail the more often. So what is new in
such a value must lie far beyond the tail of its own past (``novelty.is_noise``). The correlation of readings with the
last one and the one before it is that of readings bounded, so that no outlier decides it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.jit import jit_entry

LAGS = 2
_BOUND = 2.0  # mean absolute deviations from the mean, beyond which a reading counts as there
_LONG = 2000.0  # readings
_LEAST = 0.1  # correlation that means something
_UNCERTAIN = 1.5  # standard errors of the correlation of few readings
_FIRST = 32.0  # readings before any is bounded

AUTOCORRELATION = np.dtype(
    [
        ("readings", np.float64),
        ("mean", np.float64),
        ("deviation", np.float64),  # mean absolute, of distances bounded
        ("energy", np.float64),  # mean square of these
        ("before", np.float64, (LAGS,)),  # distances of the last readings, the newest first
        ("products", np.float64, (LAGS,)),  # mean, of a distance with each of those before it
    ],
    align=True,
)


@jit_entry
def is_independent(x: float, value: Any) -> bool:
    """Whether a value's readings are as good as independent of those before them; learns ``x``."""
    a = value
    if a.readings == 0.0:
        a.mean = x
    a.readings += 1.0
    rate = max(1.0 / a.readings, 1.0 / _LONG)
    distance = x - a.mean
    if a.readings > _FIRST:
        distance = max(-_BOUND * a.deviation, min(_BOUND * a.deviation, distance))
    a.mean += rate * distance
    # a little more than the bounded distance, else the bound would draw itself together
    a.deviation += rate * (1.3 * abs(distance) - a.deviation)
    a.energy += rate * (distance * distance - a.energy)
    largest = 0.0
    for k in range(LAGS):
        a.products[k] += rate * (distance * a.before[k] - a.products[k])
        largest = max(largest, abs(a.products[k]))
    for k in range(LAGS - 1, 0, -1):
        a.before[k] = a.before[k - 1]
    a.before[0] = distance
    limit = _LEAST + _UNCERTAIN / np.sqrt(min(a.readings, _LONG))
    return bool(largest < limit * a.energy)
