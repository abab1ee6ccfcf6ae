"""How far a reading may lie from where it is expected by chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerting.extremes import EXTREMES, chance_of, distance_limit, extremity

MINUTE = 60_000.0


def follow(distances: np.ndarray, interval: float = MINUTE) -> tuple[np.ndarray, np.void]:
    """Whether each is extreme, and what is kept at the end."""
    value = np.zeros(1, EXTREMES)[0]
    deviation = float(distances.mean())
    chance = chance_of(0.01, interval)
    return np.array([extremity(x, deviation, chance, value) > 1.0 for x in distances.tolist()]), value


def test_the_limit_follows_the_tail() -> None:
    """A normal tail ends soon, an exponential one later; one of a power of three goes on, as its quantiles say."""
    random = np.random.default_rng(0)
    normal = follow(np.abs(random.normal(0, 1, 20_000)))[1]
    exponential = follow(random.exponential(1, 20_000))[1]
    heavy = follow(np.abs(random.standard_t(3, 20_000)))[1]
    chance = 1e-6
    assert 4.9 < distance_limit(normal, chance) < 8  # two-sided quantile 4.9
    assert 12 < distance_limit(exponential, chance) < 30  # quantile 13.8
    assert 60 < distance_limit(heavy, chance) < 400  # quantile 103


def test_chance_alone_is_seldom_extreme() -> None:
    found = np.zeros(3, dtype=int)
    for seed in range(5):
        random = np.random.default_rng(seed)
        noises = random.normal(0, 1, 10_000), random.poisson(4, 10_000) - 4.0, random.standard_t(3, 10_000)
        found += [int(follow(np.abs(noise))[0].sum()) for noise in noises]
    assert found[:2].tolist() == [0, 0]
    assert found[2] <= 3  # in 35 days


@pytest.mark.parametrize("seed", range(5))
def test_what_is_far_beyond_normal_noise_is(seed: int) -> None:
    distances = np.abs(np.random.default_rng(seed).normal(0, 1, 2001))
    distances[2000] = 9.0
    assert follow(distances)[0][2000]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise", [lambda random: random.normal(0, 1, 900), lambda random: random.uniform(-2, 2, 900)])
def test_a_spike_that_came_before_is_extreme_again(seed: int, noise) -> None:
    """Also where the first came while little was known: it must not pass for the noise's tail."""
    distances = np.abs(noise(np.random.default_rng(seed)))
    distances[[90, 300, 600]] = 25.0
    assert follow(distances)[0][[90, 300, 600]].all()


@pytest.mark.parametrize("rate", [0.05, 0.3, 11.0])
def test_a_burst_of_rare_events_is_extreme(rate: float) -> None:
    """Counts that are mostly zero have a tail of few steps, which says nothing of how far it goes."""
    counts = np.random.default_rng(0).poisson(rate, 300).astype(float)
    distances = np.abs(counts - counts.mean())
    distances[240] = 50.0
    assert follow(distances)[0][240]


def test_a_faster_sensor_has_more_chances() -> None:
    value = follow(np.random.default_rng(0).exponential(1, 3000))[1]
    limits = [distance_limit(value, 1e-6 * interval) for interval in (0.1, 1.0, 10.0)]
    assert limits == sorted(limits, reverse=True)


@given(st.lists(st.sampled_from([0.0, 1e-300, 1.0, 3.0, 1e10, 2.0**200]), min_size=1, max_size=300))
@settings(max_examples=40, deadline=None)
def test_nothing_breaks_it(distances: list[float]) -> None:
    found, value = follow(np.array(distances))
    assert not found[:63].any()
    assert all(np.isfinite(value[name]) for name in value.dtype.names)
