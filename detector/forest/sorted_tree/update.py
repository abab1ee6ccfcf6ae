"""What changes a sorted tree: points that come and go, and a new origin."""

# mypy: no-warn-return-any

from __future__ import annotations

import numpy as np

from detector.forest.layout import DECAY, EPOCH, GROWTH, SAMPLES, SLOTS
from detector.forest.llvm_intrinsics import (
    depth_bytes,
    get_depth,
    get_f32,
    get_f64,
    get_i64,
    inline,
    kernel,
    move,
    set_depth,
    set_f32,
)
from detector.forest.sampler import (
    COUNT,
    REPLACE,
    SKIP,
    decide,
    draw,
    heaviest,
    settle,
)
from detector.forest.sorted_tree.structure import (
    BLOCK,
    header_of,
    neighbour_gap,
    parts_of,
    rank,
    spine_up,
    write_pivots,
)


@inline
def _shift(x: int, weights: int, start: int, stop: int, by: float) -> None:
    """Move points start ... stop - 1 by one place, forwards or back."""
    move(x + 4 * (start + by), x + 4 * start, 4 * (stop - start))
    move(weights + 4 * (start + by), weights + 4 * start, 4 * (stop - start))


@inline
def _unlink(d: int, n: int, at: int, tag: int) -> int:
    """Take the leaf at point ``at`` off the tree: its parent gap, which is returned, goes; the sibling's gaps rise."""
    before, after = get_depth(d, at, tag), get_depth(d, at + 1, tag)
    if before > after:
        j = at - 1
        while get_depth(d, j, tag) > before:
            set_depth(d, j, get_depth(d, j, tag) - 1, tag)
            j -= 1
        return at
    j = at + 2
    while j < n and get_depth(d, j, tag) > after:
        set_depth(d, j, get_depth(d, j, tag) - 1, tag)
        j += 1
    return at + 1


@inline
def _join(x: int, d: int, header: int, n: int, r: int, v: float, gap_depth: int, left: bool, tag: int) -> int:
    """Choose the cut that separates v from the points on the left (right) of gap r, and push down what is below it.

    Walking up from the leaf, every node's box with v in it is cut between v and the box with probability
    reach / (reach + length); the topmost such cut is the one that a walk down would have met first. Returns the depth
    of the new gap.
    """
    near = get_f32(x, r - 1 if left else r)
    reach = np.float64(abs(v - near))
    j = neighbour_gap(x, n, r, left)
    depth = get_depth(d, j, tag)
    top, new = j, max(depth, gap_depth) + 1
    while depth > gap_depth:
        j, length = spine_up(x, d, j, depth, near, left, tag)
        if draw(header) * (reach + length) < reach:
            top, new = j, depth
        depth -= 1
    for i in range(top + 1 if left else r + 1, r if left else top):
        set_depth(d, i, get_depth(d, i, tag) + 1, tag)
    return new


# A hole is where a new value of rank r goes among n points: it is point r and gap r + 1, and what is on its right lies
# one place further on than it says, as if the buffer began there.


@inline
def _link(x: int, d: int, header: int, n: int, r: int, v: float, tag: int) -> tuple[int, int]:
    """(place, depth) of the gap that a new value v brings where the hole is."""
    size = depth_bytes(tag)
    right_x, right_d = x + 4, d + size
    depth = get_depth(d, r, tag)
    if r < n and get_f32(right_x, r) == v:
        following = get_depth(right_d, r + 1, tag)
        equal = r + 1 < n and get_f32(right_x, r + 1) == v
        return r + 1, following if equal else max(depth, following) + 1
    left = r == n
    if 0 < r < n:
        low, high = np.float64(get_f32(x, r - 1)), np.float64(get_f32(right_x, r))
        left = bool(draw(header) * (high - low) >= v - low)  # the cut lies above v
    if left:
        return r, _join(x, d, header, n, r, v, depth, True, tag)
    return r + 1, _join(right_x, right_d, header, n, r, v, depth, False, tag)


@inline
def _fill(tree: int, slots: int, n: int, r: int, v: float, weight: float, tag: int) -> None:
    """Put v into the hole, beside n points."""
    x, weights, header, d, pivots = parts_of(tree, slots, tag)
    if n > 0:
        gap, depth = _link(x, d, header, n, r, v, tag)
        if gap == r:
            set_depth(d, r + 1, get_depth(d, r, tag), tag)
        set_depth(d, gap, depth, tag)
    set_f32(x, r, v)
    set_f32(weights, r, weight)
    set_depth(d, 0, 0, tag)
    set_depth(d, n + 1, 0, tag)
    write_pivots(x, pivots, slots)


@kernel
def insert(tree: int, slots: int, n: int, v: float, weight: float, tag: int) -> None:
    """Insert v beside the n points in the tree."""
    x, weights, _, d, pivots = parts_of(tree, slots, tag)
    r = rank(x, pivots, slots, v) if n > 0 else 0
    _shift(x, weights, r, n, 1)
    size = depth_bytes(tag)
    move(d + size * (r + 2), d + size * (r + 1), size * (n - r))
    _fill(tree, slots, n, r, v, weight, tag)


@kernel
def replace(tree: int, slots: int, n: int, at: int, v: float, weight: float, tag: int) -> None:
    """Remove point ``at`` of the n in the tree, then insert v; only what lies between them moves."""
    x, weights, _, d, pivots = parts_of(tree, slots, tag)
    gap = _unlink(d, n, at, tag)
    r = rank(x, pivots, slots, v)
    if at < r:
        _shift(x, weights, at + 1, r, -1)
        r -= 1
    else:
        _shift(x, weights, r, at, 1)
    size = depth_bytes(tag)
    if gap <= r:
        move(d + size * gap, d + size * (gap + 1), size * (r + 1 - gap))
    else:
        move(d + size * (r + 2), d + size * (r + 1), size * (gap - r - 1))
    _fill(tree, slots, n - 1, r, v, weight, tag)


@kernel
def learn(forest: int, tree: int, point: int, time: int, leaf: int, tag: int) -> None:
    """Offer a point to the tree's sample at ``time``; it ``enters``. ``leaf`` is for trees of boxes."""
    slots, samples, decay = get_i64(forest, SLOTS), get_i64(forest, SAMPLES), get_f64(forest, DECAY)
    _, weights, header, _, _ = parts_of(tree, slots, tag)
    age = np.float64(time - get_i64(forest, EPOCH))
    n = get_i64(header, COUNT)
    action, weight = decide(header, weights, slots // BLOCK, samples, age, decay)
    if action == SKIP:
        return
    if action == REPLACE:
        replace(tree, slots, n, heaviest(weights, slots // BLOCK), get_f32(point, 0), weight, tag)
    else:
        insert(tree, slots, n, get_f32(point, 0), weight, tag)
        n += 1
    settle(header, weights, slots // BLOCK, n, samples, time, age, decay, get_f64(forest, GROWTH))


@kernel
def extent(forest: int, tree: int, component: int, tag: int) -> tuple[float, float]:
    """(smallest, largest) code in the tree, which is not empty."""
    n = get_i64(header_of(forest, tree, tag), COUNT)
    return get_f32(tree, 0), get_f32(tree, n - 1)


@kernel
def translate(forest: int, tree: int, component: int, by: float, tag: int) -> None:
    """Subtract ``by`` from all codes; exact where ``extent`` is within a factor of two of it."""
    slots = get_i64(forest, SLOTS)
    x, _, header, _, pivots = parts_of(tree, slots, tag)
    for i in range(get_i64(header, COUNT)):
        set_f32(x, i, get_f32(x, i) - by)
    write_pivots(x, pivots, slots)
