"""What a sensor's alerts look at: ten causal features of each value.

Three smoothings (the reading itself, the mean of the last twelve, the floor of the last five), each as it is, as its
distance from what this hour of the week usually brings, and as its distance from the best of three predictions: the
recent mean, this hour of the day, this hour of the week. Which is best, its past errors say: so a period is found in
the data, and a sensor without one is not compared with a season that it does not have. And the spread of the last
twelve. A feature has a name, so the one that is unusual says what kind of anomaly it is. All of them are
one-dimensional and scale-free.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.jit import jit_entry
from detector.types import LEVEL_SHIFT, NOISE_CHANGE, PATTERN_CHANGE, SPIKE

HOUR = 3_600_000
BINS = 168  # hours of a week
SLOTS = BINS + 24  # and hours of a day, of a profile
MEAN = 12
FLOOR = 5
SMOOTHINGS = 3
FEATURES = 10
PREDICTIONS = 3  # recent mean, hour of the day, hour of the week
# Of value, mean and floor, each raw, by the week and by the best prediction, and of the spread; they sum to 2.5, the
# scale of the alert score.
WEIGHTS = np.array([1.0, 0.5, 0.5, 1.5, 0.75, 0.75, 0.5, 0.25, 0.25, 0.3]) * (2.5 / 6.3)
_PROFILE_RATE = 0.02
_DURING_INCIDENT = 0.1  # of it
_LEVEL_RATE = 0.01
_ERROR_RATE = 5e-4


@jit_entry
def seasonal(
    x: float, hour: int, seen: int, means: Any, visits: Any, level: Any, errors: Any, in_incident: bool, out: Any
) -> None:
    """Write x minus this hour of the week's usual value and x minus the best prediction into ``out`` [2]; learn x.

    ``means`` and ``visits`` are [SLOTS], ``level`` [1] is an exponential mean, ``errors`` [PREDICTIONS] are the mean
    absolute errors so far. What was never visited is predicted by the next coarser. During an incident a known hour of
    the week learns a tenth, so that the fault does not come back in a week as its own absence; an hour of the day is
    set right by the next day.
    """
    if seen == 0:
        level[0] = x
    day = BINS + hour % 24
    recent = level[0]
    by_day = means[day] if visits[day] > 0 else recent
    known = visits[hour] > 0
    out[0] = x - (means[hour] if known else recent)
    by_week = means[hour] if known else by_day
    best = by_week
    if errors[0] <= errors[1] and errors[0] <= errors[2]:
        best = recent
    elif errors[1] <= errors[2]:
        best = by_day
    out[1] = x - best
    rate = max(_ERROR_RATE, 1.0 / (seen + 1.0))
    errors[0] += rate * (abs(x - recent) - errors[0])
    errors[1] += rate * (abs(x - by_day) - errors[1])
    errors[2] += rate * (abs(x - by_week) - errors[2])
    for slot in (hour, day):
        visits[slot] += 1.0
        rate = max(_PROFILE_RATE, 1.0 / visits[slot])
        if in_incident and slot == hour and rate == _PROFILE_RATE:
            rate *= _DURING_INCIDENT
        means[slot] += rate * (x - means[slot])
    level[0] += _LEVEL_RATE * (x - level[0])


@jit_entry
def extract_features(
    x: float,
    time: int,
    seen: int,
    window: Any,
    means: Any,
    visits: Any,
    levels: Any,
    errors: Any,
    scale: float,
    in_incident: bool,
    out: Any,
) -> None:
    """Write the ten features of x, the ``seen``-th reading of its sensor, into ``out``.

    ``window`` [12] is the ring of last readings; ``scale`` a floor for the spread, so that a constant has one;
    ``in_incident`` says that a fault goes on.
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
    out[3] = mean
    out[6] = floor
    for k in range(SMOOTHINGS):
        seasonal(
            out[3 * k],
            hour,
            seen,
            means[k],
            visits[k],
            levels[k : k + 1],
            errors[k],
            in_incident,
            out[3 * k + 1 : 3 * k + 3],
        )
    out[9] = np.log(np.sqrt(spread / count) + scale)


@jit_entry
def classify(scores: Any) -> int:
    """The kind of anomaly that the features' ``scores`` [FEATURES] look like.

    A reading that is more unusual than the mean of twelve is alone (as a level shift's first one still is). If the mean
    is as unusual, the level has moved; or only its place in the season, if as a value it is usual.
    """
    value = max(scores[0], scores[1], scores[2])
    season = max(scores[4], scores[5])
    mean = max(scores[3], season)
    if scores[9] > max(value, mean):
        return NOISE_CHANGE
    if value > mean:
        return SPIKE
    return PATTERN_CHANGE if scores[3] < 0.5 * season else LEVEL_SHIFT
