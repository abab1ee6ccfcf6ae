"""Trees on a line: after every reading the structure holds, and they say what the definition says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.forest.cut_forest import CutForest
from detector.forest.forest import Parameters
from tests import naive
from tests.detector.buffers import read
from tests.detector.streams import DECAYS, assert_naive, follow, streams


@given(streams(1), st.integers(1, 20), DECAYS, st.integers(0, 99), streams(1, longest=3))
@settings(max_examples=80, deadline=None)
def test_holds_and_scores_by_the_book_after_every_reading(values, samples, decay, seed, others):
    parameters = Parameters(trees=3, samples=samples, time_decay=decay, output_after=1, seed=seed)
    for forest, contents in follow(parameters, values):
        assert_naive(forest, contents, np.concatenate([others, values[:2], values[-1:] + 0.5]))


@pytest.mark.parametrize("samples", [15, 16, 17, 255, 256, 257, 400])
@pytest.mark.parametrize("ties", [False, True])
def test_holds_at_sizes_around_a_block_and_a_byte(samples, ties):
    values = np.random.default_rng(samples).normal(0, 30, (8 * samples, 1))
    values = values.round() if ties else values
    forest = CutForest(Parameters(trees=2, samples=samples, time_decay=np.inf, output_after=1))
    for batch in np.array_split(values, 9):
        forest.process(batch)
        assert_naive(forest, read(forest), np.concatenate([batch[:2], batch[:1] + 0.25, [[1e3]]]))
    assert all(len(tree.points) == samples for tree in read(forest).trees)


@pytest.mark.parametrize("samples", [256, 400])
def test_a_tree_may_be_nearly_a_chain(samples):
    """Powers of two, down to the smallest float32: every other cut parts only the largest from the rest."""
    powers = 2.0 ** np.arange(-149, 100)
    values = np.concatenate([[0.0, 1.0], np.repeat(powers, 8)])[:, None]
    forest = CutForest(Parameters(trees=4, samples=samples, output_after=1, time_decay=0.0))
    forest.process(values)
    contents = read(forest)
    assert_naive(forest, contents, values[::199])
    assert max(depth for tree in contents.trees for _, depth in naive.nodes(tree.root)) > 60
