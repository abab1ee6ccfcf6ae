"""A random cut tree of points on a line, without nodes, boxes or cuts.

The sample is sorted; between neighbours lies a gap. The tree splits at one gap after the other, so a subtree is a range
of points and its root is the shallowest gap inside. The depths of the gaps therefore determine the tree: the boxes are
the values at the ends of the ranges, the masses are their lengths. Where in its gap a cut lies need not be known:
given the tree it is uniform there, and the score is the mean over it.

    f32 [slots]       X: the sample's codes in order, then +inf
    f32 [slots]       W: their weights in the sampler
    64 bytes          header (``detector.forest.sampler``); its last element is D[0]
    depth [slots]     D[1] ... D[slots]: see below
    f32 [pivots]      X[0], X[16], X[32] ...: the first of every 16, then +inf

D[k] belongs to the gap between X[k - 1] and X[k] and is 1 + the depth of its node; the root has depth 0. D[0] and D[n]
are 0. Between equal points the gap is no node: equal points share one leaf, and D[k] is 1 + the leaf's depth.

``left`` says which neighbour of a new value is meant; what holds on one side holds mirrored on the other.
"""

# mypy: no-warn-return-any

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.forest.layout import SLOTS
from detector.forest.llvm_intrinsics import (
    depth_bytes,
    f32,
    get_f32,
    get_i64,
    inline,
    leading_zeros,
    set_f32,
    shallower,
    trailing_zeros,
)
from detector.forest.llvm_vectors import count_less, count_less_or_equal
from detector.forest.sampler import (
    HEADER,
    RANDOM,
    UNUSED,
)

BLOCK = 16  # values in a block, one pivot each
LANES = 16  # values that are located before they are scored: the searches overlap
_ZERO = f32(0.0)


def tree_bytes(slots: int, depth_size: int) -> int:
    """Bytes of a tree with room for ``slots`` points, a multiple of 16."""
    return 8 * slots + HEADER + depth_size * slots + 4 * _pivots(slots)


def _pivots(slots: int) -> int:
    return -(-slots // BLOCK // BLOCK) * BLOCK


def plant(tree: NDArray[np.uint8], slots: int, seed: np.uint64) -> None:
    """Make zeroed memory an empty tree."""
    tree[: 4 * slots].view(np.float32)[:] = np.inf
    tree[4 * slots : 8 * slots].view(np.float32)[:] = UNUSED
    tree[8 * slots : 8 * slots + HEADER].view(np.uint64)[RANDOM] = seed
    tree[len(tree) - 4 * _pivots(slots) :].view(np.float32)[:] = np.inf


@inline
def parts_of(tree: int, slots: int, tag: int) -> tuple[int, ...]:
    """Addresses of (X, W, header, D, pivots)."""
    weights = tree + 4 * slots
    header = weights + 4 * slots
    size = depth_bytes(tag)
    return tree, weights, header, header + HEADER - size, header + HEADER + size * slots


# Where a value belongs


@inline
def rank(x: int, pivots: int, slots: int, v: float) -> int:
    """How many points are less than v."""
    blocks = count_less(pivots, v)
    for k in range(1, (slots // BLOCK + BLOCK - 1) // BLOCK):
        blocks += count_less(pivots + 64 * k, v)
    block = max(blocks - 1, 0)
    return BLOCK * block + count_less(x + 64 * block, v)


@inline
def rank_after(x: int, pivots: int, slots: int, v: float) -> int:
    """How many points are not greater than v."""
    blocks = count_less_or_equal(pivots, v)
    for k in range(1, (slots // BLOCK + BLOCK - 1) // BLOCK):
        blocks += count_less_or_equal(pivots + 64 * k, v)
    block = max(blocks - 1, 0)
    return BLOCK * block + count_less_or_equal(x + 64 * block, v)


@inline
def write_pivots(x: int, pivots: int, slots: int) -> None:
    """Write the first value of each block, which ranks are found by."""
    for k in range(slots // BLOCK):
        set_f32(pivots, k, get_f32(x, BLOCK * k))


@inline
def shallower_before(d: int, k: int, depth: int, tag: int) -> int:
    """The nearest gap before k with less than ``depth``; D[0] is one."""
    size = depth_bytes(tag)
    lanes = 64 // size
    while True:
        mask = shallower(d, k - lanes, depth, tag)
        if mask != 0:
            return k - 1 - (leading_zeros(mask) - (64 - lanes))
        k -= lanes


@inline
def shallower_after(d: int, k: int, depth: int, tag: int) -> int:
    """The nearest gap after k with less than ``depth``; D[n] is one."""
    lanes = 64 // depth_bytes(tag)
    k += 1
    while True:
        mask = shallower(d, k, depth, tag)
        if mask != 0:
            return k + trailing_zeros(mask)
        k += lanes


@inline
def neighbour_gap(x: int, n: int, r: int, left: bool) -> int:
    """The gap on the far side of the leaf to the left (right) of gap r: past its equal points."""
    if left:
        j = r - 1
        while j > 0 and get_f32(x, j - 1) == get_f32(x, j):
            j -= 1
        return j
    j = r + 1
    while j < n and get_f32(x, j - 1) == get_f32(x, j):
        j += 1
    return j


@inline
def spine_up(x: int, d: int, j: int, depth: int, near: float, left: bool, tag: int) -> tuple[int, float]:
    """(next gap, length of the range that the node at gap j with this depth spans beside v's neighbour)."""
    if left:
        k = shallower_before(d, j, depth, tag)
        return k, near - get_f32(x, k)
    k = shallower_after(d, j, depth, tag)
    return k, get_f32(x, k - 1) - near


@inline
def header_of(forest: int, tree: int, tag: int) -> int:
    """Address of the tree's header."""
    return tree + 8 * get_i64(forest, SLOTS)


@inline
def weights_of(forest: int, tree: int, tag: int) -> int:
    """Address of the sampler's weights."""
    return tree + 4 * get_i64(forest, SLOTS)
