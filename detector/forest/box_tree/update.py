"""What changes a tree of boxes: points that come and go, and a new origin of their components."""

# mypy: no-warn-return-any

from __future__ import annotations

import numpy as np

from detector.forest.box_tree.structure import (
    BLOCK,
    COMPONENT,
    CUT,
    FREE,
    LEFT,
    NODE,
    NONE,
    PARENT,
    RIGHT,
    ROOT,
    SIDES,
    ZERO,
    child_of,
    corners_of,
    parts_of,
    weights_of,
)
from detector.forest.layout import DECAY, EPOCH, GROWTH, PADDED, SAMPLES, SLOTS, WIDTH
from detector.forest.llvm_intrinsics import (
    f32,
    get_f32,
    get_f64,
    get_i32,
    get_i64,
    get_u16,
    get_u32,
    inline,
    kernel,
    move,
    padding,
    set_f32,
    set_i32,
    set_u16,
)
from detector.forest.llvm_vectors import beyond, distance, enlarge, unite
from detector.forest.sampler import (
    COUNT,
    REPLACE,
    SKIP,
    decide,
    draw,
    heaviest,
    settle,
)


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
    set_f32(at, SIDES, ZERO)
    set_u16(at, LEFT, leaf)
    set_u16(at, RIGHT, leaf)
    set_u16(at, COMPONENT, 0)
    set_u16(at, PARENT, parent)


@inline
def _gap(low: int, high: int, x: int, component: int) -> float:
    """How far x lies outside of the box in one component."""
    v = get_f32(x, component)
    return max(max(get_f32(low, component) - v, v - get_f32(high, component)), ZERO)


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
    while gap == ZERO:  # rounding has led beyond the last
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
        if here == ZERO:
            break
        if draw(tree) * (np.float64(here) + get_f32(nodes + NODE * node, SIDES)) < here:
            target, outside = node, here
        node = get_u16(nodes + NODE * node, PARENT)
    return target, outside, node


@kernel
def insert(forest: int, tree: int, slot: int, x: int, start: int, tag: int) -> None:
    """Insert the point at x into the tree as number ``slot`` of the sample; ``start`` is a node on x's way down."""
    slots, padded, width = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), tag), get_i64(forest, WIDTH)
    nodes, _, leaves, free, boxes, points = parts_of(tree, slots, padded)
    leaf = start
    while 0 <= leaf < slots:
        leaf = child_of(nodes, leaf, x)
    if leaf >= 0 and distance(points + 4 * padded * (leaf - slots), x, padded) == ZERO:
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
        low, high = corners_of(boxes, points, slots, padded, target)
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
def remove(forest: int, tree: int, slot: int, tag: int) -> tuple[int, int]:
    """Remove number ``slot`` of the sample from the tree.

    Returns (leaf, node): walks down that ended at ``leaf`` now reach ``node``, -1 if the tree is empty, and go on.
    """
    slots, padded = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), tag)
    nodes, _, leaves, free, boxes, points = parts_of(tree, slots, padded)
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
        low, high = corners_of(boxes, points, slots, padded, get_u16(at, LEFT))
        other_low, other_high = corners_of(boxes, points, slots, padded, get_u16(at, RIGHT))
        sides = unite(boxes + 8 * padded * above, low, high, other_low, other_high, padded)
        if sides < ZERO:
            break
        set_f32(at, SIDES, sides)
        above = get_u16(at, PARENT)
    return leaf, sibling


@kernel
def learn(forest: int, tree: int, point: int, time: int, leaf: int, tag: int) -> None:
    """Offer a point to the tree's sample at ``time``; it ``enters``. ``leaf``: its walk's end, -1 if unknown."""
    slots, samples, decay = get_i64(forest, SLOTS), get_i64(forest, SAMPLES), get_f64(forest, DECAY)
    weights = weights_of(forest, tree, tag)
    age = np.float64(time - get_i64(forest, EPOCH))
    n = get_i64(tree, COUNT)
    action, weight = decide(tree, weights, slots // BLOCK, samples, age, decay)
    if action == SKIP:
        return
    slot, start = n, leaf if leaf >= 0 else get_i32(tree, ROOT)
    if action == REPLACE:
        slot = heaviest(weights, slots // BLOCK)
        removed, instead = remove(forest, tree, slot, tag)
        n -= 1
        if leaf < 0:
            start = get_i32(tree, ROOT)
        elif leaf == removed:
            start = instead
    insert(forest, tree, slot, point, start, tag)
    set_f32(weights, slot, weight)
    settle(tree, weights, slots // BLOCK, n + 1, samples, time, age, decay, get_f64(forest, GROWTH))


@kernel
def extent(forest: int, tree: int, component: int, tag: int) -> tuple[float, float]:
    """(smallest, largest) code of a component in the tree, which is not empty."""
    slots, padded = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), tag)
    _, _, _, _, boxes, points = parts_of(tree, slots, padded)
    low, high = corners_of(boxes, points, slots, padded, get_i32(tree, ROOT))
    return get_f32(low, component), get_f32(high, component)


@kernel
def translate(forest: int, tree: int, component: int, by: float, tag: int) -> None:
    """Subtract ``by`` from all codes of a component; exact where ``extent`` is within a factor of two of it."""
    slots, padded = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), tag)
    nodes, _, _, _, boxes, points = parts_of(tree, slots, padded)
    for i in range(slots):
        box, point, at = boxes + 8 * padded * i, points + 4 * padded * i, nodes + NODE * i
        set_f32(box, component, get_f32(box, component) - by)
        set_f32(box, padded + component, get_f32(box, padded + component) - by)
        set_f32(point, component, get_f32(point, component) - by)
        if get_u16(at, COMPONENT) == component:
            set_f32(at, CUT, get_f32(at, CUT) - by)
