"""Further records as devices send them: what was tried after the first ones, each with what its sender would expect."""

import base64
import gzip
import hashlib
import json
import zlib
from functools import partial

import pytest

from service.settings.model import SettingsError, load
from service.source.aggregates import MAGIC
from tests.cases.test_records import BODY, come_of, sealed

packed = partial(gzip.compress, mtime=0)  # without the time of day, so that a case has the same name in each process
TEXT = json.dumps(BODY).encode()
READING = (0, "pump-1", 1_795_737_600_000, 1.0)


def number(text: str, **settings):
    return come_of(b'{"iotName":"a","iotValue":' + text.encode() + b',"iotTime":1795737600}', **settings)


@pytest.mark.parametrize(
    "data",
    [
        TEXT + b"\0",  # a C string with its end
        TEXT + b"\0" * 200,
        b"\xef\xbb\xbf" + TEXT,
        "\u00a0".encode() + TEXT,
        packed(b"\xef\xbb\xbf" + TEXT + b"\n\0"),
        packed(packed(TEXT)),
        packed(zlib.compress(TEXT)),
        TEXT + b"\n\0\0",
        TEXT + b",",
        b"\x1e" + TEXT + b"\n",
    ],
)
def test_a_reading_with_something_around_it(data):
    assert come_of(data) == ([READING], [])


@pytest.mark.parametrize("between", ["\r", "\r\n", "\0", "\ufeff", "\n\ufeff", "\u2028", "\0\n\0", ",\n", "\n\n\n"])
def test_readings_with_something_between_them(between):
    readings, refusals = come_of(TEXT + between.encode() + TEXT)
    assert ([reading[0] for reading in readings], refusals) == ([0, 1], [])


@pytest.mark.parametrize("broken", ["nonsense", '{"iotName":', "{'iotName': 'a'}", "[1,2"])
def test_a_byte_order_mark_or_a_zero_spoils_no_line_beside_a_broken_one(broken):
    readings, refusals = come_of(b"\n".join([TEXT, broken.encode(), b"\xef\xbb\xbf" + TEXT, TEXT + b"\0"]))
    assert [reading[0] for reading in readings] == [0, 2, 3]
    assert [(ordinal, code) for ordinal, code, _ in refusals] == [(1, "not_json")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1e3", 1000), ("1E+3", 1000), ("-0.0", 0), ("5e-324", 5e-324), ("1e-400", 0), ("9007199254740992", 2**53)),
        ("1.7976931348623157e308", 1.7976931348623157e308),
    ],
)
def test_numbers_with_exponents_and_at_the_ends_of_floats(text, value):
    assert number(text)[0][0][3] == value


@pytest.mark.parametrize(
    ("text", "word"),
    [
        *(("1e400", "not finite"), ("-Infinity", "not finite"), ("9007199254740993", "too large for a float")),
        *(("18446744073709551616", "too large"), ("1" + "0" * 400, "more than 50 digits"), ("true", "boolean")),
        *(("[1]", "array"), ('{"v":1}', "object"), ('"5 °C"', "not a number"), ('"1,000.5"', "not a number")),
        *(('"١٢"', "not a number"), ('"0x1F"', "not a number"), ('"½"', "not a number"), ('"1_000"', "not a number")),
    ],
)
def test_what_is_no_value_says_why(text, word):
    for accept in ("refuse", "accept"):
        readings, ((_, code, reason),) = number(text, numeric_text=accept)
        assert (readings, code) == ([], "bad_value")
        assert word in reason


@pytest.mark.parametrize("text", ['"NaN"', '"n/a"', '"--"', '""', '"null"'])
def test_a_word_for_nothing_is_a_missing_value_if_text_is_accepted(text):
    assert number(text)[1][0][1] == "bad_value"
    assert number(text, numeric_text="accept")[1][0][1] == "no_value"


@pytest.mark.parametrize(
    ("name", "code"),
    [("", "bad_sensor"), ("   ", "bad_sensor"), ("\u00a0\t", "bad_sensor"), (7.5, "bad_sensor"), (["a"], "bad_sensor"),
     (True, "bad_sensor"), (None, "no_sensor"), ({"id": 1}, "bad_sensor"), (2**70, "bad_sensor")],
)  # fmt: skip
def test_what_names_no_sensor(name, code):
    readings, refusals = come_of(BODY | {"iotName": name})
    assert (readings, refusals[0][1]) == ([], code)


@pytest.mark.parametrize("name", ["e\u0301", "\u00e9", "🚀", "a\0b", "a\nb", " pump ", "\u202eabc", "7", "*", "a/b"])
def test_any_other_name_is_kept_as_it_is(name):
    assert come_of(BODY | {"iotName": name})[0][0][1] == name


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_other_encodings_are_named(encoding):
    assert "UTF-16 or UTF-32" in come_of(TEXT.decode().encode(encoding))[1][0][2]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (packed(TEXT)[:-5], "cut off"),
        (packed(TEXT)[:-8] + b"\0" * 8, "cannot be unpacked"),
        (packed(TEXT) + b"junk", "other bytes follow"),
        (base64.b64encode(packed(TEXT)), "Base64 of compressed bytes"),
        (packed(packed(packed(packed(TEXT)))), "compressed more than 3 times"),
        (b"PK\x03\x04" + TEXT, "zip"),
        (b"<a>1</a>", "XML"),
    ],
)
def test_what_cannot_be_unpacked_says_what_it_looks_like(data, word):
    assert word in come_of(data)[1][0][2]


@pytest.mark.parametrize(
    "time", ["", True, [2026, 11, 27], {"$date": 1}, "2026-11", "02:30", "27.11.2026", "NaT", "-1h"]
)
def test_what_is_no_time_is_refused(time):
    assert come_of(BODY | {"iotTime": time})[1][0][1] == "bad_time"


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def aggregate(*, table=b"a", index=b"\x08\x00", data=TEXT) -> bytes:
    return field(1, table) + field(3, index + field(3, data))


@pytest.mark.parametrize(
    "message",
    [
        aggregate(index=b"\x08\x05"),  # a partition key that is not in the table
        aggregate(index=b"\x08" + b"\xff" * 12),  # a varint without end
        aggregate(index=b"\x10\x00"),  # an explicit hash key that is not there
        aggregate(table=b"\xff\xfe"),
        aggregate(index=field(1, b"a")),
        field(2, b"not a number") + aggregate(),
        field(2, b"9" * 200) + aggregate(),
        aggregate()[:-1],
        aggregate() + b"\x1a\x7f",
        aggregate() + b"\x0b",
        b"",
    ],
)
def test_an_aggregate_damaged_in_one_field_is_read_or_one_dead_letter(message):
    readings, refusals = come_of(sealed(message))
    assert len(readings) + len(refusals) == 1


def test_an_aggregate_whose_digest_is_wrong_is_one_dead_letter():
    whole = sealed(aggregate())
    assert come_of(whole)[0] == [READING]
    for data in (whole[:-1], whole[:-16], whole[:-1] + b"\0", MAGIC, MAGIC + hashlib.md5(b"").digest()):
        readings, refusals = come_of(data)
        assert (readings, len(refusals)) == ([], 1)


@pytest.mark.parametrize(
    ("accept", "count"), [("[%s]", 1), ("[[%s]]", 0), ('{"a":%s}', 0), ("[%s, null, 1, [], {}]", 1)]
)
def test_nested_lists(accept, count):
    readings, refusals = come_of((accept % TEXT.decode()).encode())
    assert len(readings) == count
    assert len(refusals) == (1 if count == 0 else accept.count(","))


def test_the_last_of_two_equal_keys_counts():
    assert come_of(b'{"iotName":"a","iotValue":1,"iotName":"b","iotValue":2,"iotTime":1795737600}')[0][0][1::2] == (
        "b",
        2,
    )


@pytest.mark.parametrize("setting", ["value_fields", "label_fields"])
@pytest.mark.parametrize("pairs", ["a=x,a=y", "a,a", "a=x, b=z , a = x"])
def test_a_name_given_twice_is_an_error_and_not_the_last_one(setting, pairs):
    with pytest.raises(SettingsError, match="names a twice"):
        load({setting: pairs}, {})
