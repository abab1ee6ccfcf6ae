"""How a value becomes the float32 that the trees keep, its code.

    code = float32((value - offset) * unit), limited to +-2^100

The offset is the first reading, one for each dimension; the unit is 1, or a power of two where the first distance from
the offset is beyond 2^+-60. So

- integers, and multiples of any power of two, are exact while they lie within 2^24 steps of the offset, wherever that
  is: 16 777 217 is not 16 777 216, nor is 2^53 - 1 equal to 2^53 - 2;
- of other values two are told apart if they differ by more than one part in 2^23 of their distance from the offset;
  what is closer may be equal, and is never out of order;
- values beyond 2^100 units are all alike, and so a corrupt 1e300 takes away nothing of the resolution around it; a
  stream that begins around 1e300, or among the denormals, gets a unit of its own.

At the end of an epoch the offset follows a stream that has moved away from it, as a counter does: if the codes of all
points move without rounding, and if the epoch's readings had exact codes, all but a few. For where codes are rounded,
another offset rounds them otherwise, and a value would no longer equal itself. If only one value is left, the newest
reading becomes the offset and a unit is chosen anew.
"""

# mypy: no-warn-return-any

from __future__ import annotations

import math

import numpy as np

from detector.forest.layout import DIMENSIONS, HEADER, PADDED, SEEN, UNIT, WIDTH
from detector.forest.llvm_intrinsics import f32, get_f64, get_i64, inline, kernel, move, set_f32, set_f64, set_i64

LIMIT = 2.0**100
_FINITE = float(np.finfo(np.float64).max)
_ORDINARY = 2.0**60  # distances up to here, and down to its inverse, need no unit


@kernel
def usable(forest: int, values: int, n: int, dimensions: int) -> bool:
    """Whether values, f64 [n, dimensions], are finite and as many a reading as the forest takes."""
    if dimensions != get_i64(forest, DIMENSIONS):
        return False
    total = 0.0
    for i in range(n * dimensions):
        total += get_f64(values, i) * 0.0  # NaN from then on, if it is not finite
    return total == 0.0


@inline
def offsets(forest: int) -> int:
    """Address of the offsets, f64 [dimensions]."""
    return forest + HEADER


@inline
def rounded(forest: int) -> int:
    """Address of the numbers of readings in this epoch whose codes are not exact, i64 [dimensions]."""
    return forest + HEADER + 8 * get_i64(forest, DIMENSIONS)


@inline
def window(forest: int) -> int:
    """Address of the codes of the last ``shingle`` readings, f32 [width]."""
    return forest + HEADER + 16 * get_i64(forest, DIMENSIONS)


@inline
def _distance(value: float, offset: float, unit: float) -> float:
    """The code before it is rounded. Neither product nor difference overflows but for what the limit cuts anyway."""
    distance = (value - offset) * unit if unit >= 1.0 else value * unit - offset * unit
    return min(max(distance, -LIMIT), LIMIT)


@inline
def _unit(distance: float) -> float:
    """The unit for a first distance > 0."""
    if 1.0 / _ORDINARY <= distance <= _ORDINARY:
        return 1.0
    exponent = math.frexp(distance)[1] if distance < np.inf else 1024
    return math.ldexp(1.0, min(max(-exponent, -1000), 1000))


@kernel
def _unit_for(forest: int, values: int, start: int) -> float:
    """The unit in force for the reading at ``values``, [dimensions]."""
    unit = get_f64(forest, UNIT)
    if unit == 0.0:
        far = 0.0
        for j in range(get_i64(forest, DIMENSIONS)):
            far = max(far, abs(get_f64(values, start + j) - get_f64(offsets(forest), j)))
        if far > 0.0:
            return _unit(far)
    return unit


@kernel
def encode(forest: int, values: int, start: int, stop: int, codes: int) -> None:
    """Write the codes of readings start ... stop - 1, of f64 [n, dimensions], behind those of the window.

    ``codes``: f32 [shingle - 1 + stop - start, dimensions], consecutive readings. Chooses offset and unit when they are
    due. The window becomes the last ``shingle`` readings.
    """
    dimensions, width = get_i64(forest, DIMENSIONS), get_i64(forest, WIDTH)
    if get_i64(forest, SEEN) == 0:
        move(offsets(forest), values + 8 * dimensions * start, 8 * dimensions)
    kept = width - dimensions
    move(codes, window(forest) + 4 * dimensions, 4 * kept)
    at = kept
    for i in range(start * dimensions, stop * dimensions, dimensions):
        unit = get_f64(forest, UNIT)
        if unit == 0.0:
            unit = _unit_for(forest, values, i)
            set_f64(forest, UNIT, unit)
        for j in range(dimensions):
            distance = _distance(get_f64(values, i + j), get_f64(offsets(forest), j), unit)
            set_f32(codes, at + j, f32(distance))
            if np.float64(f32(distance)) != distance:
                set_i64(rounded(forest), j, get_i64(rounded(forest), j) + 1)
        at += dimensions
    move(window(forest), codes + 4 * (at - width), 4 * width)


@kernel
def spread(forest: int, codes: int, n: int, points: int) -> None:
    """Write the n points of consecutive readings at ``codes`` as f32 [n, padded], filled up with zeros."""
    dimensions, width, padded = get_i64(forest, DIMENSIONS), get_i64(forest, WIDTH), get_i64(forest, PADDED)
    for i in range(n):
        move(points + 4 * i * padded, codes + 4 * i * dimensions, 4 * width)
        for j in range(i * padded + width, (i + 1) * padded):
            set_f32(points, j, f32(0.0))


@kernel
def encode_query(forest: int, values: int, row: int, point: int) -> None:
    """Write the point, f32 [padded], that reading ``row`` of f64 [n, dimensions] would make as the next one."""
    dimensions, width, padded = get_i64(forest, DIMENSIONS), get_i64(forest, WIDTH), get_i64(forest, PADDED)
    unit = _unit_for(forest, values, row * dimensions)
    kept = width - dimensions
    move(point, window(forest) + 4 * dimensions, 4 * kept)
    for j in range(dimensions):
        distance = _distance(get_f64(values, row * dimensions + j), get_f64(offsets(forest), j), unit)
        set_f32(point, kept + j, f32(distance))
    for j in range(width, padded):
        set_f32(point, j, f32(0.0))


@inline
def decode(forest: int, code: float, dimension: int) -> float:
    """The value of a code."""
    unit = get_f64(forest, UNIT)
    offset = get_f64(offsets(forest), dimension)
    value = offset
    if unit >= 1.0:
        value += np.float64(code) / unit
    elif unit > 0.0:
        value = (offset * unit + np.float64(code)) / unit
    return min(max(value, -_FINITE), _FINITE)
