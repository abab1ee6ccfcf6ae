"""Scores of points in a sorted tree. None changes it, but that of a point which is learnt at once."""

# mypy: no-warn-return-any

from __future__ import annotations

from detector.forest.layout import SAMPLES, SLOTS, TREE_BYTES, TREES_AT
from detector.forest.leaf import inverse_depth, score_equal
from detector.forest.llvm_intrinsics import (
    depth_bytes,
    get_depth,
    get_f32,
    get_f64,
    get_i64,
    i64,
    inline,
    kernel,
    leading_zeros,
    set_i64,
    shallower,
    trailing_zeros,
)
from detector.forest.sampler import (
    COUNT,
    SCALE,
    enters,
)
from detector.forest.sorted_tree.structure import LANES, header_of, neighbour_gap, parts_of, rank, rank_after, spine_up
from detector.forest.sorted_tree.update import learn


@kernel
def _beside(x: int, d: int, n: int, r: int, v: float, gap_depth: int, left: bool, tag: int) -> float:
    """Expected inverse depth of v if the cut of gap r leaves it with the points on its left (right).

    From the leaf up to that cut, v lies beyond one end of every box: each node separates it with probability p.
    """
    j = neighbour_gap(x, n, r, left)
    depth = get_depth(d, j, tag)
    if depth <= gap_depth:
        return inverse_depth(gap_depth)
    near = get_f32(x, r - 1 if left else r)
    reach = abs(v - near)
    score = inverse_depth(depth)
    while depth > gap_depth:
        j, length = spine_up(x, d, j, depth, near, left, tag)
        p = reach / (reach + length)
        depth -= 1
        score += p * (inverse_depth(depth) - score)
    return score


@kernel
def _score_equal(x: int, d: int, pivots: int, slots: int, n: int, r: int, v: float, tag: int) -> float:
    """Score of a value that the sample holds; r is the rank of the first."""
    mass = rank_after(x, pivots, slots, v) - r
    depth = max(get_depth(d, r, tag), get_depth(d, r + mass, tag))
    return score_equal(depth, mass, n)


@kernel
def _score_any(x: int, d: int, pivots: int, slots: int, n: int, r: int, v: float, tag: int) -> float:
    """Score of v of rank r, whatever the case."""
    if r < n and get_f32(x, r) == v:
        return _score_equal(x, d, pivots, slots, n, r, v, tag)
    if r == 0:
        return _beside(x, d, n, 0, v, 0, False, tag)
    if r == n:
        return _beside(x, d, n, n, v, 0, True, tag)
    low, high = get_f32(x, r - 1), get_f32(x, r)
    gap_depth = get_depth(d, r, tag)
    on_left = _beside(x, d, n, r, v, gap_depth, True, tag)
    on_right = _beside(x, d, n, r, v, gap_depth, False, tag)
    return on_left + (v - low) / (high - low) * (on_right - on_left)


@inline
def _score(x: int, d: int, pivots: int, slots: int, n: int, r: int, v: float, tag: int) -> float:
    """As ``_score_any``; both sides climb together where v lies between two single points."""
    low, high = get_f32(x, r - 1), get_f32(x, r)
    gap_depth = get_depth(d, r, tag)
    a = max(get_depth(d, r - 1, tag), gap_depth)
    b = max(get_depth(d, r + 1, tag), gap_depth)
    if (
        r == 0
        or r == n
        or high == v
        or (a > gap_depth and get_f32(x, r - 2) == low)
        or (b > gap_depth and get_f32(x, r + 1) == high)
    ):
        return _score_any(x, d, pivots, slots, n, r, v, tag)
    to_low, to_high = v - low, high - v
    on_left, on_right = inverse_depth(a), inverse_depth(b)
    lanes = 64 // depth_bytes(tag)
    while max(a, b) > gap_depth:
        before = shallower(d, r - lanes, a, tag)
        after = shallower(d, r + 1, b, tag)
        if (before == 0 and a > gap_depth) or (after == 0 and b > gap_depth):  # farther away than one vector
            return _score_any(x, d, pivots, slots, n, r, v, tag)
        i = max(r - 1 - (leading_zeros(before) - (64 - lanes)), 0)
        j = min(r + 1 + trailing_zeros(after), n)
        p = to_low / (to_low + (low - get_f32(x, i)))
        q = to_high / (to_high + (get_f32(x, j - 1) - high))
        next_left = on_left + p * (inverse_depth(a - 1) - on_left)
        next_right = on_right + q * (inverse_depth(b - 1) - on_right)
        on_left = next_left if a > gap_depth else on_left
        on_right = next_right if b > gap_depth else on_right
        a, b = max(a - 1, gap_depth), max(b - 1, gap_depth)
    return on_left + to_low / (high - low) * (on_right - on_left)


@kernel
def score_run(
    forest: int,
    tree: int,
    points: int,
    stride: int,
    start: int,
    stop: int,
    unit: float,
    sums: int,
    scratch: int,
    tag: int,
) -> int:
    """Add the tree's score of each of points[start:stop], in multiples of 1 / unit, to the integers at ``sums``.

    Returns nothing of use, where trees of boxes return a leaf.
    """
    slots = get_i64(forest, SLOTS)
    x, _, header, d, pivots = parts_of(tree, slots, tag)
    n = get_i64(header, COUNT)
    factor = get_f64(header, SCALE) * unit
    i = start
    while i < stop:
        lanes = min(LANES, stop - i)
        for lane in range(lanes):
            set_i64(scratch, lane, rank(x, pivots, slots, get_f32(points, i + lane)))
        for lane in range(lanes):
            score = _score(x, d, pivots, slots, n, get_i64(scratch, lane), get_f32(points, i + lane), tag)
            set_i64(sums, i + lane, get_i64(sums, i + lane) + i64(score * factor))
        i += lanes
    return -1


@kernel
def score_across(
    forest: int, first: int, last: int, point: int, unit: float, learning: bool, time: int, scratch: int, tag: int
) -> int:
    """The sum of the scores of one point in trees first ... last - 1, in multiples of 1 / unit.

    If ``learning``, each tree then learns the point if it ``enters`` at ``time``.
    """
    samples = get_i64(forest, SAMPLES)
    slots, size = get_i64(forest, SLOTS), get_i64(forest, TREE_BYTES)
    tree = forest + get_i64(forest, TREES_AT) + first * size
    v = get_f32(point, 0)
    total = 0
    while first < last:
        lanes = min(LANES, last - first)
        for lane in range(lanes):
            x, _, _, _, pivots = parts_of(tree + lane * size, slots, tag)
            set_i64(scratch, lane, rank(x, pivots, slots, v))
        for lane in range(lanes):
            x, _, header, d, pivots = parts_of(tree + lane * size, slots, tag)
            score = _score(x, d, pivots, slots, get_i64(header, COUNT), get_i64(scratch, lane), v, tag)
            total += i64(score * (get_f64(header, SCALE) * unit))
        if learning:
            for lane in range(lanes):
                if enters(header_of(forest, tree + lane * size, tag), samples, time):
                    learn(forest, tree + lane * size, point, time, -1, tag)
        first += lanes
        tree += lanes * size
    return total
