"""A pause of the whole stream is at most one message, and a clock that is set disables no silence detection."""

import numpy as np
import pytest

from benchmarks.pauses import alerts
from detector.detector import Configuration, Detector
from detector.fleet import Fleet
from detector.types import Readings

MINUTE = 60_000
DAY = 1440 * MINUTE
START = 1_767_571_200_000


@pytest.mark.parametrize("gap", [6, 30, 1440, 43_200])
@pytest.mark.parametrize("sensors", [1, 2, 20])
def test_a_pause_of_the_whole_stream_is_reported_by_nobody(sensors, gap):
    assert alerts(sensors, gap, seed=0) == 0


def test_who_stays_away_after_a_pause_is_reported():
    minutes = np.concatenate((np.arange(400), np.arange(1000, 1100)))
    times = START + MINUTE * np.repeat(minutes, 3)
    codes = np.tile(np.arange(3), len(minutes))
    kept = (codes != 2) | (times < START + 1000 * MINUTE)
    values = np.random.default_rng(0).uniform(47, 53, (kept.sum(), 1))
    fleet = Fleet(Configuration(profile="small"))
    fleet.process(Readings(("a", "b", "c"), codes[kept], times[kept], values))
    assert [silence.sensor for silence in fleet.silences] == ["c"]
    assert 1009 <= (fleet.silences[0].time - START) // MINUTE <= 1015


@pytest.mark.parametrize("first", [0, 1000, 946_684_800_000, START - 3 * DAY])
@pytest.mark.parametrize("unset", [1, 5, 60])
def test_a_clock_that_is_set_after_the_start_disables_no_silence_detection(first, unset):
    times = START + MINUTE * np.arange(400, dtype=np.int64)
    times[:unset] = first + MINUTE * np.arange(unset)
    detector = Detector(Configuration(profile="small"), 0)
    detector.process(times, np.random.default_rng(0).uniform(47, 53, (400, 1)))
    assert 5 * MINUTE <= detector.silence_timeout <= 20 * MINUTE


def test_a_sensor_of_few_readings_a_day_keeps_its_long_gaps():
    times = START + 3 * DAY * np.arange(200, dtype=np.int64)
    detector = Detector(Configuration(profile="small"), 0)
    detector.process(times, np.random.default_rng(0).uniform(47, 53, (200, 1)))
    assert detector.silence_timeout >= 9 * DAY
