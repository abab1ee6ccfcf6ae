import json
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from operator import length_hint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.sensors import Sensors


def test_a_reading_is_the_classic_record():
    reading = next(iter(Sensors(count=1)))
    body = json.loads(reading.data)
    assert list(body) == ["iotName", "iotValue"]
    assert body["iotName"] == reading.sensor == "DemoSensor"
    assert type(body["iotValue"]) is int


def test_values_are_uniform_and_one_in_a_hundred_is_wild():
    readings = list(Sensors(count=100_000))
    values = Counter((reading.outlier, json.loads(reading.data)["iotValue"]) for reading in readings)
    usual = {value: count for (outlier, value), count in values.items() if not outlier}
    wild = {value: count for (outlier, value), count in values.items() if outlier}
    assert set(usual) == set(range(10, 21))
    assert set(wild) == set(range(100, 121))
    assert 900 < sum(wild.values()) < 1100
    assert max(usual.values()) < 1.1 * min(usual.values())


def test_several_sensors_take_turns():
    sensors = Sensors(sensors=3, count=7)
    names = ["DemoSensor-0001", "DemoSensor-0002", "DemoSensor-0003"]
    assert sensors.names == names
    assert [reading.sensor for reading in sensors] == [*names, *names, names[0]]
    assert Sensors(sensors=10_000).names[-1] == "DemoSensor-10000"


@given(seed=st.integers(0, 2**64), sensors=st.integers(1, 5), count=st.integers(0, 9000), more=st.integers(0, 9000))
def test_the_same_seed_gives_the_same_values_whatever_the_count(seed, sensors, count, more):
    few = Sensors(sensors=sensors, seed=seed, count=count)
    many = Sensors(sensors=sensors, seed=seed, count=count + more)
    assert list(islice(many, count)) == list(few) == list(few)


def test_another_seed_gives_other_values():
    assert list(Sensors(seed=1, count=50)) != list(Sensors(seed=2, count=50))


def test_without_a_count_they_never_end():
    assert sum(1 for _ in islice(Sensors(), 20_000)) == 20_000
    assert length_hint(Sensors()) == 0
    assert length_hint(Sensors(count=5)) == 5


def test_the_rate_says_when_a_reading_is_due():
    assert [reading.offset for reading in Sensors(sensors=2, rate=4.0, count=4)] == [0.0, 0.25, 0.5, 0.75]


def test_with_a_start_records_carry_their_event_time():
    start = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    readings = list(Sensors(rate=2.0, count=3, start=start))
    times = [json.loads(reading.data)["iotTime"] for reading in readings]
    assert times == ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.500Z", "2026-01-01T00:00:01Z"]
    assert datetime.fromisoformat(times[0]) == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_share_of_outliers_is_a_choice():
    assert not any(reading.outlier for reading in Sensors(outliers=0.0, count=1000))
    assert all(reading.outlier for reading in Sensors(outliers=1.0, count=1000))


@pytest.mark.parametrize(
    "wrong", [{"sensors": 0}, {"rate": 0.0}, {"rate": float("inf")}, {"outliers": 1.1}, {"seed": -1}, {"count": -1}]
)
def test_a_wrong_value_is_named(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=f"{name} = {value}: must"):
        Sensors(**wrong)
