"""A record becomes readings, or says why not; nothing else ever comes out."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.decode import Fields, JSONDecoder
from service.pipeline.records import Position, Record
from tests.service.pipeline.decode.conftest import ARRIVAL, USUAL, Result, record


def test_the_classic_record_takes_its_arrival_time(decode):
    assert decode({"iotName": "DemoSensor", "iotValue": 17}).readings == [(0, "DemoSensor", ARRIVAL, (17.0,))]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-15T00:13:20.123+02:00", 1_700_000_000_123),
        ("20231114T221320Z", 1_700_000_000_000),
        (20231114221320, 1_700_000_000_000),
        (1_700_000_000, 1_700_000_000_000),
        (1_700_000_000.5, 1_700_000_000_500),
        ("1700000000123", 1_700_000_000_123),
        (None, ARRIVAL),
    ],
)
def test_event_time_is_what_the_parser_of_times_understands(decode, time, expected):
    assert decode({"iotName": "s", "iotValue": 1, "iotTime": time}).times == [expected]


def test_nested_fields_by_jmespath(decode):
    body = {"device": {"name": "boiler"}, "readings": [{"t": 20.5, "h": 0.4}], "at": {"utc": 1_600_000_000}}
    found = decode(body, sensor="device.name", values={"t": "readings[0].t", "h": "readings[0].h"}, time="at.utc")
    assert found.readings == [(0, "boiler", 1_600_000_000_000, (20.5, 0.4))]


@pytest.mark.parametrize("body", [{"t": 20.5}, {"t": 20.5, "h": None}, b'{"iotName": "s", "t": 20.5, "h": NaN}'])
def test_of_several_values_some_may_be_missing(decode, body):
    body = body if isinstance(body, bytes) else body | {"iotName": "s"}
    ((_, _, _, values),) = decode(body, values={"t": "t", "h": "h"}).readings
    assert values[0] == 20.5
    assert math.isnan(values[1])


def test_of_several_values_all_may_not_be_missing(decode):
    found = decode({"iotName": "s", "h": None}, values={"t": "t", "h": "h"})
    assert found.refusals == [(None, "no_value")]
    assert found.reasons == ["t, h: missing or null"]


BAD = [
    (b"", "empty"),
    (b" \n", "empty"),
    (b"[]", "empty"),
    (b"hello", "not_json"),
    (b"\xff\xfe", "not_json"),
    (b'{"iotName": "s", "iotValue": 1', "not_json"),
    (b'{"iotName": "\\ud800", "iotValue": 1}', "not_json"),
    (b"[1]", "not_an_object"),
    (b"null", "not_an_object"),
    (b'{"iotValue": 1}', "no_sensor"),
    (b'{"iotName": null, "iotValue": 1}', "no_sensor"),
    (b'{"iotName": "", "iotValue": 1}', "bad_sensor"),
    (b'{"iotName": {}, "iotValue": 1}', "bad_sensor"),
    (b'{"iotName": 1.5, "iotValue": 1}', "bad_sensor"),
    (json.dumps({"iotName": "x" * 20_000, "iotValue": 1}).encode(), "bad_sensor"),
    (b'{"iotName": "s"}', "no_value"),
    (b'{"iotName": "s", "iotValue": null}', "no_value"),
    (b'{"iotName": "s", "iotValue": NaN}', "no_value"),
    (b'{"iotName": "s", "iotValue": Infinity}', "bad_value"),
    (b'{"iotName": "s", "iotValue": 1e999}', "bad_value"),
    (b'{"iotName": "s", "iotValue": "17"}', "bad_value"),
    (b'{"iotName": "s", "iotValue": true}', "bad_value"),
    (b'{"iotName": "s", "iotValue": []}', "bad_value"),
    (b'{"iotName": "s", "iotValue": 9007199254740993}', "bad_value"),
    (b'{"iotName": "s", "iotValue": 123456789012345678901234567890}', "bad_value"),
    (b'{"iotName": "s", "iotValue": 1, "iotTime": "yesterday"}', "bad_time"),
    (b'{"iotName": "s", "iotValue": 1, "iotTime": true}', "bad_time"),
    (b'{"iotName": "s", "iotValue": 1, "iotTime": {}}', "bad_time"),
    (b'{"iotName": "s", "iotValue": 1, "iotTime": 1e30}', "bad_time"),
    (b'{"iotName": "s", "iotValue": 1, "iotTime": 46027}', "bad_time"),
    (b'{"iotName": "s", "iotValue": 1, "iotTime": "2099-01-01T00:00:00Z"}', "future_time"),
    (b'{"iotName": "s", "iotValue": 1, "iotTime": 12}', "past_time"),
    (b"\0" * 1_048_576, "empty"),
]


@pytest.mark.parametrize(("data", "code"), BAD)
def test_bad_input_is_named(decode, data, code):
    found = decode(data)
    assert (found.readings, found.refusals, found.data) == ([], [(None, code)], [data])


def test_a_bad_record_spoils_only_itself():
    batch = [record(data) for data, _ in BAD]
    good = record({"iotName": "s", "iotValue": 1})
    decoded = JSONDecoder(Fields(**USUAL)).decode([good, *batch, good])
    assert decoded.records == [0, len(batch) + 1]
    assert [(refusal.record, refusal.code) for refusal in decoded.refusals] == [
        (number, code) for number, (_, code) in enumerate(BAD, start=1)
    ]


@pytest.mark.parametrize("number", [2.0**63, -(2.0**70), 1e200])
def test_a_large_float_is_itself(decode, number):
    assert decode({"iotName": "s", "iotValue": number}).values == [number]


@pytest.mark.parametrize(
    "fields",
    [
        {"values": {"v": "ceil(to_number(v))"}},
        {"values": {"v": "sum(v)"}},
        {"sensor": "join('-', [iotName, v])", "values": {"v": "w"}},
        {"time": "to_number(v)", "values": {"v": "w"}},
        {"time": "abs(v)", "values": {"v": "w"}},
        {"sensor": "to_string(@)", "values": {"v": "to_number(v)"}},
    ],
)
@pytest.mark.parametrize("value", ['"1e999"', '"' + "7" * 400 + '"', "[1,[2]]", '"nan"', "{}", "7" * 70, '"x"', "NaN"])
def test_functions_of_jmespath_may_fail_as_they_like(decode, fields, value):
    found = decode(f'{{"iotName": "s", "v": {value}, "w": 1}}'.encode(), **fields)
    assert len(found.readings) + len(found.refusals) == 1


@pytest.mark.parametrize("levels", [200, 900, 1000, 1024, 2000, 100_000])
@pytest.mark.parametrize(
    "around",
    [
        b"%s",
        b'{"deep":%s}',
        b'{"iotName":%s}',
        b'{"iotName":"s","iotValue":%s}',
        b'{"iotName":"s","iotValue":1,"iotTime":%s}',
        b'{"iotName":"s","iotValue":1,"deep":%s}',
        b'{"iotName":"s","iotValue":36893488147419103232,"deep":%s}',
        b'{"iotName":"s"}\n%s',
    ],
)
def test_any_depth_is_a_reading_or_a_refusal(decode, levels, around):
    for deep in (b"[" * levels + b"]" * levels, b'{"a":' * levels + b"1" + b"}" * levels, b"[" * levels):
        found = decode(around % deep)
        assert len(found.readings) + len(found.refusals) >= 1


def test_labels_are_text_and_what_is_none_is_left_out(decode):
    labels = {
        "site": "plant.name",
        "line": "line",
        "deep": "plant",
        "odd": "missing[0]",
        "on": "on",
        "sum": "sum(line)",
    }
    body = {"iotName": "s", "iotValue": 1, "plant": {"name": '"<script>\n'}, "line": 7, "on": True}
    assert decode(body, labels=labels).labels == [{"site": '"<script>\n', "line": "7", "on": "true"}]


def test_a_label_of_seventy_digits_is_a_label(decode):
    found = decode({"iotName": "s", "iotValue": 1, "id": "7" * 70}, labels={"id": "to_number(id)"})
    assert found.labels == [{"id": "7" * 70}]


@pytest.mark.parametrize(
    ("expression", "field"),
    [('"device-id"', "device-id"), ('"@timestamp"', "@timestamp"), ('"größe in m"', "größe in m")],
)
def test_any_name_can_be_said_in_quotes(decode, expression, field):
    assert decode({field: "s", "iotValue": 1}, sensor=expression).sensors == ["s"]


def test_batches_do_not_matter():
    batch = [record({"iotName": f"s{n % 3}", "iotValue": n} if n % 4 else b"x") for n in range(20)]
    decoder = JSONDecoder(Fields(**USUAL))
    whole = Result(decoder.decode(batch))
    parts = [Result(decoder.decode([each])) for each in batch]
    assert whole.readings == [reading for part in parts for reading in part.readings]
    assert whole.refusals == [refusal for part in parts for refusal in part.refusals]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["nan", "1e999", "1970-01-01"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["iotName", "iotValue", "iotTime"]) | st.text(max_size=3), inner, max_size=4)
    ),
)
DECODERS = [
    JSONDecoder(Fields(**USUAL)),
    JSONDecoder(Fields(**(USUAL | {"labels": {"a": "to_number(iotName)", "b": "$"}, "numeric_text": "accept"}))),
    JSONDecoder(Fields("join('', [$.a, iotName])", {"v": "max(iotValue)", "w": "iotTime"}, "sum(@)"), "iotValue"),
]


@given(st.binary() | anything.map(json.dumps).map(str.encode) | st.text().map(str.encode), st.sampled_from(DECODERS))
def test_whatever_comes_in_readings_and_refusals_come_out(data, decoder):
    decoded = decoder.decode([Record(Position(1), "key", ARRIVAL, data)])
    assert decoded.records or decoded.refusals
    assert not (all_nan := [row for row in decoded.readings.values.tolist() if all(map(math.isnan, row))]), all_nan


def test_a_user_record_of_another_shard_is_refused():
    decoded = JSONDecoder(Fields(**USUAL)).decode([record({"iotName": "s", "iotValue": 1})._replace(other_shard=True)])
    assert [(refusal.ordinal, refusal.code) for refusal in decoded.refusals] == [(None, "other_shard")]
    assert not decoded.records
