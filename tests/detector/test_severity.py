"""One severity: what someone should look at is an anomaly, and the more serious, the higher its grade."""

import numpy as np
import pytest

from detector.detector import Configuration, Detector
from detector.fleet import Fleet
from detector.rules import Rules
from detector.types import KINDS, Readings, Scores
from simulator.faults import KINDS as FAULTS
from simulator.faults import record

MINUTE = 60_000
START = 1_767_571_200_000  # midnight


def check(scores: Scores) -> None:
    """What holds of all scores."""
    assert scores.is_anomaly[scores.alert].all()
    assert (scores.grade[scores.alert] > 0.7).all()
    assert ((scores.grade > 0) == scores.is_anomaly).all()
    assert ((scores.severity > 0) == scores.is_anomaly).all()
    assert ((scores.kind > 0) == scores.is_anomaly).all()
    assert (scores.grade >= 0).all()
    assert (scores.grade <= 1).all()
    assert scores.severity.tolist() == [round(100 * grade) for grade in scores.grade.tolist()]


RULES = [
    Rules(),
    Rules(minimum_grade=0.5),
    Rules(minimum_grade=0.8),
    Rules(direction="high"),
    Rules(never_between=(0, 1000)),
    Rules(quiet=("00:00-12:00",)),
    Rules(always_above=60, always_below=20),
    Rules(silent_after=1800),
    Rules(ignore_near_above=5, ignore_near_below=5),
]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("kind", FAULTS)
def test_an_alert_is_an_anomaly_of_a_high_grade(kind, rules):
    recording = record(kind, 7, 12.0)
    configuration = Configuration(recording.values.shape[1], profile="small", rules=rules)
    check(Detector(configuration, 0).process(recording.times, recording.values))


@pytest.mark.parametrize("rules", RULES)
def test_so_it_is_in_a_fleet_whose_sensors_return(rules):
    random = np.random.default_rng(1)
    minutes, codes = np.divmod(np.arange(6000, dtype=np.int64), 3)
    kept = ~((codes == 0) & (minutes > 900) & (minutes < 1100))
    times, codes = START + MINUTE * minutes[kept], codes[kept]
    values = random.normal(50, 1, (len(times), 1))
    values[np.flatnonzero((codes == 0) & (minutes[kept] >= 1100))[0]] = 90
    fleet = Fleet(Configuration(profile="small", rules=rules))
    check(fleet.process(Readings(("a", "b", "c"), codes, times, values)))
    assert all(silence.severity == 100 for silence in fleet.silences)


def test_the_farther_an_alert_lies_beyond_its_limit_the_more_serious():
    severities = []
    for size in (8, 40, 400):
        values = np.random.default_rng(3).normal(50, 1, (2000, 1))
        values[1900] += size
        times = START + MINUTE * np.arange(2000, dtype=np.int64)
        scores = Detector(Configuration(profile="small"), 1).process(times, values)
        assert scores.alert[1900], size
        severities.append(int(scores.severity[1900]))
    assert severities == sorted(severities)
    assert severities[0] < severities[-1]


def test_an_alert_says_its_own_kind():
    values = np.random.default_rng(1).normal(50, 1, (2000, 1))
    values[1500:1600] = values[1500]
    times = START + MINUTE * np.arange(2000, dtype=np.int64)
    scores = Detector(Configuration(profile="small"), 1).process(times, values)
    (row,) = np.flatnonzero(scores.alert[1500:1600]) + 1500
    assert KINDS[scores.kind[row]] == "stuck"
    assert scores.severity[row] > 70


def test_a_limit_that_is_broken_is_as_serious_as_can_be():
    times = START + MINUTE * np.arange(3, dtype=np.int64)
    configuration = Configuration(rules=Rules(always_above=50))
    assert Detector(configuration, 1).process(times, np.array([[1.0], [99.0], [2.0]])).severity.tolist() == [0, 100, 0]
