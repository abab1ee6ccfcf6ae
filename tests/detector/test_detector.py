"""A detector's scores and decisions: right on the classic scenario, and the same however the readings are cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.batch import Scores
from detector.detector import Configuration, Detector

CONFIGURATION = Configuration(engine="rrcf", trees=20, samples=128)


def classic(n: int, seed: int):
    """Whole numbers from 10 to 20, and 1 % from 100 to 120; and which are those."""
    random = np.random.default_rng(seed)
    outlier = random.random(n) < 0.01
    return np.where(outlier, random.integers(100, 121, n), random.integers(10, 21, n)).astype(float)[:, None], outlier


def process(detector: Detector, values, cuts=()) -> Scores:
    scores = Scores.empty(len(values), values.shape[1])
    for rows in np.split(np.arange(len(values)), sorted(cuts)):
        scores.put(rows, detector.process(rows * 1000, values[rows]))
    return scores


@pytest.mark.parametrize("seed", [0, 1])
def test_finds_each_outlier_of_the_classic_scenario_and_nothing_else(seed):
    values, outlier = classic(1200, seed)
    scores = process(Detector(CONFIGURATION, seed), values)
    learnt = slice(CONFIGURATION.needed + Detector.WARM, None)
    assert scores.is_anomaly[learnt].tolist() == outlier[learnt].tolist()


def test_says_nothing_while_learning():
    values, _ = classic(300, 3)
    scores = process(Detector(CONFIGURATION, 0), values)
    learning = ~scores.ready
    assert learning.sum() == CONFIGURATION.needed
    assert not scores.is_anomaly[learning].any()
    assert not scores.score[learning].any()
    assert (np.diff(scores.confidence[learning]) > 0).all()


def test_a_grade_above_zero_means_an_anomaly():
    values, _ = classic(600, 5)
    scores = process(Detector(CONFIGURATION, 0), values)
    assert ((scores.grade > 0) == scores.is_anomaly).all()
    assert (scores.grade < 1).all()


@given(st.sets(st.integers(1, 299), max_size=6), st.integers(1, 299))
@settings(max_examples=5, deadline=None)
def test_batches_and_snapshots_change_nothing(cuts, stop):
    values, _ = classic(300, 7)
    whole = process(Detector(CONFIGURATION, 1), values)
    detector = Detector(CONFIGURATION, 1)
    first = process(detector, values[:stop], {cut for cut in cuts if cut < stop})
    again = Detector.restore(CONFIGURATION, detector.snapshot())
    rest = process(again, values[stop:])
    assert np.concatenate([first.score, rest.score]).tolist() == whole.score.tolist()
    assert np.concatenate([first.threshold, rest.threshold]).tolist() == whole.threshold.tolist()


def test_scoring_a_reading_learns_nothing():
    values, _ = classic(300, 9)
    detector = Detector(CONFIGURATION, 0)
    process(detector, values)
    before = detector.snapshot()
    tried = detector.score(np.array([0]), np.array([[117.0]]))
    assert tried.is_anomaly[0]
    assert detector.snapshot() == before


@pytest.mark.parametrize("damage", [b"", b"junk", b"CWD1"])
def test_a_foreign_snapshot_is_refused(damage):
    with pytest.raises(ValueError, match="not a detector's snapshot"):
        Detector.restore(CONFIGURATION, damage)
