"""Slow and structural faults: each shows in its own statistic, and none in the ordinary course of things."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerting.change_detectors import (
    ALARMING,
    ALERTED,
    MEMORY,
    QUIET,
    STATISTIC,
    STATISTIC_KINDS,
    STATISTICS,
    exceedance,
    forget_hour,
    seasonal_value,
    update_correlation,
    update_statistics,
)
from detector.alerting.features import BINS, HOUR
from detector.types import (
    CORRELATION_BREAK,
    DRIFT,
    KINDS,
    LEVEL_SHIFT,
    NOISE_CHANGE,
    PATTERN_CHANGE,
    SPIKE,
    STUCK,
)

MONDAY = 4 * 24 * HOUR  # after 1 January 1970, a Thursday
STEP = HOUR // 4
WEEK = 7 * 24 * 4  # readings
ROW = {kind: row for row, kind in enumerate(STATISTIC_KINDS.tolist())}


class Sensor:
    """What the change detectors of a sensor of d values remember."""

    def __init__(self, d: int = 1) -> None:
        self.memory = np.zeros(d, MEMORY)
        self.memory["fast_mean"] = np.nan
        self.profile, self.visits = np.zeros((d, BINS)), np.zeros((d, BINS))
        self.statistics = np.zeros((d, STATISTICS), STATISTIC)
        self.products, self.errors = np.zeros((d, d)), np.zeros((d, 2))

    def read(self, values: np.ndarray, start: int = 0, missing: bool = False) -> np.ndarray:
        """[n, d, STATISTICS] how far each statistic is beyond its limit at readings number ``start`` on."""
        ratios = np.zeros((*values.shape, STATISTICS))
        for i, row in enumerate(values):
            time = MONDAY + STEP * (start + i)
            for j, x in enumerate(row):
                own = (self.memory[j], self.profile[j], self.visits[j], self.statistics[j])
                update_statistics(x, time, missing, *own, False, ratios[i, j])
            if len(row) > 1:
                update_correlation(self.memory, self.products, self.errors, self.statistics, ratios[i])
        return ratios


def days(weeks: int, late: int = 0, seed: int = 0) -> np.ndarray:
    """A daily season with noise; ``late`` hours behind."""
    hours = np.arange(weeks * WEEK) / 4 - late
    return 50 + 5 * np.sin(2 * np.pi * hours / 24) + np.random.default_rng(seed).normal(0, 0.5, len(hours))


FAULTS = {
    SPIKE: lambda x: np.concatenate([x[:50], x[50:51] + 30, x[51:]]),
    LEVEL_SHIFT: lambda x: x + 8,
    NOISE_CHANGE: lambda x: x + 4 * np.random.default_rng(1).normal(size=len(x)),
    PATTERN_CHANGE: lambda x: 100 - x,
    DRIFT: lambda x: x + np.linspace(0, 12, len(x)),
    STUCK: lambda x: np.full_like(x, x[0]),
}


@pytest.mark.parametrize("kind", FAULTS, ids=[KINDS[kind] for kind in FAULTS])
def test_each_fault_shows_in_its_own_statistic(kind):
    values = days(6)
    fault = FAULTS[kind](values[-WEEK:])
    sensor = Sensor()
    before = sensor.read(values[:-WEEK, None])
    assert before.max() <= 1
    assert sensor.read(fault[:, None], 5 * WEEK)[:, 0, ROW[kind]].max() > 1


def test_a_stream_says_nothing_while_it_is_getting_known():
    wild = np.random.default_rng(3).standard_cauchy(200)[:, None]
    assert not Sensor().read(wild).any()


def test_a_missing_value_does_not_make_a_sensor_stuck():
    values, sensor = days(1), Sensor()
    sensor.read(values[:, None])
    stand_in = np.full((400, 1), values[-1])
    assert not sensor.read(stand_in, WEEK, missing=True)[..., ROW[STUCK]].any()
    assert sensor.read(stand_in, WEEK, missing=False)[..., ROW[STUCK]].max() > 1


def test_a_season_by_another_clock_is_no_fault_and_the_clock_is_learnt():
    """As when summer time begins: what came at eight now comes at nine."""
    sensor = Sensor()
    sensor.read(days(5)[:, None])
    ratios = sensor.read(days(4, late=1, seed=1)[:, None], 5 * WEEK)
    assert ratios[..., [ROW[PATTERN_CHANGE], ROW[DRIFT], ROW[LEVEL_SHIFT]]].max() <= 1
    assert sensor.memory["clock_shift"][0] == -1


def test_values_that_belong_together_break_apart_only_when_they_do():
    common, noise = days(6), np.random.default_rng(4).normal(0, 0.1, (6 * WEEK, 3))
    together = np.random.default_rng(5).normal(size=6 * WEEK)
    values = common[:, None] + noise + np.array([2, -2, 0]) * together[:, None]
    sensor, row = Sensor(3), ROW[CORRELATION_BREAK]
    assert sensor.read(values)[..., row].max() <= 1
    values[:100, 1] += 4 * together[:100]  # the other way round
    broken = sensor.read(values[:100], 6 * WEEK)[..., row].max(axis=0) > 1
    assert broken.tolist() == [True, True, False]


@given(st.integers(-10, 20))
@settings(max_examples=5, deadline=None)
def test_units_do_not_matter(exponent):
    values = days(3)
    values[-100:] += 8
    plain, scaled = Sensor().read(values[:, None]), Sensor().read(2.0**exponent * values[:, None])
    np.testing.assert_allclose(scaled, plain, rtol=1e-5, atol=1e-7)


# One statistic by itself


def alarms(sizes: list[float], kind: int) -> tuple[np.ndarray, list[float]]:
    """(ratios, states) after each size, of a statistic that has become calibrated; what alarms is alerted at once."""
    statistics, row = np.zeros(STATISTICS, STATISTIC), ROW[kind]
    for size in np.abs(np.random.default_rng(6).normal(size=2000)):
        exceedance(statistics, row, size, 0.0)
    ratios, states = [], []
    for size in sizes:
        ratios.append(exceedance(statistics, row, size, 0.0))
        states.append(float(statistics["alarm"][row]))
        if states[-1] == ALARMING:
            statistics["alarm"][row] = ALERTED
    return np.array(ratios), states


def test_what_keeps_coming_becomes_normal():
    ratios, _ = alarms([*[30.0, *[1.0] * 50] * 12], SPIKE)
    again = ratios[::51]
    assert again[0] > 1
    assert (np.diff(again[again > 1]) < 0).all()
    assert again[-1] <= 1


def test_a_long_fault_does_not_hide_the_next():
    """What alarms teaches little: the limit after a hundred alarms in a row is not the fault's own size."""
    ratios, _ = alarms([100.0] * 100 + [1.0] * 300 + [60.0], LEVEL_SHIFT)
    assert (ratios[:100] > 1).all()
    assert ratios[-1] > 1


@pytest.mark.parametrize(("pause", "state"), [(0, ALERTED), (200, ALERTED), (300, ALARMING)])
def test_a_fault_whose_alarm_pauses_for_a_while_is_still_the_same(pause, state):
    _, states = alarms([30.0] + [1.0] * pause + [60.0], LEVEL_SHIFT)
    assert states[0] == ALARMING
    assert states[-1] == state


def test_a_spike_after_a_spike_is_another():
    assert alarms([30.0, 1.0, 90.0], SPIKE)[1] == [ALARMING, QUIET, ALARMING]


# The weekly profile


@given(st.integers(0, 3 * BINS * 60 - 1), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_between_the_middles_of_hours_the_profile_is_a_line(minutes, seed):
    profile = np.random.default_rng(seed).normal(size=BINS)
    middles = np.arange(BINS) + 0.5
    expected = np.interp(minutes / 60, middles, profile, period=BINS)
    assert seasonal_value(minutes * 60_000, profile, np.ones(BINS)) == pytest.approx(expected)


def test_an_hour_of_the_week_that_was_never_seen_is_as_the_same_hour_of_other_days():
    profile, visits = np.zeros(BINS), np.zeros(BINS)
    assert np.isnan(seasonal_value(MONDAY, profile, visits))
    for day, value in ((0, 10.0), (3, 20.0)):
        profile[24 * day : 24 * (day + 1)], visits[24 * day : 24 * (day + 1)] = value, 1.0
    noon = 12 * HOUR
    assert seasonal_value(noon, profile, visits) == 10
    assert seasonal_value(3 * 24 * HOUR + noon, profile, visits) == 20
    assert seasonal_value(5 * 24 * HOUR + noon, profile, visits) == 15


def test_a_template_may_go_on_at_any_time():
    """An hour that another sensor has begun is not finished by this one's readings, be they a year after."""
    sensor = Sensor()
    sensor.read(days(1)[:, None])
    profile = sensor.profile.copy()
    forget_hour(sensor.memory)
    sensor.read(np.array([[1e6]]), 52 * WEEK)
    assert (sensor.profile == profile).all()
