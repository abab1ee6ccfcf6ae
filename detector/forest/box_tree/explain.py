"""Attribution, codisp and imputation in a tree of boxes; none changes it."""

# mypy: no-warn-return-any

from __future__ import annotations

import numpy as np

from detector.forest.box_tree.score import score_held
from detector.forest.box_tree.structure import (
    COMPONENT,
    CUT,
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
    find_leaf,
    parts_of,
)
from detector.forest.layout import PADDED, SLOTS, WIDTH
from detector.forest.leaf import inverse_depth
from detector.forest.llvm_intrinsics import (
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
    set_f64,
    set_i64,
)
from detector.forest.llvm_vectors import beyond, distance, unite
from detector.forest.sampler import (
    COUNT,
)


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
    low, high = corners_of(boxes, points, slots, padded, leaf)
    outside = np.float64(distance(low, x, padded))
    _add_outside(low, high, x, width, inverse_depth(depth) / outside, parts)
    node = leaf
    while depth > 0:
        node = get_u16(nodes + NODE * node, PARENT)
        low, high = corners_of(boxes, points, slots, padded, node)
        outside = np.float64(beyond(low, x, padded))
        if outside == 0.0:
            break
        total = outside + get_f32(nodes + NODE * node, SIDES)
        depth -= 1
        _scale(parts, 2 * width, 1.0 - outside / total)
        _add_outside(low, high, x, width, inverse_depth(depth) / total, parts)


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
        low, high = corners_of(boxes, points, slots, padded, sibling)
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
        _add_outside(box, top, x, width, inverse_depth(depth) / (sides + outside), parts)
        node = above
    total = _sum(parts, 2 * width)
    if total > 0.0:
        _scale(parts, 2 * width, score / total)
    else:
        for j in range(2 * width):
            set_f64(parts, j, score / (2.0 * width))


@kernel
def attribute(forest: int, tree: int, point: int, parts: int, scratch: int, tag: int) -> None:
    """Split the score of one point into what is owed to each component being high and being low.

    parts: f64 [width][2], not yet times the tree's scale; scratch: 8 bytes for each component and direction.
    """
    slots, padded, width = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), tag), get_i64(forest, WIDTH)
    nodes, _, _, _, boxes, points = parts_of(tree, slots, padded)
    for j in range(2 * width):
        set_f64(parts, j, 0.0)
    leaf, depth = find_leaf(tree, slots, point)
    if distance(points + 4 * padded * (leaf - slots), point, padded) == ZERO:
        score = score_held(nodes, leaf, depth, get_i64(tree, COUNT))
        _attribute_equal(nodes, boxes, points, slots, padded, width, leaf, depth, point, score, parts, scratch)
    else:
        _attribute_new(nodes, boxes, points, slots, padded, width, leaf, depth, point, parts)


@kernel
def _weigh(tree: int, slots: int, padded: int, masses: int) -> None:
    """Write the number of points below each inner node to masses, i64 [slots]."""
    nodes, _, leaves, _, _, _ = parts_of(tree, slots, padded)
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
def codisp(forest: int, tree: int, point: int, scratch: int, tag: int) -> float:
    """As ``sorted_tree.codisp``; scratch: 8 bytes a slot."""
    slots, padded = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), tag)
    nodes, _, _, _, boxes, points = parts_of(tree, slots, padded)
    _weigh(tree, slots, padded, scratch)
    reached, above, total = 1.0, 0.0, 0.0
    node = get_i32(tree, ROOT)
    while node < slots:
        mass = float(get_i64(scratch, node))
        outside = np.float64(beyond(boxes + 8 * padded * node, point, padded))
        p = outside / (outside + get_f32(nodes + NODE * node, SIDES))
        total += reached * p * max(above, mass)
        reached *= 1.0 - p
        node = child_of(nodes, node, point)
        own = float(_mass(nodes, slots, scratch, node))
        above = max(above, (mass - own) / (own + 1.0))
    if distance(points + 4 * padded * (node - slots), point, padded) > ZERO:
        above = max(above, float(_mass(nodes, slots, scratch, node)))
    return total + reached * above


@kernel
def impute(forest: int, tree: int, point: int, missing: int, codes: int, scratch: int, tag: int) -> None:
    """Write the codes, f32 [padded], of the point of the sample that is most like one with missing components.

    missing: f32 [padded], 1 where a component is missing, else 0. Of the leaves that the point may reach, whatever it
    has there, the one that is nearest in the other components. scratch: 8 bytes a slot.
    """
    slots, padded, width = get_i64(forest, SLOTS), padding(get_i64(forest, PADDED), tag), get_i64(forest, WIDTH)
    nodes, _, _, _, _, points = parts_of(tree, slots, padded)
    best, nearest = np.inf, -1
    set_i64(scratch, 0, get_i32(tree, ROOT))
    pending = 1
    while pending > 0:
        pending -= 1
        node = get_i64(scratch, pending)
        while node < slots:
            at = nodes + NODE * node
            if get_f32(missing, get_u16(at, COMPONENT)) > ZERO:
                set_i64(scratch, pending, get_u16(at, RIGHT))
                pending += 1
                node = get_u16(at, LEFT)
            else:
                node = child_of(nodes, node, point)
        leaf = points + 4 * padded * (node - slots)
        far = 0.0
        for j in range(width):
            if get_f32(missing, j) == ZERO:
                far += abs(np.float64(get_f32(leaf, j)) - get_f32(point, j))
        if far < best:
            best, nearest = far, leaf
    move(codes, nearest, 4 * padded)
