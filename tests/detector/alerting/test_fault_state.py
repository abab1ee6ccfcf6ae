"""Faults that go on: a state with a beginning and an end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerting.fault_state import AWAY, FAULT, LEVEL, NORMAL, ROUGHNESS, follow_value, update_fault
from detector.detector import Configuration, Detector

MINUTE = 60_000
START = 1_767_571_200_000
FAST = 2 / 21


def displaced(values: np.ndarray, frozen_from: int | None = None) -> np.ndarray:
    """How far a value without a season is displaced at each reading."""
    normal = np.zeros(1, NORMAL)[0]
    return np.array(
        [follow_value(x, np.nan, frozen_from is not None and i >= frozen_from, normal) for i, x in enumerate(values)]
    )


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(20.0, 1.0, n)


def inside(values: np.ndarray, interval: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Which readings of a sensor are in a fault, and which alert."""
    times = START + interval * np.arange(len(values), dtype=np.int64)
    values = values.reshape(len(values), -1)
    scores = Detector(Configuration(dimensions=values.shape[1]), 0).process(times, values)
    return scores.in_anomaly, scores.alert


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=60))
@settings(deadline=None, max_examples=50)
def test_means_are_those_of_the_naive_oracle(values: list[float]) -> None:
    normal = np.zeros(1, NORMAL)[0]
    mean, rough = values[0], 0.0
    for i, x in enumerate(values):
        follow_value(x, np.nan, False, normal)
        rate = max(FAST, 1 / (i + 1))
        rough += rate * (abs(x - mean) - rough)
        mean += rate * (x - mean)
    assert normal["means"][LEVEL] == pytest.approx(mean, rel=1e-9, abs=1e-9)
    assert normal["means"][ROUGHNESS] == pytest.approx(rough, rel=1e-9, abs=1e-9)


def test_noise_is_not_displaced_and_a_shift_is_for_as_long_as_what_is_normal_is_frozen() -> None:
    values = noise(3000)
    assert displaced(values)[500:].max() < AWAY
    values[2000:] += 4.0
    frozen, learning = displaced(values, 2000), displaced(values)
    assert (frozen[2030:] > AWAY).all()
    assert (learning[2800:] < AWAY).all()


@pytest.mark.parametrize("spread", [4.0, 0.05])
def test_more_and_less_noise_displace_a_value_too(spread: float) -> None:
    values = noise(3000)
    values[2000:] = 20.0 + spread * (values[2000:] - 20.0)
    found = displaced(values, 2000)[2050:].mean()
    assert found > (AWAY if spread > 1.0 else 0.5 * AWAY)


@pytest.mark.parametrize(("unit", "origin"), [(2.0**10, 0.0), (2.0**-10, 0.0), (1.0, 4096.0)])
def test_displacement_depends_on_no_unit_and_zero(unit: float, origin: float) -> None:
    values = noise(2000)
    values[1500:] += 5.0
    assert displaced(values * unit + origin) == pytest.approx(displaced(values), rel=0.05, abs=0.05)


def test_values_as_large_as_there_are_stay_finite() -> None:
    found = displaced(np.array([0.0, 2.0**200, -(2.0**200)] * 100))
    assert np.isfinite(found).all()


def test_a_state_opens_goes_on_and_closes() -> None:
    fault, normal = np.zeros(1, FAULT)[0], np.zeros(1, NORMAL)

    def at(seen: int, begins: bool, away: bool) -> bool:
        return update_fault(fault, normal, seen, START + seen * 1000, begins, away)

    assert not at(1000, False, True)  # nothing opened it
    assert at(1001, True, False)
    assert all(at(seen, False, True) for seen in range(1002, 1200))
    assert not any(at(seen, False, False) for seen in range(1200, 1230))
    assert at(1230, False, True)  # it had not closed
    assert not any(at(seen, False, False) for seen in range(1231, 1300))
    assert fault["open"] == 0
    assert not at(1300, False, True)


def test_what_lasts_as_long_as_the_sensor_was_known_is_the_new_normal() -> None:
    fault, normal = np.zeros(1, FAULT)[0], np.zeros(1, NORMAL)
    normal["means"] = 5.0
    found = [update_fault(fault, normal, seen, START + seen * 1000, seen == 500, True) for seen in range(500, 1200)]
    assert np.flatnonzero(found).max() == 501
    assert (normal["usual"] == 5.0).all()


def test_a_level_that_stays_for_minutes_is_a_fault_from_its_start_to_its_end() -> None:
    values = noise(3000)
    values[1500:2400] += 6.0
    found, alert = inside(values)
    assert alert[1500:1510].any()
    assert found[1510:2400].mean() > 0.98
    assert found[:1500].sum() + found[2440:].sum() <= 2


def test_a_spike_is_a_fault_of_one_reading_and_noise_is_none() -> None:
    values = noise(3000)
    assert inside(values)[0].sum() == 0
    values[2000] += 30.0
    found, alert = inside(values)
    assert alert[2000]
    assert np.flatnonzero(found).tolist() == [2000]


def test_a_small_shift_of_many_values_alerts_and_is_a_fault() -> None:
    values = np.random.default_rng(0).normal(0.0, 1.0, (1200, 8))
    values[700:1000] += 2.5
    found, alert = inside(values)
    assert alert[700:740].any()
    assert found[740:1000].mean() > 0.9
    assert found[1040:].mean() < 0.05


def test_a_fault_by_the_season_lasts_though_its_values_are_usual() -> None:
    minutes = np.arange(14 * 288)
    values = 10.0 * np.sin(2 * np.pi * minutes / 288) + noise(len(minutes), 1)
    values[3500:3600] += 8.0
    found, _ = inside(values, 5 * MINUTE)
    assert found[3510:3600].mean() > 0.9
    assert found[2500:3500].sum() + found[3660:].sum() <= 5
