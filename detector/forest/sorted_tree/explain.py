"""Attribution, codisp and imputation in a sorted tree; none changes it."""

# mypy: no-warn-return-any

from __future__ import annotations

import numpy as np

from detector.forest.layout import SLOTS
from detector.forest.llvm_intrinsics import (
    get_depth,
    get_f32,
    get_i64,
    inline,
    kernel,
    set_f32,
    set_f64,
)
from detector.forest.sampler import (
    COUNT,
)
from detector.forest.sorted_tree.score import _beside, _score_equal
from detector.forest.sorted_tree.structure import _ZERO, header_of, parts_of, rank, rank_after


@kernel
def attribute(forest: int, tree: int, point: int, parts: int, scratch: int, tag: int) -> None:
    """Split the score of one point into what is owed to being high and to being low: parts, f64 [1][2].

    Beside its left neighbour v is high for every box up to the cut. An equal point counts for the side of its parent.
    """
    slots = get_i64(forest, SLOTS)
    x, _, header, d, pivots = parts_of(tree, slots, tag)
    n, v = get_i64(header, COUNT), get_f32(point, 0)
    r = rank(x, pivots, slots, v)
    share = 1.0 if r == n else 0.0  # of v being beside its left neighbour
    left, right = _ZERO, _ZERO
    if r < n and get_f32(x, r) == v:
        left = right = _score_equal(x, d, pivots, slots, n, r, v, tag)
        before = get_depth(d, r, tag)
        after = get_depth(d, rank_after(x, pivots, slots, v), tag)
        share = 0.5 if before == after else 1.0 * (before > after)
    elif r == 0 or r == n:
        left = right = _beside(x, d, n, r, v, 0, r == n, tag)
    else:
        low, high = get_f32(x, r - 1), get_f32(x, r)
        share = 1.0 - (v - low) / (high - low)
        left = _beside(x, d, n, r, v, get_depth(d, r, tag), True, tag)
        right = _beside(x, d, n, r, v, get_depth(d, r, tag), False, tag)
    set_f64(parts, 0, share * left)
    set_f64(parts, 1, (1.0 - share) * right)


@inline
def _root_gap(x: int, d: int, low: int, high: int, depth: int, tag: int) -> int:
    """The gap that splits points low ... high - 1, whose node has depth - 1; -1 if they are equal."""
    for k in range(low + 1, high):
        if get_depth(d, k, tag) == depth and get_f32(x, k - 1) != get_f32(x, k):
            return k
    return -1


@kernel
def _displacement(x: int, d: int, n: int, v: float, left: bool, tag: int) -> float:
    """As ``codisp``, with v left (right) of the cut if the cut's gap is around it."""
    low, high, depth = 0, n, 1
    reached, above, total = 1.0, 0.0, 0.0
    while True:
        mass = high - low
        smallest, biggest = np.float64(get_f32(x, low)), np.float64(get_f32(x, high - 1))
        outside = max(smallest - v, v - biggest, 0.0)
        gap = _root_gap(x, d, low, high, depth, tag)
        if gap < 0:
            return total + reached * (above if outside == 0.0 else max(above, float(mass)))
        p = outside / (outside + biggest - smallest)
        total += reached * p * max(above, float(mass))
        reached *= 1.0 - p
        before, after = get_f32(x, gap - 1), get_f32(x, gap)
        if v <= before or (v < after and left):
            above = max(above, (high - gap) / (gap - low + 1.0))
            high = gap
        else:
            above = max(above, (gap - low) / (high - gap + 1.0))
            low = gap
        depth += 1


@kernel
def codisp(forest: int, tree: int, point: int, scratch: int, tag: int) -> float:
    """CoDisp of a point if it were inserted, the mean over where its cut would fall.

    That is the largest ratio of a sibling's mass to that of the part of the tree that the point is in. Down from the
    root, each box is cut from the point with probability p; else it joins the subtree on its side, and so on.
    """
    slots = get_i64(forest, SLOTS)
    x, _, header, d, pivots = parts_of(tree, slots, tag)
    n, v = get_i64(header, COUNT), get_f32(point, 0)
    r = rank(x, pivots, slots, v)
    share = 0.0
    if 0 < r < n and get_f32(x, r) != v:
        share = 1.0 - (v - get_f32(x, r - 1)) / np.float64(get_f32(x, r) - get_f32(x, r - 1))
    right = _displacement(x, d, n, v, False, tag)
    return right if share == 0.0 else share * _displacement(x, d, n, v, True, tag) + (1.0 - share) * right


@kernel
def impute(forest: int, tree: int, point: int, missing: int, codes: int, scratch: int, tag: int) -> None:
    """Write to codes, f32 [1], the median of the sample: alone, a value that is missing may be any."""
    n = get_i64(header_of(forest, tree, tag), COUNT)
    set_f32(codes, 0, get_f32(tree, n // 2))
