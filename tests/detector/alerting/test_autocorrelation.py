"""Whether a value's readings have anything to do with each other."""

import numpy as np
import pytest

from benchmarks.noise import NOISES
from detector.alerting.autocorrelation import AUTOCORRELATION, LAGS, is_independent
from detector.detector import Configuration, Detector

START = 1_767_571_200_000
FIVE_MINUTES = 300_000


def independent(values: np.ndarray) -> np.ndarray:
    value = np.zeros(1, AUTOCORRELATION)[0]
    found = np.array([is_independent(x, value) for x in values])
    assert all(np.isfinite(value[name]).all() for name in value.dtype.names)
    return found


@pytest.mark.parametrize(
    ("noise", "alone"), [("normal", True), ("heavy-tailed", True), ("counts", True), ("autocorrelated", False)]
)
def test_noise_is_independent_unless_it_is_correlated(noise: str, alone: bool) -> None:
    found = independent(NOISES[noise](np.random.default_rng(0), 5000))[500:]
    assert found.mean() > 0.98 if alone else found.mean() < 0.02


def test_a_season_is_no_independence_nor_is_what_alternates() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 4000)
    assert not independent(np.sin(np.arange(4000) / 20) + 0.5 * noise)[500:].any()
    assert not independent(np.where(np.arange(4000) % 2 == 0, 3.0, -3.0) + noise)[500:].any()


def test_correlation_is_that_of_the_naive_oracle_while_nothing_is_bounded() -> None:
    values = np.random.default_rng(2).uniform(-1, 1, 30)
    value = np.zeros(1, AUTOCORRELATION)[0]
    distances: list[float] = []
    mean = values[0]
    for i, x in enumerate(values):
        distances.append(x - mean)
        mean += (x - mean) / (i + 1)
        is_independent(x, value)
    for k in range(LAGS):
        products = [distances[i] * distances[i - k - 1] if i > k else 0.0 for i in range(len(distances))]
        assert value["products"][k] == pytest.approx(np.mean(products))
    assert value["energy"] == pytest.approx(np.mean(np.square(distances)))


def test_an_outlier_does_not_decide_it() -> None:
    values = np.random.default_rng(3).normal(0, 1, 3000)
    values[1500:1510] = 2.0**200
    assert independent(values)[1000:].mean() > 0.95


@pytest.mark.parametrize("noise", ["normal", "counts"])
def test_noise_alone_alerts_seldom(noise: str) -> None:
    found = 0
    for seed in range(5):
        values = 50 + NOISES[noise](np.random.default_rng(seed), 6000)
        times = START + FIVE_MINUTES * np.arange(6000, dtype=np.int64)
        found += int(Detector(Configuration(), seed).process(times, values[:, None]).alert.sum())
    assert found <= 2  # in 104 sensor-days; 12 before


@pytest.mark.parametrize("seed", range(4))
def test_a_spike_in_noise_alerts(seed: int) -> None:
    values = np.random.default_rng(seed).normal(50, 1, 3100)
    values[3000] += 8.0
    times = START + FIVE_MINUTES * np.arange(3100, dtype=np.int64)
    assert Detector(Configuration(), seed).process(times, values[:, None]).alert[3000]
