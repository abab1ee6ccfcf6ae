"""The demo's plant: seasons, and faults of all the kinds that one value can show."""

import json
from collections import defaultdict
from datetime import datetime
from itertools import islice, pairwise

import numpy as np
import pytest

from simulator.faults import KINDS
from simulator.plant import MACHINES, PER_DAY, Plant
from simulator.scenarios import SCENARIOS

FORTNIGHT = list(islice(Plant(), 14 * PER_DAY * len(MACHINES)))
DAY = 86_400


@pytest.fixture(scope="module")
def courses():
    """{sensor: (days since the start, values, whether faulty)}"""
    columns = defaultdict(lambda: ([], [], []))
    for reading in FORTNIGHT:
        body = json.loads(reading.data)
        assert body["iotName"] == reading.sensor
        days, values, faulty = columns[reading.sensor]
        days.append((datetime.fromisoformat(body["iotTime"]) - Plant().start).total_seconds() / DAY)
        values.append(body["iotValue"])
        faulty.append(reading.outlier)
    return {sensor: tuple(map(np.array, each)) for sensor, each in columns.items()}


def test_a_reading_is_a_record_with_its_event_time_and_area():
    first = json.loads(FORTNIGHT[0].data)
    assert list(first) == ["iotName", "iotTime", "iotValue", "area"]
    assert first["iotTime"] == "2026-01-05T00:00:00Z"


def test_there_is_a_fault_of_each_kind_that_one_value_can_show():
    assert {machine.fault for machine in MACHINES} == set(KINDS) - {"correlation break"}


def test_every_machine_learns_undisturbed_and_has_a_fault_within_a_week_or_so(courses):
    for machine in MACHINES:
        days, _, faulty = courses[machine.name]
        if machine.fault == "silent":
            lost = np.flatnonzero(np.diff(days) > 5 / PER_DAY)
            assert np.diff(days)[lost] == pytest.approx(machine.hours / 24, abs=2 / PER_DAY)
        else:
            assert 1 < days[faulty][0] < 8


def test_the_season_comes_again_every_day(courses):
    _, values, _ = courses["boiler"]
    today, tomorrow = values[:PER_DAY], values[PER_DAY : 2 * PER_DAY]
    assert np.corrcoef(today, tomorrow)[0, 1] > 0.7


def test_the_stuck_one_repeats_its_value_and_no_other_does(courses):
    for machine in MACHINES:
        _, values, _ = courses[machine.name]
        runs = longest = 0
        for before, after in pairwise(values):
            runs = runs + 1 if before == after else 0
            longest = max(longest, runs)
        assert (longest > 60) == (machine.fault == "stuck"), machine.name


def test_the_same_seed_gives_the_same_readings_whatever_the_count():
    assert list(Plant(seed=3, count=900)) == list(Plant(seed=3, count=500 + 400)) == list(islice(Plant(seed=3), 900))
    assert list(Plant(seed=3, count=900)) != list(Plant(seed=4, count=900))


def test_further_sensors_are_copies_whose_faults_come_on_other_days():
    machines = Plant(sensors=500).machines
    assert len({machine.name for machine in machines}) == 500
    assert machines[0] is MACHINES[0]
    assert machines[7].name == "boiler-2"
    assert machines[7].day != machines[0].day


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"sensors": 0}, "sensors = 0"), ({"rate": 0}, "rate = 0"), ({"seed": -1}, "seed = -1"), ({"count": -1}, "count")],
)
def test_a_value_out_of_its_range_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        Plant(**wrong)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_every_scenario_makes_readings(scenario):
    readings = list(scenario.make(2, 100.0, 0.01, 0, 10, None))
    assert len({reading.sensor for reading in readings}) == 2
    assert readings[-1].offset == 0.09
