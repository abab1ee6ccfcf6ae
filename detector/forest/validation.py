"""What a forest's buffer must be before kernels touch it: they check no bounds.

A snapshot with a right checksum may still be wrong: made by a faulty machine, or by hand. Everything that kernels
follow or rely on is looked at: sizes, indices, links, order, boxes. What passes is a forest that could have grown.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.forest import layout, sampler
from detector.forest.box_tree import structure as box_tree
from detector.forest.forest import Parameters
from detector.jit import jit_entry

_PLANTED = (  # what a forest's parameters determine
    "DIMENSIONS", "SHINGLE", "WIDTH", "PADDED", "TREES", "SAMPLES", "SLOTS", "TREES_AT", "TREE_BYTES", "FIRST_SCORE",
    "EPOCH_LENGTH", "DECAY", "GROWTH", "GATE",
)  # fmt: skip
_END = 2**62  # beyond any count or time
_UNUSED, _NONE = np.float32(sampler.UNUSED), box_tree.NONE


def validate(body: NDArray[np.uint8], new: NDArray[np.uint8], parameters: Parameters) -> None:
    """Raise a ValueError that says what is wrong with ``body``, the buffer of a forest; ``new`` is one without points.

    Both have the size that the parameters need.
    """
    integers, planted = (buffer[: layout.HEADER].view(np.int64) for buffer in (body, new))
    for name in _PLANTED:
        slot = getattr(layout, name)
        if integers[slot] != planted[slot]:
            raise ValueError(f"the forest's {name} is not what its parameters make it")
    learnt = int(integers[layout.LEARNT])
    counts = integers[[layout.EPOCH, layout.LEARNT, layout.SEEN]]
    if not (0 <= counts[0] <= counts[1] <= counts[2] < _END):
        raise ValueError("the forest's counts of readings contradict each other")
    unit = float(body[: layout.HEADER].view(np.float64)[layout.UNIT])
    if unit != 0.0 and not (np.isfinite(unit) and np.frexp(unit)[0] == 0.5):
        raise ValueError(f"the forest's unit is {unit}: must be 0 or a power of two")
    d, width = parameters.dimensions, parameters.width
    after = layout.HEADER + 16 * d
    if not np.isfinite(body[layout.HEADER : layout.HEADER + 8 * d].view(np.float64)).all():
        raise ValueError("the forest's offsets are not finite")
    if (body[layout.HEADER + 8 * d : after].view(np.int64) < 0).any():
        raise ValueError("the forest's counts of rounded readings are below zero")
    if not np.isfinite(body[after : after + 4 * width].view(np.float32)).all():
        raise ValueError("the forest's last readings are not finite")
    first, size, slots = (int(planted[slot]) for slot in (layout.TREES_AT, layout.TREE_BYTES, layout.SLOTS))
    trees = body[first : first + size * parameters.trees].reshape(parameters.trees, size)
    at = 8 * slots if width == 1 else 0
    header = trees[:, at : at + sampler.HEADER]
    weights = trees[:, 4 * slots : 8 * slots] if width == 1 else trees[:, _boxes_at(slots)[1] : _boxes_at(slots)[2]]
    _check_samples(header, weights.view(np.float32), parameters.samples, learnt > 0)
    if width == 1:
        number = _wrong_sorted(trees, header, slots, parameters)
    else:
        number = _wrong_boxes(trees, header, slots, int(planted[layout.PADDED]), width)
    if number >= 0:
        raise ValueError(f"tree {number} of the forest: its nodes are those of no tree")


def _check_samples(header: NDArray[np.uint8], weights: NDArray[np.float32], samples: int, has_points: bool) -> None:
    """Raise a ValueError if a tree's sample cannot be one. ``header`` [t, 64], ``weights`` [t, slots] of each tree."""
    integers, floats = header.view(np.int64), header.view(np.float64)
    counts = integers[:, sampler.COUNT]
    if ((counts > 0) != has_points).any() or (counts < 0).any() or (counts > samples).any():
        raise ValueError(f"the forest's trees have {counts.min()} to {counts.max()} points, and room for {samples}")
    held = np.arange(weights.shape[1]) < counts[:, None]
    if not np.isfinite(weights).all() or ((weights > _UNUSED) != held).any() or (weights < _UNUSED).any():
        raise ValueError("the weights of the forest's points are not those of a sample")
    if (floats[:, sampler.SCALE] != np.log2(1.0 + counts)).any():
        raise ValueError("the scale of the forest's scores is not that of its points")
    if not (np.isfinite(floats[:, sampler.PENDING]) & np.isfinite(header.view(np.float32)[:, sampler.LARGEST])).all():
        raise ValueError("the weights of the forest's samplers are not finite")
    if (integers[:, sampler.NEXT] < 0).any() or (integers[:, sampler.NEXT] > _END).any():
        raise ValueError("the times of the forest's samplers are out of range")


def _wrong_sorted(trees: NDArray[np.uint8], header: NDArray[np.uint8], slots: int, parameters: Parameters) -> int:
    """The first tree of ``detector.forest.sorted_tree`` that is none, or -1."""
    kind = np.dtype(np.uint8 if parameters.samples <= 256 else np.uint16)
    start = 8 * slots + sampler.HEADER - kind.itemsize
    end = start + kind.itemsize * (slots + 1)
    for number, tree in enumerate(trees):
        x, pivots = tree[: 4 * slots].view(np.float32), tree[end:].view(np.float32)
        n = int(header.view(np.int64)[number, sampler.COUNT])
        if not np.isfinite(x[:n]).all() or not np.isposinf(x[n:]).all() or not (x[1:] >= x[:-1]).all():
            return number
        if not (pivots[: slots // 16] == x[::16]).all() or not np.isposinf(pivots[slots // 16 :]).all():
            return number
        if not is_tree_of_gaps(x, tree[start:end].copy().view(kind).astype(np.int64), n):
            return number
    return -1


@jit_entry
def is_tree_of_gaps(x: Any, depths: Any, n: int) -> bool:
    """Whether ``depths`` [> n] belong to a tree that splits at the gaps between the sorted x[:n], one after the other.

    A gap lies one deeper than the deeper of the nearest shallower gaps on both sides, and none between is as shallow.
    Between equal points the depth is that of a child of the gaps around them.
    """
    if depths[0] != 0 or depths[n] != 0:
        return False
    stack = np.empty(n + 1, np.int64)  # the gaps so far that are shallower than all after them
    higher = np.empty(n + 1, np.int64)  # of each gap: the depth of the nearest shallower one before it
    top = 0
    stack[0] = 0
    for k in range(1, n):
        if x[k - 1] == x[k]:
            continue
        while top > 0 and depths[stack[top]] > depths[k]:
            top -= 1
        if depths[stack[top]] >= depths[k]:
            return False
        higher[k] = depths[stack[top]]
        top += 1
        stack[top] = k
    top = 0
    stack[0] = n
    around = 0  # depth of the gap on the right of equal points
    for k in range(n - 1, 0, -1):
        if x[k - 1] == x[k]:
            left = k
            while left > 0 and x[left - 1] == x[left]:
                left -= 1
            if depths[k] != max(depths[left], around) + 1:
                return False
            continue
        while top > 0 and depths[stack[top]] > depths[k]:
            top -= 1
        if depths[stack[top]] >= depths[k] or depths[k] != max(higher[k], depths[stack[top]]) + 1:
            return False
        top += 1
        stack[top] = k
        around = depths[k]
    return True


def _boxes_at(slots: int, padded: int = 0) -> list[int]:
    """Where each part of a tree of ``detector.forest.box_tree`` after its header begins, and where the last ends."""
    sizes = (sampler.HEADER, 2 * box_tree.NODE * slots, 4 * slots, 2 * slots, 2 * slots, 8 * padded * slots)
    return [*np.cumsum((*sizes, 4 * padded * slots)).tolist()]


def _wrong_boxes(trees: NDArray[np.uint8], header: NDArray[np.uint8], slots: int, padded: int, width: int) -> int:
    """The first tree of ``detector.forest.box_tree`` that is none, or -1."""
    nodes, weights, owners, free, boxes, points, end = _boxes_at(slots, padded)
    t = len(trees)
    return int(
        wrong_boxes(
            header.view(np.int64)[:, sampler.COUNT],
            header.view(np.int32)[:, box_tree.ROOT],
            header.view(np.int32)[:, box_tree.FREE],
            trees[:, nodes:weights].view(np.float32).reshape(t, 2 * slots, 4),
            trees[:, nodes:weights].view(np.uint32).reshape(t, 2 * slots, 4),
            trees[:, nodes:weights].view(np.uint16).reshape(t, 2 * slots, 8),
            trees[:, owners:free].view(np.uint16),
            trees[:, free:boxes].view(np.uint16),
            trees[:, boxes:points].view(np.float32).reshape(t, slots, 2, padded),
            trees[:, points:end].view(np.float32).reshape(t, slots, padded),
            width,
        )
    )


@jit_entry
def wrong_boxes(
    counts: Any,
    roots: Any,
    unused: Any,
    floats: Any,
    words: Any,
    links: Any,
    owners: Any,
    free: Any,
    corners: Any,
    places: Any,
    width: int,
) -> int:
    """The first tree whose nodes do not reach all that is in use from the root, each once; -1 if there is none.

    Args:
        counts, roots, unused: [t] points, root and number of free inner nodes of each tree.
        floats, words, links: [t, 2 slots, 4 or 8] the nodes as numbers of 4, 4 and 2 bytes.
        owners, free: [t, slots] the points' leaves, and the free inner nodes.
        corners: [t, slots, 2, padded] boxes of the inner nodes.
        places: [t, slots, padded] points of the leaves.
        width: components that are not padding.
    """
    slots = owners.shape[1]
    order = np.empty(2 * slots, np.int64)
    for number in range(len(counts)):
        masses = np.zeros(slots, np.int64)
        live = np.ones(slots, np.bool_)
        used = 0
        for i in range(slots):
            owner = np.int64(owners[number, i])
            if i >= counts[number]:
                if owner != _NONE:
                    return number
                continue
            if owner >= slots:
                return number
            used += masses[owner] == 0
            masses[owner] += 1
        if unused[number] != slots - max(used - 1, 0):
            return number
        for i in range(unused[number]):
            node = np.int64(free[number, i])
            if node >= slots or not live[node]:
                return number
            live[node] = False
        root = np.int64(roots[number])
        if used == 0:
            if root != -1:
                return number
            continue
        if not 0 <= root < 2 * slots:
            return number
        if reach(floats[number], words[number], links[number], masses, live, places[number], root, width, order) != (
            2 * used - 1
        ):
            return number
        if not fits(floats[number], links[number], corners[number], places[number], width, order, 2 * used - 1):
            return number
    return -1


@jit_entry
def reach(
    floats: Any, words: Any, links: Any, masses: Any, live: Any, places: Any, root: int, width: int, order: Any
) -> int:
    """How many nodes are reached from the root, which go to ``order``, parents first; -1 if one of them is wrong."""
    slots, padded = places.shape
    count, done = 1, 0
    order[0] = root
    if links[root, box_tree.PARENT] != _NONE:
        return -1
    while done < count:
        node = order[done]
        done += 1
        left, right = np.int64(links[node, box_tree.LEFT]), np.int64(links[node, box_tree.RIGHT])
        if node >= slots:
            leaf = node - slots
            if masses[leaf] == 0 or words[node, box_tree.CUT] != masses[leaf] or left != node or right != node:
                return -1
            if floats[node, box_tree.SIDES] != 0.0:
                return -1
            for j in range(padded):
                if not np.isfinite(places[leaf, j]) or (j >= width and places[leaf, j] != 0.0):
                    return -1
            continue
        if not live[node] or links[node, box_tree.COMPONENT] >= width or left == right:
            return -1
        for child in (left, right):
            if child >= 2 * slots or links[child, box_tree.PARENT] != node or count >= 2 * slots:
                return -1
            order[count] = child
            count += 1
    return count


@jit_entry
def fits(floats: Any, links: Any, corners: Any, places: Any, width: int, order: Any, count: int) -> bool:
    """Whether each box is that of its children, and each cut divides them."""
    slots, padded = places.shape
    for at in range(count - 1, -1, -1):
        node = order[at]
        if node >= slots:
            continue
        a, b = np.int64(links[node, box_tree.LEFT]), np.int64(links[node, box_tree.RIGHT])
        a_low, a_high = (corners[a, 0], corners[a, 1]) if a < slots else (places[a - slots], places[a - slots])
        b_low, b_high = (corners[b, 0], corners[b, 1]) if b < slots else (places[b - slots], places[b - slots])
        length = 0.0
        for j in range(padded):
            low, high = min(a_low[j], b_low[j]), max(a_high[j], b_high[j])
            if corners[node, 0, j] != low or corners[node, 1, j] != high:
                return False
            length += np.float64(high) - np.float64(low)
        if not abs(floats[node, box_tree.SIDES] - length) <= 1e-4 * length:
            return False
        c = np.int64(links[node, box_tree.COMPONENT])
        if not (a_high[c] <= floats[node, box_tree.CUT] < b_low[c]):
            return False
    return True
