"""A record becomes readings, or says why not; nothing else ever comes out."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.decode import DecodeError, json_decoder
from service.pipeline.records import Position, Record

ARRIVAL = 1_700_000_000_000
decode = json_decoder("iotName", {"iotValue": "iotValue"}, "iotTime", max_future=60_000)


def record(data) -> Record:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Record(Position(1), "key", ARRIVAL, raw)


def test_the_classic_record_takes_its_arrival_time():
    assert decode(record({"iotName": "DemoSensor", "iotValue": 17})) == [("DemoSensor", ARRIVAL, (17.0,))]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14T22:13:20", 1_700_000_000_000),
        ("2023-11-15T00:13:20.123+02:00", 1_700_000_000_123),
        (1_700_000_000, 1_700_000_000_000),
        (1_700_000_000.5, 1_700_000_000_500),
        (1_700_000_000_123, 1_700_000_000_123),
        (0, 0),
        ("1969-12-31T23:59:59Z", -1000),
    ],
)
def test_event_time_is_iso_8601_or_seconds_or_milliseconds(time, expected):
    assert decode(record({"iotName": "s", "iotValue": 1, "iotTime": time}))[0].time == expected


def test_nested_fields_by_jmespath():
    nested = json_decoder("device.name", {"t": "readings[0].t", "h": "readings[0].h"}, "at.utc", 0)
    body = {"device": {"name": "boiler"}, "readings": [{"t": 20.5, "h": 0.4}], "at": {"utc": 1_600_000_000}}
    assert nested(record(body)) == [("boiler", 1_600_000_000_000, (20.5, 0.4))]


@pytest.mark.parametrize("body", [{"t": 20.5}, {"t": 20.5, "h": None}])
def test_of_several_values_some_may_be_missing(body):
    (reading,) = json_decoder("iotName", {"t": "t", "h": "h"}, "iotTime", 0)(record(body | {"iotName": "s"}))
    assert reading.values[0] == 20.5
    assert math.isnan(reading.values[1])


def test_of_several_values_all_may_not_be_missing():
    with pytest.raises(DecodeError, match=r"t, h: missing or null"):
        json_decoder("iotName", {"t": "t", "h": "h"}, "iotTime", 0)(record({"iotName": "s", "h": None}))


BAD = [
    (b"", "empty"),
    (b"hello", "not_json"),
    (b"\xff\xfe", "not_json"),
    (b'{"iotName": "s", "iotValue": NaN}', "not_json"),
    (b'{"iotName": "s", "iotValue": Infinity}', "not_json"),
    (b'{"iotName": "s", "iotValue": 1e999}', "not_json"),
    (b"[1]", "not_an_object"),
    (b"null", "not_an_object"),
    (b'{"iotValue": 1}', "no_sensor"),
    (b'{"iotName": null, "iotValue": 1}', "no_sensor"),
    (b'{"iotName": "", "iotValue": 1}', "bad_sensor"),
    (b'{"iotName": {}, "iotValue": 1}', "bad_sensor"),
    (json.dumps({"iotName": "x" * 20_000, "iotValue": 1}).encode(), "bad_sensor"),
    (b'{"iotName": "s"}', "no_value"),
    (b'{"iotName": "s", "iotValue": null}', "no_value"),
    (b'{"iotName": "s", "iotValue": "17"}', "bad_value"),
    (b'{"iotName": "s", "iotValue": true}', "bad_value"),
    (b'{"iotName": "s", "iotValue": []}', "bad_value"),
    (b'{"iotName": "s", "iotValue": 9007199254740993}', "bad_value"),
    (b'{"iotName": "s", "iotValue": 123456789012345678901234567890}', "bad_value"),
    (b'{"iotName": "s", "iotValue": 1, "iotTime": "yesterday"}', "bad_time"),
    (b'{"iotName": "s", "iotValue": 1, "iotTime": true}', "bad_time"),
    (b'{"iotName": "s", "iotValue": 1, "iotTime": 1e30}', "bad_time"),
    (b'{"iotName": "s", "iotValue": 1, "iotTime": "2099-01-01T00:00:00Z"}', "future_time"),
    (b"\0" * 1_048_576, "not_json"),
]


@pytest.mark.parametrize(("data", "code"), BAD)
def test_bad_input_is_named(data, code):
    with pytest.raises(DecodeError) as error:
        decode(record(data))
    assert error.value.code == code
    assert 0 < len(str(error.value)) < 300


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["iotName", "iotValue", "iotTime"]) | st.text(max_size=3), inner, max_size=4
            )
        ),
    )
)
def test_whatever_comes_in_only_readings_or_a_decode_error_come_out(data):
    try:
        readings = decode(record(data))
    except DecodeError:
        return
    assert all(isinstance(reading.time, int) for reading in readings)
