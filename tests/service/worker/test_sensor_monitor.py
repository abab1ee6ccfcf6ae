"""Who has more sensors than room is told why, and not too often."""

import logging

import pytest

from service.pipeline.core import SensorCounts
from service.worker.sensor_monitor import WARN_SECONDS, SensorMonitor


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def monitor(clock, caplog):
    caplog.set_level(logging.WARNING)
    return SensorMonitor("requestId", 10, lambda: clock[0])


def test_as_long_as_there_is_room_nothing_is_said(monitor, caplog):
    monitor.note("shard", SensorCounts(10, 10, 1000))
    assert not caplog.records


def test_a_name_that_is_new_in_each_record_is_suspected(monitor, caplog):
    monitor.note("shard", SensorCounts(11, 11, 11))
    (line,) = [record.getMessage() for record in caplog.records]
    assert "shard: 11 sensors, but room in memory for 10 (max_sensors)" in line
    assert "sensor_field = 'requestId' seems to name something that is different in each record" in line


def test_many_real_sensors_are_told_what_to_raise(monitor, caplog):
    monitor.note("shard", SensorCounts(20, 20, 4000))
    assert "Raise max_sensors" in caplog.text
    assert "requestId" not in caplog.text


def test_it_is_said_now_and_then_with_what_was_new(monitor, clock, caplog):
    for second in range(int(WARN_SECONDS) + 1):
        clock[0] = float(second)
        monitor.note("shard", SensorCounts(100 + second, 100 + second, 100 + second))
        monitor.note("other", SensorCounts(5, 5, 5))
    first, second = [record.getMessage() for record in caplog.records]
    assert "Since the start 100 sensors were new in 100 readings" in first
    assert "In the last 300 s 300 sensors were new in 300 readings" in second
