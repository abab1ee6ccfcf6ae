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

from detector.alerting.change_detectors import LONG
from detector.jit import jit_entry
from detector.types import CORRELATION_BREAK, DRIFT, LEVEL_SHIFT, NOISE_CHANGE, PATTERN_CHANGE, SILENT, SPIKE, STUCK

COURSE = np.dtype(  # what each value keeps of an episode
    [
        ("level", np.float64),  # where it was
        ("usual", np.float64),  # variance of its noise
        ("step", np.float64),
        ("ramp", np.float64),
        ("slow", np.float64),
        ("length", np.float64),  # readings, to the last one that was far
        ("fast", np.float64),
        ("fourth", np.float64),  # powers
    ],
    align=True,
)
_EARLY = 16  # readings before the first look
_FAR = 3.0  # deviations of single readings
_ALIKE = 0.75  # of a ramp is explained by a step, and the other way round
_MANY = 12.0  # readings in which noise shows


@jit_entry
def is_slow(kind: int) -> bool:
    """Whether a fault of this kind shows in several statistics, hours apart: one incident until a day without any."""
    return kind in (LEVEL_SHIFT, DRIFT, PATTERN_CHANGE)


@jit_entry
def begin_course(course: Any, memory: Any) -> None:
    """Begin to follow an episode from where the values [d] are."""
    for j in range(len(course)):
        c = course[j]
        c.level = memory[j].level_slow
        least = 1e-6 * abs(memory[j].fast_mean) + 1e-12  # of a constant
        c.usual = max(memory[j].variance, least**2)
        c.step, c.ramp, c.slow, c.length, c.fast, c.fourth = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0


@jit_entry
def follow_course(course: Any, memory: Any, values: Any, expected: Any, number: int) -> None:
    """Add up the ``number``-th reading [d] of an episode, of which ``expected`` was foreseen."""
    for j in range(len(course)):
        energy = (values[j] - expected[j]) ** 2 / course[j].usual
        course[j].fast += energy - 1.0
        course[j].fourth += energy * energy - 3.0  # as of a normal distribution
        away = (memory[j].level_fast - course[j].level) / np.sqrt(course[j].usual)
        if abs(away) > _FAR:
            course[j].step += away
            course[j].ramp += number * away
            course[j].slow += away * away
            course[j].length = number


@jit_entry
def likely_kind(course: Any, number: int, kind: int, broken: bool) -> int:
    """What an episode is which was of ``kind`` before its ``number``-th reading; that has a correlation ``broken``."""
    if broken and kind in (SPIKE, NOISE_CHANGE):
        return CORRELATION_BREAK
    if kind in (STUCK, SILENT) or number < _EARLY or number & (number - 1) != 0:
        return kind
    most = course[0]
    for j in range(1, len(course)):
        if max(course[j].slow, course[j].fast) > max(most.slow, most.fast):
            most = course[j]
    slow, fast, n = most.slow, most.fast, most.length
    if slow > max(fast, 0.0):
        if n < LONG:
            return kind if is_slow(kind) or kind == CORRELATION_BREAK else LEVEL_SHIFT
        step = most.step**2 / (n * slow)
        ramp = most.ramp**2 / (n * (n + 1.0) * (2.0 * n + 1.0) / 6.0 * slow)
        if max(step, ramp) > _ALIKE:
            return LEVEL_SHIFT if step >= ramp else DRIFT
        return kind if kind == CORRELATION_BREAK else PATTERN_CHANGE
    if fast > number and fast * fast > _MANY * most.fourth:  # more than twice the usual, and not of a few readings
        return NOISE_CHANGE
    return kind
