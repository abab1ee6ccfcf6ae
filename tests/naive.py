"""Slow, obvious oracles of the fast kernels: what a random cut tree says of a point, by recursion from its root.

A tree here is nothing but cuts and leaves. Boxes and masses are found by looking at all points below, scores by the
definition (Guha, Mishra, Roy, Schrijvers, ICML 2016; the score is the expected inverse depth of AWS's library).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Point = tuple[float, ...]


@dataclass(frozen=True)
class Leaf:
    """Equal points."""

    point: Point
    mass: int


@dataclass(frozen=True)
class Node:
    """A cut of one component, uniform between ``low`` and ``high``: in one dimension only the gap is known."""

    component: int
    low: float
    high: float
    left: Tree
    right: Tree

    def sides(self, x: Point) -> list[tuple[float, Tree, Tree]]:
        """(chance that x belongs there, that child, the other one)."""
        v = x[self.component]
        left = 1.0 if v <= self.low else 0.0 if v >= self.high else (self.high - v) / (self.high - self.low)
        ways = [(left, self.left, self.right), (1.0 - left, self.right, self.left)]
        return [way for way in ways if way[0] > 0.0]


Tree = Leaf | Node
Box = tuple[Point, Point]


def leaves(tree: Tree) -> Iterator[Leaf]:
    """From left to right."""
    if isinstance(tree, Leaf):
        yield tree
    else:
        yield from leaves(tree.left)
        yield from leaves(tree.right)


def nodes(tree: Tree, depth: int = 0) -> Iterator[tuple[Node, int]]:
    """Each inner node and its depth, parents first."""
    if isinstance(tree, Node):
        yield tree, depth
        yield from nodes(tree.left, depth + 1)
        yield from nodes(tree.right, depth + 1)


def points(tree: Tree) -> list[Point]:
    """Every point below, as often as it is there."""
    return [leaf.point for leaf in leaves(tree) for _ in range(leaf.mass)]


def mass(tree: Tree) -> int:
    return sum(leaf.mass for leaf in leaves(tree))


def around(some: list[Point]) -> Box:
    """The smallest box of some points."""
    return tuple(map(min, zip(*some, strict=True))), tuple(map(max, zip(*some, strict=True)))


def box(tree: Tree) -> Box:
    return around([leaf.point for leaf in leaves(tree)])


def length(box: Box) -> float:
    """Sum of the sides."""
    low, high = box
    return math.fsum(b - a for a, b in zip(low, high, strict=True))


def reach(box: Box, x: Point) -> np.ndarray:
    """How far x is above and below the box. [width, 2]"""
    low, high = box
    return np.array([(max(v - b, 0.0), max(a - v, 0.0)) for v, a, b in zip(x, low, high, strict=True)])


def separation(box: Box, x: Point) -> np.ndarray:
    """The chance that the first cut of the box and x parts them, by component and direction of x. [width, 2]"""
    outside = reach(box, x)
    total = math.fsum(outside.flat)
    return outside / (length(box) + total) if total > 0.0 else outside


def score(tree: Tree, x: Point) -> float:
    """The anomaly score of x in one tree."""
    n = mass(tree)

    def inverse_depth(tree: Tree, depth: int) -> float:
        if isinstance(tree, Leaf):
            if tree.point != x:
                return 1.0 / (depth + 1)
            seen = max(tree.mass - 1, 1)  # AWS's library does not count the second of equal points
            return (1.0 - seen / (2.0 * n)) / (depth + math.log2(1.0 + seen))
        parted = separation(box(tree), x).sum()
        joined = sum(chance * inverse_depth(child, depth + 1) for chance, child, _ in tree.sides(x))
        return float(parted / (depth + 1) + (1.0 - parted) * joined)

    return math.log2(1.0 + n) * inverse_depth(tree, 0)


def attribution(tree: Tree, x: Point) -> np.ndarray:
    """The score of x, split into what each component owes to being above and below the boxes. [width, 2]

    A point that the tree holds has its score split as if its leaf were not there, evenly if nothing else is.
    """

    def shares(tree: Tree, depth: int) -> np.ndarray:
        rest = [point for point in points(tree) if point != x]
        if not rest or (isinstance(tree, Leaf) and held):
            return np.zeros((len(x), 2))
        parted = separation(around(rest), x)
        if isinstance(tree, Leaf):
            return parted / (depth + 1)
        joined = sum(chance * shares(child, depth + 1) for chance, child, _ in tree.sides(x))
        return parted / (depth + 1) + (1.0 - parted.sum()) * joined

    held = x in points(tree)
    parts = shares(tree, 0)
    if not held:
        return math.log2(1.0 + mass(tree)) * parts
    return score(tree, x) * (parts / parts.sum() if parts.sum() > 0.0 else np.full((len(x), 2), 0.5 / len(x)))


def codisp(tree: Tree, x: Point, above: float = 0.0) -> float:
    """Collusive displacement of x if it were inserted, the mean over where its cut would fall.

    ``above``: the largest ratio of a sibling's mass to that of the part with x in it, so far.
    """
    if isinstance(tree, Leaf):
        return above if tree.point == x else max(above, float(tree.mass))
    parted = float(separation(box(tree), x).sum())
    joined = sum(
        chance * codisp(child, x, max(above, mass(other) / (mass(child) + 1.0)))
        for chance, child, other in tree.sides(x)
    )
    return parted * max(above, float(mass(tree))) + (1.0 - parted) * joined


def displacement(tree: Tree, x: Point) -> float:
    """Collusive displacement of a point that the tree holds: rrcf's CoDisp of its leaf."""
    best = 0.0
    while isinstance(tree, Node):
        _, child, other = tree.sides(x)[0]
        best = max(best, mass(other) / mass(child))
        tree = child
    return best


def code(value: float, offset: float, unit: float) -> float:
    """What the trees keep of a value."""
    distance = (value - offset) * unit if unit >= 1.0 else value * unit - offset * unit
    return float(np.float32(min(max(distance, -(2.0**100)), 2.0**100)))
