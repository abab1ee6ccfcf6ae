"""The forest has the right law: of its trees, exactly, on few points; of its scores, beside AWS's own library (krcf) on
many; and of CoDisp beside rrcf on the same tree.

Seeds are fixed, and the bounds leave room for what another seed would give.
"""

import itertools
import math
from collections import Counter
from functools import cache

import numpy as np
import pytest
from krcf import RandomCutForest
from scipy import stats

from detector.forest.cut_forest import CutForest
from detector.forest.forest import Parameters
from detector.forest.reference import rrcf
from tests import naive
from tests.detector.buffers import plant, read

# Trees: whatever came and went before, a tree is a random cut tree of the points that are left.

Shape = frozenset  # of the two parts below, or of the one point of a leaf


def shapes(points: tuple[naive.Point, ...]) -> dict[Shape, float]:
    """The probability of each tree of these points: a cut falls in a gap with a chance proportional to its length."""
    points = tuple(sorted(set(points)))
    if len(points) == 1:
        return {Shape(points): 1.0}
    law: Counter[Shape] = Counter()
    total = naive.length(naive.around(list(points)))
    for component in range(len(points[0])):
        for low, high in itertools.pairwise(sorted({point[component] for point in points})):
            left = shapes(tuple(point for point in points if point[component] <= low))
            right = shapes(tuple(point for point in points if point[component] >= high))
            for (a, p), (b, q) in itertools.product(left.items(), right.items()):
                law[Shape((a, b))] += (high - low) / total * p * q
    return law


def shape(tree: naive.Tree) -> Shape:
    if isinstance(tree, naive.Leaf):
        return Shape((tree.point,))
    return Shape((shape(tree.left), shape(tree.right)))


def trees_of(points: np.ndarray, seeds: int) -> list[naive.Tree]:
    """Trees of these points, among thousands of others that came and went."""
    before = np.random.default_rng(1).normal(2, 3, (100, points.shape[1])).round()
    found = []
    for seed in range(seeds):
        parameters = Parameters(points.shape[1], 1000, len(points), time_decay=math.inf, seed=seed)
        forest = CutForest(parameters)
        forest.update(np.concatenate([points[:1] * 0, before, points]))
        contents = read(forest)
        assert all(sorted(tree.points) == sorted(map(tuple, points.tolist())) for tree in contents.trees)
        found += [tree.root for tree in contents.trees]
    return found


@pytest.mark.parametrize(
    "points",
    [
        [[0.0], [1.0], [3.0], [8.0]],
        [[0.0], [1.0], [1.0], [3.0], [3.0]],
        [[0.0], [0.5], [1.0], [1.5], [9.0]],
        [[0.0, 0.0], [1.0, 4.0], [3.0, 1.0]],
        [[0.0, 0.0], [1.0, 4.0], [3.0, 1.0], [3.0, 1.5]],
        [[0.0, 0.0, 0.0], [2.0, 0.0, 1.0], [2.0, 0.0, 1.0], [1.0, 5.0, 0.0]],
    ],
    ids=str,
)
def test_trees_have_the_law_of_random_cut_trees(points):
    law = shapes(tuple(map(tuple, points)))
    observed = Counter(map(shape, trees_of(np.array(points), seeds=5)))
    assert observed.keys() <= law.keys()
    likely = sorted(law, key=law.__getitem__)
    groups = np.unique(np.cumsum([law[s] for s in likely]) * 5000 // 25, return_inverse=True)[1]
    expected = np.bincount(groups, [5000 * law[s] for s in likely])
    found = np.bincount(groups, [observed[s] for s in likely])
    assert stats.chisquare(found, expected).pvalue > 0.001


def test_a_cut_is_uniform_on_the_sides_of_its_box():
    points = np.array([[0.0, 0.0], [2.0, 1.0]])
    trees = trees_of(points, seeds=3)
    along = [tree.low + 2.0 * tree.component for tree in trees]
    assert stats.kstest(along, "uniform", args=(0.0, 3.0)).pvalue > 0.001


# Scores: the same mean as krcf's, and no less like them than they are like each other.


def stream(name: str) -> tuple[np.ndarray, int]:
    """(values, shingle)"""
    random = np.random.default_rng(7)
    n = 3000
    if name == "noise":
        return random.normal(size=(n, 1)), 1
    if name == "few integers":
        return random.integers(10, 21, (n, 1)).astype(float), 1
    if name == "mostly one value":
        return np.where(random.random((n, 1)) < 0.8, 5.0, random.normal(5, 1, (n, 1)).round(1)), 1
    if name == "integers in a plane":
        return random.integers(0, 5, (n, 2)).astype(float), 1
    wave = np.sin(np.arange(n)[:, None] * 0.3) + random.normal(0, 0.1, (n, 1))
    return wave, 4


STREAMS = ["noise", "few integers", "mostly one value", "integers in a plane", "wave in shingles"]
TREES, SAMPLES, SEEDS = 50, 64, 16


@cache
def both(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores of (ours, krcf's) forests with equal parameters. [seeds, n]"""
    values, shingle = stream(name)
    ours, theirs = [], []
    for seed in range(SEEDS):
        parameters = Parameters(values.shape[1], TREES, SAMPLES, shingle, seed=seed)
        ours.append(CutForest(parameters).process(values)[2 * SAMPLES :])
        other = RandomCutForest(
            {
                "dimensions": parameters.dimensions,
                "shingle_size": shingle,
                "num_trees": TREES,
                "sample_size": SAMPLES,
                "lambda": parameters.decay,
                "output_after": SAMPLES,
                "initial_accept_fraction": 0.125,
                "internal_shingling": shingle > 1,
                "random_seed": seed + 1,
            }
        )
        scores = []
        for value in values.tolist():
            scores.append(other.score(value))
            other.update(value)
        theirs.append(np.array(scores)[2 * SAMPLES :])
    return np.array(ours), np.array(theirs)


@pytest.mark.parametrize("name", STREAMS)
def test_the_mean_score_is_that_of_aws_within_one_percent(name):
    ours, theirs = both(name)
    assert abs(ours.mean() / theirs.mean() - 1) < 0.01


@pytest.mark.parametrize("name", STREAMS)
def test_a_forest_is_as_like_one_of_aws_as_those_are_like_each_other(name):
    ours, theirs = both(name)
    order = stats.spearmanr(np.concatenate([ours, theirs]), axis=1).statistic
    across = order[:SEEDS, SEEDS:].mean()
    among = order[SEEDS:, SEEDS:][~np.eye(SEEDS, dtype=bool)].mean()
    assert across > among - 0.02


# CoDisp: the same as rrcf's on the same tree.


def copied(tree: rrcf.RCTree) -> naive.Tree:
    """A tree of rrcf. Its cuts are rounded as ours are, within their gaps."""

    def copy(node: object) -> naive.Tree:
        if isinstance(node, rrcf.Leaf):
            return naive.Leaf(tuple(node.x.tolist()), node.n)
        left, right = copy(node.l), copy(node.r)
        low = max(point[node.q] for point in naive.points(left))
        high = min(point[node.q] for point in naive.points(right))
        if tree.ndim == 1:
            return naive.Node(0, low, high, left, right)
        cut = min(max(float(np.float32(node.p)), low), float(np.nextafter(np.float32(high), np.float32(-np.inf))))
        return naive.Node(int(node.q), cut, cut, left, right)

    return copy(tree.root)


@pytest.mark.parametrize("dimensions", [1, 3])
def test_displacement_is_that_of_rrcf_on_the_same_tree(dimensions):
    points = np.random.default_rng(3).integers(-500, 500, (60, dimensions)).astype(float)
    points = np.unique(points, axis=0)
    tree = rrcf.RCTree(points, random_state=4)
    forest = plant(Parameters(dimensions, trees=1, samples=64), copied(tree))
    held = []
    for leaf in tree.leaves.values():  # as if it were there once more
        tree._update_leaf_count_upwards(leaf, inc=1)
        held.append(tree.codisp(leaf))
        tree._update_leaf_count_upwards(leaf, inc=-1)
    own = np.array([leaf.x for leaf in tree.leaves.values()])
    np.testing.assert_allclose(forest.codisp(own), held, rtol=1e-6)


def redraw(node: object, random: np.random.Generator) -> tuple[float, float]:
    """Cuts on a line anew, each in its gap; returns the ends of the subtree."""
    if isinstance(node, rrcf.Leaf):
        return node.x[0], node.x[0]
    (first, low), (high, last) = redraw(node.l, random), redraw(node.r, random)
    node.p = random.uniform(low, high)
    return first, last


@pytest.mark.parametrize("dimensions", [1, 3])
def test_displacement_of_a_new_point_is_the_mean_over_where_rrcf_would_insert_it(dimensions):
    points = np.random.default_rng(3).integers(-500, 500, (30, dimensions)).astype(float)
    tree = rrcf.RCTree(np.unique(points, axis=0), random_state=4)
    forest = plant(Parameters(dimensions, trees=1, samples=32), copied(tree))
    random = np.random.default_rng(5)
    for new in (np.full(dimensions, 0.5), np.full(dimensions, 900.5)):
        drawn = []
        for _ in range(400):
            if dimensions == 1:
                redraw(tree.root, random)
            tree.insert_point(new, index="new")
            drawn.append(tree.codisp("new"))
            tree.forget_point("new")
        assert abs(forest.codisp(new[None])[0] - np.mean(drawn)) < 4 * np.std(drawn) / 20 + 1e-6
