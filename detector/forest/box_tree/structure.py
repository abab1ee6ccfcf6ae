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

from detector.forest.layout import SLOTS
from detector.forest.llvm_intrinsics import (
    f32,
    get_f32,
    get_i32,
    get_i64,
    get_u16,
    get_u32,
    inline,
    kernel,
)
from detector.forest.sampler import (
    HEADER,
    RANDOM,
    UNUSED,
)

LANES = 8  # walks in lockstep: while one waits for memory the others go on
BLOCK = 16  # slots come in blocks of one vector
NONE = 65535
ROOT, FREE = 11, 12  # in 4-byte slots of the header: root, -1 for none; how many inner nodes are free
CUT, SIDES = 0, 1  # in 4-byte slots of a node
CHILDREN = 2  # both, in 4-byte slots
LEFT, RIGHT, COMPONENT, PARENT = 4, 5, 6, 7  # in 2-byte slots
NODE = 16
ZERO = f32(0.0)
ONE = f32(1.0)


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
def parts_of(tree: int, slots: int, padded: int) -> tuple[int, ...]:
    """Addresses of (nodes, W, leaf of each point, free inner nodes, boxes, points)."""
    nodes = tree + HEADER
    weights = nodes + 2 * NODE * slots
    leaves = weights + 4 * slots
    free = leaves + 2 * slots
    boxes = free + 2 * slots
    return nodes, weights, leaves, free, boxes, boxes + 8 * padded * slots


@inline
def corners_of(boxes: int, points: int, slots: int, padded: int, node: int) -> tuple[int, int]:
    """Addresses of the low and the high corner of a node's box."""
    if node < slots:
        low = boxes + 8 * padded * node
        return low, low + 4 * padded
    point = points + 4 * padded * (node - slots)
    return point, point


@inline
def child_of(nodes: int, node: int, x: int) -> int:
    """The child of a node on x's side."""
    at = nodes + NODE * node
    right = get_f32(x, get_u16(at, COMPONENT)) > get_f32(at, CUT)
    return (get_u32(at, CHILDREN) >> (16 if right else 0)) & 0xFFFF


@kernel
def find_leaf(tree: int, slots: int, x: int) -> tuple[int, int]:
    """(leaf at which the walk down with x ends, -1 in an empty tree; its depth)."""
    node, depth = get_i32(tree, ROOT), 0
    while 0 <= node < slots:
        node = child_of(tree + HEADER, node, x)
        depth += 1
    return node, depth


@inline
def header_of(forest: int, tree: int, tag: int) -> int:
    """Address of the tree's header."""
    return tree


@inline
def weights_of(forest: int, tree: int, tag: int) -> int:
    """Address of the sampler's weights."""
    return tree + HEADER + 2 * NODE * get_i64(forest, SLOTS)
