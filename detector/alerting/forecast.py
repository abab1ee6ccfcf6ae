"""What a value is expected to be, and the interval that nine of ten readings fall into.

Three predictors: the last reading, the short mean, and the hour of the week's profile with the level of late. The one
whose past errors are least is taken. The interval's ends are quantiles of its errors, each tracked by steps: outwards
by (1 - ``OUTSIDE``) steps at a reading beyond it and inwards by ``OUTSIDE`` steps at any other, which balance where a
share of ``OUTSIDE`` lies beyond. So the interval holds what it says whatever the noise is like, and an outlier moves it
by a step only (Gibbs, Candès: Adaptive conformal inference, NeurIPS 2021).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.alerting.change_detectors import seasonal_value
from detector.alerting.features import HOUR
from detector.jit import jit_entry

OUTSIDE = 0.05  # of readings lie below the interval, as many above
LAST, MEAN, SEASON = range(3)
_BEGIN = 32  # readings from which the ends are tracked; before, the interval is a normal distribution's
_NORMAL_END = 1.645 * 1.2533  # of mean absolute errors
_STEP = 0.04  # mean absolute errors
_EARLY_STEP = 10.0  # over the count of readings, if that is more
_ROBUST = 8  # readings from which an error counts for at most
_ERROR_RATE = 1.0 / 500.0
_LARGEST = 8.0  # mean absolute errors
MEAN_RATE = 0.1  # of the short mean and of the level: see ``change_detectors``

# What each value keeps.
BAND = np.dtype(
    [
        ("count", np.float64),
        ("errors", np.float64, (3,)),  # mean absolute, of the predictors
        ("scale", np.float64),  # mean absolute error of the forecasts made
        ("below", np.float64),  # from the expected value down to the interval's lower end
        ("above", np.float64),
    ],
    align=True,
)


@jit_entry
def predict(time: int, memory: Any, profile: Any, visits: Any, guesses: Any) -> None:
    """Write what each predictor expects at ``time`` into ``guesses`` [3]; NaN if it does not know."""
    guesses[LAST] = memory.last
    guesses[MEAN] = memory.fast_mean
    season = seasonal_value(time + int(memory.clock_shift) * HOUR, profile, visits)
    guesses[SEASON] = season + memory.level_fast if memory.level_slow == memory.level_slow else np.nan


@jit_entry
def best_predictor(band: Any, guesses: Any) -> int:
    """The predictor with the least error so far, of those that know."""
    best = MEAN
    for k in range(3):
        if guesses[k] == guesses[k] and band.errors[k] < band.errors[best]:
            best = k
    return best


@jit_entry
def interval_at(
    time: int, ahead: int, memory: Any, profile: Any, visits: Any, band: Any, guesses: Any
) -> tuple[float, float, float]:
    """(expected value, lower, upper end of the interval) at ``time``, the ``ahead``-th reading to come.

    Leaves in ``guesses`` [3] what each predictor expects. The interval widens as that of simple exponential smoothing
    does: by sqrt(1 + rate^2 (ahead - 1)), where the rate is 1 for the last reading and ``MEAN_RATE`` for the others. No
    trend is extrapolated. NaN as ends before anything is known.
    """
    predict(time, memory, profile, visits, guesses)
    best = best_predictor(band, guesses)
    if band.count == 0.0:
        return guesses[best], np.nan, np.nan
    rate = 1.0 if best == LAST else MEAN_RATE
    width = np.sqrt(1.0 + rate * rate * (ahead - 1))
    return guesses[best], guesses[best] - width * band.below, guesses[best] + width * band.above


@jit_entry
def learn_interval(x: float, band: Any, guesses: Any) -> None:
    """Learn that the reading of which the predictors expected ``guesses`` was ``x``."""
    band.count += 1.0
    error = x - guesses[best_predictor(band, guesses)]
    rate = max(1.0 / band.count, _ERROR_RATE)
    size = min(abs(error), _LARGEST * band.scale) if band.count > _ROBUST else abs(error)
    if band.count <= _BEGIN:
        band.scale += rate * (size - band.scale)
        band.below = band.above = _NORMAL_END * band.scale
    else:
        step = max(_STEP, _EARLY_STEP / band.count)
        below = step * max(band.scale, 0.5 * band.below)  # an interval that began too wide narrows the faster
        above = step * max(band.scale, 0.5 * band.above)
        band.below = max(band.below + below * (1.0 - OUTSIDE if -error > band.below else -OUTSIDE), 0.0)
        band.above = max(band.above + above * (1.0 - OUTSIDE if error > band.above else -OUTSIDE), 0.0)
        band.scale += rate * (size - band.scale)
    for k in range(3):
        miss = abs(x - guesses[k])
        if guesses[k] != guesses[k]:
            miss = 2.0 * band.errors[MEAN]  # until it knows
        elif band.count > _ROBUST:
            miss = min(miss, _LARGEST * max(band.errors[k], band.errors[MEAN]))
        band.errors[k] += rate * (miss - band.errors[k])
