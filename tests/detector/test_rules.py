"""Rules change what counts as an anomaly and never a score."""

import numpy as np
import pytest

from detector.detector import Configuration, Detector
from detector.rules import Rules
from detector.types import KINDS, Scores

MINUTE = 60_000
START = 1_767_571_200_000  # midnight
NOISE = np.random.default_rng(3).normal(50, 1, 600)
SPIKE = 500


def run(rules: Rules, values=None, batch: int = 10_000, **settings) -> Scores:
    """Readings a minute apart; by default noise around 50 with a spike to 80."""
    if values is None:
        values = NOISE.copy()
        values[SPIKE] = 80
    values = np.asarray(values, dtype=float).reshape(len(values), -1)
    times = START + MINUTE * np.arange(len(values), dtype=np.int64)
    configuration = Configuration(dimensions=values.shape[1], profile="small", rules=rules, **settings)
    detector, scores = Detector(configuration, 1), Scores.empty(len(values), values.shape[1])
    for start in range(0, len(values), batch):
        rows = np.arange(start, min(start + batch, len(values)))
        scores.put(rows, detector.process(times[rows], values[rows]))
    return scores


@pytest.mark.parametrize(
    ("rules", "is_anomaly"),
    [
        (Rules(), True),
        (Rules(ignore_near_above=29), True),
        (Rules(ignore_near_above=32), False),
        (Rules(ignore_near_below=32), True),
        (Rules(ignore_near_above_ratio=0.5), True),
        (Rules(ignore_near_above_ratio=0.7), False),
        (Rules(ignore_near_below_ratio=0.7), True),
        (Rules(direction="low"), False),
        (Rules(direction="high"), True),
        (Rules(never_between=(0, 80)), False),
        (Rules(never_between=(0, 79)), True),
        (Rules(minimum_grade=0.99), False),
        (Rules(minimum_grade=0.1), True),
    ],
)
def test_a_spike_to_80_where_50_is_usual(rules, is_anomaly):
    scores, usual = run(rules), run(Rules())
    assert scores.is_anomaly[SPIKE] == scores.alert[SPIKE] == is_anomaly
    assert (scores.grade > 0).tolist() == scores.is_anomaly.tolist()
    assert scores.score.tolist() == usual.score.tolist()
    assert scores.threshold.tolist() == usual.threshold.tolist()


def test_ignore_near_below_mirrors_above():
    values = NOISE.copy()
    values[SPIKE] = 20
    assert run(Rules(ignore_near_above=32), values).is_anomaly[SPIKE]
    assert not run(Rules(ignore_near_below=32), values).is_anomaly[SPIKE]


@pytest.mark.parametrize(
    "rules",
    [Rules(ignore_near_above=100, ignore_near_below=100), Rules(direction="high"), Rules(never_between=(0, 99))],
)
def test_a_stuck_sensor_is_told_however_near_its_values_lie(rules):
    values = np.random.default_rng(1).normal(50, 1, 2000)
    values[1500:1600] = values[1500]
    scores = run(rules, values)
    assert "stuck" in {KINDS[kind] for kind in scores.kind[1500:1600][scores.alert[1500:1600]]}


def test_hard_limits_hold_while_learning():
    scores = run(Rules(always_below=0, always_above=50), [1.0, 99.0, 1.0, -1.0])
    assert scores.is_anomaly.tolist() == [False, True, False, True]
    assert scores.grade.tolist() == [0, 1, 0, 1]
    assert [KINDS[kind] for kind in scores.kind] == ["none", "limit", "none", "limit"]


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_a_broken_limit_is_told_once_whatever_the_batches(batch):
    values = np.full(200, 10.0)
    values[10:60] = 51
    values[150] = 51
    scores = run(Rules(always_above=50), values, batch)
    assert scores.is_anomaly[10:60].all()
    assert np.flatnonzero(scores.alert & (scores.kind == KINDS.index("limit"))).tolist() == [10, 150]


def test_the_alert_of_a_limit_begins_an_episode_if_there_is_none():
    scores = run(Rules(always_above=50), [1.0, 99.0, 99.0])
    assert scores.alert.tolist() == [False, True, False]
    assert scores.episode_start.tolist() == [0, START + MINUTE, 0]
    assert scores.episode_readings.tolist() == [0, 1, 0]


def test_limits_are_stronger_than_never():
    assert run(Rules(never_between=(0, 100), always_above=70)).is_anomaly[SPIKE]


@pytest.mark.parametrize(
    ("span", "told"),
    [
        ("08:00-08:20", True),
        ("08:00-08:21", False),
        ("08:20-07:00", False),
        ("09:00-08:00", True),
        ("0:00-24:00", False),
    ],
)
def test_at_quiet_times_nobody_is_told_but_the_anomaly_stands(span, told):
    scores = run(Rules(quiet=(span,)))  # the spike is at 08:20
    assert scores.alert[SPIKE] == told
    assert scores.is_anomaly[SPIKE]


def test_all_values_of_a_reading_must_be_near():
    values = np.stack([NOISE, NOISE[::-1]], axis=1)
    values[SPIKE, 1] = 80
    assert run(Rules(), values).is_anomaly[SPIKE]
    assert not run(Rules(never_between=(0, 80)), values).is_anomaly[SPIKE]
    assert run(Rules(never_between=(0, 79)), values).is_anomaly[SPIKE]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"minimum_grade": 2}, "minimum_grade = 2: must lie between 0 and 1"),
        ({"ignore_near_below_ratio": -1}, "ignore_near_below_ratio = -1: must be a finite number"),
        ({"direction": "up"}, "direction = 'up': must be both, high or low"),
        ({"always_below": 5, "always_above": 3}, "always_below = 5: must be less than always_above = 3"),
        ({"never_between": (5, 3)}, r"never_between = \(5, 3\): the lower bound comes first"),
        ({"quiet": ("22-6",)}, "quiet = '22-6': must be spans of the UTC day such as 22:00-06:00"),
        ({"silent_after": -1.0}, "silent_after = -1.0: must be a finite number of seconds, or 0 for never"),
        ({"quiet": ("25:00-06:00",)}, "quiet = '25:00-06:00'"),
    ],
)
def test_wrong_rules_are_refused_by_name_and_value(rules, message):
    with pytest.raises(ValueError, match=message):
        Rules(**rules)
