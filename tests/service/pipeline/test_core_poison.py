"""Whatever records hold, the core gives each a reading or a dead letter, and goes on as if they had not been there."""

import pytest

from service.assembly import make_core
from service.pipeline.records import ALL_HASH_KEYS, Position, Record
from service.settings.model import load
from service.source.aggregates import user_records
from tests.chaos.poison import POISON, reading

SETTINGS = load({"index_record": "on", "index": "all", "label_fields": "iotName"}, {})


@pytest.mark.parametrize("number", range(len(POISON)))
def test_a_poisonous_record_is_a_reading_or_a_dead_letter_with_a_reason(number):
    core = make_core(SETTINGS, "shard")
    raw = Record(Position(1), "key", 1_767_225_600_000, POISON[number])
    output = core.process(user_records(raw, ALL_HASH_KEYS))
    assert len(output.scored) + len(output.dead_letters) >= 1
    assert all(letter.code and letter.reason for letter in output.dead_letters)
    assert len([entry.document for entry in output.documents]) == len(output.documents)
    after = core.process([Record(Position(2), "key", 1_767_225_600_000, reading())])
    assert len(after.scored) == 1
