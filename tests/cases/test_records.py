"""Records as devices send them, from the bytes of a Kinesis record to readings and refusals, as the settings say."""

import base64
import gzip
import hashlib
import json
import zlib

import pytest

from service.assembly import make_decoder
from service.pipeline.models import hash_key
from service.pipeline.records import ALL_HASH_KEYS, Position, Record
from service.settings.model import SettingsError, load
from service.source.aggregates import MAGIC, user_records

ARRIVAL = 1_795_746_600_000  # 2026-11-27T02:30:00Z
BODY = {"iotName": "pump-1", "iotValue": 1, "iotTime": 1_795_737_600}


def come_of(data, hash_keys=ALL_HASH_KEYS, **settings):
    """(ordinal, sensor, time, value) of each reading and (ordinal, code, reason) of each refusal."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    users = user_records(Record(Position(1), "key", ARRIVAL, raw), hash_keys)
    decoded = make_decoder(load(settings, {})).decode(users)
    names = [decoded.readings.sensors[code] for code in decoded.readings.codes]
    times, values = decoded.readings.times.tolist(), decoded.readings.values[:, 0].tolist()
    readings = list(zip(decoded.ordinals, names, times, values, strict=True))
    return readings, [(refusal.ordinal, refusal.code, refusal.reason) for refusal in decoded.refusals]


def sealed(message: bytes) -> bytes:
    return MAGIC + message + hashlib.md5(message).digest()


# 01, 02, 31: aggregates and depth


@pytest.mark.parametrize("levels", [1000, 1023, 5000])
def test_deep_nesting_beside_a_number_beyond_64_bits(levels):
    deep = b"[" * levels + b"]" * levels
    readings, refusals = come_of(b'{"iotName":"a","iotValue":9223372036854775808,"x":' + deep + b"}")
    assert len(readings) + len(refusals) == 1


@pytest.mark.parametrize("index", [b"", b"\x08\x00"])
def test_an_aggregate_whose_encoder_leaves_out_index_0(index):
    part = index + b"\x1a" + bytes([len(json.dumps(BODY))]) + json.dumps(BODY).encode()
    readings, refusals = come_of(sealed(b"\x0a\x01a\x1a" + bytes([len(part)]) + part))
    assert [reading[1] for reading in readings] == ["pump-1"]
    assert not refusals


def test_a_compressed_user_record_in_an_aggregate():
    part = b"\x1a" + bytes([len(gzip.compress(json.dumps(BODY).encode()))]) + gzip.compress(json.dumps(BODY).encode())
    assert come_of(sealed(b"\x0a\x01a\x1a" + bytes([len(part)]) + part))[0][0][1] == "pump-1"


def test_user_records_of_another_shard_are_dead_letters_with_the_reason():
    parts = b"".join(b"\x0a\x01" + key for key in (b"a", b"b"))
    for index in (0, 1):
        body = json.dumps(BODY | {"iotName": f"s{index}"}).encode()
        user = b"\x08" + bytes([index]) + b"\x1a" + bytes([len(body)]) + body
        parts += b"\x1a" + bytes([len(user)]) + user
    readings, refusals = come_of(sealed(parts), (hash_key("a"), hash_key("a")))
    assert [reading[1] for reading in readings] == ["s0"]
    assert [refusal[1] for refusal in refusals] == ["other_shard"]


# 06, 08, 09, 35: forms


@pytest.mark.parametrize("form", ["{}\n{}\n{}\n", "{}{}{}", "[{},{},{}]", "{}\r\n\r\n{} {}"])
def test_several_readings_in_a_record(form):
    text = form.replace("{}", "%s") % tuple(json.dumps(BODY | {"iotValue": number}) for number in range(3))
    readings, refusals = come_of(text.encode())
    assert [(reading[0], reading[3]) for reading in readings] == [(0, 0), (1, 1), (2, 2)]
    assert not refusals


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_compressed_records(pack):
    assert come_of(pack(json.dumps(BODY).encode()))[0]


def test_records_encoded_twice_name_it():
    text = json.dumps(BODY).encode()
    assert "Base64 of JSON" in come_of(base64.b64encode(text))[1][0][2]
    assert "a JSON string that holds JSON" in come_of(json.dumps(text.decode()).encode())[1][0][2]


def test_byte_order_marks():
    text = json.dumps(BODY)
    assert come_of(text.encode("utf-8-sig"))[0]
    assert "UTF-16" in come_of(text.encode("utf-16"))[1][0][2]


# 10, 13, 32: times


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("20261127023000Z", ARRIVAL),
        ("20261127023000", ARRIVAL),
        ("202611270230Z", ARRIVAL),
        (20_261_127_023_000, ARRIVAL),
        (20_261_127, ARRIVAL - 9_000_000),
        ("2026-11-27 02:30:00 UTC", ARRIVAL),
        (1_795_746_600_000_000_000, ARRIVAL),
    ],
)
def test_times_mean_what_they_say(time, expected):
    assert come_of(BODY | {"iotTime": time})[0] == [(0, "pump-1", expected, 1.0)]


@pytest.mark.parametrize(
    ("time", "code"), [(12, "past_time"), (46_027, "bad_time"), (0, "past_time"), ("20261327", "bad_time")]
)
def test_clocks_that_are_not_set_and_numbers_that_are_no_time(time, code):
    assert come_of(BODY | {"iotTime": time})[1][0][1] == code


def test_the_past_can_be_limited():
    weeks = BODY | {"iotTime": 1_795_746_600 - 1024 * 7 * 86_400}  # a GPS receiver whose weeks began anew
    assert come_of(weeks)[0]
    assert come_of(weeks, max_past_seconds="86400")[1][0][1] == "past_time"


def test_local_times_in_two_fields():
    body = {"iotName": "p", "iotValue": 1, "date": "27.11.2026", "clock": "02:30:00"}
    settings = {"time_field": "join(' ', [date, clock])", "time_format": "%d.%m.%Y %H:%M:%S"}
    assert come_of(body, **settings)[0][0][2] == ARRIVAL


# 33, 37: values and names


def test_numbers_as_text():
    for text, number in (("23.7", 23.7), ("23,8", 23.8)):
        assert come_of(BODY | {"iotValue": text}, numeric_text="accept")[0][0][3] == number
        assert "numeric_text = accept" in come_of(BODY | {"iotValue": text})[1][0][2]
    for accept in ("accept", "refuse"):
        assert come_of(BODY | {"iotValue": True}, numeric_text=accept)[1][0][1] == "bad_value"


@pytest.mark.parametrize(
    ("setting", "name"), [("sensor_field", "device-id"), ("time_field", "@timestamp"), ("sensor_field", "device id")]
)
def test_names_that_need_quotes(setting, name):
    with pytest.raises(SettingsError, match=f"""write '"{name}"'"""):
        load({setting: name}, {})
    assert load({setting: f'"{name}"'}, {})


def test_commas_in_an_expression():
    settings = {"value_fields": "v=max([a,b]),w=c"}
    assert come_of({"iotName": "s", "a": 1, "b": 2}, **settings)[0][0][3] == 2
