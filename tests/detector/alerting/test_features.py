"""The ten features of a value: what they are, against a naive oracle, and what they do not depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerting.features import (
    FEATURES,
    FLOOR,
    HOUR,
    MEAN,
    PREDICTIONS,
    SLOTS,
    SMOOTHINGS,
    WEIGHTS,
    classify,
    extract_features,
)
from detector.types import LEVEL_SHIFT, NOISE_CHANGE, PATTERN_CHANGE, SPIKE

DAY = 24 * HOUR
MONDAY = 4 * DAY  # after 1 January 1970, a Thursday
VALUES = st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=60)
STEPS = st.sampled_from([HOUR // 12, HOUR, 5 * HOUR, DAY])


def features(values: np.ndarray, times: np.ndarray, scale: float = 1e-9, incident: slice = slice(0)) -> np.ndarray:
    """[n, FEATURES] of a sensor that begins with these readings; those of ``incident`` belong to a fault."""
    faulty = np.zeros(len(values), bool)
    faulty[incident] = True
    window, means = np.zeros(MEAN), np.zeros((SMOOTHINGS, SLOTS))
    visits, levels = np.zeros_like(means), np.zeros(SMOOTHINGS)
    errors, out = np.zeros((SMOOTHINGS, PREDICTIONS)), np.empty((len(values), FEATURES))
    for seen, (x, time) in enumerate(zip(values, times, strict=True)):
        extract_features(x, time, seen, window, means, visits, levels, errors, scale, faulty[seen], out[seen])
    return out


def learnt(values: list[float], least: float) -> float:
    """The mean of values; of more than 1 / ``least`` of them the older ones count exponentially less."""
    mean = 0.0
    for number, value in enumerate(values, 1):
        mean += max(least, 1 / number) * (value - mean)
    return mean


def predictions(past: np.ndarray, hours: np.ndarray, hour: int) -> tuple[float, float, float, bool]:
    """(recent mean, by the hour of the day, by the hour of the week, whether that hour of the week was seen)."""
    recent = past[0]
    for value in past:
        recent += 0.01 * (value - recent)
    same_hour, same_day = past[hours == hour], past[hours % 24 == hour % 24]
    by_day = learnt(same_day, 0.02) if len(same_day) else recent
    return recent, by_day, learnt(same_hour, 0.02) if len(same_hour) else by_day, len(same_hour) > 0


def naive(values: np.ndarray, times: np.ndarray, scale: float) -> np.ndarray:
    """All features, each from all readings before."""
    hours = times // HOUR % 168
    recent = [values[max(i + 1 - MEAN, 0) : i + 1] for i in range(len(values))]
    means = np.array([part.mean() for part in recent])
    floors = np.array([part[-FLOOR:].min() for part in recent])
    columns = []
    for smoothed in (values, means, floors):
        misses: list[list[float]] = [[], [], []]
        distances = []
        for i, x in enumerate(smoothed):
            past = smoothed[:i] if i else smoothed[:1]  # the first reading has nothing but itself to be compared with
            seen = hours[: len(past)] if i else np.full(1, -1)
            *guesses, known = predictions(past, seen, hours[i])
            best = int(np.argmin([learnt(errors, 5e-4) for errors in misses]))
            distances.append((x, x - (guesses[2] if known else guesses[0]), x - guesses[best]))
            for errors, guess in zip(misses, guesses, strict=True):
                errors.append(abs(x - guess))
        columns += list(zip(*distances, strict=True))
    return np.array([*columns, np.log([part.std() + scale for part in recent])]).T


@given(VALUES, STEPS, st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_features_are_what_the_naive_oracle_says(values, step, start):
    x, times = np.array(values), MONDAY + start * HOUR + step * np.arange(len(values))
    np.testing.assert_allclose(features(x, times, 0.5), naive(x, times, 0.5), rtol=1e-9, atol=1e-9)


@given(VALUES, STEPS, st.integers(-30, 30))
@settings(max_examples=60, deadline=None)
def test_units_do_not_matter(values, step, exponent):
    """Powers of two, so that not even a rounding differs."""
    x, times, unit = np.array(values), MONDAY + step * np.arange(len(values)), 2.0**exponent
    plain, scaled = features(x, times, 0.5), features(unit * x, times, 0.5 * unit)
    assert (scaled[:, :9] == unit * plain[:, :9]).all()
    np.testing.assert_allclose(scaled[:, 9] - plain[:, 9], np.log(unit), atol=1e-9)


@pytest.mark.parametrize(
    "season",
    [
        pytest.param(lambda hour: 0.0 * hour, id="none"),
        pytest.param(lambda hour: 20.0 * (hour % 24 == 9), id="every day at nine"),
        pytest.param(lambda hour: 20.0 * (hour % 168 >= 120), id="at weekends"),
    ],
)
def test_a_period_is_found_and_none_is_invented(season):
    """Once there were eight weeks, all that the best prediction leaves is the noise."""
    hours = np.arange(9 * 168)
    noise = np.random.default_rng(2).normal(size=len(hours))
    left = features(season(hours) + noise, MONDAY + HOUR * hours)[-168:, 2]
    assert np.abs(left).mean() < 1.1 * np.abs(noise[-168:]).mean()


def test_a_fault_does_not_come_back_in_a_week_as_its_own_absence():
    week = 168 * 12
    values, hour = np.zeros(7 * week), slice(5 * week, 5 * week + 12)
    values[hour] = 10.0
    times, later = MONDAY + HOUR // 12 * np.arange(len(values)), 6 * week
    unaware, aware = features(values, times)[later, 1], features(values, times, incident=hour)[later, 1]
    assert unaware < -1.5
    assert -0.25 < aware < 0


@pytest.mark.parametrize(
    ("loud", "kind"),
    [
        ({0: 3.0}, SPIKE),
        ({0: 3.0, 3: 1.0}, SPIKE),
        ({0: 2.0, 3: 2.0}, LEVEL_SHIFT),
        ({3: 2.0, 4: 2.0}, LEVEL_SHIFT),
        ({4: 2.0}, PATTERN_CHANGE),
        ({1: 1.0, 3: 0.5, 5: 2.0}, PATTERN_CHANGE),
        ({0: 2.0, 9: 3.0}, NOISE_CHANGE),
    ],
)
def test_the_unusual_features_say_what_it_looks_like(loud, kind):
    scores = np.zeros(FEATURES)
    scores[list(loud)] = list(loud.values())
    assert classify(scores) == classify(8.0 * scores) == kind


def test_weights_are_on_the_scale_of_the_alert_score():
    assert WEIGHTS.sum() == pytest.approx(2.5)
