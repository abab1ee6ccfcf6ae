"""The interval of a forecast holds what it says, whatever the noise; farther ahead it is wider."""

import numpy as np
import pytest

from detector import Configuration, Detector

MINUTE = 60_000
START = 1_767_571_200_000
N = 12_000


def autocorrelated(noise: np.ndarray) -> np.ndarray:
    values = np.zeros(len(noise))
    for k in range(1, len(noise)):
        values[k] = 0.95 * values[k - 1] + noise[k]
    return values


RANDOM = np.random.default_rng(7)
STREAMS = {
    "gaussian": RANDOM.normal(50, 2, N),
    "heavy-tailed": RANDOM.standard_t(2, N),
    "skewed": RANDOM.exponential(3, N),
    "seasonal": 20 + 8 * np.sin(2 * np.pi * np.arange(N) / 288) + RANDOM.normal(size=N),
    "autocorrelated": autocorrelated(RANDOM.normal(size=N)),
}


@pytest.mark.parametrize("name", STREAMS)
def test_nine_of_ten_readings_lie_in_their_interval(name):
    values = STREAMS[name][:, None]
    scores = Detector(Configuration(profile="small"), 0).process(START + 5 * MINUTE * np.arange(N), values)
    inside = (scores.expected_lower <= values) & (values <= scores.expected_upper)
    assert 0.88 <= inside[1000:].mean() <= 0.92
    for part in np.array_split(inside[1000:], 5):
        assert 0.85 <= part.mean() <= 0.95


def test_the_best_predictor_is_found():
    """A smooth curve is foretold by its last reading, far closer than by the mean of late."""
    values = np.sin(np.arange(4000) / 15)[:, None]
    scores = Detector(Configuration(profile="small"), 0).process(START + MINUTE * np.arange(4000), values)
    assert np.nanmean((scores.expected_upper - scores.expected_lower)[1000:]) < 0.3


def test_an_outlier_hardly_moves_the_interval():
    values = np.random.default_rng(1).normal(50, 1, (3000, 1))
    values[[5, 1500]] = 1e9
    scores = Detector(Configuration(profile="small"), 0).process(START + MINUTE * np.arange(3000), values)
    width = (scores.expected_upper - scores.expected_lower)[:, 0]
    assert np.isnan(width[:17]).all()
    assert width[1510] == pytest.approx(width[1490], rel=0.3)
    assert 2 < width[200] < 8


def test_a_forecast_goes_on_from_the_last_reading_and_widens():
    detector = Detector(Configuration(dimensions=2, profile="small", trees=3, samples=16), 0)
    values = np.random.default_rng(2).normal([10, 200], [1, 5], (1000, 2))
    detector.process(START + MINUTE * np.arange(1000), values)
    before = detector.snapshot()
    forecast = detector.forecast(10)
    assert detector.snapshot() == before
    assert forecast.times.tolist() == [START + MINUTE * (999 + k) for k in range(1, 11)]
    np.testing.assert_allclose(forecast.expected, np.tile([10.0, 200.0], (10, 1)), rtol=0.1)
    assert (np.diff(forecast.upper - forecast.lower, axis=0) > 0).all()


def test_a_season_is_in_the_forecast():
    hours = np.arange(24 * 7 * 6)
    values = (20 + 10 * (hours % 24 == 9) + np.random.default_rng(3).normal(0, 0.1, len(hours)))[:, None]
    detector = Detector(Configuration(profile="small"), 0)
    detector.process(START + 60 * MINUTE * hours, values)
    expected = detector.forecast(24).expected[:, 0]
    assert np.argmax(expected) == 9 - len(hours) % 24 or expected[9] > 22


def test_nothing_is_forecast_of_nothing():
    with pytest.raises(ValueError, match="a forecast of 3 readings after 0"):
        Detector(Configuration(profile="small"), 0).forecast(3)
