"""Many flat records at once are read as each by itself, to the bit, whatever lies between them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.pipeline.decode import Fields, JSONDecoder, decoder
from service.pipeline.decode.decoded import READING_MEMORY
from service.pipeline.decode.flat import FEWEST, read_flat
from service.pipeline.records import PlainRecords, Position, Record

ARRIVAL = 1_795_746_600_000
FIELDS = [
    Fields("s", {"v": "v"}, "t", max_future=60_000),
    Fields("s", {"v": "v", "w": "w"}, "t", labels={"site": "site", "both": "join('', [s, site])"}, max_past=3_600_000),
    Fields("s", {"v": "v"}, "t", time_formats=["%d.%m.%Y %H:%M", "%Y%m%d"], numeric_text="accept"),
    Fields("$.s", {"v": "v"}, "t"),
]
NUMBERS = [
    *("0", "-0", "-0.0", "1", "17.25", "1e3", "1E-400", "1e999", "9007199254740992", "9007199254740993", "-1e308"),
    *("18446744073709551616", "-9223372036854775809", "9223372036854775808", "01", "1.", ".5", "+1", "NaN", "0x1"),
    *("1" * 400, "2.5e-324", "null", "true", '"3"', '"23,8"', "[]", "[1]", "{}", '{"a":1}', '""', '"nan"'),
]
TIMES = [
    *("null", str(ARRIVAL), str(ARRIVAL + 60_000), str(ARRIVAL + 60_001), str(ARRIVAL - 3_600_001), str(2**63)),
    *("1795746600", "1795746600.5", "20261127", "202611270230", "20261127023000", "999999999999", "-1", "true", "[]"),
    *('"2026-11-27T02:30:00Z"', '"27.11.2026 02:30"', '"soon"', "9999999999999", "946684799999", "1e12", "17.5"),
]
NAMES = ['"a"', '"b"', '"ä\\u0000"', '"{"', '"}"', '"},{"', '""', "7", "true", "null", '["a"]', '"\\ud800"']
NAMES.append('"' + "x" * 3000 + '"')
PIECES = [
    *('{"s":"a","v":1},{"s":"b","v":2', '"c":3}', '{"s":"a","v":"}', '{","v":1}', '{"s":"a","v":[1', "2]}", "{}", "[]"),
    *("", " ", "\n", "{", "}", "}{", '{"s":"a","v":1}{"s":"b","v":2}', '{"s":"a","v":1}\n\n', ' {"s":"a","v":1}', "1"),
    *('[{"s":"a","v":1}]', '{"s":"a","v":1,}', "{'s':'a','v':1}", '{"s":"a","v":1} x', '{"s":"a","v":1}\r\n', "null"),
    '{"s":"a","v":' + "[" * 1022 + "]" * 1022 + "}",
]

members = st.lists(
    st.one_of(
        st.sampled_from(NAMES).map('"s":{}'.format),
        st.sampled_from(NUMBERS).map('"v":{}'.format),
        st.sampled_from(NUMBERS).map('"w": {}'.format),
        st.sampled_from(TIMES).map('"t":{}'.format),
        st.sampled_from(NAMES).map('"site":{}'.format),
    ),
    max_size=6,
)
usual = st.builds(
    lambda name, value, time: json.dumps({"s": name, "v": value, **({} if time is None else {"t": time})}),
    st.sampled_from("abc"),
    st.integers(-1000, 1000) | st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([None, ARRIVAL, ARRIVAL - 5, "2026-11-27T02:29:59.999Z"]),
)
record_bytes = st.one_of(
    usual.map(str.encode),
    usual.map(lambda text: text.encode() + b"\n"),
    members.map(lambda each: ("{" + ",".join(each) + "}").encode()),
    st.sampled_from(PIECES).map(str.encode),
    st.binary(max_size=6),
    st.tuples(usual, st.integers(0, 40), st.binary(max_size=2)).map(
        lambda cut: cut[0].encode()[: cut[1]] + cut[2] + cut[0].encode()[cut[1] + 1 :]
    ),
)


def found(decoded, first=0):
    """All that was decoded, with the records' numbers as of a larger batch."""
    readings, labels = decoded.readings, decoded.labels or [{}] * len(decoded.ordinals)
    rows = zip(
        decoded.records,
        decoded.ordinals,
        readings.names(),
        readings.times.tolist(),
        [row.tobytes() for row in readings.values],
        labels,
        strict=True,
    )
    refused = [(each.record + first, *each[1:]) for each in decoded.refusals]
    return [(number + first, *rest) for number, *rest in rows], refused


@pytest.mark.parametrize("fields", FIELDS, ids=["classic", "labels", "formats", "root"])
@settings(max_examples=25, deadline=None)
@given(batch=st.lists(record_bytes, min_size=FEWEST, max_size=3 * FEWEST), others=st.sets(st.integers(0, 60)))
def test_a_batch_is_read_as_its_records_are_one_by_one(fields, batch, others):
    records = [Record(Position(number), "key", ARRIVAL, data, number in others) for number, data in enumerate(batch)]
    json_decoder, alone, refused = JSONDecoder(fields), [], []
    for number, record in enumerate(records):
        readings, refusals = found(json_decoder.decode([record]), number)
        alone, refused = alone + readings, refused + refusals
    assert found(json_decoder.decode(records)) == (alone, refused)
    if not others:
        decoded = json_decoder.decode(plain(records))
        assert found(decoded) == (alone, refused)
        assert list(decoded.readings.sensors) == list(dict.fromkeys(name for _, _, name, *_ in alone))


def plain(records) -> PlainRecords:
    return PlainRecords(
        [str(record.position.sequence) for record in records],
        [record.partition_key for record in records],
        np.array([record.arrival for record in records]),
        [record.data for record in records],
    )


@pytest.mark.parametrize("time", [None, ARRIVAL, "2026-11-27T02:30:00Z"])
def test_usual_records_are_all_read_together(time):
    bodies = [{"s": f"s{number % 7}", "v": number / 4, "t": time} for number in range(100)]
    records = [Record(Position(n), "key", ARRIVAL, json.dumps(body).encode()) for n, body in enumerate(bodies)]
    flat = read_flat(records, FIELDS[0])
    assert flat is not None
    assert flat.records.tolist() == list(range(100))
    assert flat.sensors == [body["s"] for body in bodies]
    assert flat.values.ravel().tolist() == [body["v"] for body in bodies]
    assert flat.times.tolist() == [ARRIVAL] * 100


def test_one_broken_record_leaves_few_to_be_read_alone():
    data = [b'{"s": "a", "v": 1}'] * 1000
    data[500] = b'{"s": "a", "v": }'
    flat = read_flat([Record(Position(n), "key", ARRIVAL, each) for n, each in enumerate(data)], FIELDS[0])
    assert flat is not None
    assert 990 < len(flat.records) < 1000
    assert 500 not in flat.records


@settings(max_examples=20, deadline=None)
@given(batch=st.lists(record_bytes, min_size=FEWEST, max_size=2 * FEWEST), room=st.integers(1, 40 * READING_MEMORY))
def test_a_bounded_batch_ends_where_its_records_one_by_one_do(batch, room):
    records = [Record(Position(number), "key", ARRIVAL, data) for number, data in enumerate(batch)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "BATCH_MEMORY", room)
        together = JSONDecoder(FIELDS[0]).decode(records, bounded=True)
        patch.setattr(decoder, "read_flat", lambda records, fields: None)
        alone = JSONDecoder(FIELDS[0]).decode(records, bounded=True)
    assert (together.taken, together.size, found(together)) == (alone.taken, alone.size, found(alone))
