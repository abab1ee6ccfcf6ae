"""What one answer says becomes the same records, whether read as columns or one by one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.pipeline.records import ALL_HASH_KEYS, PlainRecords, Position, Record
from service.source import reader
from service.source.aggregates import MAGIC, user_records

raw_records = st.fixed_dictionaries(
    {
        "SequenceNumber": st.integers(1000, 1100).map(str) | st.sampled_from(["7", "0999", "٣٣٣٣"]),
        "PartitionKey": st.text(max_size=3),
        "Data": st.binary(max_size=40) | st.just(MAGIC + b"no aggregate after all"),
    },
    optional={"ApproximateArrivalTimestamp": st.floats(0, 4e9) | st.integers(0, 2**31)},
)


def one_by_one(raw, after):
    """Parts of records as the reader cuts them."""
    parts, size = [[]], 0
    for one in raw:
        arrival = round(1000 * float(one.get("ApproximateArrivalTimestamp", 0)))
        record = Record(Position(int(one["SequenceNumber"])), one["PartitionKey"], arrival, one["Data"])
        for user in user_records(record, ALL_HASH_KEYS):
            if after is None or user.position > after:
                memory = len(user.data) + reader.RECORD_MEMORY
                if parts[-1] and size + memory > reader.BATCH_BYTES:
                    parts.append([])
                    size = 0
                parts[-1].append(user)
                size += min(memory, reader.BATCH_BYTES)
    return [part for part in parts if part]


@settings(max_examples=100, deadline=None)
@given(
    raw=st.lists(raw_records, min_size=1, max_size=12),
    in_order=st.booleans(),
    after=st.none() | st.builds(Position, st.integers(990, 1100), st.integers(0, 2)),
    room=st.integers(500, 3000),
)
def test_columns_are_what_single_records_are(raw, in_order, after, room):
    if in_order:
        raw = sorted(raw, key=lambda one: int(one["SequenceNumber"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "BATCH_BYTES", room)
        found = list(reader._parts(raw, after, ALL_HASH_KEYS))
        assert [list(records) for records, _ in found] == one_by_one(raw, after)
        for records, size in found:
            assert size == sum(min(len(each.data) + reader.RECORD_MEMORY, room) for each in records)


def test_usual_records_are_columns():
    raw = [{"SequenceNumber": str(100 + n), "PartitionKey": "key", "Data": b"x"} for n in range(5)]
    ((records, _),) = reader._parts(raw, Position(99), ALL_HASH_KEYS)
    assert isinstance(records, PlainRecords)
    assert records[1:3] == [Record(Position(101), "key", 0, b"x"), Record(Position(102), "key", 0, b"x")]
    assert records.take([0, 4])[-1].position == records.positions[-1] == Position(104)
