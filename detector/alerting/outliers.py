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

from detector.jit import jit_entry

LARGEST = 2.0**200  # values beyond are all alike: their squares' squares are still finite
REACH = 12.0  # ranges
START = 16  # readings after which the range is known
_CERTAIN = 12  # of the first readings, the nearest to their middle, are ordinary
_LEAST_WIDTH = 0.2  # of the first readings' range, in parts of their middle: of a constant little is known
_WIDEN = 4.0  # times, at each different value in a row
_NARROW = 0.999  # of the widening is kept at each ordinary reading
_FORGET = 1e-4  # of the distance to the range's ends, at each ordinary reading

# What each value keeps.
OUTLIERS = np.dtype(
    [
        ("low", np.float64),  # the ordinary range's ends
        ("high", np.float64),
        ("widening", np.float64),  # of the reach
        ("last_gross", np.float64),  # the last gross outlier
        ("gross_reading", np.float64),  # readings seen then
        ("ordinary", np.float64),  # the last ordinary value
        ("first", np.float64, (START,)),  # the first readings
    ],
    align=True,
)
ORDINARY, ADOPTED, GROSS = range(3)


@jit_entry
def bounded(x: float) -> float:
    """X, or the nearest value that squares of squares can be made of."""
    return min(max(x, -LARGEST), LARGEST)


@jit_entry
def classify_first(row: Any) -> bool:
    """Find the range of the first readings, which those that are gross outliers leave; whether there were some."""
    first = row.first
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
    row.low, row.high, row.widening, row.last_gross, row.ordinary = low, high, 1.0, np.nan, first[START - 1]
    return found


@jit_entry
def classify_value(x: float, seen: int, missing: bool, row: Any) -> int:
    """Whether the ``seen``-th reading's value is ordinary, adopted (it was gross until now) or a gross outlier."""
    if seen < START:
        row.first[seen] = x
        row.ordinary = x
        return ORDINARY
    width = row.high - row.low
    beyond = max(x - row.high, row.low - x)
    if width > 0.0 and beyond > REACH * row.widening * width:
        if not missing:
            if x != row.last_gross and seen - row.gross_reading <= 1.0:
                row.widening = min(row.widening * _WIDEN, LARGEST)
            row.last_gross, row.gross_reading = x, seen
        return GROSS
    row.widening = max(row.widening * _NARROW, 1.0)
    row.low = min(row.low + _FORGET * (x - row.low), x)
    row.high = max(row.high + _FORGET * (x - row.high), x)
    row.ordinary = x
    return ADOPTED if width > 0.0 and beyond > REACH * width else ORDINARY
