"""The random cut forest of infinitely many trees, for points on a line.

In one dimension the mean score over *all* random cut trees of a sample has a closed form, so no tree need be grown.
A random cut tree of points on a line is the Cartesian tree of independent times Exp(1)/gap, one a gap. Isolate a new
point v: the k-th gap to its right is an ancestor of v exactly if its time is the earliest of the first k, which has
probability p_k = gap_k / (distance from v to the gap's far end); records of exponentials are independent, and so are
the two sides. The depth D of v is thus a sum of independent Bernoullis, and

    E[1 / D] = integral over t in (0, 1) of E[t^(D - 1)] dt,   E[t^D] = product of (1 - p_k (1 - t)),

whose integrand is a polynomial that eight Gauss-Legendre nodes integrate to about four digits. Equal points share a
leaf; ties and the factor log2(1 + n) are as in the streaming forest (Guha, Mishra, Roy, Schrijvers, ICML 2016).

Far gaps are taken ``BLOCK`` at a time: the product of (1 - p) telescopes to a ratio of two distances, and what
(1 - p m) differs from (1 - p)^m by follows to second order from the block's sum of squared gaps.

A sample is a sorted row of values and their sampling weights: 16.5 bytes a point, and no noise from the choice of
trees.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.jit import jit_entry

BLOCK = 16
FARTHEST = 2.0**1021  # of points from 0, so that distances are finite
HELD, WORST = 0, 1  # columns of a sample's ``counts``: points held, place of the key that goes first

_X, _W = np.polynomial.legendre.leggauss(8)
_NODES = (1.0 + _X) / 2.0
_MISS = 1.0 - _NODES
_WEIGHTS = _W / 2.0
_SMALL = 0.15  # the first power left out adds less than p^5 / 5
_FAR = 0.25  # a block's extent, in distances to it, up to which it is taken as a whole
_TINY, _HUGE = 1e-280, 1e300  # products of distances between which a block's squares neither vanish nor overflow
_LOGS = np.log(_NODES)
_BENDS = _MISS * (1.0 - _MISS) / 2.0


@jit_entry
def _gaps(points: Any, at: int, step: int, count: int, v: float, product: Any, powers: Any) -> None:
    """Take ``count`` gaps from point ``at`` away from v, one by one.

    Most are small beside their distance; of them the sums of p to the first four powers go into ``powers`` [4], and
    only the others' factors 1 - p (1 - t) into ``product`` [8].
    """
    near = points[at]
    for _ in range(count):
        at += step
        far = points[at]
        p = (far - near) / (far - v)
        near = far
        if p < _SMALL:
            square = p * p
            powers[0] += p
            powers[1] += square
            powers[2] += square * p
            powers[3] += square * square
        else:
            for q in range(8):
                product[q] *= 1.0 - p * _MISS[q]


@jit_entry
def line_score(points: Any, squares: Any, n: int, v: float) -> float:
    """Expected score of v over all random cut trees of the sorted ``points[:n]``, n > 0; at most log2(1 + n).

    ``squares`` holds each block's sum of squared gaps, as ``line_insert`` keeps it.
    """
    first = int(np.searchsorted(points[:n], v))
    after = first
    while after < n and points[after] == v:
        after += 1
    equal = after - first
    power = -1.0  # the gaps next to v are ancestors for certain
    product = np.ones(8)
    powers = np.zeros(4)
    stretch, bend = 1.0, 0.0  # of the blocks: product of 1 / (1 - p), sum of p^2
    if after < n:
        power += 1.0
        block = (after + BLOCK - 1) // BLOCK
        _gaps(points, after, 1, min(block * BLOCK, n - 1) - after, v, product, powers)
        while block * BLOCK < n - 1:
            at = block * BLOCK
            end = min(at + BLOCK, n - 1)
            near, far = points[at] - v, points[end] - v
            if far - near < _FAR * near and _TINY < near * far < _HUGE:
                stretch *= far / near
                bend += squares[block] / (near * far)
            else:
                _gaps(points, at, 1, end - at, v, product, powers)
            block += 1
    if first > 0:
        power += 1.0
        block = (first - 1) // BLOCK
        _gaps(points, first - 1, -1, first - 1 - block * BLOCK, v, product, powers)
        while block > 0:
            at = block * BLOCK
            block -= 1
            near, far = v - points[at], v - points[at - BLOCK]
            if far - near < _FAR * near and _TINY < near * far < _HUGE:
                stretch *= far / near
                bend += squares[block] / (near * far)
            else:
                _gaps(points, at, -1, BLOCK, v, product, powers)
    scale = np.log2(1.0 + n)
    if equal > 0:
        power += np.log2(1.0 + equal)
        scale *= 1.0 - equal / (2.0 * n)
    one = powers[0] + np.log(stretch)
    total = 0.0
    for q in range(8):
        m = _MISS[q]
        exponent = power * _LOGS[q] + _BENDS[q] * bend
        exponent -= m * (one + m * (powers[1] / 2.0 + m * (powers[2] / 3.0 + m * powers[3] / 4.0)))
        total += _WEIGHTS[q] * product[q] * np.exp(exponent)
    return float(scale * total)


@jit_entry
def uniform(state: Any) -> float:
    """The next draw from (0, 1] of the xorshift64* generator in ``state[0]`` (uint64, not 0)."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return 1.0 - np.float64((x * np.uint64(2685821657736338717)) >> np.uint64(11)) * 2.0**-53


@jit_entry
def line_insert(points: Any, keys: Any, squares: Any, counts: Any, v: float, step: float, random: Any) -> None:
    """Offer v to a time-decayed weighted reservoir.

    ``step`` is the decay rate times the number of points offered so far. The sample keeps the smallest keys
    log(-log u) - step (Efraimidis & Spirakis 2006, with weights exp(step)).
    """
    key = np.log(-np.log(uniform(random)) + 1e-300) - step
    held = counts[HELD]
    full = held == len(points)
    hole = counts[WORST] if full else held
    if full and key >= keys[hole]:
        return
    rank = int(np.searchsorted(points[:held], v))
    if rank > hole:  # what lies between moves by one
        rank -= 1
        for k in range(hole, rank):
            points[k] = points[k + 1]
            keys[k] = keys[k + 1]
    else:
        for k in range(hole, rank, -1):
            points[k] = points[k - 1]
            keys[k] = keys[k - 1]
    points[rank] = v
    keys[rank] = key
    n = held if full else held + 1
    counts[HELD] = n
    if n == len(points):
        counts[WORST] = np.argmax(keys)
    lowest, highest = min(rank, hole), max(rank, hole)  # places whose gaps have changed
    for block in range(max(lowest - 1, 0) // BLOCK, highest // BLOCK + 1):
        total = 0.0
        for k in range(block * BLOCK, min(block * BLOCK + BLOCK, n - 1)):
            total += (points[k + 1] - points[k]) ** 2
        squares[block] = min(total, _HUGE)
