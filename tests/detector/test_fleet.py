"""A fleet is one detector a sensor, whatever the order and the batches in which their readings come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.batch import Readings
from detector.detector import Configuration
from detector.fleet import Fleet

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
