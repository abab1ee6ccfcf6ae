"""The store of dead letters: each once, whole, in the form of Firehose, and kept through a kill."""

import base64
import contextlib
import json
import sqlite3

import pytest

from service.deadletter import SQLiteDeadLetters, describe_letter, refusal_letter
from service.documents import timestamp
from service.index import IndexSetupError, Refused
from service.records import DeadLetter, Position, Record
from tests.service.stores import NOON, entry, letter


@pytest.fixture
async def store(tmp_path):
    store = SQLiteDeadLetters(tmp_path / "cutwater.db")
    await store.open()
    yield store
    await store.close()


def refusal(number: int) -> DeadLetter:
    """About a document that the index refuses; all are of one record."""
    refused = Refused(entry(number).id, "mapper_parsing_exception", "no number", 3, "cutwater-2023.11.15")
    return refusal_letter("stream", "shard", Record(Position(7, 1), "key", NOON, b"bytes"), entry(number), refused)


async def test_letters_come_newest_first_each_once(store):
    await store.bury([letter(number) for number in range(5)])
    await store.bury([letter(number) for number in range(3, 8)])
    found = await store.newest(3)
    assert [each["errorMessage"] for each in found] == ["reason 7", "reason 6", "reason 5"]
    assert await store.count() == len(await store.newest(100)) == 8


async def test_a_letter_has_the_form_of_firehose(store):
    await store.bury([letter(7)])
    (found,) = await store.newest(1)
    assert isinstance(found.pop("attemptEndingTimestamp"), int)
    assert found == {
        "id": "stream:shardId-000000000000:7:0",
        "@timestamp": timestamp(NOON + 7),
        "stream": "stream",
        "shard": "shardId-000000000000",
        "sequenceNumber": "7",
        "subSequenceNumber": 0,
        "partitionKey": "key",
        "attemptsMade": 1,
        "arrivalTimestamp": NOON + 7,
        "errorCode": "not_json",
        "errorMessage": "reason 7",
        "esDocumentId": None,
        "esIndexName": None,
        "rawData": "/wBub3QgSlNPTg==",
    }


async def test_two_refused_documents_of_one_record_leave_two_letters(store):
    await store.bury([refusal(1), refusal(2), refusal(1)])
    found = await store.following("", 10)
    assert [each["esDocumentId"] for each in found] == [entry(1).id, entry(2).id]
    first = found[0]
    assert (first["attemptsMade"], first["esIndexName"]) == (3, "cutwater-2023.11.15")
    assert json.loads(base64.b64decode(first["rawData"]))["sensor"] == entry(1).document["sensor"]


async def test_a_letter_may_hold_a_whole_record_and_no_text_at_all(store):
    record = Record(Position(1), "lone surrogate \ud800", NOON, bytes(range(256)) * 4096)
    await store.bury([DeadLetter("s", "shardId-000000000000", record, "not_json", "lone surrogate \ud800")])
    (found,) = await store.newest(10)
    assert base64.b64decode(found["rawData"]) == record.data
    assert found["partitionKey"] == found["errorMessage"] == r"lone surrogate \ud800"


async def test_following_leads_through_all_and_what_is_removed_is_gone(store):
    await store.bury([letter(number) for number in range(25)])
    found, after = [], ""
    while page := await store.following(after, 10):
        found += page
        after = page[-1]["id"]
    assert len({each["id"] for each in found}) == len(found) == 25
    await store.remove([each["id"] for each in found[:20]])
    assert await store.count() == 5


async def test_what_is_on_its_way_is_known_after_a_crash(store, tmp_path):
    await store.bury([letter(1), letter(2), letter(3)])
    ids = [describe_letter(letter(number))["id"] for number in (1, 2, 3)]
    await store.send_off(ids)
    await store.call_back(ids[:1])
    await store.remove(ids[1:2])
    again = SQLiteDeadLetters(tmp_path / "cutwater.db")
    await again.open()
    assert await again.on_their_way() == {ids[2]}
    await again.close()


async def test_the_sqlite3_shell_reads_it(store, tmp_path):
    await store.bury([letter(1)])
    with contextlib.closing(sqlite3.connect(tmp_path / "cutwater.db")) as db:
        rows = db.execute("SELECT time, code, reason FROM dead_letter").fetchall()
    assert rows == [(timestamp(NOON + 1), "not_json", "reason 1")]


async def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "cutwater.db").write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(IndexSetupError, match="file is not a database; set another data_dir"):
        await SQLiteDeadLetters(tmp_path / "cutwater.db").open()
