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

from detector.forest.llvm_intrinsics import get_f64, kernel, move, scratch, set_f64
from detector.jit import jit_entry

BLOCK = 16
MOST = 2048  # points of a sample
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


_shares, _ratios, _terms, _product = scratch(MOST), scratch(MOST // BLOCK), scratch(MOST // BLOCK), scratch(8)


@kernel
def _near_gaps(points: int, at: int, step: int, count: int, v: float, shares: int, m: int) -> int:
    """Append the p of ``count`` gaps from point ``at`` away from v to the m ``shares``; how many there are then."""
    for k in range(count):
        near, far = get_f64(points, at + step * k), get_f64(points, at + step * (k + 1))
        set_f64(shares, m + k, (far - near) / (far - v))
    return m + max(count, 0)


@kernel
def _block(points: int, squares: int, block: int, start: int, end: int, v: float, ratios: int, terms: int) -> None:
    """Note a block whose near end is point ``start``: by how much it stretches, -1 if its gaps count one by one."""
    near, far = abs(get_f64(points, start) - v), abs(get_f64(points, end) - v)
    whole = (far - near < _FAR * near) & (near * far > _TINY) & (near * far < _HUGE)
    set_f64(ratios, block, far / near if whole else -1.0)
    set_f64(terms, block, get_f64(squares, block) / (near * far))


@kernel
def _rank(points: int, n: int, v: float) -> int:
    """How many of n sorted points lie below v."""
    low, size = 0, n
    while size > 0:  # without a branch that the processor could guess wrong
        half = size >> 1
        below = get_f64(points, low + half) < v
        low = low + half + 1 if below else low
        size = size - half - 1 if below else half
    return low


@jit_entry
def line_score(points: Any, squares: Any, n: int, v: float) -> float:
    """Expected score of v over all random cut trees of the sorted ``points[:n]``, 0 < n <= MOST; at most log2(1 + n).

    ``squares`` holds each block's sum of squared gaps, as ``line_insert`` keeps it.

    Gap by gap, p >= _SMALL are rare but cannot be foreseen. So first comes the p of each near gap, then the sums of
    those that are small, and last the factors of the others: loops without a branch, of which LLVM makes vectors. The
    order within each sum and product is that of the gaps.
    """
    shares, ratios, terms, product = _shares(), _ratios(), _terms(), _product()
    line, sums = points.ctypes.data, squares.ctypes.data
    first = _rank(line, n, v)
    after = first
    while after < n and get_f64(line, after) == v:
        after += 1
    equal = after - first
    power = -1.0  # the gaps next to v are ancestors for certain
    stretch, bend = 1.0, 0.0  # of the blocks: product of 1 / (1 - p), sum of p^2
    m = 0
    if after < n:
        power += 1.0
        block = (after + BLOCK - 1) // BLOCK
        m = _near_gaps(line, after, 1, min(block * BLOCK, n - 1) - after, v, shares, m)
        blocks = (n - 2) // BLOCK + 1
        for b in range(block, blocks):
            _block(line, sums, b, b * BLOCK, min((b + 1) * BLOCK, n - 1), v, ratios, terms)
        for b in range(block, blocks):
            if get_f64(ratios, b) > 0.0:
                stretch *= get_f64(ratios, b)
                bend += get_f64(terms, b)
            else:
                m = _near_gaps(line, b * BLOCK, 1, min(BLOCK, n - 1 - b * BLOCK), v, shares, m)
    if first > 0:
        power += 1.0
        blocks = (first - 1) // BLOCK
        m = _near_gaps(line, first - 1, -1, first - 1 - blocks * BLOCK, v, shares, m)
        for b in range(blocks):
            _block(line, sums, b, (b + 1) * BLOCK, b * BLOCK, v, ratios, terms)
        for b in range(blocks - 1, -1, -1):
            if get_f64(ratios, b) > 0.0:
                stretch *= get_f64(ratios, b)
                bend += get_f64(terms, b)
            else:
                m = _near_gaps(line, (b + 1) * BLOCK, -1, BLOCK, v, shares, m)
    one = two = three = four = 0.0
    large = 0
    for k in range(m):
        p = get_f64(shares, k)
        small = p < _SMALL
        set_f64(shares, large, p)
        large += not small
        p = p if small else 0.0
        square = p * p
        one += p
        two += square
        three += square * p
        four += square * square
    for q in range(8):
        set_f64(product, q, 1.0)
    for k in range(large):
        p = get_f64(shares, k)
        for q in range(8):
            set_f64(product, q, get_f64(product, q) * (1.0 - p * _MISS[q]))
    scale = np.log2(1.0 + n)
    if equal > 0:
        power += np.log2(1.0 + equal)
        scale *= 1.0 - equal / (2.0 * n)
    one += np.log(stretch)
    total = 0.0
    for q in range(8):
        miss = _MISS[q]
        exponent = power * _LOGS[q] + _BENDS[q] * bend
        exponent -= miss * (one + miss * (two / 2.0 + miss * (three / 3.0 + miss * four / 4.0)))
        total += _WEIGHTS[q] * get_f64(product, q) * np.exp(exponent)
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


@kernel
def _shift(row: int, hole: int, to: int) -> None:
    """Move the elements from one place to another by one, into the hole at the one."""
    if to > hole:
        move(row + 8 * hole, row + 8 * (hole + 1), 8 * (to - hole))
    else:
        move(row + 8 * (to + 1), row + 8 * to, 8 * (hole - to))


@kernel
def _place_of_largest(row: int, n: int) -> int:
    """The first place of the largest of n numbers, n > 0."""
    largest = -np.inf
    for k in range(n):
        largest = max(largest, get_f64(row, k))
    place = 0
    while get_f64(row, place) != largest:
        place += 1
    return place


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
    line, places = points.ctypes.data, keys.ctypes.data
    rank = _rank(line, held, v)
    rank -= rank > hole  # what lies between moves by one
    _shift(line, hole, rank)
    _shift(places, hole, rank)
    points[rank] = v
    keys[rank] = key
    n = held if full else held + 1
    counts[HELD] = n
    if n == len(points):
        counts[WORST] = _place_of_largest(places, n)
    lowest, highest = min(rank, hole), max(rank, hole)  # places whose gaps have changed
    for block in range(max(lowest - 1, 0) // BLOCK, highest // BLOCK + 1):
        total = 0.0
        for k in range(block * BLOCK, min(block * BLOCK + BLOCK, n - 1)):
            gap = get_f64(line, k + 1) - get_f64(line, k)
            total += gap * gap
        squares[block] = min(total, _HUGE)
