"""A forest's buffer read back into plain objects, by a reader that believes nothing of it.

Whatever the kernels keep in step, because recomputing it would be slow, is compared here with what it must be: order,
depths, boxes, masses, links, free nodes, the sampler's counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.forest import layout, sampler
from detector.forest.box_tree import structure as box_tree
from detector.forest.cut_forest import CutForest
from detector.forest.forest import Parameters
from detector.forest.snapshot_format import decode, encode
from tests import naive


@dataclass(frozen=True)
class Tree:
    """One tree: its cuts, the points of its sample and their weights, [n] each, and the sampler's state."""

    root: naive.Tree | None
    points: list[naive.Point]
    weights: np.ndarray
    next: int
    pending: float


@dataclass(frozen=True)
class Contents:
    """A forest: numbers of its header by their slot, the codes of the last readings, its trees."""

    integers: np.ndarray
    floats: np.ndarray
    offsets: np.ndarray
    window: np.ndarray
    trees: list[Tree]

    def point(self, reading: np.ndarray) -> naive.Point:
        """The codes of the point that ``reading`` would make as the next one."""
        distance = float(np.abs(reading - self.offsets).max())
        unit = float(self.floats[layout.UNIT]) or (2.0 ** -np.frexp(distance)[1] if distance > 0 else 1.0)
        if 2.0**-60 <= distance <= 2.0**60 and not self.floats[layout.UNIT]:
            unit = 1.0
        codes = [naive.code(v, o, unit) for v, o in zip(reading, self.offsets, strict=True)]
        return (*self.window[len(self.offsets) :].tolist(), *codes)


def read(forest: CutForest) -> Contents:
    """Everything in a forest; AssertionError if anything does not fit."""
    body = np.frombuffer(decode(forest.snapshot())[2], np.uint8)
    integers, floats = body[: layout.HEADER].view(np.int64), body[: layout.HEADER].view(np.float64)
    p = forest.parameters
    expected = (p.dimensions, p.shingle, p.width, p.trees, p.samples, p.first_score, forest.seen)
    slots = ("DIMENSIONS", "SHINGLE", "WIDTH", "TREES", "SAMPLES", "FIRST_SCORE", "SEEN")
    assert tuple(integers[getattr(layout, name)] for name in slots) == expected
    size, room = integers[layout.TREE_BYTES], integers[layout.SLOTS]
    first, time = integers[layout.TREES_AT], integers[layout.LEARNT]
    trees = []
    for number in range(p.trees):
        memory = body[first + number * size : first + (number + 1) * size].copy()
        tree = _sorted(memory, room, p.samples) if p.width == 1 else _boxes(memory, room, integers[layout.PADDED], p)
        if len(tree.weights) == p.samples:
            assert tree.next >= time
        trees.append(tree)
    codes = layout.HEADER + 16 * p.dimensions
    offsets = body[layout.HEADER : layout.HEADER + 8 * p.dimensions].view(np.float64)
    return Contents(integers, floats, offsets, body[codes : codes + 4 * p.width].view(np.float32), trees)


def _head(header: np.ndarray, weights: np.ndarray, samples: int) -> tuple[np.ndarray, int, float]:
    """(the sample's weights, the time of the next point, its weight)."""
    count = int(header.view(np.int64)[sampler.COUNT])
    used = weights > sampler.UNUSED
    assert used.sum() == count <= samples
    assert used[:count].all()
    assert (weights[count:] == sampler.UNUSED).all()
    scale = header.view(np.float64)[sampler.SCALE]
    assert scale == np.log2(1.0 + count)
    if count == samples:
        assert header.view(np.float32)[sampler.LARGEST] == weights.max()
        assert header.view(np.float64)[sampler.PENDING] <= weights.max() * (1 + 1e-6) + 1e-6
    return weights[:count], int(header.view(np.int64)[sampler.NEXT]), float(header.view(np.float64)[sampler.PENDING])


def _sorted(memory: np.ndarray, slots: int, samples: int) -> Tree:
    """A tree of ``detector.forest.sorted_tree``."""
    kind = np.dtype(np.uint8 if samples <= 256 else np.uint16)
    x = memory[: 4 * slots].view(np.float32)
    header = memory[8 * slots : 8 * slots + sampler.HEADER]
    weights, following, pending = _head(header, memory[4 * slots : 8 * slots].view(np.float32), samples)
    n = len(weights)
    start = 8 * slots + sampler.HEADER - kind.itemsize
    d = memory[start : start + kind.itemsize * (slots + 1)].view(kind).tolist()
    values = x[:n].tolist()
    assert values == sorted(values)
    assert np.isposinf(x[n:]).all()
    pivots = memory[start + kind.itemsize * (slots + 1) :].view(np.float32)
    assert pivots[: slots // 16].tolist() == x[::16].tolist()
    assert np.isposinf(pivots[slots // 16 :]).all()
    assert d[0] == d[n] == 0
    root = _range(values, d, 0, n, 0) if n else None
    return Tree(root, [(value,) for value in values], weights, following, pending)


def _range(x: list[float], d: list[int], low: int, high: int, depth: int) -> naive.Tree:
    """The subtree of points low ... high - 1."""
    if x[low] == x[high - 1]:
        assert d[low + 1 : high] == [depth + 1] * (high - low - 1)
        return naive.Leaf((x[low],), high - low)
    gaps = [k for k in range(low + 1, high) if x[k - 1] != x[k]]
    assert all(d[k] > depth for k in range(low + 1, high))
    (root,) = (k for k in gaps if d[k] == depth + 1)
    left, right = _range(x, d, low, root, depth + 1), _range(x, d, root, high, depth + 1)
    return naive.Node(0, x[root - 1], x[root], left, right)


_NODE = np.dtype(
    [("cut", "f4"), ("sides", "f4"), ("left", "u2"), ("right", "u2"), ("component", "u2"), ("parent", "u2")]
)


def _boxes(memory: np.ndarray, slots: int, padded: int, parameters: Parameters) -> Tree:
    """A tree of ``detector.forest.box_tree``."""
    samples, width = parameters.samples, parameters.width
    sizes = (sampler.HEADER, 2 * box_tree.NODE * slots, 4 * slots, 2 * slots, 2 * slots, 8 * padded * slots)
    ends = np.cumsum(sizes)
    header, nodes, weights, owners, free, boxes, places = np.split(memory, ends)
    nodes, owners, free = nodes.view(_NODE), owners.view(np.uint16), free.view(np.uint16)
    boxes = boxes.view(np.float32).reshape(slots, 2, padded)
    places = places[: 4 * padded * slots].view(np.float32).reshape(slots, padded)
    kept, following, pending = _head(header, weights.view(np.float32), samples)
    n = len(kept)
    assert (owners[n:] == box_tree.NONE).all()
    free = free[: header.view(np.int32)[box_tree.FREE]].tolist()
    inner = []

    def subtree(node: int, parent: int) -> naive.Tree:
        at = nodes[node]
        assert at["parent"] == parent
        if node >= slots:
            assert at["left"] == at["right"] == node
            assert at["sides"] == 0
            point = places[node - slots]
            assert (point[width:] == 0).all()
            masses = (owners[:n] == node - slots).sum()
            assert at["cut"].view(np.uint32) == masses > 0
            return naive.Leaf(tuple(point[:width].tolist()), int(masses))
        inner.append(node)
        left, right = subtree(int(at["left"]), node), subtree(int(at["right"]), node)
        component, cut = int(at["component"]), float(at["cut"])
        assert max(leaf.point[component] for leaf in naive.leaves(left)) <= cut
        assert min(leaf.point[component] for leaf in naive.leaves(right)) > cut
        tree = naive.Node(component, cut, cut, left, right)
        low, high = naive.box(tree)
        assert boxes[node, :, :width].tolist() == [list(low), list(high)]
        assert (boxes[node, :, width:] == 0).all()
        np.testing.assert_allclose(at["sides"], naive.length((low, high)), rtol=1e-5)
        return tree

    root = int(header.view(np.int32)[box_tree.ROOT])
    tree = subtree(root, box_tree.NONE) if root >= 0 else None
    assert sorted(inner + free) == list(range(slots))
    points = [tuple(places[owner, :width].tolist()) for owner in owners[:n]]
    assert sorted(points) == (sorted(naive.points(tree)) if tree else [])
    leaves = [leaf.point for leaf in naive.leaves(tree)] if tree else []
    assert len(set(leaves)) == len(leaves)  # equal points share one
    return Tree(tree, points, kept, following, pending)


def plant(parameters: Parameters, root: naive.Node) -> CutForest:
    """A forest of one tree that is ``root``, its codes the values themselves. Its sampler is none to go on with."""
    forest = CutForest(parameters)
    body = np.frombuffer(decode(forest.snapshot())[2], np.uint8).copy()
    integers, floats = body[: layout.HEADER].view(np.int64), body[: layout.HEADER].view(np.float64)
    integers[[layout.SEEN, layout.LEARNT]], floats[layout.UNIT] = naive.mass(root), 1.0
    room, first = integers[layout.SLOTS], integers[layout.TREES_AT]
    memory = body[first : first + integers[layout.TREE_BYTES]]
    if parameters.width == 1:
        header = memory[8 * room : 8 * room + sampler.HEADER]
        _plant_sorted(memory, room, root)
    else:
        header = memory[: sampler.HEADER]
        _plant_boxes(memory, room, int(integers[layout.PADDED]), root)
    header.view(np.int64)[sampler.COUNT] = naive.mass(root)
    header.view(np.float64)[sampler.SCALE] = np.log2(1.0 + naive.mass(root))
    forest = CutForest.restore(encode(CutForest.KIND, parameters, body.tobytes()))
    assert read(forest).trees[0].root == root
    return forest


def _plant_sorted(memory: np.ndarray, slots: int, root: naive.Tree) -> None:
    values, depths = [], [0]

    def walk(tree: naive.Tree, depth: int) -> None:
        if isinstance(tree, naive.Leaf):
            values.extend(tree.point * tree.mass)
            depths.extend([depth + 1] * (tree.mass - 1))
        else:
            walk(tree.left, depth + 1)
            depths.append(depth + 1)
            walk(tree.right, depth + 1)

    walk(root, 0)
    n = len(values)
    memory[: 4 * slots].view(np.float32)[:n] = values
    memory[4 * slots : 8 * slots].view(np.float32)[:n] = 0.0
    memory[8 * slots + sampler.HEADER - 1 :][:n] = depths
    pivots = memory[9 * slots + sampler.HEADER :].view(np.float32)
    pivots[: slots // 16] = memory[: 4 * slots].view(np.float32)[::16]


def _plant_boxes(memory: np.ndarray, slots: int, padded: int, root: naive.Tree) -> None:
    sizes = (sampler.HEADER, 2 * box_tree.NODE * slots, 4 * slots, 2 * slots, 2 * slots, 8 * padded * slots)
    header, nodes, weights, owners, free, boxes, places = np.split(memory, np.cumsum(sizes))
    nodes, owners, free = nodes.view(_NODE), owners.view(np.uint16), free.view(np.uint16)
    boxes, places = boxes.view(np.float32), places[: 4 * padded * slots].view(np.float32)
    boxes, places = boxes.reshape(slots, 2, padded), places.reshape(slots, padded)
    inner, points = iter(range(slots)), iter(range(slots))

    def put(tree: naive.Tree, parent: int) -> int:
        if isinstance(tree, naive.Leaf):
            own = [next(points) for _ in range(tree.mass)]
            owners[own], places[own[0], : len(tree.point)] = own[0], tree.point
            node = slots + own[0]
            nodes[node] = (np.uint32(tree.mass).view(np.float32), 0.0, node, node, 0, parent)
            return node
        node = next(inner)
        low, high = naive.box(tree)
        boxes[node, 0, : len(low)], boxes[node, 1, : len(low)] = low, high
        sides, left, right = naive.length((low, high)), put(tree.left, node), put(tree.right, node)
        nodes[node] = (tree.low, sides, left, right, tree.component, parent)
        return node

    header.view(np.int32)[box_tree.ROOT] = put(root, box_tree.NONE)
    weights.view(np.float32)[: naive.mass(root)] = 0.0
    unused = list(inner)
    free[: len(unused)], header.view(np.int32)[box_tree.FREE] = unused, len(unused)
