"""With less room than sensors a fleet says the same, to the last bit: models go to a shelf and come back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import snapshot_format
from detector.detector import Configuration
from detector.fleet import Fleet, MemoryShelf
from detector.rules import Rules
from detector.types import Readings

CONFIGURATION = Configuration(profile="small", samples=16, seed=5, rules=Rules(silent_after=1200.0))
MINUTE = 60_000


def batch(rows) -> Readings:
    """Rows of (sensor, minute, value)."""
    names = tuple(dict.fromkeys(sensor for sensor, _, _ in rows))
    return Readings(
        sensors=names,
        codes=np.array([names.index(sensor) for sensor, _, _ in rows], dtype=np.int64),
        times=np.array([minute * MINUTE for _, minute, _ in rows], dtype=np.int64),
        values=np.array([[value] for _, _, value in rows], dtype=float).reshape(-1, 1),
    )


def told(fleet, scores, first):
    """All that a batch says, as bytes and plain values; rows counted from the first."""
    columns = [getattr(scores, name).tobytes() for name in type(scores).__dataclass_fields__]
    silences = [(each.row + first, each.sensor, each.since, each.time, each.alert) for each in fleet.silences]
    return columns, silences


def run(rows, step, max_sensors, restart=0):
    """Everything said, and the last models, of a fleet with so much room that is restored every ``restart`` batches."""
    shelf = MemoryShelf()
    fleet, said, models = Fleet(CONFIGURATION, max_sensors=max_sensors, shelf=shelf), [], {}
    for number, start in enumerate(range(0, len(rows), step)):
        scores = fleet.process(batch(rows[start : start + step]))
        said.append(told(fleet, scores, start))
        assert max_sensors is None or fleet.in_memory <= max_sensors
        if restart and number % restart == 0:
            models |= fleet.snapshot()
            fleet = fleet.empty_copy()
            fleet.restore(models)
            assert max_sensors is None or fleet.in_memory <= max_sensors
    models |= fleet.snapshot()
    return said, {sensor: snapshot_format.decode(model) for sensor, model in models.items()}, fleet


@st.composite
def streams(draw):
    """Readings of some sensors in any order; the time goes on by minutes, now and then by more than a silence."""
    picks = draw(
        st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0, 1, 1, 1, 30]), st.integers(0, 9)), max_size=150)
    )
    rows, minute = [], 0
    for sensor, later, value in picks:
        minute += later
        rows.append((f"s{sensor}", minute, value))
    return rows


@given(streams(), st.integers(1, 40), st.integers(1, 6), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_room_for_few_changes_nothing(rows, step, room, restart):
    said, models, _ = run(rows, step, None)
    said_with_few, models_with_few, fleet = run(rows, step, room, restart)
    assert said_with_few == said
    assert models_with_few == models
    assert len(fleet) == len({sensor for sensor, _, _ in rows})


@given(streams(), st.integers(1, 40), st.integers(1, 40), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_which_models_are_in_memory_depends_on_the_readings_alone(rows, step, other_step, room):
    first, second = run(rows, step, room)[2], run(rows, other_step, room, restart=2)[2]
    assert list(first._detectors) == list(second._detectors)
    recent = list(dict.fromkeys(sensor for sensor, _, _ in reversed(rows)))[:room]
    assert set(first._detectors) == set(recent)


def test_a_sensor_on_the_shelf_can_be_asked_for_a_score_and_stays_there():
    rows = [(f"s{number % 5}", number, number % 7) for number in range(200)]
    everything, few = run(rows, 50, None)[2], run(rows, 50, 2)[2]
    before = list(few._detectors)
    for sensor in ("s0", "s1", "s4"):
        question = np.array([300 * MINUTE]), np.array([[99.0]])
        assert few.score(sensor, *question).score.tolist() == everything.score(sensor, *question).score.tolist()
    assert few.score("never seen", *question) is None
    assert list(few._detectors) == before


def test_silences_of_sensors_on_the_shelf_are_told_and_end():
    regular = [(f"s{sensor}", minute, 5) for minute in range(200) for sensor in range(6)]
    rows = regular + [("s0", minute, 5) for minute in range(200, 260)] + [("s3", 260, 5), ("s0", 261, 5)]
    whole, few = run(rows, 7, None), run(rows, 7, 2)
    assert few[0] == whole[0]
    silent = {sensor for _, silences in few[0] for _, sensor, _, _, _ in silences}
    assert silent == {"s1", "s2", "s3", "s4", "s5"}
    assert set(few[2]._monitor.last_seen) <= {"s0", "s3"}, "what is told needs no memory"


def test_a_sensor_name_of_its_own_for_each_reading_takes_no_memory():
    shelf = MemoryShelf()
    fleet = Fleet(CONFIGURATION, max_sensors=10, shelf=shelf)
    for start in range(0, 3_000, 500):
        fleet.process(batch([(f"request {number}", number, 1) for number in range(start, start + 500)]))
        assert fleet.in_memory <= 10
        assert len(fleet._monitor.last_seen) <= 10
        assert len(fleet._monitor._due) <= 10
        fleet.snapshot()
    assert len(fleet) == fleet.made == 3_000
    assert max(map(len, shelf.values())) < 2_000, "a model that has seen one reading is small on the shelf"


@pytest.mark.parametrize(
    "wrong",
    [
        {"last_seen": None},
        {"last_seen": [1, 2, 3]},
        {"last_seen": [1, 2, 3, 2**62 + 1]},
        {"last_seen": [1.5, 2, 3, 0]},
        {"used": -1},
        {"used": "often"},
        {"usual_silence": "long"},
        {"shape": [1, 2, 3, 4]},
        {"shape": None},
        {"forest": 7},
        {"forest": None},
    ],
    ids=str,
)
def test_a_model_that_says_what_cannot_be_is_refused_and_named(wrong):
    fleet = Fleet(CONFIGURATION)
    fleet.process(batch([("boiler", 1, 1)]))
    models = {sensor: snapshot_format.with_fields(model, **wrong) for sensor, model in fleet.snapshot().items()}
    with pytest.raises(ValueError, match="sensor 'boiler'"):
        Fleet(CONFIGURATION).restore(models)
