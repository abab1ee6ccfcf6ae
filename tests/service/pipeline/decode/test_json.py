"""A record may hold several JSON values, one a line or one after the other; a broken one spoils only itself."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.decode import Fields, JSONDecoder
from service.pipeline.decode.json import Broken, parse
from tests.service.pipeline.decode.conftest import ARRIVAL, USUAL, Result, record

A, B, C = (f'{{"iotName": "{name}", "iotValue": {number}}}' for number, name in enumerate("abc"))
PRETTY = json.dumps({"iotName": "p", "iotValue": 7}, indent=2)


@pytest.mark.parametrize(
    "text",
    [
        f"{A}\n{B}\n{C}", f"{A}\n{B}\n{C}\n", f"{A}\r\n{B}\r\n\r\n{C}\r\n", f"{A}{B}{C}", f"{A} {B}\t{C}",
        f"{A},{B},{C}",
        f"[{A},{B},{C}]", f"\x1e{A}\n\x1e{B}\n\x1e{C}\n", f"{A}\n[{B},{C}]", f"[{A}]\n[{B},\n{C}]",
        f"{A},\n{B},\n{C},\n", f"\n\n {A}{B}\n{C}",
    ],
)  # fmt: skip
def test_each_object_is_a_reading_with_its_ordinal(decode, text):
    assert decode(text.encode()).readings == [(n, name, ARRIVAL, (float(n),)) for n, name in enumerate("abc")]


def test_objects_may_stretch_over_lines(decode):
    assert decode(f"{PRETTY}\n{PRETTY}{PRETTY}".encode()).ordinals == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "readings", "refusals"),
    [
        (f"{A}\nnonsense\n{C}", [0, 2], [(1, "not_json")]),
        (f"nonsense\n{B}\n{C}", [1, 2], [(0, "not_json")]),
        (f'{A}\n{B[:10]}\n{C}', [0, 2], [(1, "not_json")]),
        (f"{A}\n{B}\n{C[:-3]}", [0, 1], [(2, "not_json")]),
        (f'{A}{{"iotName": }}{C}', [0, 2], [(1, "not_json")]),
        (f'{A}\n"text"\n{C}', [0, 2], [(1, "not_an_object")]),
        (f"[{A},17,{C}]", [0, 2], [(1, "not_an_object")]),
        (f'[{A},{{"iotValue": 1}},{C}]', [0, 2], [(1, "no_sensor")]),
        (f'{A}\n{{"iotName": "b", "iotValue": "x"}}\n{{}}', [0], [(1, "bad_value"), (2, "no_sensor")]),
        (f'{A}\n{{"iotName": "b", "iotValue": 36893488147419103233}}\n{C}', [0, 2], [(1, "bad_value")]),
        (f'{A}\n{{"iotName": "b", "iotValue": NaN}}\n{C}', [0, 2], [(1, "no_value")]),
        ("[{},{}]", [], [(0, "no_sensor"), (1, "no_sensor")]),
        ("nonsense\nmore of it\n", [], [(None, "not_json")]),
        ("[[1],[2]]", [], [(0, "not_an_object"), (1, "not_an_object")]),
        (f"{A}]", [], [(None, "not_json")]),
    ],
)  # fmt: skip
def test_a_bad_reading_spoils_only_itself(decode, text, readings, refusals):
    found = decode(text.encode())
    assert (found.ordinals, found.refusals) == (readings, refusals)


def test_a_refused_reading_s_letter_holds_it_alone(decode):
    bad = '{"iotName": "b", "iotValue": "x"}'
    for text in (f"{A}\n{bad}\n{C}", f"[{A},{bad},{C}]"):
        (data,) = decode(text.encode()).data
        assert json.loads(data) == json.loads(bad)
        assert decode(data, numeric_text="accept").refusals == [(None, "bad_value")]
    assert decode(f"{A}\nnonsense\n{C}".encode()).data == [b"nonsense"]


def test_a_thousand_bad_readings_and_no_good_one_are_one_refusal(decode):
    found = decode(json.dumps([{"iotValue": 1}] * 5000).encode())
    assert found.refusals == [(None, "no_sensor")]
    assert found.reasons[0].startswith("none of its 5000 readings can be read; the first: iotName is missing")


def test_too_many_readings_are_refused(decode):
    assert decode(b"[" + A.encode() + b",{}" * 100_000 + b"]").refusals == [(None, "too_large")]


good = st.sampled_from([A, B, C, PRETTY.replace("\n", " ")])
bad = st.sampled_from(["nonsense", '{"iotName":', "17,", '{"a": [}', "}{", "[", '"']) | st.text(
    'ab{}[]",:1 ', min_size=1
)


lines_of_both = st.lists(st.tuples(st.booleans(), good, bad), min_size=1, max_size=8)


@given(lines_of_both.filter(lambda lines: any(ok for ok, *_ in lines)))
def test_every_good_line_is_a_reading_whatever_the_others_are(lines):
    text = "\n".join(line if ok else wrong for ok, line, wrong in lines)
    found = Result(JSONDecoder(Fields(**USUAL)).decode([record(text.encode())]))
    expected = [json.loads(line)["iotName"] for ok, line, _ in lines if ok]
    assert [name for name in found.sensors if name in expected] == found.sensors
    assert len(found.readings) >= len(expected)


@given(st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5) | st.floats()), min_size=1))
def test_values_come_back_however_they_are_strung_together(values):
    texts = [json.dumps(value) for value in values]
    for between in ("\n", "", " ", ",", "\r\n", "\n\n"):
        found = parse(between.join(texts).encode(), exact=True)
        assert not any(isinstance(each, Broken) for each in found)
        assert repr(found) == repr([json.loads(text) for text in texts])
