"""The dead letter sent again: to a real index and a local stream, each once, also when it is killed in the middle."""

import json

import pytest

from service.offline.replay import Replay
from service.pipeline.decode import Fields, JSONDecoder
from service.pipeline.records import DeadLetter, Position, Record
from service.sinks.dead_letters.format import rejection_letter
from service.sinks.dead_letters.sqlite import SQLiteDeadLetters
from service.sinks.index import Rejected
from service.sinks.index.sqlite import SQLiteIndex
from service.source.client import StreamError
from service.stores import opened
from simulator.stream import LocalStream
from tests.service.stores import NOON, SQLiteStore, entry
from tests.simulator.conftest import kinesis

STREAM = "RawStreamData"
DECODER = JSONDecoder(Fields("iotName", {"iotValue": "iotValue"}, "iotTime"))


def record_letter(number: int, data: bytes, stream: str = STREAM) -> DeadLetter:
    return DeadLetter(stream, "shard", Record(Position(number), f"key-{number}", NOON, data), "no_sensor", "no")


def document_letter(number: int) -> DeadLetter:
    record = Record(Position(number), "key", NOON, b"bytes")
    return rejection_letter(STREAM, "shard", record, entry(number), Rejected(entry(number).id, "mapping", "no"))


def reading(number: int) -> bytes:
    return json.dumps({"iotName": f"sensor-{number}", "iotValue": number}).encode()


@pytest.fixture
async def letters(tmp_path):
    async with opened(SQLiteDeadLetters(tmp_path / "cutwater.db")) as letters:
        yield letters


@pytest.fixture
async def index(tmp_path):
    async with opened(SQLiteIndex(tmp_path / "index.db")) as index:
        yield index


@pytest.fixture
async def client():
    async with LocalStream(streams={STREAM: 1}) as local, kinesis(local.endpoint_url) as client:
        yield client


async def contents(client) -> list[tuple[str, bytes]]:
    """(partition key, data) of everything in the stream."""
    shard = (await client.list_shards(StreamName=STREAM))["Shards"][0]["ShardId"]
    iterator = await client.get_shard_iterator(StreamName=STREAM, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    found, token, behind = [], iterator["ShardIterator"], 1
    while behind:
        answer = await client.get_records(ShardIterator=token)
        found += [(record["PartitionKey"], record["Data"]) for record in answer["Records"]]
        token, behind = answer["NextShardIterator"], answer["MillisBehindLatest"]
    return found


async def run(letters, index, client, *, again=False):
    looked_at = []
    outcome = await Replay(letters, index, client, STREAM, DECODER).run(again=again, done=looked_at.append)
    return outcome, sum(looked_at)


async def test_documents_are_in_the_index_once_however_often_it_is_run(letters, index, tmp_path):
    await index.write([entry(3)])  # it had arrived after all
    await letters.put([document_letter(number) for number in range(1200)])
    outcome, looked_at = await run(letters, index, None)
    assert (outcome.indexed, looked_at, outcome.kept.total()) == (1200, 1200, 0)
    assert await letters.count() == 0
    await letters.put([document_letter(number) for number in range(10)])
    assert (await run(letters, index, None))[0].indexed == 10
    stored = SQLiteStore(tmp_path).documents()
    assert stored.keys() == {entry(number).id for number in range(1200)}
    assert stored[entry(5).id]["anomaly_score"] == entry(5).document["anomaly_score"]


async def test_what_is_still_refused_stays_with_its_reason(letters, index):
    class Picky:
        async def write(self, entries):
            return [Rejected(each.id, "mapping", "no") for each in entries if each.id == entry(1).id]

    await letters.put([document_letter(number) for number in range(3)])
    outcome, _ = await run(letters, Picky(), None)
    assert (outcome.indexed, dict(outcome.kept)) == (2, {"mapping": 1})
    (left,) = await letters.newest(10)
    assert left["esDocumentId"] == entry(1).id


async def test_records_that_can_be_read_now_are_in_the_stream_again_once(letters, index, client):
    await letters.put([record_letter(number, reading(number)) for number in range(700)])
    await letters.put([record_letter(1000, b"junk"), record_letter(1001, reading(1), stream="another")])
    outcome, _ = await run(letters, index, client)
    assert (outcome.put, dict(outcome.kept)) == (700, {"not_json": 1, "other_stream": 1})
    assert sorted(await contents(client)) == sorted((f"key-{number}", reading(number)) for number in range(700))
    assert (await run(letters, index, client))[0].put == 0
    assert len(await contents(client)) == 700


async def test_records_of_a_killed_replay_are_put_again_only_on_request(letters, index, client):
    await letters.put([record_letter(number, reading(number)) for number in range(5)])
    ids = [each["id"] for each in await letters.newest(3)]
    await letters.mark_in_flight(ids)  # and then the process was killed
    outcome, looked_at = await run(letters, index, client)
    assert (outcome.put, outcome.doubtful, looked_at) == (2, 3, 5)
    outcome, _ = await run(letters, index, client, again=True)
    assert (outcome.put, outcome.doubtful) == (3, 0)
    assert await letters.in_flight() == set()


async def test_records_that_the_stream_refuses_at_first_are_sent_until_it_takes_them(letters, index):
    async with LocalStream(streams={STREAM: 1}) as local, kinesis(local.endpoint_url) as client:
        await letters.put([record_letter(number, reading(number) + b" " * 100_000) for number in range(25)])
        outcome, _ = await run(letters, index, client)  # more than a shard takes in a second
        assert outcome.put == 25
        assert len(await contents(client)) == 25


async def test_a_stream_that_is_gone_is_said_and_the_letters_stay(letters, index, client):
    await letters.put([record_letter(1, reading(1))])
    await client.delete_stream(StreamName=STREAM)
    with pytest.raises(StreamError, match=STREAM):
        await run(letters, index, client)
    assert await letters.count() == 1
    assert await letters.in_flight() == set()


async def test_a_gap_is_told_and_forgotten(letters, index, client, caplog):
    record = Record(Position(7), "", NOON, b"")
    await letters.put([DeadLetter(STREAM, "shard", record, "gap", "records after 6 may have left the stream")])
    outcome = await Replay(letters, index, client, STREAM, DECODER).run(again=False, done=lambda number: None)
    assert (outcome.gaps, outcome.kept.total(), outcome.put) == (1, 0, 0)
    assert "records after 6 may have left the stream; nothing is left to send" in caplog.text
    assert await letters.count() == 0
