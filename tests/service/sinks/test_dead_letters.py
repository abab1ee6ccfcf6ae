"""The store of dead letters: each once, whole, in the form of Firehose, and kept through a kill."""

import base64
import contextlib
import json
import sqlite3

import pytest

from service import StateError
from service.aws import client
from service.pipeline.documents import timestamp
from service.pipeline.records import DeadLetter, Position, Record
from service.sinks.dead_letters.format import describe_letter, rejection_letter
from service.sinks.dead_letters.s3 import S3DeadLetters
from service.sinks.dead_letters.sqlite import SQLiteDeadLetters
from service.sinks.index import Rejected
from service.stores import opened
from tests.servers import aws
from tests.service.stores import NOON, entry, letter


@pytest.fixture(params=["sqlite", "s3"])
async def make(request, tmp_path):
    """Makes stores that look at the same place."""
    if request.param == "sqlite":
        yield lambda: SQLiteDeadLetters(tmp_path / "cutwater.db")
        return
    bucket = aws.unique("letters")
    with aws.here(s3=aws.moto()):
        async with client("s3", "us-east-1") as s3:
            await s3.create_bucket(Bucket=bucket)
        yield lambda: S3DeadLetters(f"s3://{bucket}/dead", "us-east-1")


@pytest.fixture
async def store(make):
    async with opened(make()) as store:
        yield store


async def everything(store, size=10):
    return [letter async for page in store.pages(size) for letter in page]


def refusal(number: int) -> DeadLetter:
    """About a document that the index refuses; all are of one record."""
    refused = Rejected(entry(number).id, "mapper_parsing_exception", "no number", 3, "cutwater-2023.11.15")
    return rejection_letter("stream", "shard", Record(Position(7, 1), "key", NOON, b"bytes"), entry(number), refused)


async def test_letters_come_newest_first_each_once(store):
    await store.put([letter(number) for number in range(5)])
    await store.put([letter(number) for number in range(3, 8)])
    found = await store.newest(3)
    assert [each["errorMessage"] for each in found] == ["reason 7", "reason 6", "reason 5"]
    assert await store.count() == len(await store.newest(100)) == 8


async def test_a_letter_has_the_form_of_firehose(store):
    await store.put([letter(7)])
    (found,) = await store.newest(1)
    assert isinstance(found.pop("attemptEndingTimestamp"), int)
    assert found == {
        "id": "stream:shardId-000000000000:7:0",
        "@timestamp": timestamp(NOON + 7),
        "stream": "stream",
        "shard": "shardId-000000000000",
        "sequenceNumber": "7",
        "subSequenceNumber": 0,
        "recordOrdinal": None,
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
    await store.put([refusal(1), refusal(2), refusal(1)])
    found = sorted(await everything(store), key=lambda each: each["id"])
    assert [each["esDocumentId"] for each in found] == [entry(1).id, entry(2).id]
    first = found[0]
    assert (first["attemptsMade"], first["esIndexName"]) == (3, "cutwater-2023.11.15")
    assert json.loads(base64.b64decode(first["rawData"]))["sensor"] == entry(1).document["sensor"]


async def test_a_letter_may_hold_a_whole_record_and_no_text_at_all(store):
    record = Record(Position(1), "lone surrogate \ud800", NOON, bytes(range(256)) * 4096)
    await store.put([DeadLetter("s", "shardId-000000000000", record, "not_json", "lone surrogate \ud800")])
    (found,) = await store.newest(10)
    assert base64.b64decode(found["rawData"]) == record.data
    assert found["partitionKey"] == found["errorMessage"] == r"lone surrogate \ud800"


async def test_pages_lead_through_all_also_while_they_are_removed(store):
    await store.put([letter(number * 1_000_000) for number in range(25)])
    found = await everything(store)
    assert len({each["id"] for each in found}) == len(found) == 25
    removed = 0
    async for page in store.pages(10):
        await store.remove(page[:4])
        removed += len(page[:4])
    assert await store.count() == len(await everything(store)) == 25 - removed


async def test_what_is_on_its_way_is_known_after_a_crash(store, make):
    await store.put([letter(1), letter(2), letter(3)])
    letters = [describe_letter(letter(number)) for number in (1, 2, 3)]
    ids = [each["id"] for each in letters]
    await store.mark_in_flight(ids)
    await store.clear_in_flight(ids[:1])
    await store.remove(letters[1:2])
    again = make()
    await again.open()
    assert await again.in_flight() == {ids[2]}
    assert await again.count() == 2
    await again.close()


async def test_the_sqlite3_shell_reads_it(tmp_path):
    store = SQLiteDeadLetters(tmp_path / "cutwater.db")
    await store.open()
    await store.put([letter(1)])
    await store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "cutwater.db")) as db:
        rows = db.execute("SELECT time, code, reason FROM dead_letter").fetchall()
    assert rows == [(timestamp(NOON + 1), "not_json", "reason 1")]


async def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "cutwater.db").write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(StateError, match="file is not a database; move the file away"):
        await SQLiteDeadLetters(tmp_path / "cutwater.db").open()


async def test_a_bucket_that_is_not_there_is_named():
    with aws.here(s3=aws.moto()):
        store = S3DeadLetters("s3://no-such-bucket/dead", "us-east-1")
        try:
            with pytest.raises(StateError, match=r"dead_letter_url.*make the bucket, or set dead_letter_url"):
                await store.open()
        finally:
            await store.close()
