"""The random cut forest of infinitely many trees, for points on a line.

In one dimension the mean score over *all* random cut trees of a sample has a closed form, so no tree need be grown.
A random cut tree of points on a line is the Cartesian tree of independent times Exp(1)/gap, one a gap. Isolate a new
point v: the k-th gap to its right is an ancestor of v exactly if its time is the earliest of the first k, which has
probability p_k = gap_k / (distance from v to the gap's far end); records of exponentials are independent, and so are
the two sides. The depth D of v is thus a sum of independent Bernoullis, and

    E[1 / D] = integral over t in (0, 1) of E[t^(D - 1)] dt,   E[t^D] = product of (1 - p_k (1 - t)),

whose integrand is a polynomial that eight Gauss-Legendre nodes integrate to about four digits. Equal points share a
leaf; ties and the factor log2(1 + n) are as in the streaming forest (Guha, Mishra, Roy, Schrijvers, ICML 2016).

A sample is a sorted row of values and their sampling weights: 16 bytes a point, and no noise from the choice of trees.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.compiled import entry

_X, _W = np.polynomial.legendre.leggauss(8)
_NODES = (1.0 + _X) / 2.0
_MISS = 1.0 - _NODES
_WEIGHTS = _W / 2.0
_SMALL = 0.15  # the first power left out adds less than p^5 / 5
_LOGS = np.log(_NODES)


@entry
def _side(points: Any, at: int, step: int, count: int, v: float, out: Any) -> None:
    """Multiply ``out`` [8] by the product of 1 - p (1 - t) over ``count`` gaps from point ``at`` away from v.

    Most gaps are small beside their distance; the logarithm of their factors is summed by powers of p instead.
    """
    one, two, three, four = 0.0, 0.0, 0.0, 0.0
    near = points[at]
    for _ in range(count):
        at += step
        far = points[at]
        p = (far - near) / (far - v)
        near = far
        if p < _SMALL:
            square = p * p
            one += p
            two += square
            three += square * p
            four += square * square
        else:
            for q in range(8):
                out[q] *= 1.0 - p * _MISS[q]
    for q in range(8):
        m = _MISS[q]
        out[q] *= np.exp(-m * (one + m * (two / 2.0 + m * (three / 3.0 + m * four / 4.0))))


@entry
def line_score(points: Any, n: int, v: float) -> float:
    """Expected score of v over all random cut trees of the sorted ``points[:n]``, n > 0; at most log2(1 + n)."""
    first = int(np.searchsorted(points[:n], v))
    after = first
    while after < n and points[after] == v:
        after += 1
    equal = after - first
    power = -1.0  # the gaps next to v are ancestors for certain
    product = np.ones(8)
    if after < n:
        power += 1.0
        _side(points, after, 1, n - 1 - after, v, product)
    if first > 0:
        power += 1.0
        _side(points, first - 1, -1, first - 1, v, product)
    scale = np.log2(1.0 + n)
    if equal > 0:
        power += np.log2(1.0 + equal)
        scale *= 1.0 - equal / (2.0 * n)
    total = 0.0
    for q in range(8):
        total += _WEIGHTS[q] * product[q] * (1.0 if power == 0.0 else np.exp(power * _LOGS[q]))
    return float(scale * total)


@entry
def uniform(state: Any) -> float:
    """The next draw from (0, 1] of the xorshift64* generator in ``state[0]`` (uint64, not 0)."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return 1.0 - np.float64((x * np.uint64(2685821657736338717)) >> np.uint64(11)) * 2.0**-53


@entry
def line_insert(points: Any, weights: Any, n: int, v: float, step: float, random: Any) -> int:
    """Offer v to a time-decayed weighted reservoir; returns how many points it holds now.

    ``step`` is the decay rate times the number of points offered so far. The sample keeps the smallest keys
    log(-log u) - step (Efraimidis & Spirakis 2006, with weights exp(step)).
    """
    key = np.log(-np.log(uniform(random)) + 1e-300) - step
    if n == len(points):
        worst = np.argmax(weights)
        if key >= weights[worst]:
            return n
        for k in range(worst, n - 1):
            points[k] = points[k + 1]
            weights[k] = weights[k + 1]
        n -= 1
    rank = np.searchsorted(points[:n], v)
    for k in range(n, rank, -1):
        points[k] = points[k - 1]
        weights[k] = weights[k - 1]
    points[rank] = v
    weights[rank] = key
    return n + 1
