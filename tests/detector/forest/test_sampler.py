"""The sample is the one that its law says: points t with weight exp(decay t), without replacement.

Trees are independent, and one member of each tree's sample, chosen at random, has a chance proportional to its
probability of inclusion; so ages of such members are compared with the exact law by a chi-square test.
"""

import numpy as np
import pytest
from scipy import integrate, stats

from detector.forest.cut_forest import CutForest
from detector.forest.forest import Parameters
from tests.detector.buffers import read


def inclusion(weights: np.ndarray, samples: int) -> np.ndarray:
    """The probability of each point to be among the ``samples`` smallest of independent Exp(1) / weight.

    Point i at its time s is in the sample if fewer than ``samples`` of the others came before: a Poisson binomial,
    built up one point after the other, and integrated over the density of s. It sums to ``samples``.
    """
    s = np.geomspace(1e-6, 1e6, 300)
    chances = np.zeros((samples, len(weights), len(s)))  # of so many others before s, for each point
    chances[0] = 1.0
    for j, weight in enumerate(weights):
        own = chances[:, j].copy()
        before = -np.expm1(-weight * s)
        chances[1:] = chances[1:] * (1 - before) + chances[:-1] * before
        chances[0] *= 1 - before
        chances[:, j] = own
    density = weights[:, None] * np.exp(-weights[:, None] * s)
    law = integrate.trapezoid(chances.sum(axis=0) * density * s, np.log(s), axis=1)
    assert abs(law.sum() / samples - 1) < 1e-3
    return law


def ages(parameters: dict[str, float], n: int, seeds: int) -> np.ndarray:
    """The age of one member of each tree's sample after n points, over some seeds. The newest point has age 0."""
    random = np.random.default_rng(0)
    found = []
    for seed in range(seeds):
        forest = CutForest(Parameters(trees=1000, seed=seed, **parameters))
        forest.update(np.arange(float(n))[:, None])
        contents = read(forest)
        for tree in contents.trees:
            chosen = tree.points[random.integers(len(tree.points))][0]
            found.append(n - 1 - int(contents.offsets[0] + chosen))
    return np.array(found)


def p_value(found: np.ndarray, law: np.ndarray) -> float:
    """Chi-square over ages; rare ones count together."""
    expected = len(found) * law / law.sum()
    groups = np.unique(np.minimum(np.cumsum(expected) // 25, len(found) // 25 - 1), return_inverse=True)[1]
    observed = np.bincount(groups[found], minlength=groups.max() + 1)
    return float(stats.chisquare(observed, np.bincount(groups, expected)).pvalue)


@pytest.mark.parametrize(("samples", "decay"), [(1, 0.05), (2, 0.05), (8, 0.05), (8, 0.5), (16, 0.1)])
def test_ages_in_the_sample_follow_the_law_of_weights_that_decay(samples, decay):
    """After thousands of points and many epochs, when what filled the sample is long gone."""
    n, seen = 3000, int(12 / decay) + 2 * samples
    law = inclusion(np.exp(-decay * np.arange(seen)), samples)
    found = ages({"samples": samples, "time_decay": decay}, n, seeds=4)
    found = np.minimum(found, seen - 1)
    assert 0.001 < p_value(found, law) < 0.9999


def test_without_decay_all_of_a_long_past_is_equally_likely():
    found = ages({"samples": 4, "time_decay": 0.0}, 20_000, seeds=4)
    assert 0.001 < p_value(found // 200, np.ones(100)) < 0.9999


def test_an_infinite_decay_keeps_the_last_points():
    forest = CutForest(Parameters(trees=50, samples=8, time_decay=np.inf))
    forest.update(np.arange(500.0)[:, None])
    contents = read(forest)
    assert all(
        {p[0] + contents.offsets[0] for p in tree.points} == set(map(float, range(492, 500))) for tree in contents.trees
    )


def test_a_sample_fills_as_slowly_as_in_the_library_of_aws():
    """An eighth at once; from then on a point is added with a chance that falls to nothing as the sample fills."""
    samples, n = 24, 60
    chances = np.zeros(samples + 1)
    chances[0] = 1.0
    grow = np.minimum((1 - np.arange(samples + 1) / samples) / 0.875, 1.0)
    for _ in range(n):
        chances = chances * (1 - grow) + np.append(0.0, (chances * grow)[:-1])
    forest = CutForest(Parameters(trees=1000, samples=samples))
    forest.update(np.random.default_rng(0).normal(size=(n, 1)))
    counts = np.array([len(tree.points) for tree in read(forest).trees])
    assert 0.001 < p_value(samples - counts, chances[::-1]) < 0.9999


def test_trees_choose_independently():
    """Two trees share no more points than chance."""
    forest = CutForest(Parameters(trees=400, samples=8, time_decay=0.05))
    forest.update(np.arange(2000.0)[:, None])
    kept = [set(tree.points) for tree in read(forest).trees]
    law = inclusion(np.exp(-0.05 * np.arange(300)), 8)
    shared = [len(a & b) for a, b in zip(kept[::2], kept[1::2], strict=True)]
    expected = float((law**2).sum())
    assert abs(np.mean(shared) - expected) < 4 * np.std(shared) / np.sqrt(len(shared))
