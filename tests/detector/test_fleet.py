"""A fleet is one detector a sensor, whatever the order and the batches in which their readings come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.detector import Configuration
from detector.fleet import DEFAULT_TEMPLATE, Fleet
from detector.rules import Rules
from detector.types import Readings

CONFIGURATION = Configuration(engine="rrcf", trees=3, samples=8, seed=5)


def readings(rows) -> Readings:
    """Rows of (sensor, value)."""
    names = tuple(dict.fromkeys(sensor for sensor, _ in rows))
    return Readings(
        sensors=names,
        codes=np.array([names.index(sensor) for sensor, _ in rows], dtype=np.int64),
        times=np.arange(len(rows)),
        values=np.array([[value] for _, value in rows], dtype=float).reshape(-1, 1),
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=80), st.integers(1, 80))
@settings(max_examples=25, deadline=None)
def test_each_sensor_scores_as_if_it_were_alone(rows, step):
    fleet = Fleet(CONFIGURATION)
    scores = [
        score for i in range(0, len(rows), step) for score in fleet.process(readings(rows[i : i + step])).score.tolist()
    ]
    for sensor in "abc":
        alone = Fleet(CONFIGURATION).process(readings([row for row in rows if row[0] == sensor])).score.tolist()
        assert [score for score, row in zip(scores, rows, strict=True) if row[0] == sensor] == alone


def test_a_snapshot_holds_what_changed_and_a_restored_fleet_goes_on():
    first = Fleet(CONFIGURATION)
    first.process(readings([("a", i % 5) for i in range(30)]))
    models = first.snapshot()
    assert models.keys() == {"a"}
    assert first.snapshot() == {}
    second = Fleet(CONFIGURATION)
    second.restore(models)
    more = readings([("a", 99), ("b", 1), ("a", 2)])
    assert second.process(more).score.tolist() == first.process(more).score.tolist()
    assert second.snapshot().keys() == {"a", "b"}


def test_a_sensor_never_seen_has_no_score():
    assert Fleet(CONFIGURATION).score("a", np.array([0]), np.array([[1.0]])) is None


def test_a_refused_snapshot_names_its_sensor():
    with pytest.raises(ValueError, match="sensor 'boiler'"):
        Fleet(CONFIGURATION).restore({"boiler": b"junk"})


WARM = Configuration(profile="small", seed=5)


def taught(values):
    """A template from readings a minute apart."""
    fleet = Fleet(WARM)
    fleet.process(Readings(("a",), np.zeros(len(values), np.int64), 60_000 * np.arange(len(values)), values[:, None]))
    return fleet.template("a")


def one(sensor, time, value):
    return Readings((sensor,), np.zeros(1, np.int64), np.array([time]), np.array([[value]]))


@pytest.mark.parametrize("time", [0, 60_000 * 500, 60_000 * 10_000_000], ids=["earlier", "next", "much later"])
@pytest.mark.parametrize("sensor", ["a", "never seen"])
def test_with_a_template_a_sensor_is_ready_at_its_first_reading_and_finds_the_first_anomaly(sensor, time):
    template = taught(np.random.default_rng(3).uniform(47, 53, 500))
    templates = {"a": template, DEFAULT_TEMPLATE: template}
    usual, wild = (Fleet(WARM, templates).process(one(sensor, time, value)) for value in (50.0, 80.0))
    assert usual.ready[0]
    assert wild.ready[0]
    assert not usual.is_anomaly[0]
    assert not usual.alert[0]  # nor is the time since the history a silence
    assert wild.is_anomaly[0]
    assert wild.alert[0]


def test_templates_are_for_sensors_that_have_no_model():
    fleet = Fleet(WARM)
    fleet.process(one("a", 0, 1.0))
    going_on = Fleet(WARM, {"a": taught(np.arange(300) % 7.0)})
    going_on.restore(fleet.snapshot())
    assert going_on.process(one("a", 1, 1.0)).seen[0] == 1
    assert going_on.empty_copy().process(one("a", 1, 1.0)).seen[0] == 300
    assert going_on.process(one("b", 1, 1.0)).seen[0] == 0


def test_sensors_of_one_template_go_on_differently():
    fleet = Fleet(WARM, {DEFAULT_TEMPLATE: taught(np.random.default_rng(3).normal(50, 1, 500))})
    values = np.random.default_rng(4).normal(50, 1, (400, 1))
    more = [
        fleet.process(Readings((name,), np.zeros(400, np.int64), 60_000 * np.arange(400), values)).score
        for name in "bc"
    ]
    assert more[0][0] == more[1][0]
    assert more[0][-1] != more[1][-1]


def test_a_sensor_has_the_rules_of_the_first_pattern_that_fits():
    rules_of = (("freezer-*", Rules(always_above=-15)), ("*-1", Rules(always_above=90)))
    fleet = Fleet(Configuration(profile="small", rules=Rules(always_above=50), rules_of=rules_of))
    names = ("freezer-1", "boiler-1", "hall")
    scores = fleet.process(Readings(names, np.arange(3), np.zeros(3, np.int64), np.full((3, 1), 60.0)))
    assert scores.is_anomaly.tolist() == [True, False, True]


def test_a_restored_fleet_goes_on_under_new_rules():
    before, after = (Fleet(Configuration(profile="small", rules=rules)) for rules in (Rules(), Rules(always_above=50)))
    before.process(one("a", 0, 1.0))
    after.restore(before.snapshot())
    scores = after.process(one("a", 1, 60.0))
    assert scores.seen[0] == 1
    assert scores.is_anomaly[0]
