"""A silent sensor is reported once, at the reading of another that reveals it, however the readings come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.detector import Configuration, Detector
from detector.fleet import Fleet
from detector.liveness import LivenessMonitor, SilenceEvent
from detector.rules import Rules
from detector.types import NEVER, SILENT, Readings, Scores

MINUTE = 60_000
START = 1_767_571_200_000
CONFIGURATION = Configuration(profile="small")


def observe(rows, size=10_000):
    """What a monitor reports of rows (sensor, minute, timeout in minutes), with rows counted from the first."""
    monitor, found = LivenessMonitor(), []
    for begin in range(0, len(rows), size):
        part = rows[begin : begin + size]
        codes = np.array(["abcdef".index(sensor) for sensor, _, _ in part])
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        times = np.array([minute for _, minute, _ in part], dtype=np.int64)
        timeout = np.array([timeout for _, _, timeout in part], dtype=float)
        silences = monitor.observe(["abcdef"[code] for code in codes[order[starts]]], order, starts, times, timeout)
        found += [(silence.row + begin, silence.sensor, silence.since, silence.time) for silence in silences]
    return found


def plainly(rows):
    """The same, one reading after the other."""
    watermark, paused, seen, reported, found = NEVER, 0, {}, set(), []
    for row, (sensor, time, timeout) in enumerate(rows):
        reported.discard(sensor)
        _, newest, last, limit, gap, overdue = seen.get(sensor, (NEVER, NEVER, NEVER, np.inf, 0, True))
        before, watermark = watermark, max(watermark, min(last, time))
        if overdue and before != NEVER:
            paused += watermark - before
        active = watermark - paused
        now = 0 if last == NEVER else time - last
        late = last == NEVER or now > (limit if np.isfinite(limit) else 10 * gap)
        due = np.inf if watermark == NEVER else active + timeout
        seen[sensor] = (due, max(newest, time), time, timeout, now, late)
        for name in sorted(seen.keys() - reported):
            if active > seen[name][0]:
                reported.add(name)
                found.append((row, name, seen[name][1], watermark))
    return found


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(0, 60), st.sampled_from([1, 5, 20, np.inf])), max_size=60
    ),
    st.integers(1, 60),
)
@settings(max_examples=300, deadline=None)
def test_what_is_reported_does_not_depend_on_the_batches(rows, size):
    assert observe(rows, size) == plainly(rows)


def stream(minutes, sensors=3, silent=(), seed=0):
    """Readings in turn; sensor 0 says nothing in the given spans of minutes."""
    random = np.random.default_rng(seed)
    rows = [
        (sensor, START + MINUTE * minute)
        for minute in range(minutes)
        for sensor in range(sensors)
        if sensor or not any(a <= minute < b for a, b in silent)
    ]
    codes, times = np.array(rows, dtype=np.int64).T
    values = random.normal(50, 1, (len(rows), 1))
    return Readings(tuple(f"s{k}" for k in range(sensors)), codes, np.ascontiguousarray(times), values)


def run(readings, size=100_000, configuration=CONFIGURATION, restart=False):
    """Scores and silences, rows counted from the first."""
    fleet, scores, found = Fleet(configuration), Scores.empty(len(readings), 1), []
    models: dict[str, bytes] = {}
    for begin in range(0, len(readings), size):
        rows = np.arange(begin, min(begin + size, len(readings)))
        part = Readings(readings.sensors, readings.codes[rows], readings.times[rows], readings.values[rows])
        scores.put(rows, fleet.process(part))
        found += [(silence.row + begin, silence.sensor, silence.since, silence.alert) for silence in fleet.silences]
        if restart:
            models |= fleet.snapshot()
            fleet = Fleet(configuration)
            fleet.restore(models)
    return scores, found


def test_a_silent_sensor_is_reported_once_and_not_again_when_it_returns():
    readings = stream(600, silent=[(300, 420), (500, 560)])
    scores, found = run(readings)
    since = [int((since - START) / MINUTE) for _, _, since, _ in found]
    assert [(sensor, alert) for _, sensor, _, alert in found] == [("s0", True), ("s0", True)]
    assert since == [299, 499]
    reported = [int((readings.times[row] - START) / MINUTE) for row, _, _, _ in found]
    assert 310 <= reported[0] <= 325
    assert not (scores.alert & (scores.kind == SILENT)).any()


@pytest.mark.parametrize("size", [1, 10, 1000])
def test_batches_and_restarts_change_no_silence(size):
    readings = stream(500, silent=[(300, 420)])
    assert len(readings) > 1000
    whole = run(readings)[1]
    assert whole
    assert run(readings, size)[1] == whole
    if size > 1:
        assert run(readings, size, restart=True)[1] == whole


def test_a_sensor_alone_is_reported_by_nobody_in_a_fleet_and_by_itself_at_its_return_without_one():
    readings = stream(500, sensors=1, silent=[(300, 420)])
    scores, found = run(readings)
    assert found == []
    assert not (scores.kind == SILENT).any()
    scores = Detector(CONFIGURATION, 0).process(readings.times, readings.values)
    (row,) = np.flatnonzero(scores.alert & (scores.kind == SILENT))
    assert row == 300


def test_a_single_wild_time_makes_nobody_silent():
    readings = stream(500)
    readings.times[900] += 10 * 3_600_000
    assert run(readings)[1] == []


def test_a_clock_that_runs_behind_makes_nobody_silent():
    readings = stream(500)
    readings.times[readings.codes == 0] -= 5 * 3_600_000
    assert run(readings)[1] == []


def test_at_quiet_times_a_silence_is_no_alert():
    configuration = Configuration(profile="small", rules=Rules(quiet=("05:00-06:00",)))
    assert [alert for *_, alert in run(stream(500, silent=[(300, 420)]), configuration=configuration)[1]] == [False]


@pytest.mark.parametrize(("seconds", "reported"), [(None, [310]), (1800.0, [331]), (3600.0 * 12, []), (0.0, [])])
def test_rules_may_say_after_how_long_a_sensor_is_silent(seconds, reported):
    configuration = Configuration(profile="small", rules=Rules(silent_after=seconds))
    readings = stream(500, silent=[(300, 420)])
    for size, restart in ((100_000, False), (333, True)):
        scores, found = run(readings, size, configuration, restart)
        minutes = [int((readings.times[row] - START) / MINUTE) for row, *_ in found]
        assert len(minutes) == len(reported)
        assert all(abs(a - b) <= 12 for a, b in zip(minutes, reported, strict=True))
        assert not (scores.alert & (scores.kind == SILENT)).any()


def test_with_a_rule_even_a_sensor_still_learning_is_silent():
    configuration = Configuration(profile="small", rules=Rules(silent_after=600))
    assert len(run(stream(200, silent=[(60, 200)]), configuration=configuration)[1]) == 1


def test_a_sensor_still_learning_may_be_silent():
    assert run(stream(200, silent=[(60, 200)]))[1] == []


def test_silences_are_values():
    assert SilenceEvent(0, "a", 1, 2, 3.0) == SilenceEvent(0, "a", 1, 2, 3.0)
