"""Sensors, times and values are where the settings say, written as devices write them."""

import json
import math

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.decode.fields import YEAR_2000, Fields, find_field, names_root
from tests.service.pipeline.decode.conftest import ARRIVAL

DAY = 86_400_000


def reading(**more):
    return {"iotName": "s", "iotValue": 1} | more


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("23.4", 23.4), ("-7", -7), (" 5 ", 5), ("+1.5e3", 1500), (".5", 0.5), ("5.", 5), ("007", 7),
        ("23,8", 23.8), ("-0,125", -0.125), ("1234,5", 1234.5), ("12,3456", 12.3456),
    ],
)  # fmt: skip
def test_numbers_as_text_count_if_accepted(decode, text, number):
    assert decode(reading(iotValue=text), numeric_text="accept").values == [number]
    (reason,) = decode(reading(iotValue=text)).reasons
    assert reason.endswith("not a number; set numeric_text = accept to read it")


@pytest.mark.parametrize("word", ["", " ", "n/a", "N/A", "NaN", "null", "None", "-", "--", "unavailable"])
def test_words_for_missing_are_missing_if_accepted(decode, word):
    values = {"t": "t", "h": "h"}
    found = decode(reading(t=word, h=0.5), values=values, numeric_text="accept")
    ((_, _, _, (t, h)),) = found.readings
    assert math.isnan(t)
    assert h == 0.5
    assert decode(reading(t=word, h=word), values=values, numeric_text="accept").refusals == [(None, "no_value")]
    (reason,) = decode(reading(t=word, h=0.5), values=values).reasons
    assert "set numeric_text = accept" in reason


@pytest.mark.parametrize(
    "text",
    [
        *("1,234", "1,234,567", "1.234,5", "20.5 °C", "ON", "true", "0x1F", "1_000", "inf", "1e999", "٣", "5 6"),
        *("9" * 500, "9007199254740993"),
    ],
)
def test_text_that_may_be_two_numbers_or_none_is_refused(decode, text):
    assert decode(reading(iotValue=text), numeric_text="accept").refusals == [(None, "bad_value")]


@pytest.mark.parametrize("accept", ["accept", "refuse"])
def test_true_and_false_are_no_numbers(decode, accept):
    assert decode(reading(iotValue=True), numeric_text=accept).refusals == [(None, "bad_value")]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_comes_back_from_its_text(number):
    fields = Fields("n", {"v": "v"}, "t", numeric_text="accept")
    assert fields.read({"n": "s", "v": repr(number)}, None, 0)[2] == (number,)


def test_local_forms_of_times(decode):
    formats = ["%d.%m.%Y %H:%M:%S", "%d/%m/%Y"]
    assert decode(reading(iotTime="27.11.2026 02:30:00"), time_formats=formats).times == [ARRIVAL]
    assert decode(reading(iotTime="27/11/2026"), time_formats=formats).times == [ARRIVAL - 150 * 60_000]
    assert decode(reading(iotTime="2026-11-27T02:30Z"), time_formats=formats).times == [ARRIVAL]
    assert decode(reading(iotTime="11/27/2026"), time_formats=formats).refusals == [(None, "bad_time")]


def test_a_time_in_two_fields(decode):
    body = reading(date="27.11.2026", clock="02:30")
    found = decode(body, time="join(' ', [date, clock])", time_formats=["%d.%m.%Y %H:%M"])
    assert found.times == [ARRIVAL]


@pytest.mark.parametrize(
    ("time", "code"),
    [
        (ARRIVAL + 60_000, None),
        (ARRIVAL + 60_001, "future_time"),
        (ARRIVAL - 5 * 365 * DAY, None),
        (YEAR_2000, None),
        (YEAR_2000 - 1, "past_time"),
        (12, "past_time"),
        (0, "past_time"),
        ("1970-01-01T00:00:12Z", "past_time"),
        (-62_135_596_800, "past_time"),
        (20_261_127, None),
    ],
)
def test_times_are_limited_on_both_sides(decode, time, code):
    assert decode(reading(iotTime=time)).refusals == ([(None, code)] if code else [])


@pytest.mark.parametrize(
    ("age", "code"), [(0, None), (DAY, None), (DAY + 1, "past_time"), (1024 * 7 * DAY, "past_time")]
)
def test_the_past_may_be_limited_further(decode, age, code):
    found = decode(reading(iotTime=ARRIVAL - age), max_past=DAY)
    assert found.refusals == ([(None, code)] if code else [])
    assert all("more than max_past_seconds = 86400" in reason for reason in found.reasons)


def test_a_clock_that_was_not_set_is_told(decode):
    (reason,) = decode(reading(iotTime=12)).reasons
    assert reason == "iotTime = 12 is 1970-01-01T00:00:12Z, before the year 2000: the device's clock was not set"


# Lists in records

CLOUDWATCH = {
    "metric_stream_name": "all", "namespace": "AWS/EC2", "metric_name": "CPUUtilization",
    "dimensions": {"InstanceId": "i-1"}, "timestamp": 1_795_746_600_000,
    "value": {"count": 3, "sum": 20.0, "max": 18.0, "min": 0.0},
}  # fmt: skip


def test_azure_s_records(decode):
    body = {"records": [
        {"time": "2026-11-27T02:29:00.0000000Z", "resourceId": "/A/B", "metricName": "cpu", "average": 7.5},
        {"time": "2026-11-27T02:30:00.0000000Z", "resourceId": "/A/B", "metricName": "cpu", "average": None},
        {"time": "2026-11-27T02:30:00.0000000Z", "resourceId": "/A/C", "metricName": "cpu", "average": 8},
    ]}  # fmt: skip
    found = decode(
        body, "records", sensor="join(' ', [resourceId, metricName])", values={"v": "average"}, time="time"
    )  # fmt: skip
    assert found.readings == [(0, "/A/B cpu", ARRIVAL - 60_000, (7.5,)), (2, "/A/C cpu", ARRIVAL, (8.0,))]
    assert found.refusals == [(1, "no_value")]


def test_a_list_of_samples_takes_the_sensor_from_the_record(decode):
    body = {"device": "d", "data": {"samples": [{"t": 1_795_746_600, "v": 1}, {"t": 1_795_746_601, "v": 2}]}}
    found = decode(body, "data.samples", sensor="$.device", values={"v": "v"}, time="t")
    assert found.readings == [(0, "d", ARRIVAL, (1.0,)), (1, "d", ARRIVAL + 1000, (2.0,))]


def test_elements_may_be_bare_numbers(decode):
    found = decode({"device": "d", "v": [1, 2.5, None, "x"]}, "v", sensor="$.device", values={"v": "@"})
    assert (found.values, found.ordinals) == ([1.0, 2.5], [0, 1])
    assert found.refusals == [(2, "no_value"), (3, "bad_value")]


def test_cloudwatch_s_metric_streams(decode):
    body = "\n".join(json.dumps(CLOUDWATCH | {"metric_name": name}) for name in ("CPU", "Net")) + "\n"
    found = decode(
        body.encode(), sensor="join('/', [namespace, metric_name, dimensions.InstanceId])", time="timestamp",
        values={"mean": "value.sum", "max": "value.max"},
    )  # fmt: skip
    assert found.readings == [
        (0, "AWS/EC2/CPU/i-1", ARRIVAL, (20.0, 18.0)),
        (1, "AWS/EC2/Net/i-1", ARRIVAL, (20.0, 18.0)),
    ]


SENML = {
    "sensor": "join('', [not_null($[0].bn, ''), not_null(n, '')])",
    "values": {"v": "v"},
    "time": "sum([not_null($[0].bt, `0`), not_null(t, `0`)])",
}


def test_senml_with_a_base_name_and_a_base_time(decode):
    pack = [{"bn": "urn:dev:1:", "bt": 1_795_746_600, "n": "t", "u": "Cel", "v": 20.5}, {"n": "h", "t": 1, "v": 40}]
    assert decode(pack, **SENML).readings == [
        (0, "urn:dev:1:t", ARRIVAL, (20.5,)),
        (1, "urn:dev:1:h", ARRIVAL + 1000, (40.0,)),
    ]


def test_a_part_of_a_pack_is_never_read_under_another_name(decode):
    pack = [{"bn": "urn:dev:1:", "bt": 1_795_746_600, "n": "t", "v": 20.5}, {"n": "h", "t": 1, "v": "x"}]
    found = decode(pack, **SENML)
    assert found.refusals == [(1, "bad_value")]
    assert decode(found.data[0], numeric_text="accept", **SENML).readings == []


def test_a_refused_element_s_letter_is_a_record_with_it_alone(decode):
    body = {"device": "d", "data": {"n": 2, "samples": [{"v": 1}, {"v": "2"}]}}
    fields = {"sensor": "$.device", "values": {"v": "v"}}
    found = decode(body, "data.samples", **fields)
    assert json.loads(found.data[0]) == {"device": "d", "data": {"n": 2, "samples": [{"v": "2"}]}}
    assert decode(found.data[0], "data.samples", numeric_text="accept", **fields).values == [2.0]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"device": "d"}, "no_readings"),
        ({"list": None}, "no_readings"),
        ({"list": {"a": 1}}, "no_readings"),
        ({"list": "a"}, "no_readings"),
        ({"list": []}, "empty"),
        ([], "empty"),
        ([1], "not_an_object"),
    ],
)
def test_a_record_without_its_list_says_so(decode, body, code):
    assert decode(body, "list").refusals == [(None, code)]


def test_each_line_may_hold_a_list(decode):
    lines = b"\n".join(json.dumps({"d": d, "list": [{"v": 1}, {"v": 2}]}).encode() for d in "ab")
    found = decode(lines, "list", sensor="$.d", values={"v": "v"})
    assert list(zip(found.ordinals, found.sensors, strict=True)) == [(0, "a"), (1, "a"), (2, "b"), (3, "b")]


def test_the_list_may_be_any_expression(decode):
    body = {"groups": [{"list": [{"v": 1}, {"v": 2}]}, {"list": [{"v": 3}]}], "d": "d"}
    assert decode(body, "groups[].list[]", sensor="$.d", values={"v": "v"}).values == [1, 2, 3]


ROOT, ELEMENT = {"a": {"b": [1, 2]}, "d": "x"}, {"a": "e", "$": "not this"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        *(
            ("a", "e"),
            ('"a"', "e"),
            ("$", ROOT),
            ("$.d", "x"),
            ("$.a.b[1]", 2),
            ('$."d"', "x"),
            ("[a, $.d]", ["e", "x"]),
        ),
        *(("'$'", "$"), ('`"$"`', "$"), ("a || $.d", "e"), ("missing || $.d", "x"), ("$.a.b[?@ > `1`] | [0]", 2)),
    ],
)
def test_a_dollar_is_the_record(expression, expected):
    assert find_field(expression)(ELEMENT, ROOT) == expected


def test_a_dollar_in_quotes_is_a_name():
    assert not names_root("\"$\" || '$' || `$`")
    assert find_field('"$"')(ELEMENT, ROOT) == "not this"


@pytest.mark.parametrize("expression", ["", "a[", "device-id", "$a", "$.", "@timestamp", "a b"])
def test_what_is_no_expression_is_refused(expression):
    with pytest.raises(jmespath.exceptions.JMESPathError):
        find_field(expression)
