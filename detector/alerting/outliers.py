"""Gross outliers: values so far from all that a sensor has shown that learning them would hide what comes after.

A sentinel such as -9999 or 65535, a corrupt 1e200. A value is one if it lies more than ``REACH`` times the range of the
ordinary values outside of it. It is judged as it is, but learnt as the value's last ordinary one. A sensor that has
really moved says so by *different* values in a row, each of which widens what is taken for ordinary; an exact repeat
is a sentinel, however often it comes.

The range is known after ``START`` readings; if some of them are found to be gross outliers then, all are learnt anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.jit import entry

LARGEST = 2.0**200  # values beyond are all alike: their squares' squares are still finite
REACH = 12.0  # ranges
START = 16  # readings after which the range is known
_CERTAIN = 12  # of the first readings, the nearest to their middle, are ordinary
_LEAST_WIDTH = 0.2  # of the first readings' range, in parts of their middle: of a constant little is known
_WIDEN = 4.0  # times, at each different value in a row
_NARROW = 0.999  # of the widening is kept at each ordinary reading
_FORGET = 1e-4  # of the distance to the range's ends, at each ordinary reading

# What each value keeps, in the columns of ``outliers``: the ordinary range's ends, by how much its reach is widened,
# the last gross outlier, the count of readings then, the last ordinary value; and the first readings.
_LOW, _HIGH, _WIDENING, _GROSS, _LAST, ORDINARY, FIRST = range(7)
OUTLIERS = FIRST + START
ORDINARY_VALUE, ADOPTED, GROSS = range(3)


@entry
def bounded(x: float) -> float:
    """X, or the nearest value that squares of squares can be made of."""
    return min(max(x, -LARGEST), LARGEST)


@entry
def sort_first(row: Any) -> bool:
    """Find the range of the first readings, which those that are gross outliers leave; whether there were some."""
    first = row[FIRST:]
    middle = np.sort(first)[START // 2]
    low = high = middle
    found = False
    for number, k in enumerate(np.argsort(np.abs(first - middle))):  # from the middle outwards
        width = max(high - low, _LEAST_WIDTH * abs(middle))
        beyond = max(first[k] - high, low - first[k])
        if found or (number >= _CERTAIN and width > 0.0 and beyond > REACH * width):
            first[k] = middle
            found = True
        low, high = min(low, first[k]), max(high, first[k])
    row[_LOW], row[_HIGH], row[_WIDENING], row[_GROSS], row[ORDINARY] = low, high, 1.0, np.nan, first[START - 1]
    return found


@entry
def sort_value(x: float, seen: int, missing: bool, row: Any) -> int:
    """Whether the ``seen``-th reading's value is ordinary, adopted (it was gross until now) or a gross outlier."""
    if seen < START:
        row[FIRST + seen] = x
        row[ORDINARY] = x
        return ORDINARY_VALUE
    width = row[_HIGH] - row[_LOW]
    beyond = max(x - row[_HIGH], row[_LOW] - x)
    if width > 0.0 and beyond > REACH * row[_WIDENING] * width:
        if not missing:
            if x != row[_GROSS] and seen - row[_LAST] <= 1.0:
                row[_WIDENING] = min(row[_WIDENING] * _WIDEN, LARGEST)
            row[_GROSS], row[_LAST] = x, seen
        return GROSS
    row[_WIDENING] = max(row[_WIDENING] * _NARROW, 1.0)
    row[_LOW] = min(row[_LOW] + _FORGET * (x - row[_LOW]), x)
    row[_HIGH] = max(row[_HIGH] + _FORGET * (x - row[_HIGH]), x)
    row[ORDINARY] = x
    return ADOPTED if width > 0.0 and beyond > REACH * width else ORDINARY_VALUE
