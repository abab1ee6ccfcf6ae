"""Short ways to decode a record to events, and what holds for the events of every format."""

import json
from pathlib import Path

from service.pipeline.decode.event_decoder import EventDecoder
from service.pipeline.decode.formats.values import fit
from service.pipeline.records import Position, Record

ARRIVAL = 1_795_746_600_000  # 2026-11-27T02:30:00Z
SAMPLES = Path(__file__).parents[3] / "samples"


def as_bytes(data) -> bytes:
    if isinstance(data, bytes):
        return data
    return (data if isinstance(data, str) else json.dumps(data)).encode()


def decode(format_, *data, **limits):
    """What becomes of records with these data."""
    records = [Record(Position(number), "key", ARRIVAL, as_bytes(each)) for number, each in enumerate(data)]
    found = EventDecoder(format_, **limits).decode(records)
    check(format_, found, len(records))
    return found


def check(format_, found, records=1) -> None:
    """Nothing vanishes, and no event has a field that the mapping does not have, or a value that does not fit it."""
    reached = {*found.records, *(refusal.record for refusal in found.refusals)}
    assert len(reached) + found.dropped.total() >= records
    assert len(found.events) == len(found.records) == len(found.ordinals)
    places = list(zip(found.records, found.ordinals, strict=True))
    assert places == sorted(set(places))
    for event in found.events:
        assert type(event.time) is int
        for name, value in event.fields.items():
            assert fit(value, format_.mapping[name]) == value, (name, value)
        json.dumps(event.fields).encode()
    for refusal in found.refusals:
        assert refusal.code.replace("_", "").isalnum()
        assert 0 < len(refusal.reason) < 500
        assert "\n" not in refusal.reason


def one(format_, data, **limits):
    """The one event of a record."""
    found = decode(format_, data, **limits)
    assert [refusal.reason for refusal in found.refusals] == []
    (event,) = found.events
    return event


def codes(found):
    return [(refusal.ordinal, refusal.code) for refusal in found.refusals]
