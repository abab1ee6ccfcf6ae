"""Is this reading anomalous? Scores, and the threshold that follows them."""

import numpy as np
import pytest

from detector.alerting.baseline import PROVISIONAL, score_samples, score_threshold, update_score_baseline
from detector.forest.closed_form import HELD, line_score
from tests.detector.alerting.states import new_state


def test_single_values_are_scored_against_all_samples_and_then_learnt():
    """The score is the mean over the samples, each of which holds some of all readings before."""
    state = new_state((1, 64, 3, 16))[1]
    values = np.random.default_rng(2).normal(size=(200, 1))
    for i, value in enumerate(values):
        held = state.sample_counts[:, HELD]
        expected = [
            line_score(points, squares, n, value[0])
            for points, squares, n in zip(state.sample_points, state.sample_squares, held, strict=True)
        ]
        asked, score = np.zeros(1), np.zeros(1)
        score_samples(state, value[None], 0.01, False, asked)
        score_samples(state, value[None], 0.01, True, score)
        assert asked[0] == score[0] == pytest.approx(np.mean(expected) if i >= PROVISIONAL else 0)
        assert state.sample_counts[:, HELD].tolist() == [min(i + 1, 16)] * 3
    assert np.isin(state.sample_points, values).all()
    assert len({points.tobytes() for points in state.sample_points}) == 3  # each chooses by itself


def test_anomalies_barely_move_the_threshold():
    """The thousandth outlier is as anomalous as the first."""
    sensor, random = new_state()[1].sensor[0], np.random.default_rng(3)
    calm = random.uniform(0.8, 1.2, 3000)
    for score in calm:
        update_score_baseline(sensor, score, False)
    before = score_threshold(sensor, 1.0)
    for number in range(2000):
        outlier = number % 20 == 0
        update_score_baseline(sensor, 6.0 if outlier else calm[number], outlier)
    assert before > calm.max()
    assert score_threshold(sensor, 1.0) == pytest.approx(before, rel=0.1)


def test_little_confidence_needs_a_higher_score():
    sensor = new_state()[1].sensor[0]
    for _ in range(PROVISIONAL - 1):
        update_score_baseline(sensor, 1.0, False)
    assert score_threshold(sensor, 1.0) == np.inf
    for _ in range(100):
        update_score_baseline(sensor, 1.0, False)
    assert score_threshold(sensor, 0.5) > score_threshold(sensor, 1.0) > 1.0
