"""What carries messages is found by its content, within bounds; what cannot be read spoils only itself."""

import base64
import gzip
import json
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.decode import event_decoder
from service.pipeline.decode.decoded import DecodeError
from service.pipeline.decode.exact import load
from service.pipeline.decode.json import MAX_READINGS
from service.pipeline.decode.payloads import alone, messages
from service.pipeline.events import Event, EventFormat
from service.pipeline.records import Position, Record

OWNER, GROUP, STREAM = "000000000042", "/aws/vpc/flow", "eni-1"


def logs(*events, kind="DATA_MESSAGE", **more):
    body = {"messageType": kind, "owner": OWNER, "logGroup": GROUP, "logStream": STREAM, "subscriptionFilters": ["all"]}
    return {**body, "logEvents": list(events), **more}


def log_event(message, number=1, **more):
    return {"id": f"{number:056d}", "timestamp": 1795746600000 + number, "message": message, **more}


def envelope(detail, **more):
    base = {"id": "e-1", "detail-type": "Kind", "source": "aws.ec2", "account": OWNER, "time": "2026-11-27T02:30:00Z"}
    return {**base, "region": "eu-west-1", "resources": ["arn:a"], "detail": detail, **more}


def packed(data) -> bytes:
    return gzip.compress(json.dumps(data).encode())


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def read(data):
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return list(messages(raw))


def texts(data):
    parts = read(data)
    assert [part.error for part in parts] == [None] * len(parts)
    return [part.message for part in parts if not part.dropped]


A, B = {"a": 1}, {"b": 2}
LINES = "2 one\n2 two\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress, zstandard.compress])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a": 1}', [A]),
        (b'[{"a": 1}, {"b": 2}]', [A, B]),
        (b'[[{"a": 1}], ["line"]]', [A, "line"]),
        (b'{"a": 1}\n\n{"b": 2}\r\n', [A, B]),
        (b'{"a": 1}{"b": 2}', [A, B]),
        (b'{"Records": [{"a": 1}, {"b": 2}]}', [A, B]),
        (b'{"Records": 1}', [{"Records": 1}]),
        (b'{"Records": [{"a": 1}], "more": 1}', [{"Records": [A], "more": 1}]),
        (b"one line", ["one line"]),
        (b"  one line\r\n", ["one line"]),
        (LINES.encode(), ["2 one", "2 two"]),
        (b"** Alert 1.2: - a,\nx\n\n** Alert 1.3: - b,\ny\n", ["** Alert 1.2: - a,\nx", "** Alert 1.3: - b,\ny"]),
        ("\N{SNOWMAN}\n".encode(), ["\N{SNOWMAN}"]),
    ],
)
def test_messages_are_found_whatever_they_are_packed_in(pack, data, expected):
    assert texts(pack(data)) == expected


def test_log_events_come_with_what_their_payload_says():
    parts = read(packed(logs(log_event("2 one"), log_event("2 two", 2, extractedFields={"version": "2"}))))
    assert [part.message for part in parts] == ["2 one", "2 two"]
    assert {(part.envelope.owner, part.envelope.log_group, part.envelope.log_stream) for part in parts} == {
        (OWNER, GROUP, STREAM)
    }
    assert [part.envelope.time for part in parts] == [1795746600001, 1795746600002]
    assert parts[0].envelope.log_id == f"{1:056d}"
    assert [dict(part.envelope.extracted) for part in parts] == [{}, {"version": "2"}]


@pytest.mark.parametrize(
    "data",
    [
        {"awslogs": {"data": encoded(packed(logs(log_event("x"))))}},
        {"Records": [{"kinesis": {"data": encoded(packed(logs(log_event("x")))), "partitionKey": "k"}}]},
        {"invocationId": "i", "records": [{"recordId": "1", "data": encoded(packed(logs(log_event("x"))))}]},
        [logs(log_event("x"))],
        {"Records": [logs(log_event("x"))]},
    ],
)
def test_log_events_in_batches(data):
    (part,) = read(data)
    assert (part.message, part.envelope.log_stream) == ("x", STREAM)


def test_control_messages_are_dropped_quietly():
    (part,) = read(packed(logs(log_event("CWL CONTROL MESSAGE"), kind="CONTROL_MESSAGE")))
    assert part.dropped == "control message"
    assert part.error is None


@pytest.mark.parametrize(
    "around", [lambda each: each, lambda each: [each], lambda each: logs(log_event(json.dumps(each)))]
)
def test_an_envelope_of_eventbridge(around):
    (part,) = read(around(envelope(A)))
    assert part.message == A
    found = part.envelope
    assert (found.log_id, found.time, found.owner, found.region) == ("e-1", 1795746600000, OWNER, "eu-west-1")
    assert (found.source, found.detail_type, found.resources) == ("aws.ec2", "Kind", ("arn:a",))


def test_a_placeholder_of_a_time_is_none():
    assert read(envelope(A, time="1970-01-01T00:00:00Z"))[0].envelope.time is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([A, 1, B], [None, "not_a_message", None]),
        ([A, [], B], [None, "empty", None]),
        (b'{"a": 1}\n{"b": \n{"b": 2}', [None, "not_json", None]),
        (b"one\n\xff\xfe\ntwo", [None, "not_text", None]),
        (logs(log_event("a"), 3, log_event("b"), {"message": None}), [None, "bad_log_event", None, "bad_log_event"]),
        ([envelope(A), envelope(3), envelope(B)], [None, "bad_envelope", None]),
        ([envelope(A, id=[]), envelope(A, account="x" * 3000)], ["bad_envelope"] * 2),
        ([logs(kind="OTHER"), logs(), A], ["bad_payload", "empty", None]),
        ([logs(log_event("a"), logGroup="x" * 3000), A], ["bad_envelope", None]),
        ([{"awslogs": {"data": "?"}}, {"awslogs": {"data": 1}}, A], ["not_base64", "not_base64", None]),
        ([{"awslogs": {"data": encoded(b"\x1f\x8bno gzip")}}, A], ["not_json", None]),
        ([{"awslogs": {"data": ""}}, A], ["empty", None]),
        ({"Records": []}, ["empty"]),
    ],
)
def test_what_cannot_be_read_spoils_only_itself(data, expected):
    assert [part.error and part.error.code for part in read(data)] == expected


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b" \n\r\n", "empty"),
        (b"\xff\xfe", "not_text"),
        (b"PK\x03\x04\xff", "not_text"),
        (b"\x1f\x8b", "not_json"),
        (gzip.compress(bytes(20_000_000)), "too_large"),
        (b"[" + b"{}," * MAX_READINGS + b"{}]", "too_large"),
        (b"x\n" * (MAX_READINGS + 1), "too_large"),
        (json.dumps([{"awslogs": {"data": encoded(gzip.compress(b"x" * 900_000))}}] * 12).encode(), "too_large"),
        (b"{" * 100, "not_json"),
        (b'{"a":"\\ud800"}', "not_json"),
    ],
)  # fmt: skip
def test_what_spoils_the_whole_record(data, code):
    with pytest.raises(DecodeError) as caught:
        list(messages(data))
    assert caught.value.code == code


def test_carriers_in_carriers_have_an_end():
    data = packed(logs(log_event("x")))
    for _ in range(10):
        data = json.dumps({"awslogs": {"data": encoded(data)}}).encode()
    assert [part.error and part.error.code for part in read(data)] == ["too_deep"]
    deep = A
    for _ in range(10):
        deep = [deep]
    assert [part.error is None for part in read(deep)] == [False]


@pytest.mark.parametrize(
    "data",
    [
        A,
        [A, B],
        logs(log_event("2 one"), log_event("2 two", 2)),
        logs(log_event(json.dumps(envelope(A)))),
        [envelope(A), envelope(B, id="e-2")],
        {"Records": [{"kinesis": {"data": encoded(b"x y")}}]},
        LINES.encode(),
    ],
)
def test_each_message_can_be_sent_again_alone(data):
    for part in read(data):
        (again,) = messages(alone(part))
        assert (again.message, again.envelope) == (part.message, part.envelope)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"n": 18446744073709551616}', {"n": "18446744073709551616"}),
        ('{"n": -9223372036854775809}', {"n": "-9223372036854775809"}),
        ('{"n": [9007199254740993, 1e300]}', {"n": [9007199254740993, 1e300]}),
        ('{"n": NaN, "m": [Infinity]}', {"n": "nan", "m": ["inf"]}),
        ('{"n": 18446744073709551615}', {"n": 18446744073709551615}),
        ('{"n": 9223372036854775807}', {"n": 9223372036854775807}),
    ],
)
def test_a_number_never_becomes_another(text, expected):
    assert load(text) == expected
    assert texts(text.encode()) == [expected]
    assert texts(f"{text}\n{text}".encode()) == [expected, expected]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "messageType",
                    "logEvents",
                    "message",
                    "owner",
                    "id",
                    "detail",
                    "detail-type",
                    "Records",
                    "awslogs",
                    "data",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(json_values, st.sampled_from([bytes, gzip.compress]), st.integers(1, 3))
def test_any_json_is_read_or_refused(value, pack, times):
    _read_or_refused(pack(b"\n".join([json.dumps(value).encode()] * times)))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    _read_or_refused(data)


def _read_or_refused(data):
    try:
        parts = list(messages(data))
    except DecodeError:
        return
    assert parts
    for part in parts:
        assert isinstance(alone(part), bytes)
        json.dumps(part.message).encode()


class Words(EventFormat):
    """Each message is an event."""

    name = "words"

    def read(self, message, envelope, arrival):
        return Event(arrival, {"message": message})


@pytest.mark.parametrize(("memory", "parts"), [(0, 40), (15_000, 20), (10**9, 1)])
def test_a_bounded_batch_ends_once_its_events_take_enough_memory(memory, parts, monkeypatch):
    """Beyond one event for each record."""
    monkeypatch.setattr(event_decoder, "BATCH_MEMORY", memory)
    rest = [Record(Position(number), "p", 1_795_746_600_000, b"a line\n" * 10) for number in range(40)]
    sizes = []
    while rest:
        found = event_decoder.EventDecoder(Words()).decode(rest, bounded=True)
        rest = rest[found.taken :]
        sizes.append(len(found.events))
        assert found.size == event_decoder.EVENT_MEMORY * len(found.events)
    assert len(sizes) == parts
    assert sum(sizes) == 400
