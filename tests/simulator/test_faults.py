"""A recording is a healthy sensor but for its labelled faults, each of which is what it is called."""

import numpy as np
import pytest

from simulator.faults import DAY, KINDS, MINUTE, Recording, record, sensor

DAYS = 10
SEED = 4


def parts(recording: Recording) -> list[slice]:
    """The rows of each fault."""
    return [slice(*np.searchsorted(recording.times, (fault.start, fault.end))) for fault in recording.faults]


def healthy(kind: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Times and values of the same sensor without faults, and its first value's noise."""
    times, values, scale = sensor(SEED, DAYS, 3 if kind == "correlation break" else 1)
    return times, values, float(scale[0])


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_labelled_stretches_differ_from_a_healthy_sensor(kind):
    recording = record(kind, SEED, DAYS)
    times, values, _ = healthy(kind)
    assert [fault.kind for fault in recording.faults] == [kind, kind]
    kept = np.isin(times, recording.times)
    if kind == "silent":
        assert not kept.all()
    outside = ~recording.labels()
    assert np.array_equal(recording.values[outside], values[kept][outside])
    if kind != "silent":
        for rows in parts(recording):
            assert (recording.values[rows] != values[rows]).any()


@pytest.mark.parametrize("kind", [*KINDS, None])
def test_everything_follows_from_the_seed(kind):
    one, same, other = record(kind, SEED, DAYS), record(kind, SEED, DAYS), record(kind, SEED + 1, DAYS)
    assert np.array_equal(one.values, same.values)
    assert one.faults == same.faults
    assert one.values.shape != other.values.shape or (one.values != other.values).any()


def test_a_healthy_sensor_has_a_season_and_a_reading_a_minute():
    recording = record(None, SEED, DAYS)
    assert recording.faults == ()
    assert (np.diff(recording.times) == MINUTE).all()
    _, _, noise = healthy("spike")
    by_minute = recording.values[: 5 * 1440, 0].reshape(5, 1440).mean(axis=0)
    assert by_minute.max() - by_minute.min() > 3 * noise


def test_a_stuck_value_stays_and_a_silent_sensor_leaves_readings_out():
    stuck = record("stuck", SEED, DAYS)
    for rows in parts(stuck):
        assert len(np.unique(stuck.values[rows])) == 1
    silent = record("silent", SEED, DAYS)
    assert [fault.end - fault.start for fault in silent.faults] == [6 * 60 * MINUTE] * 2
    assert (np.diff(silent.times) > MINUTE).sum() == 2


@pytest.mark.parametrize(("kind", "low", "high"), [("spike", 12, 25), ("level shift", 5, 10)])
def test_sizes_are_multiples_of_the_noise(kind, low, high):
    recording = record(kind, SEED, DAYS)
    _, values, noise = healthy(kind)
    for rows in parts(recording):
        size = np.abs(recording.values[rows] - values[rows]).mean() / noise
        assert low <= size <= high


def test_a_drift_grows_and_noise_only_scatters():
    drift = record("drift", SEED, DAYS)
    _, values, noise = healthy("drift")
    for rows in parts(drift):
        away = np.abs(drift.values[rows, 0] - values[rows, 0])
        assert away[-1] > 7 * noise
        assert (np.diff(away) >= -1e-9).all()
    noisy = record("noise change", SEED, DAYS)
    for rows in parts(noisy):
        added = noisy.values[rows, 0] - values[rows, 0]
        assert abs(added.mean()) < noise
        assert 2 * noise < added.std() < 5 * noise


def test_a_pattern_change_brings_no_value_that_the_sensor_had_not():
    recording = record("pattern change", SEED, DAYS)
    _, values, _ = healthy("pattern change")
    for rows in parts(recording):
        assert np.isin(recording.values[rows], values).all()
        assert abs((rows.stop - rows.start) * MINUTE - DAY) <= MINUTE


def test_a_correlation_break_turns_one_value_against_the_others():
    recording = record("correlation break", SEED, DAYS)
    for rows in parts(recording):
        one, two, three = np.diff(recording.values[rows], axis=0).T
        assert np.corrcoef(one, two)[0, 1] < -0.5 < 0.5 < np.corrcoef(two, three)[0, 1]
