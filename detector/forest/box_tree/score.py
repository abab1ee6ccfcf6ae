"""Scores of points in a tree of boxes. None changes it, but that of a point which is learnt at once."""

# mypy: no-warn-return-any

from __future__ import annotations

from detector.forest.box_tree.structure import (
    CUT,
    LANES,
    NODE,
    NONE,
    ONE,
    PARENT,
    ROOT,
    SIDES,
    ZERO,
    child_of,
    parts_of,
)
from detector.forest.box_tree.update import learn
from detector.forest.layout import PADDED, SAMPLES, SLOTS, TREE_BYTES, TREES_AT
from detector.forest.leaf import inverse_depth, score_equal
from detector.forest.llvm_intrinsics import (
    get_f64,
    get_i32,
    get_i64,
    get_u16,
    get_u32,
    i64,
    inline,
    kernel,
    padding,
    prefetch,
    set_i64,
)
from detector.forest.llvm_vectors import climb, distance
from detector.forest.sampler import (
    COUNT,
    HEADER,
    SCALE,
    enters,
)


@inline
def score_held(nodes: int, leaf: int, depth: int, n: int) -> float:
    """Score of a point that the sample holds."""
    return score_equal(depth, get_u32(nodes + NODE * leaf, CUT), n)


@kernel
def _descend(tree: int, tree_stride: int, x: int, x_stride: int, last: int, slots: int, scratch: int) -> None:
    """Leaf and its depth for each lane: scratch[lane], scratch[LANES + lane].

    Lane l walks down the tree at ``tree + l * tree_stride`` with the point at ``x + l * x_stride``; lanes after
    ``last`` repeat it.
    """
    for lane in range(LANES):
        set_i64(scratch, lane, get_i32(tree + min(lane, last) * tree_stride, ROOT))
        set_i64(scratch, LANES + lane, 0)
    walking = True
    while walking:
        walking = False
        for lane in range(LANES):
            own = min(lane, last)
            node = get_i64(scratch, lane)
            inner = node < slots
            walking |= inner
            set_i64(scratch, LANES + lane, get_i64(scratch, LANES + lane) + (1 if inner else 0))
            set_i64(scratch, lane, child_of(tree + own * tree_stride + HEADER, node, x + own * x_stride))


@inline
def _above(nodes: int, node: int) -> int:
    """The parent; the root for the root."""
    parent = get_u16(nodes + NODE * node, PARENT)
    return node if parent == NONE else parent


@inline
def _ancestors(nodes: int, node: int) -> tuple[int, int, int, int]:
    """The four nodes above a node, or the root in place of those beyond it."""
    a = _above(nodes, node)
    b = _above(nodes, a)
    c = _above(nodes, b)
    return a, b, c, _above(nodes, c)


@inline
def _climb(
    nodes: int, boxes: int, padded: int, node: int, score: float, depth: int, x: int
) -> tuple[float, float, int]:
    """(score, how far x lies outside, node) four levels up; ``depth`` is that of the first."""
    a, b, c, d = _ancestors(nodes, node)
    width, sides = 8 * padded, nodes + 4 * SIDES
    score, outside = climb(
        score,
        depth,
        (sides + NODE * a, sides + NODE * b, sides + NODE * c, sides + NODE * d),
        (boxes + width * a, boxes + width * b, boxes + width * c, boxes + width * d),
        x,
        padded,
    )
    return score, outside, d


@inline
def _ascend(
    nodes: int, boxes: int, points: int, slots: int, padded: int, leaf: int, depth: int, x: int, n: int
) -> float:
    """Score of x from its leaf up to the first box that holds it."""
    if distance(points + 4 * padded * (leaf - slots), x, padded) == ZERO:
        return score_held(nodes, leaf, depth, n)
    score = inverse_depth(depth)
    node, outside = leaf, ONE
    while depth > 0 and outside > ZERO:
        score, outside, node = _climb(nodes, boxes, padded, node, score, depth - 1, x)
        depth -= 4
        if padded == LANES:  # then four more levels cost less than a wrong guess whether they are needed
            score, outside, node = _climb(nodes, boxes, padded, node, score, depth - 1, x)
            depth -= 4
    return score


@inline
def _fetch(tree: int, slots: int, padded: int, leaf: int) -> None:
    """Ask for what ``_ascend`` will read first, before others are scored: a forest may not fit into the cache."""
    nodes, _, _, _, boxes, points = parts_of(tree, slots, padded)
    lines = padded // LANES
    prefetch(points + 4 * padded * (leaf - slots), (lines + 1) // 2)
    for node in _ancestors(nodes, leaf):
        prefetch(boxes + 8 * padded * node, lines)


@inline
def _score_lane(tree: int, slots: int, padded: int, x: int, lane: int, unit: float, scratch: int) -> int:
    """The score of the lane's point in multiples of 1 / unit."""
    nodes, _, _, _, boxes, points = parts_of(tree, slots, padded)
    leaf, depth = get_i64(scratch, lane), get_i64(scratch, LANES + lane)
    score = _ascend(nodes, boxes, points, slots, padded, leaf, depth, x, get_i64(tree, COUNT))
    return i64(score * (get_f64(tree, SCALE) * unit))


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

    Returns the leaf of the last of them, if there is one.
    """
    slots, padded = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), tag)
    i, lanes = start, 0
    while i < stop:
        lanes = min(LANES, stop - i)
        x = points + stride * i
        _descend(tree, 0, x, stride, lanes - 1, slots, scratch)
        for lane in range(lanes):
            score = _score_lane(tree, slots, padded, x + lane * stride, lane, unit, scratch)
            set_i64(sums, i + lane, get_i64(sums, i + lane) + score)
        i += lanes
    return get_i64(scratch, max(lanes - 1, 0))


@kernel
def score_across(
    forest: int, first: int, last: int, point: int, unit: float, learning: bool, time: int, scratch: int, tag: int
) -> int:
    """The sum of the scores of one point in trees first ... last - 1, in multiples of 1 / unit.

    If ``learning``, each tree then learns the point if it ``enters`` at ``time``.
    """
    samples = get_i64(forest, SAMPLES)
    slots, padded, size = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), tag), get_i64(forest, TREE_BYTES)
    tree = forest + get_i64(forest, TREES_AT) + first * size
    total = 0
    while first < last:
        lanes = min(LANES, last - first)
        _descend(tree, size, point, 0, lanes - 1, slots, scratch)
        for lane in range(lanes):
            _fetch(tree + lane * size, slots, padded, get_i64(scratch, lane))
        for lane in range(lanes):
            total += _score_lane(tree + lane * size, slots, padded, point, lane, unit, scratch)
        if learning:
            for lane in range(lanes):
                if enters(tree + lane * size, samples, time):
                    learn(forest, tree + lane * size, point, time, get_i64(scratch, lane), tag)
        first += lanes
        tree += lanes * size
    return total
