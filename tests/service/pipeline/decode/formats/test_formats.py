"""What holds for every format: its fields and old names can live in one index, and no message can stop it."""

import random

import pytest

from service.pipeline.decode.formats.cloudtrail import CloudTrail
from service.pipeline.decode.formats.flow_log import FlowLog
from service.pipeline.decode.formats.json_events import JSONEvents
from service.pipeline.decode.formats.ossec import OSSEC
from service.pipeline.events import PLACE_FIELDS, clash
from tests.service.pipeline.decode.events import SAMPLES, decode

FORMATS = [CloudTrail(), FlowLog(), OSSEC("Europe/Berlin"), JSONEvents({"event.action": ("keyword", "action")}, "at")]
each_format = pytest.mark.parametrize("format_", FORMATS, ids=lambda each: each.name)


@each_format
def test_no_name_is_two_things(format_):
    """A field or alias may not be an object as well, which another name's first part makes of it."""
    names = [*format_.mapping, *format_.aliases, *PLACE_FIELDS]
    assert len(names) == len(set(names))
    assert clash(names) == ""
    for old, new in format_.aliases.items():
        assert new == "@timestamp" or new in format_.mapping, old
        assert format_.mapping.get(new) != "object"


@each_format
def test_a_mapping_is_small(format_):
    assert len(format_.mapping) + len(format_.aliases) < 300  # servers take 1000 by default


@each_format
def test_mutilated_samples_are_documents_or_refused(format_):
    """``decode`` checks what comes of them."""
    chance = random.Random(14)
    whole = [file.read_bytes() for file in sorted(SAMPLES.rglob("*.*"))]
    pieces = [line for data in whole for line in data.splitlines()] + whole
    for _ in range(1500):
        data = bytearray(chance.choice(pieces))
        for _ in range(chance.randrange(4)):
            at, length = chance.randrange(len(data) + 1), chance.choice((0, 1, 1, 5, 100))
            other = chance.choice(pieces)
            start = chance.randrange(len(other) + 1)
            data[at : at + length] = chance.choice(
                (b"", bytes([chance.randrange(256)]), b'"', b"{", b"\\u0000", b"null", other[start : start + length])
            )
        decode(format_, bytes(data))
