"""A random cut tree of points of any number of components: nodes with cuts and bounding boxes.

    64 bytes           header (``detector.forest.sampler``), and in it: root, free inner nodes, see below
    node [2 slots]     16 bytes each: the inner nodes 0 ... slots - 1, then the leaves; leaf ``slots + i`` has point i
    f32 [slots]        W: weights of the sample's points
    u16 [slots]        the leaf of each point of the sample: equal points share one
    u16 [slots]        stack of free inner nodes
    box [slots]        f32 [2][padded] of each inner node: low corner, high corner; as small as can be
    point [slots]      f32 [padded] of each leaf

A node is

    f32 cut            inner: points up to it, in the node's component, lie on the left     leaf: u32 number of points
    f32 sides          sum of the sides of its box; 0 for a leaf
    u16 left, right    children; a leaf has itself, so that walks in lockstep may go on at the bottom
    u16 component      that is cut
    u16 parent

There are no masses above the leaves: every change ends at the first ancestor whose box stays as it is.
"""

# mypy: no-warn-return-any

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.forest.layout import DECAY, EPOCH, GROWTH, PADDED, SAMPLES, SLOTS, TREE_BYTES, TREES_AT, WIDTH
from detector.forest.leaf import inverse, score_equal
from detector.forest.llvm_intrinsics import (
    beyond,
    climb,
    distance,
    enlarge,
    f32,
    get_f32,
    get_f64,
    get_i32,
    get_i64,
    get_u16,
    get_u32,
    i64,
    inline,
    kernel,
    move,
    padding,
    prefetch,
    set_f32,
    set_f64,
    set_i32,
    set_i64,
    set_u16,
    unite,
)
from detector.forest.sampler import (
    COUNT,
    HEADER,
    RANDOM,
    REPLACE,
    SCALE,
    SKIP,
    UNUSED,
    decide,
    draw,
    enters,
    heaviest,
    settle,
)

LANES = 8  # walks in lockstep: while one waits for memory the others go on
BLOCK = 16  # slots come in blocks of one vector
NONE = 65535

ROOT, FREE = 11, 12  # in 4-byte slots of the header: root, -1 for none; how many inner nodes are free
CUT, SIDES = 0, 1  # in 4-byte slots of a node
CHILDREN = 2  # both, in 4-byte slots
LEFT, RIGHT, COMPONENT, PARENT = 4, 5, 6, 7  # in 2-byte slots
NODE = 16

_ZERO = f32(0.0)
_ONE = f32(1.0)


def tree_bytes(slots: int, padded: int) -> int:
    """Bytes of a tree with room for ``slots`` points of ``padded`` floats."""
    return HEADER + 2 * NODE * slots + 8 * slots + 12 * padded * slots


def plant(tree: NDArray[np.uint8], slots: int, seed: np.uint64) -> None:
    """Make zeroed memory an empty tree."""
    header = tree[:HEADER]
    header.view(np.uint64)[RANDOM] = seed
    header.view(np.int32)[[ROOT, FREE]] = -1, slots
    weights = HEADER + 2 * NODE * slots
    leaves, free = weights + 4 * slots, weights + 6 * slots
    tree[weights:leaves].view(np.float32)[:] = UNUSED
    tree[leaves:free].view(np.uint16)[:] = NONE
    tree[free : free + 2 * slots].view(np.uint16)[:] = np.arange(slots)[::-1]


@inline
def _parts(tree: int, slots: int, padded: int) -> tuple[int, ...]:
    """Addresses of (nodes, W, leaf of each point, free inner nodes, boxes, points)."""
    nodes = tree + HEADER
    weights = nodes + 2 * NODE * slots
    leaves = weights + 4 * slots
    free = leaves + 2 * slots
    boxes = free + 2 * slots
    return nodes, weights, leaves, free, boxes, boxes + 8 * padded * slots


@inline
def _corners(boxes: int, points: int, slots: int, padded: int, node: int) -> tuple[int, int]:
    """Addresses of the low and the high corner of a node's box."""
    if node < slots:
        low = boxes + 8 * padded * node
        return low, low + 4 * padded
    point = points + 4 * padded * (node - slots)
    return point, point


# Scores


@inline
def _score_equal(nodes: int, leaf: int, depth: int, n: int) -> float:
    """Score of a point that the sample holds."""
    return score_equal(depth, get_u32(nodes + NODE * leaf, CUT), n)


@inline
def _child(nodes: int, node: int, x: int) -> int:
    """The child of a node on x's side."""
    at = nodes + NODE * node
    right = get_f32(x, get_u16(at, COMPONENT)) > get_f32(at, CUT)
    return (get_u32(at, CHILDREN) >> (16 if right else 0)) & 0xFFFF


@kernel
def find_leaf(tree: int, slots: int, x: int) -> tuple[int, int]:
    """(leaf at which the walk down with x ends, -1 in an empty tree; its depth)."""
    node, depth = get_i32(tree, ROOT), 0
    while 0 <= node < slots:
        node = _child(tree + HEADER, node, x)
        depth += 1
    return node, depth


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
            set_i64(scratch, lane, _child(tree + own * tree_stride + HEADER, node, x + own * x_stride))


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
    if distance(points + 4 * padded * (leaf - slots), x, padded) == _ZERO:
        return _score_equal(nodes, leaf, depth, n)
    score = inverse(depth)
    node, outside = leaf, _ONE
    while depth > 0 and outside > _ZERO:
        score, outside, node = _climb(nodes, boxes, padded, node, score, depth - 1, x)
        depth -= 4
        if padded == LANES:  # then four more levels cost less than a wrong guess whether they are needed
            score, outside, node = _climb(nodes, boxes, padded, node, score, depth - 1, x)
            depth -= 4
    return score


@inline
def _fetch(tree: int, slots: int, padded: int, leaf: int) -> None:
    """Ask for what ``_ascend`` will read first, before others are scored: a forest may not fit into the cache."""
    nodes, _, _, _, boxes, points = _parts(tree, slots, padded)
    lines = padded // LANES
    prefetch(points + 4 * padded * (leaf - slots), (lines + 1) // 2)
    for node in _ancestors(nodes, leaf):
        prefetch(boxes + 8 * padded * node, lines)


@inline
def _score_lane(tree: int, slots: int, padded: int, x: int, lane: int, unit: float, scratch: int) -> int:
    """The score of the lane's point in multiples of 1 / unit."""
    nodes, _, _, _, boxes, points = _parts(tree, slots, padded)
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
    like: int,
) -> int:
    """Add the tree's score of each of points[start:stop], in multiples of 1 / unit, to the integers at ``sums``.

    Returns the leaf of the last of them, if there is one.
    """
    slots, padded = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), like)
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
    forest: int, first: int, last: int, point: int, unit: float, learning: bool, time: int, scratch: int, like: int
) -> int:
    """The sum of the scores of one point in trees first ... last - 1, in multiples of 1 / unit.

    If ``learning``, each tree then learns the point if it ``enters`` at ``time``.
    """
    samples = get_i64(forest, SAMPLES)
    slots, padded, size = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), like), get_i64(forest, TREE_BYTES)
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
                    learn(forest, tree + lane * size, point, time, get_i64(scratch, lane), like)
        first += lanes
        tree += lanes * size
    return total


# Explanations


@inline
def _add_outside(low: int, high: int, x: int, width: int, factor: float, parts: int) -> None:
    """Add factor * how far x lies above and below the box, for each component, to parts, f64 [width][2]."""
    for j in range(width):
        v = np.float64(get_f32(x, j))
        above, below = max(v - get_f32(high, j), 0.0), max(get_f32(low, j) - v, 0.0)
        set_f64(parts, 2 * j, get_f64(parts, 2 * j) + factor * above)
        set_f64(parts, 2 * j + 1, get_f64(parts, 2 * j + 1) + factor * below)


@inline
def _scale(parts: int, count: int, factor: float) -> None:
    for j in range(count):
        set_f64(parts, j, get_f64(parts, j) * factor)


@inline
def _sum(parts: int, count: int) -> float:
    total = 0.0
    for j in range(count):
        total += get_f64(parts, j)
    return total


@kernel
def _attribute_new(
    nodes: int, boxes: int, points: int, slots: int, padded: int, width: int, leaf: int, depth: int, x: int, parts: int
) -> None:
    """Score of a point that is not in the sample, split as its cuts are: ``_ascend`` for each component."""
    low, high = _corners(boxes, points, slots, padded, leaf)
    outside = np.float64(distance(low, x, padded))
    _add_outside(low, high, x, width, inverse(depth) / outside, parts)
    node = leaf
    while depth > 0:
        node = get_u16(nodes + NODE * node, PARENT)
        low, high = _corners(boxes, points, slots, padded, node)
        outside = np.float64(beyond(low, x, padded))
        if outside == 0.0:
            break
        total = outside + get_f32(nodes + NODE * node, SIDES)
        depth -= 1
        _scale(parts, 2 * width, 1.0 - outside / total)
        _add_outside(low, high, x, width, inverse(depth) / total, parts)


@kernel
def _attribute_equal(
    nodes: int,
    boxes: int,
    points: int,
    slots: int,
    padded: int,
    width: int,
    leaf: int,
    depth: int,
    x: int,
    score: float,
    parts: int,
    box: int,
) -> None:
    """Score of a point that is in the sample, split as if it were not: over the boxes without its leaf."""
    node, empty = leaf, True
    while depth > 0:
        above = get_u16(nodes + NODE * node, PARENT)
        at = nodes + NODE * above
        sibling = get_u16(at, RIGHT) if get_u16(at, LEFT) == node else get_u16(at, LEFT)
        low, high = _corners(boxes, points, slots, padded, sibling)
        top = box + 4 * padded
        sides = unite(box, low, high, low if empty else box, high if empty else top, padded)
        empty = False
        sides = 0.0
        for j in range(width):
            sides += np.float64(get_f32(top, j)) - get_f32(box, j)
        outside = np.float64(beyond(box, x, padded))
        if outside == 0.0:
            break
        depth -= 1
        _scale(parts, 2 * width, 1.0 - outside / (sides + outside))
        _add_outside(box, top, x, width, inverse(depth) / (sides + outside), parts)
        node = above
    total = _sum(parts, 2 * width)
    if total > 0.0:
        _scale(parts, 2 * width, score / total)
    else:
        for j in range(2 * width):
            set_f64(parts, j, score / (2.0 * width))


@kernel
def attribute(forest: int, tree: int, point: int, parts: int, scratch: int, like: int) -> None:
    """Split the score of one point into what is owed to each component being high and being low.

    parts: f64 [width][2], not yet times the tree's scale; scratch: 8 bytes for each component and direction.
    """
    slots, padded, width = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), like), get_i64(forest, WIDTH)
    nodes, _, _, _, boxes, points = _parts(tree, slots, padded)
    for j in range(2 * width):
        set_f64(parts, j, 0.0)
    leaf, depth = find_leaf(tree, slots, point)
    if distance(points + 4 * padded * (leaf - slots), point, padded) == _ZERO:
        score = _score_equal(nodes, leaf, depth, get_i64(tree, COUNT))
        _attribute_equal(nodes, boxes, points, slots, padded, width, leaf, depth, point, score, parts, scratch)
    else:
        _attribute_new(nodes, boxes, points, slots, padded, width, leaf, depth, point, parts)


@kernel
def _weigh(tree: int, slots: int, padded: int, masses: int) -> None:
    """Write the number of points below each inner node to masses, i64 [slots]."""
    nodes, _, leaves, _, _, _ = _parts(tree, slots, padded)
    for i in range(slots):
        set_i64(masses, i, 0)
    for i in range(slots):
        if get_u16(leaves, i) != NONE:
            node = get_u16(nodes + NODE * (slots + get_u16(leaves, i)), PARENT)
            while node != NONE:
                set_i64(masses, node, get_i64(masses, node) + 1)
                node = get_u16(nodes + NODE * node, PARENT)


@inline
def _mass(nodes: int, slots: int, masses: int, node: int) -> int:
    return get_i64(masses, node) if node < slots else get_u32(nodes + NODE * node, CUT)


@kernel
def displace(forest: int, tree: int, point: int, scratch: int, like: int) -> float:
    """As ``sorted_tree.displace``; scratch: 8 bytes a slot."""
    slots, padded = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), like)
    nodes, _, _, _, boxes, points = _parts(tree, slots, padded)
    _weigh(tree, slots, padded, scratch)
    reached, above, total = 1.0, 0.0, 0.0
    node = get_i32(tree, ROOT)
    while node < slots:
        mass = float(get_i64(scratch, node))
        outside = np.float64(beyond(boxes + 8 * padded * node, point, padded))
        p = outside / (outside + get_f32(nodes + NODE * node, SIDES))
        total += reached * p * max(above, mass)
        reached *= 1.0 - p
        node = _child(nodes, node, point)
        own = float(_mass(nodes, slots, scratch, node))
        above = max(above, (mass - own) / (own + 1.0))
    if distance(points + 4 * padded * (node - slots), point, padded) > _ZERO:
        above = max(above, float(_mass(nodes, slots, scratch, node)))
    return total + reached * above


@kernel
def recall(forest: int, tree: int, point: int, missing: int, codes: int, scratch: int, like: int) -> None:
    """Write the codes, f32 [padded], of the point of the sample that is most like one with missing components.

    missing: f32 [padded], 1 where a component is missing, else 0. Of the leaves that the point may reach, whatever it
    has there, the one that is nearest in the other components. scratch: 8 bytes a slot.
    """
    slots, padded, width = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), like), get_i64(forest, WIDTH)
    nodes, _, _, _, _, points = _parts(tree, slots, padded)
    best, nearest = np.inf, -1
    set_i64(scratch, 0, get_i32(tree, ROOT))
    pending = 1
    while pending > 0:
        pending -= 1
        node = get_i64(scratch, pending)
        while node < slots:
            at = nodes + NODE * node
            if get_f32(missing, get_u16(at, COMPONENT)) > _ZERO:
                set_i64(scratch, pending, get_u16(at, RIGHT))
                pending += 1
                node = get_u16(at, LEFT)
            else:
                node = _child(nodes, node, point)
        leaf = points + 4 * padded * (node - slots)
        far = 0.0
        for j in range(width):
            if get_f32(missing, j) == _ZERO:
                far += abs(np.float64(get_f32(leaf, j)) - get_f32(point, j))
        if far < best:
            best, nearest = far, leaf
    move(codes, nearest, 4 * padded)


# Changes


@inline
def _replace_child(tree: int, nodes: int, parent: int, old: int, new: int) -> None:
    """Put node ``new`` in the place of ``old`` below ``parent``."""
    if parent == NONE:
        set_i32(tree, ROOT, new)
    else:
        at = nodes + NODE * parent
        set_u16(at, LEFT if get_u16(at, LEFT) == old else RIGHT, new)
    set_u16(nodes + NODE * new, PARENT, parent)


@inline
def _make_leaf(nodes: int, leaf: int, mass: int, parent: int) -> None:
    at = nodes + NODE * leaf
    set_i32(at, CUT, mass)
    set_f32(at, SIDES, _ZERO)
    set_u16(at, LEFT, leaf)
    set_u16(at, RIGHT, leaf)
    set_u16(at, COMPONENT, 0)
    set_u16(at, PARENT, parent)


@inline
def _gap(low: int, high: int, x: int, component: int) -> float:
    """How far x lies outside of the box in one component."""
    v = get_f32(x, component)
    return max(max(get_f32(low, component) - v, v - get_f32(high, component)), _ZERO)


@inline
def _choose_cut(low: int, high: int, x: int, width: int, outside: float, u: float) -> tuple[int, float]:
    """(component, cut) uniform on the part of x's way that lies outside of the box; u is uniform on [0, 1)."""
    rest = f32(u * outside)
    component = 0
    gap = _gap(low, high, x, component)
    while rest >= gap and component < width - 1:
        rest -= gap
        component += 1
        gap = _gap(low, high, x, component)
    while gap == _ZERO:  # rounding has led beyond the last
        component -= 1
        gap = _gap(low, high, x, component)
    rest = min(rest, gap)
    v, smallest, biggest = get_f32(x, component), get_f32(low, component), get_f32(high, component)
    if v < smallest:
        cut = v + rest
        return component, cut if cut < smallest else v
    cut = biggest + rest
    return component, cut if cut < v else biggest


@inline
def _separate(
    tree: int, nodes: int, boxes: int, points: int, slots: int, padded: int, leaf: int, x: int
) -> tuple[int, float, int]:
    """(node above which x is cut off, how far x lies outside of its box, first ancestor whose box holds x).

    Walking up from the leaf, every box is cut off with the probability that a cut of it and x falls in between; the
    topmost such cut is the one that a walk down would have met first.
    """
    target = leaf
    outside = distance(points + 4 * padded * (leaf - slots), x, padded)
    node = get_u16(nodes + NODE * leaf, PARENT)
    while node != NONE:
        here = beyond(boxes + 8 * padded * node, x, padded)
        if here == _ZERO:
            break
        if draw(tree) * (np.float64(here) + get_f32(nodes + NODE * node, SIDES)) < here:
            target, outside = node, here
        node = get_u16(nodes + NODE * node, PARENT)
    return target, outside, node


@kernel
def insert(forest: int, tree: int, slot: int, x: int, start: int, like: int) -> None:
    """Insert the point at x into the tree as number ``slot`` of the sample; ``start`` is a node on x's way down."""
    slots, padded, width = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), like), get_i64(forest, WIDTH)
    nodes, _, leaves, free, boxes, points = _parts(tree, slots, padded)
    leaf = start
    while 0 <= leaf < slots:
        leaf = _child(nodes, leaf, x)
    if leaf >= 0 and distance(points + 4 * padded * (leaf - slots), x, padded) == _ZERO:
        set_i32(nodes + NODE * leaf, CUT, get_u32(nodes + NODE * leaf, CUT) + 1)
        set_u16(leaves, slot, leaf - slots)
        return
    new_leaf, parent = slots + slot, NONE
    set_u16(leaves, slot, slot)
    move(points + 4 * padded * slot, x, 4 * padded)
    if leaf < 0:
        set_i32(tree, ROOT, new_leaf)
    else:
        target, outside, holder = _separate(tree, nodes, boxes, points, slots, padded, leaf, x)
        low, high = _corners(boxes, points, slots, padded, target)
        component, cut = _choose_cut(low, high, x, width, outside, draw(tree))
        left = get_f32(x, component) <= cut
        unused = get_i32(tree, FREE) - 1
        set_i32(tree, FREE, unused)
        parent = get_u16(free, unused)
        above = get_u16(nodes + NODE * target, PARENT)
        _replace_child(tree, nodes, above, target, parent)
        at = nodes + NODE * parent
        set_f32(at, CUT, cut)
        set_f32(at, SIDES, enlarge(boxes + 8 * padded * parent, low, high, x, padded))
        set_u16(at, COMPONENT, component)
        set_u16(at, LEFT, new_leaf if left else target)
        set_u16(at, RIGHT, target if left else new_leaf)
        set_u16(nodes + NODE * target, PARENT, parent)
        while above != holder:
            box = boxes + 8 * padded * above
            set_f32(nodes + NODE * above, SIDES, enlarge(box, box, box + 4 * padded, x, padded))
            above = get_u16(nodes + NODE * above, PARENT)
    _make_leaf(nodes, new_leaf, 1, parent)


@inline
def _vacate(tree: int, nodes: int, leaves: int, points: int, slots: int, padded: int, slot: int, mass: int) -> int:
    """Move a leaf of equal points from ``slot``, which leaves the sample, to another of its points; returns it."""
    heir = 0
    while get_u16(leaves, heir) != slot:
        heir += 1
    for i in range(heir, slots):
        if get_u16(leaves, i) == slot:
            set_u16(leaves, i, heir)
    move(points + 4 * padded * heir, points + 4 * padded * slot, 4 * padded)
    parent = get_u16(nodes + NODE * (slots + slot), PARENT)
    _make_leaf(nodes, slots + heir, mass, parent)
    _replace_child(tree, nodes, parent, slots + slot, slots + heir)
    return slots + heir


@kernel
def remove(forest: int, tree: int, slot: int, like: int) -> tuple[int, int]:
    """Remove number ``slot`` of the sample from the tree.

    Returns (leaf, node): walks down that ended at ``leaf`` now reach ``node``, -1 if the tree is empty, and go on.
    """
    slots, padded = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), like)
    nodes, _, leaves, free, boxes, points = _parts(tree, slots, padded)
    own = get_u16(leaves, slot)
    leaf = slots + own
    set_u16(leaves, slot, NONE)
    mass = get_u32(nodes + NODE * leaf, CUT) - 1
    if mass > 0:
        set_i32(nodes + NODE * leaf, CUT, mass)
        if own == slot:
            return leaf, _vacate(tree, nodes, leaves, points, slots, padded, slot, mass)
        return leaf, leaf
    parent = get_u16(nodes + NODE * leaf, PARENT)
    if parent == NONE:
        set_i32(tree, ROOT, -1)
        return leaf, -1
    at = nodes + NODE * parent
    sibling = get_u16(at, RIGHT) if get_u16(at, LEFT) == leaf else get_u16(at, LEFT)
    above = get_u16(at, PARENT)
    _replace_child(tree, nodes, above, parent, sibling)
    unused = get_i32(tree, FREE)
    set_u16(free, unused, parent)
    set_i32(tree, FREE, unused + 1)
    while above != NONE:
        at = nodes + NODE * above
        low, high = _corners(boxes, points, slots, padded, get_u16(at, LEFT))
        other_low, other_high = _corners(boxes, points, slots, padded, get_u16(at, RIGHT))
        sides = unite(boxes + 8 * padded * above, low, high, other_low, other_high, padded)
        if sides < _ZERO:
            break
        set_f32(at, SIDES, sides)
        above = get_u16(at, PARENT)
    return leaf, sibling


@kernel
def learn(forest: int, tree: int, point: int, time: int, leaf: int, like: int) -> None:
    """Offer a point to the tree's sample at ``time``; it ``enters``. ``leaf``: its walk's end, -1 if unknown."""
    slots, samples, decay = get_i64(forest, SLOTS), get_i64(forest, SAMPLES), get_f64(forest, DECAY)
    weights = weights_of(forest, tree, like)
    age = np.float64(time - get_i64(forest, EPOCH))
    n = get_i64(tree, COUNT)
    action, weight = decide(tree, weights, slots // BLOCK, samples, age, decay)
    if action == SKIP:
        return
    slot, start = n, leaf if leaf >= 0 else get_i32(tree, ROOT)
    if action == REPLACE:
        slot = heaviest(weights, slots // BLOCK)
        removed, instead = remove(forest, tree, slot, like)
        n -= 1
        if leaf < 0:
            start = get_i32(tree, ROOT)
        elif leaf == removed:
            start = instead
    insert(forest, tree, slot, point, start, like)
    set_f32(weights, slot, weight)
    settle(tree, weights, slots // BLOCK, n + 1, samples, time, age, decay, get_f64(forest, GROWTH))


@inline
def header_of(forest: int, tree: int, like: int) -> int:
    """Address of the tree's header."""
    return tree


@inline
def weights_of(forest: int, tree: int, like: int) -> int:
    """Address of the sampler's weights."""
    return tree + HEADER + 2 * NODE * get_i64(forest, SLOTS)


@kernel
def extent(forest: int, tree: int, component: int, like: int) -> tuple[float, float]:
    """(smallest, largest) code of a component in the tree, which is not empty."""
    slots, padded = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), like)
    _, _, _, _, boxes, points = _parts(tree, slots, padded)
    low, high = _corners(boxes, points, slots, padded, get_i32(tree, ROOT))
    return get_f32(low, component), get_f32(high, component)


@kernel
def translate(forest: int, tree: int, component: int, by: float, like: int) -> None:
    """Subtract ``by`` from all codes of a component; exact where ``extent`` is within a factor of two of it."""
    slots, padded = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), like)
    nodes, _, _, _, boxes, points = _parts(tree, slots, padded)
    for i in range(slots):
        box, point, at = boxes + 8 * padded * i, points + 4 * padded * i, nodes + NODE * i
        set_f32(box, component, get_f32(box, component) - by)
        set_f32(box, padded + component, get_f32(box, padded + component) - by)
        set_f32(point, component, get_f32(point, component) - by)
        if get_u16(at, COMPONENT) == component:
            set_f32(at, CUT, get_f32(at, CUT) - by)
