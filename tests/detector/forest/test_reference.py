"""The reference forest keeps what every forest promises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.forest.forest import Parameters
from detector.forest.reference import ReferenceForest

VALUES = np.random.default_rng(1).normal(size=(80, 1))


def forest(**changes) -> ReferenceForest:
    return ReferenceForest(Parameters(**({"trees": 4, "samples": 16, "seed": 3} | changes)))


@given(st.sets(st.integers(1, 79), max_size=5), st.integers(0, 80))
@settings(max_examples=15, deadline=None)
def test_batches_and_snapshots_change_no_score(cuts, stop):
    whole = forest().process(VALUES)
    first = forest()
    scores = [first.process(part) for part in np.split(VALUES[:stop], sorted(cut for cut in cuts if cut < stop))]
    scores.append(ReferenceForest.restore(first.snapshot()).process(VALUES[stop:]))
    assert np.concatenate(scores).tolist() == whole.tolist()


def test_the_seed_decides():
    assert forest().process(VALUES).tolist() == forest().process(VALUES).tolist()
    assert forest().process(VALUES).tolist() != forest(seed=4).process(VALUES).tolist()


def test_nothing_is_scored_before_the_sample_is_warm():
    scores = forest().process(VALUES)
    assert not scores[:16].any()
    assert (scores[16:] > 0).all()


def test_scoring_explaining_and_expecting_learn_nothing():
    grown = forest()
    grown.update(VALUES)
    before = grown.snapshot()
    far = np.array([[50.0], [-50.0]])
    scores = grown.score(far)
    parts = grown.attribution(far)
    assert (scores > 3 * np.median(grown.score(VALUES[:10]))).all()
    np.testing.assert_allclose(parts.sum(axis=(1, 2)), scores)
    assert parts[0, 0, 0] > parts[0, 0, 1]  # higher than the past
    assert parts[1, 0, 1] > parts[1, 0, 0]
    assert np.abs(grown.expected(far)).max() < 5
    assert grown.snapshot() == before


@pytest.mark.parametrize("decay", [None, 0.0, 0.5, math.inf])
def test_a_tree_holds_as_many_points_as_it_may_and_recent_ones_if_time_decays(decay):
    grown = forest(time_decay=decay)
    grown.update(VALUES)
    kept = [sorted(tree._tree.leaves) for tree in grown._trees]
    assert all(len(points) == 16 for points in kept)
    if decay == math.inf:
        assert kept == [list(range(64, 80))] * 4


def test_a_shingle_sees_a_broken_rhythm_that_single_values_hide():
    rhythm = np.tile([0.0, 1.0, 2.0, 3.0], 40)[:, None] + np.random.default_rng(2).normal(0, 0.05, (160, 1))
    grown = forest(shingle=4, samples=64, trees=20)
    grown.update(rhythm)
    in_step, out_of_step = grown.score(np.array([[0.0], [2.0]]))
    assert out_of_step > 1.5 * in_step


def test_duplicates_and_constants_are_ordinary():
    scores = forest().process(np.ones((60, 1)))
    assert np.isfinite(scores).all()
    assert scores.max() == 0


@pytest.mark.parametrize("snapshot", [b"", b"junk", b"RRCF1\nnot zstd"])
def test_what_is_no_snapshot_is_refused_with_its_reason(snapshot):
    with pytest.raises(ValueError, match="snapshot"):
        ReferenceForest.restore(snapshot)
