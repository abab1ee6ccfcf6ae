"""What a sensor's alerts look at: seven causal views of each value.

Three smoothings (the reading itself, the mean of the last twelve, the floor of the last five), each as it is and as its
distance from what this hour of the week usually brings, and the spread of the last twelve. A view has a name, so the
one that is surprised says what kind of anomaly it saw. All of them are one-dimensional and scale-free.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.batch import LEVEL_SHIFT, NOISE_CHANGE, PATTERN_CHANGE, SPIKE
from detector.compiled import entry

HOUR = 3_600_000
BINS = 168  # hours of a week
MEAN = 12
FLOOR = 5
SMOOTHINGS = 3
VIEWS = 7
# Of value, mean, floor (each raw and seasonal) and spread; they sum to 2.5, the scale of the alert score.
WEIGHTS = np.array([1.0, 1.0, 1.5, 1.5, 0.5, 0.5, 0.3]) * (2.5 / 6.3)
VIEW_KINDS = np.array([SPIKE, PATTERN_CHANGE, LEVEL_SHIFT, PATTERN_CHANGE, LEVEL_SHIFT, PATTERN_CHANGE, NOISE_CHANGE])
_PROFILE_RATE = 0.02
_LEVEL_RATE = 0.01


@entry
def seasonal(x: float, hour: int, means: Any, visits: Any, level: Any) -> float:
    """x minus this hour of the week's usual value (before its first visit: the level); then learns x.

    ``means`` and ``visits`` are [168], ``level`` is [1], an exponential mean; ``visits[0:].sum() == 0`` means new.
    """
    if visits[hour] > 0:
        residual = x - means[hour]
    elif level[0] == level[0]:
        residual = x - level[0]
    else:
        residual = 0.0
        level[0] = x
    visits[hour] += 1.0
    means[hour] += max(_PROFILE_RATE, 1.0 / visits[hour]) * (x - means[hour])
    level[0] += _LEVEL_RATE * (x - level[0])
    return float(residual)


@entry
def look(
    x: float, time: int, seen: int, window: Any, means: Any, visits: Any, levels: Any, scale: float, out: Any
) -> None:
    """Write the seven views of x, the ``seen``-th reading of its sensor, into ``out``.

    ``window`` [12] is the ring of last readings; ``scale`` a floor for the spread, so that a constant has one.
    """
    window[seen % MEAN] = x
    count = min(seen + 1, MEAN)
    total = 0.0
    floor = x
    for back in range(count):
        y = window[(seen - back) % MEAN]
        total += y
        if back < FLOOR:
            floor = min(floor, y)
    mean = total / count
    spread = 0.0
    for back in range(count):
        spread += (window[(seen - back) % MEAN] - mean) ** 2
    hour = (time // HOUR) % BINS
    out[0] = x
    out[1] = seasonal(x, hour, means[0], visits[0], levels[0:1])
    out[2] = mean
    out[3] = seasonal(mean, hour, means[1], visits[1], levels[1:2])
    out[4] = floor
    out[5] = seasonal(floor, hour, means[2], visits[2], levels[2:3])
    out[6] = np.log(np.sqrt(spread / count) + scale)
