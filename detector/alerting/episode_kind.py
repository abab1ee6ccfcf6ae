"""What an episode turns out to be: the shape of what follows its alert.

The first reading of a level shift is a spike until the next ones come, and a drift is a level shift until it has gone
on. So the energy of what is unusual since the alert is added up, in variances of the usual noise, by what explains it:

- *slow*: the distance of the short mean from where the level was, where it is far. Of a series r at 1, 2 ... n, the
  part that a step explains is (sum r)^2 / (n sum r^2), and a ramp (sum k r)^2 / (sum k^2 sum r^2). A step is explained
  by a ramp to 3/4; what is no more like either than that is another pattern.
- *fast*: the distance of single readings from the short mean. That of a spike lies in one reading, that of noise in as
  many as its square over its fourth powers says.

The name is looked at again each time that as many readings have come again, so it changes seldom, and more seldom the
longer an episode goes on. A stuck value, a silence and broken correlations have a proof of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.alerting.change_detectors import FAST_MEAN, LEVEL_FAST, LEVEL_SLOW, LONG, VARIANCE
from detector.jit import entry
from detector.types import CORRELATION_BREAK, DRIFT, LEVEL_SHIFT, NOISE_CHANGE, PATTERN_CHANGE, SILENT, SPIKE, STUCK

COURSE = 8  # what each value keeps of an episode, in the columns of ``course``
_LEVEL, _USUAL, _STEP, _RAMP, _SLOW, _LENGTH, _FAST, _FOURTH = range(COURSE)
_EARLY = 16  # readings before the first look
_FAR = 3.0  # deviations of single readings
_ALIKE = 0.75  # of a ramp is explained by a step, and the other way round
_MANY = 12.0  # readings in which noise shows


@entry
def is_slow(kind: int) -> bool:
    """Whether a fault of this kind shows in several statistics, hours apart: one matter until a day without any."""
    return kind in (LEVEL_SHIFT, DRIFT, PATTERN_CHANGE)


@entry
def set_out(course: Any, memory: Any) -> None:
    """Begin to follow an episode from where the values [d] are."""
    course[:] = 0.0
    for j in range(len(course)):
        course[j, _LEVEL] = memory[j, LEVEL_SLOW]
        least = 1e-6 * abs(memory[j, FAST_MEAN]) + 1e-12  # of a constant
        course[j, _USUAL] = max(memory[j, VARIANCE], least**2)


@entry
def follow(course: Any, memory: Any, values: Any, expected: Any, number: int) -> None:
    """Add up the ``number``-th reading [d] of an episode, of which ``expected`` was foreseen."""
    for j in range(len(course)):
        energy = (values[j] - expected[j]) ** 2 / course[j, _USUAL]
        course[j, _FAST] += energy - 1.0
        course[j, _FOURTH] += energy * energy - 3.0  # as of a normal distribution
        away = (memory[j, LEVEL_FAST] - course[j, _LEVEL]) / np.sqrt(course[j, _USUAL])
        if abs(away) > _FAR:
            course[j, _STEP] += away
            course[j, _RAMP] += number * away
            course[j, _SLOW] += away * away
            course[j, _LENGTH] = number


@entry
def likely(course: Any, number: int, kind: int, broken: bool) -> int:
    """What an episode is which was of ``kind`` before its ``number``-th reading; that has a correlation ``broken``."""
    if broken and kind in (SPIKE, NOISE_CHANGE):
        return CORRELATION_BREAK
    if kind in (STUCK, SILENT) or number < _EARLY or number & (number - 1) != 0:
        return kind
    most = course[0]
    for j in range(1, len(course)):
        if max(course[j, _SLOW], course[j, _FAST]) > max(most[_SLOW], most[_FAST]):
            most = course[j]
    slow, fast, n = most[_SLOW], most[_FAST], most[_LENGTH]
    if slow > max(fast, 0.0):
        if n < LONG:
            return kind if is_slow(kind) or kind == CORRELATION_BREAK else LEVEL_SHIFT
        step = most[_STEP] ** 2 / (n * slow)
        ramp = most[_RAMP] ** 2 / (n * (n + 1.0) * (2.0 * n + 1.0) / 6.0 * slow)
        if max(step, ramp) > _ALIKE:
            return LEVEL_SHIFT if step >= ramp else DRIFT
        return kind if kind == CORRELATION_BREAK else PATTERN_CHANGE
    if fast > number and fast * fast > _MANY * most[_FOURTH]:  # more than twice the usual, and not of a few readings
        return NOISE_CHANGE
    return kind
