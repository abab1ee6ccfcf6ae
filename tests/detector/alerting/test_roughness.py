"""Jumps on a smooth curve, within its usual range."""

import numpy as np
import pytest

from benchmarks.noise import NOISES
from detector.alerting.autocorrelation import AUTOCORRELATION, is_independent
from detector.alerting.extremes import EXTREMES, chance_of, extremity
from detector.alerting.roughness import CURVE, WIDEST, roughness
from detector.types import PATTERN_CHANGE
from tests.detector.alerting.states import START, new_state, run

FIVE_MINUTES = 300_000


def follow(
    values: np.ndarray, gaps: dict[int, float] | None = None, aside: tuple[int, ...] = (), *, gross: bool = False
) -> np.ndarray:
    """The roughness at each row of values [n, d]; rows ``aside`` are missing, or ``gross`` outliers."""
    d = values.shape[1]
    curves, tails, spreads = np.zeros(d, CURVE), np.zeros(d, EXTREMES), np.zeros(d, AUTOCORRELATION)
    found = np.zeros(len(values))
    learnt, missing = values[0], np.zeros(d, bool)
    for i, row in enumerate(values):
        learnt = learnt if i in aside else row
        missing[:] = i in aside and not gross
        for j in range(d):
            is_independent(learnt[j], spreads[j])
        gap = (gaps or {}).get(i, float(FIVE_MINUTES))
        found[i] = roughness(float(FIVE_MINUTES), gap, row, missing, learnt, spreads, curves, tails)
    assert np.isfinite(found).all()
    return found


def smooth(seed: int, n: int = 4000) -> np.ndarray:
    """A season with a little noise, [n, 1]."""
    noise = np.random.default_rng(seed).normal(0, 0.05, n)
    return (10 * np.sin(np.arange(n) / 46) + noise)[:, None]


@pytest.mark.parametrize("seed", range(3))
def test_a_small_jump_on_a_curve_is_seen_and_the_curve_is_not(seed: int) -> None:
    values = smooth(seed)
    values[3500] += 2.0
    found = follow(values) > 1.0
    assert found[3500]
    assert np.delete(found, range(3500, 3503)).sum() <= 1  # in 14 days, of which 0.05 each are within the budget


def test_it_is_the_distance_from_the_straight_line_against_its_own_tail() -> None:
    values = smooth(4, 2000)
    values[1900] += 1.0
    tail, deviation, expected = np.zeros(1, EXTREMES)[0], 0.0, np.zeros(2000)
    for n, distance in enumerate(abs(np.diff(values[:, 0], 2)).tolist(), start=1):
        counted = min(distance, 4 * deviation) if n > 32 else distance
        deviation += (1.1 * counted - deviation) / n
        size = extremity(distance, deviation, chance_of(0.05, FIVE_MINUTES), tail)
        expected[n + 1] = size if n > 600 else 0.0
    np.testing.assert_allclose(follow(values), expected)
    assert expected[1900] > 1.0 > expected[1899]
    assert (expected > 0.0).sum() > 20


@pytest.mark.parametrize("noise", list(NOISES))
def test_noise_is_no_curve(noise: str) -> None:
    values = NOISES[noise](np.random.default_rng(1), 6000)
    values[5000] += 100.0
    assert not follow(values[:, None]).any()


def test_what_moves_by_steps_is_no_curve() -> None:
    steps = np.random.default_rng(2).choice([-1.0, 1.0], 100).cumsum()
    assert not (follow(np.repeat(steps, 40)[:, None]) > 1.0).any()


def test_a_curve_that_was_not_seen_for_a_while_has_not_jumped() -> None:
    values = np.delete(smooth(1), np.arange(3500, 3530), axis=0)
    assert (follow(values)[3500:3503] > 1.0).any()  # if nobody knew
    assert not (follow(values, gaps={3500: 31.0 * FIVE_MINUTES}) > 1.0).any()


@pytest.mark.parametrize("gross", [False, True])
def test_after_a_missing_value_or_a_gross_outlier_the_line_begins_anew(gross: bool) -> None:
    values, aside = smooth(1), tuple(range(3500, 3530))
    values[3500:3530] = 1e9 if gross else values[3499]
    found = follow(values, aside=aside, gross=gross)
    assert not (found > 1.0).any()
    assert not found[3500:3532].any()
    values[3600] += 2.0
    assert follow(values, aside=aside, gross=gross)[3600] > 1.0  # and is known again


def test_of_several_values_each_is_seen_and_of_many_none() -> None:
    several = np.hstack([smooth(seed) for seed in range(WIDEST)])
    several[3500, 2] += 2.0
    assert np.flatnonzero(follow(several) > 1.0)[0] == 3500
    assert not follow(np.hstack([several, smooth(9)])).any()


def test_a_jump_alerts_where_features_do_not() -> None:
    values = smooth(3)
    values[3600] += 1.5  # on the way up, far within the range
    times = START + np.arange(len(values), dtype=np.int64) * FIVE_MINUTES
    out = run(new_state()[1], times, values, np.ones(len(values)))
    assert np.flatnonzero(out.alert[1000:]).tolist() == [2600]
    assert out.kind[3600] == PATTERN_CHANGE
