"""How far a reading may lie from where it is expected by chance.

The sum of the features' scores cannot say it: a score grows with the logarithm of a distance and no sample holds more
than its points, so a spike of eight standard deviations has hardly a greater sum than one of six. The distances
themselves can. Those beyond their ninth decile follow a generalised Pareto distribution, whose shape and scale come
from the first two moments of their logarithms (Dekkers, Einmahl & de Haan 1989): the tail of normal noise ends soon,
that of heavy-tailed noise nearly never.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.jit import jit_entry

_QUANTILE = 0.9  # of the distances, beyond which the tail is
_OF_NORMAL = 2.06  # that quantile of a normal distribution, in mean absolute deviations
_FIRST = 64.0  # readings before the quantile is tracked by itself
_LEAST = 30.0  # distances beyond it before anything is known of the tail
_MEAN, _SHAPE = 0.25, 0.15  # of the tail, until then
_LONG = 200.0  # distances beyond it that are remembered
_UNCERTAIN = 0.5  # standard errors of the shape, which count as a heavier tail
_DAY, _FASTEST = 86_400_000.0, 1_000.0  # ms; of readings faster than that, the chances are as of that

EXTREMES = np.dtype(
    [
        ("readings", np.float64),
        ("high", np.float64),  # the _QUANTILE of the distances
        ("beyond", np.float64),  # distances beyond it
        ("mean", np.float64),  # of the logarithms of these, in units of the high one
        ("square", np.float64),
    ],
    align=True,
)


@jit_entry
def distance_limit(value: Any, chance: float) -> float:
    """The distance that a reading exceeds with this probability, below 1 - _QUANTILE; infinity if that cannot be said.

    As long as little is known of the tail, it counts as a little heavier than that of normal noise.
    """
    v = value
    if v.high <= 0.0 or (v.beyond >= _LEAST and v.square <= 0.0):
        return np.inf
    mean, wider, shape = _MEAN, 1.0, _SHAPE
    if v.beyond >= _LEAST:
        mean = v.mean
        bend = min(1.0 - 0.5 / max(1.0 - mean * mean / v.square, 1e-6), 0.5)  # below 0: the tail ends
        wider = 1.0 - max(min(bend, 0.0), -1.0)  # uniform noise has 2; counts that are mostly 0 know no bound
        shape = max(0.0, mean + bend + _UNCERTAIN / np.sqrt(min(v.beyond, _LONG)))
    steps = np.log((1.0 - _QUANTILE) / chance)  # mean excesses, of an exponential tail
    grown = np.expm1(min(shape * steps, 300.0)) / shape if shape > 1e-3 else steps
    return float(v.high * (1.0 + mean * wider * grown))


@jit_entry
def chance_of(budget: float, interval: float) -> float:
    """The probability of a reading, of which ``budget`` come a day; ``interval`` is between readings, in ms."""
    return float(min(budget * max(interval, _FASTEST) / _DAY, 0.5 * (1.0 - _QUANTILE)))


@jit_entry
def extremity(distance: float, deviation: float, chance: float, value: Any) -> float:
    """A distance in units of the one that is exceeded with probability ``chance``, 0 if not known; learns it.

    ``deviation`` is the mean absolute one. A distance beyond the limit teaches as much as the tail's mean one, so that
    spikes that come again do not pass for noise.
    """
    v = value
    v.readings += 1.0
    if v.readings < _FIRST:
        v.high = _OF_NORMAL * deviation
        return 0.0
    limit = distance_limit(v, chance) if distance > v.high else np.inf
    v.high += max(5.0 / v.readings, 0.01) * deviation * (_QUANTILE if distance > v.high else _QUANTILE - 1.0)
    if distance > v.high > 0.0:
        v.beyond += 1.0
        excess = np.log(distance / v.high) if distance <= limit else v.mean
        rate = 1.0 / min(v.beyond, _LONG)
        v.mean += rate * (excess - v.mean)
        v.square += rate * (excess * excess - v.square)
    return float(distance / limit)
