"""What users of other anomaly detectors complain of, each by its name."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from detector.detector import Configuration, Detector
from detector.fleet import Fleet
from detector.types import KINDS, Readings, Scores

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_767_571_200_000  # Monday, 2026-01-05T00:00Z


def noise(n: int, seed: int = 3, d: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(50, 1, (n, d))


def even(n: int, seed: int = 3) -> np.ndarray:
    """Noise without tails, in which nothing stands out by chance."""
    return np.random.default_rng(seed).uniform(47, 53, (n, 1))


def minutes(n: int) -> np.ndarray:
    return START + MINUTE * np.arange(n, dtype=np.int64)


def run(values, times=None, profile="small", **settings) -> Scores:
    values = np.asarray(values, dtype=float).reshape(len(values), -1)
    times = minutes(len(values)) if times is None else np.asarray(times, dtype=np.int64)
    configuration = Configuration(dimensions=values.shape[1], profile=profile, **settings)
    return Detector(configuration, 1).process(times, values)


def alerts(scores: Scores, start: int = 0, end: int | None = None) -> list[int]:
    """Rows of alerts from start to end."""
    return (np.flatnonzero(scores.alert[start:end]) + start).tolist()


def kinds(scores: Scores) -> set[str]:
    """Kinds of all alerts."""
    return {KINDS[kind] for kind in scores.kind[scores.alert]}


# The constant


def test_constant_then_plus_one_is_said_and_soon_normal():
    values = np.full(2000, 10.0)
    values[1000:] += 1
    scores = run(values)
    assert alerts(scores, 0, 1000) == []
    assert scores.is_anomaly[1000]
    assert 1 <= len(alerts(scores, 1000)) <= 2
    assert not scores.is_anomaly[1300:].any()


def test_constant_then_plus_one_scores_like_any_anomaly():
    values = np.full(1500, 10.0)
    values[1000] += 1
    spike = noise(1500)
    spike[1000] = 80
    assert run(values).score[1000] < 2 * run(spike).score[1000]


def test_a_constant_raises_no_alert_however_long():
    assert alerts(run(np.full(5000, 0.1))) == []


@pytest.mark.parametrize("shape", ["normal", "autocorrelated", "counts", "seasonal"])
def test_healthy_noise_is_hardly_ever_an_anomaly(shape):
    random = np.random.default_rng(1)
    values = random.normal(0, 1, 20_000)
    if shape == "autocorrelated":
        for row in range(1, len(values)):
            values[row] += 0.8 * values[row - 1]
    elif shape == "counts":
        values = random.poisson(3, 20_000).astype(float)
    elif shape == "seasonal":
        values += 5 * np.sin(2 * np.pi * np.arange(20_000) / 1440)
    assert run(values, profile="default").is_anomaly.mean() < 0.002


# Said once


def test_a_level_shift_alerts_once_and_becomes_normal():
    values = even(4000)
    values[1500:] += 15
    scores = run(values)
    assert 1 <= len(alerts(scores, 1500, 1600)) <= 2
    assert len(alerts(scores, 1800)) <= 1
    assert scores.is_anomaly[1500:1510].all()
    assert not scores.is_anomaly[2500:].any()


def test_an_outlier_that_comes_again_and_again_stays_an_anomaly_but_is_told_less_and_less():
    values = noise(20_000)
    values[1000::200] = 90
    scores = run(values, profile="default")
    outliers = np.arange(1000, 20_000, 200)
    assert scores.is_anomaly[outliers].all()
    assert scores.alert[outliers[:5]].any()
    assert scores.alert[outliers[20:]].mean() < 0.2


# Found


def test_two_anomalies_close_together_are_both_found():
    values = noise(1000)
    values[[700, 703], 0] = 80, 20
    assert run(values).is_anomaly[[700, 703]].all()


def test_a_spike_inside_a_spike_is_found():
    values = noise(1000)
    values[700:705] = 70
    values[702] = 120
    scores = run(values)
    assert scores.is_anomaly[[700, 702]].all()
    assert scores.score[702] > scores.score[701]


def test_the_first_anomaly_right_after_learning_is_found_and_told():
    values = noise(300)
    values[256] = 80
    scores = run(values)
    assert scores.ready[256]
    assert scores.is_anomaly[256]
    assert scores.alert[256]


def test_the_first_dozens_of_readings_are_scored_with_little_confidence():
    values = noise(100)
    values[90] = 120
    scores = run(values)
    assert scores.is_anomaly[90]
    assert 0 < scores.confidence[90] < 0.5


# Nothing but the readings matters


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_unit_does_not_matter(scale):
    values = noise(1000)
    values[700] = 80
    assert run(values * scale).is_anomaly.tolist() == run(values).is_anomaly.tolist()


def test_feature_order_does_not_change_what_is_found():
    values = noise(1200, d=3)
    values[700, 1] = 90
    values[900] = 90, 10, 50
    order = [2, 0, 1]
    scores, turned = run(values), run(values[:, order])
    assert scores.is_anomaly[[700, 900]].all()
    assert turned.is_anomaly[[700, 900]].all()
    assert int(scores.attribution[700].argmax()) == order[int(turned.attribution[700].argmax())] == 1


def test_feature_order_does_not_change_alerts():
    values = noise(1200, d=3)
    values[700, 1] = 90
    assert alerts(run(values), 650, 750) == alerts(run(values[:, [2, 0, 1]]), 650, 750)


# Time


def daily(moments: list[datetime]) -> np.ndarray:
    """A season that follows the clock on the wall."""
    hours = np.array([moment.hour + moment.minute / 60 for moment in moments])
    return 50 + 10 * np.sin(2 * np.pi * hours / 24)


@pytest.mark.parametrize("begin", [datetime(2026, 3, 1), datetime(2026, 9, 27)], ids=["spring", "autumn"])
def test_a_dst_change_raises_no_alert(begin):
    berlin = ZoneInfo("Europe/Berlin")
    first = begin.replace(tzinfo=berlin).astimezone(UTC)
    moments = [(first + timedelta(minutes=5 * k)).astimezone(berlin) for k in range(35 * 288)]
    offsets = np.array([moment.utcoffset().total_seconds() for moment in moments])
    change = int(np.flatnonzero(np.diff(offsets))[0])
    values = daily(moments) + np.random.default_rng(1).normal(0, 1, len(moments))
    scores = run(values, [round(moment.timestamp() * 1000) for moment in moments])
    assert alerts(scores, change, change + 3 * 288) == []


def test_repeated_times_are_readings_like_others():
    values = even(1000)
    values[800] = 80
    scores = run(values, np.repeat(minutes(500), 2))
    assert scores.is_anomaly.tolist() == run(values).is_anomaly.tolist()
    assert scores.is_anomaly[800]
    assert "silent" not in kinds(scores)


def test_late_readings_are_no_silence():
    times = minutes(1000)
    times[500:520] -= 30 * MINUTE
    scores = run(even(1000), times)
    assert alerts(scores, 495, 530) == []


def test_irregular_times_change_no_score_and_are_no_silence():
    values = even(3000)
    times = START + np.cumsum(np.random.default_rng(2).exponential(MINUTE, 3000)).astype(np.int64)
    scores = run(values, times)
    assert scores.is_anomaly.tolist() == run(values).is_anomaly.tolist()
    assert "silent" not in kinds(scores)


def test_after_a_gap_learning_goes_on():
    times = minutes(2000)
    times[1000:] += 3 * DAY
    values = even(2000)
    values[1500] = 80
    scores = run(values, times)
    assert alerts(scores, 1000, 1100) == [1000]
    assert KINDS[scores.kind[1000]] == "silent"
    assert not scores.is_anomaly[1001:1400].any()
    assert scores.is_anomaly[1500]


def test_times_before_1970_and_at_the_end_of_the_calendar_are_survived():
    for first in (-60_000_000_000_000, 253_402_300_000_000):
        values = noise(400)
        values[300] = 80
        assert run(values, first + MINUTE * np.arange(400)).is_anomaly[300]


# Missing, stuck and silent


def test_missing_values_are_no_anomaly_and_hide_none():
    values = noise(1500, d=3)
    values[600:700, 1] = np.nan
    values[::50, 2] = np.nan
    values[650, 0] = 90
    scores = run(values)
    assert np.isfinite(scores.score).all()
    assert np.isfinite(scores.expected).all()
    assert scores.is_anomaly[650]
    assert not scores.is_anomaly[600:650].any()


def test_a_value_that_is_missing_from_the_start_and_then_comes_is_survived():
    values = noise(1500, d=2)
    values[:700, 1] = np.nan
    scores = run(values)
    assert np.isfinite(scores.score).all()
    assert not scores.is_anomaly[1200:].any()


def test_a_stuck_sensor_is_told_once():
    values = noise(3000)
    values[1500:2500] = values[1500]
    scores = run(values)
    told = [row for row in alerts(scores, 1500, 2500) if KINDS[scores.kind[row]] == "stuck"]
    assert len(told) == 1
    assert told[0] < 1600


def test_that_a_stuck_sensor_leaves_its_season_is_the_same_fault():
    values = noise(18_000) + 8 * np.sin(2 * np.pi * np.arange(18_000) / 1440)[:, None]
    values[16_000:16_500] = values[16_000]
    scores = run(values)
    assert [KINDS[kind] for kind in scores.kind[alerts(scores, 16_000, 17_000)]] == ["stuck"]


def test_a_silent_sensor_is_told_while_it_is_silent():
    fleet = Fleet(Configuration(profile="small"))
    rows = [(sensor, minute) for minute in range(600) for sensor in (0, 1) if sensor == 1 or minute < 400]
    codes, at = np.array(rows, dtype=np.int64).T
    fleet.process(Readings(("a", "b"), codes, START + MINUTE * at, noise(len(rows))))
    (silence,) = fleet.silences
    assert (silence.sensor, silence.since) == ("a", START + 399 * MINUTE)
    assert silence.time - silence.since < 20 * MINUTE


# A fault and what comes after it


def seasonal_days(days: int) -> np.ndarray:
    """Minutes of a sensor with a daily season, from Monday on."""
    season = 8 * np.sin(2 * np.pi * np.arange(1440 * days) / 1440)
    return season + np.random.default_rng(5).normal(50, 1, 1440 * days)


def test_a_level_shift_of_hours_is_told_once_and_does_not_come_back_in_a_week():
    values = seasonal_days(17)
    start, end = 1440 * 8 + 600, 1440 * 8 + 960
    values[start:end] += 8
    scores = run(values, profile="default")
    assert len(alerts(scores, start, end + 240)) == 1
    assert alerts(scores, end + 240) == []


def test_a_drift_of_two_days_is_told_once_or_as_it_grows_once_more():
    values = seasonal_days(20)
    start, end = 1440 * 15, 1440 * 17
    values[start:end] += np.linspace(0, 12, end - start)
    scores = run(values, profile="default")
    assert 1 <= len(alerts(scores, start, end + 60)) <= 2


def test_what_is_worse_or_of_another_nature_is_told_though_the_fault_goes_on():
    values = seasonal_days(10)
    start = 1440 * 9
    values[start : start + 600] += 8
    values[start + 120] += 200
    values[start + 200 : start + 300] = values[start + 200]
    scores = run(values, profile="default")
    assert len(alerts(scores, start, start + 100)) == 1
    assert alerts(scores, start + 100, start + 150) == [start + 120]
    assert [KINDS[kind] for kind in scores.kind[alerts(scores, start + 210, start + 300)]] == ["stuck"]


def test_the_first_season_raises_no_alert():
    assert alerts(run(seasonal_days(7), profile="default")) == []


@pytest.mark.parametrize("seconds", [1, 60])
def test_a_jump_is_told_on_the_first_day_too(seconds):
    """A sensor that has run for minutes or hours: what comes suddenly is no season, however little is known of it."""
    told = 0
    for seed in range(10):
        values = noise(2000, seed)
        values[1000:] += 8.0
        scores = run(values, START + 1000 * seconds * np.arange(2000, dtype=np.int64), profile="default")
        told += bool(alerts(scores, 1000, 1100))
    assert told >= 9
