"""What was measured becomes records again."""

import json
from operator import length_hint

import numpy as np

from simulator.recording import Playback

NOON = 1_396_353_600_000


def bodies(playback):
    return [json.loads(reading.data) for reading in playback]


def test_one_value_is_iot_value():
    playback = Playback(["boiler", "fan"], np.array([NOON, NOON + 300_000]), np.array([[20.0], [-1e3]]), ["temp"])
    assert bodies(playback) == [
        {"iotName": "boiler", "iotTime": "2014-04-01T12:00:00Z", "iotValue": 20.0},
        {"iotName": "fan", "iotTime": "2014-04-01T12:05:00Z", "iotValue": -1000.0},
    ]
    assert [(reading.sensor, reading.offset) for reading in playback] == [("boiler", 0.0), ("fan", 300.0)]
    assert length_hint(playback) == 2


def test_several_values_keep_their_names_and_a_missing_one_is_left_out():
    values = np.array([[20.5, 40], [np.nan, 41], [np.nan, np.nan]])
    playback = Playback(["boiler"] * 3, NOON + np.array([0, 250, 500]), values, ["temp (C)", "humidity"])
    assert bodies(playback) == [
        {"iotName": "boiler", "iotTime": "2014-04-01T12:00:00Z", "temp (C)": 20.5, "humidity": 40.0},
        {"iotName": "boiler", "iotTime": "2014-04-01T12:00:00.250Z", "humidity": 41.0},
    ]
    assert length_hint(playback) == 2
