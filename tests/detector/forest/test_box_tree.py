"""Trees of boxes: after every reading the structure holds, and they say what the definition says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.forest.cut_forest import CutForest
from detector.forest.forest import Parameters
from tests.detector.buffers import read
from tests.detector.streams import DECAYS, assert_naive, follow, streams

SHAPES = [(2, 1), (1, 2), (3, 3), (1, 9)]


@given(st.data(), st.sampled_from(SHAPES), st.integers(1, 20), DECAYS, st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_holds_and_scores_by_the_book_after_every_reading(data, shape, samples, decay, seed):
    dimensions, shingle = shape
    values, others = data.draw(streams(dimensions)), data.draw(streams(dimensions, longest=2))
    parameters = Parameters(dimensions, 3, samples, shingle, time_decay=decay, output_after=1, seed=seed)
    for number, (forest, contents) in enumerate(follow(parameters, values), 1):
        if number >= shingle:
            assert_naive(forest, contents, np.concatenate([others, values[:2], values[-1:] + 0.5]))


@pytest.mark.parametrize("samples", [16, 17, 300])
@pytest.mark.parametrize(("dimensions", "shingle"), [(2, 1), (1, 8), (4, 8)])
@pytest.mark.parametrize("ties", [False, True])
def test_holds_at_sizes_around_a_block_and_a_byte(samples, dimensions, shingle, ties):
    values = np.random.default_rng(samples).normal(0, 2, (8 * samples, dimensions))
    values = values.round() // 4 if ties else values
    parameters = Parameters(dimensions, 2, samples, shingle, time_decay=np.inf, output_after=shingle)
    forest = CutForest(parameters)
    for batch in np.array_split(values, 5):
        forest.process(batch)
        assert_naive(forest, read(forest), np.concatenate([batch[:1], batch[1:2] + 0.25]))
    assert all(len(tree.points) == samples for tree in read(forest).trees)
