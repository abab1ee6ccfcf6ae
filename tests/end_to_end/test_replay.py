"""A mistake in the settings, and the way back: ``cutwater replay`` has what it spoiled scored after all, once."""

import asyncio
import contextlib
import json
import sqlite3

from service.pipeline.records import DeadLetter, Position, Record
from service.sinks.dead_letters.format import rejection_letter
from service.sinks.dead_letters.sqlite import SQLiteDeadLetters
from service.sinks.index import Rejected
from tests.end_to_end.processes import Cutwater, Service, run
from tests.service.stores import NOON, entry
from tests.simulator.conftest import kinesis

COUNT = 300
RCF = ("--samples", "32", "--index", "all", "--checkpoint-seconds", "1")


def test_records_that_a_wrong_setting_spoiled_are_scored_once_after_all(tmp_path):
    with Cutwater("stream", "--port", "0", "--create", "RawStreamData", "--shards", "2", folder=tmp_path) as stream:
        endpoint_url = stream.find(r"Kinesis API at (http://\S+)")
        simulation = ("simulate", "--endpoint-url", endpoint_url, "--count", str(COUNT), "--sensors", "3")
        code, output = run(*simulation, folder=tmp_path)
        assert code == 0, output

        with Service(endpoint_url, *RCF, "--sensor-field", "name", folder=tmp_path) as wrong:
            assert wrong.wait_for_readings(COUNT)["dead"] == COUNT
            (letter,) = wrong.get("/dead-letter?limit=1")["dead_letters"]
            assert (letter["errorCode"], letter["esDocumentId"]) == ("no_sensor", None)
            assert wrong.terminate() == 0, wrong.output

        code, output = run("replay", "--endpoint-url", endpoint_url, "--sensor-field", "name", folder=tmp_path)
        assert code == 1
        assert f"{COUNT} stay: {COUNT} no_sensor" in output

        code, output = run("replay", "--endpoint-url", endpoint_url, folder=tmp_path)
        assert code == 0, output
        assert f"0 documents indexed, {COUNT} records put into stream RawStreamData again" in output

        with Service(endpoint_url, *RCF, folder=tmp_path) as right:
            readings = right.wait_for_readings(COUNT)
            assert (readings["received"], readings["dead"]) == (COUNT, 0)
            assert right.get("/dead-letter")["dead_letters"] == []
            assert right.terminate() == 0, right.output

    code, output = run("export", folder=tmp_path)
    found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert len({document["event.id"] for document in found}) == len(found) == COUNT - 3 * 32


def test_a_replay_that_is_killed_again_and_again_loses_and_doubles_nothing(tmp_path):
    """Documents are in the index once; a record is in the stream at most once, or known to be in doubt."""
    documents, records = 6_000, 3_000
    letters = [refused(number) for number in range(documents)] + [spoiled(number) for number in range(records)]
    asyncio.run(put(tmp_path / "data", letters))
    with Cutwater("stream", "--port", "0", "--create", "RawStreamData", folder=tmp_path) as stream:
        endpoint_url = stream.find(r"Kinesis API at (http://\S+)")
        again, left = ("replay", "--endpoint-url", endpoint_url), documents + records
        for _ in range(3):
            if left == 0:  # a machine faster than this test
                break
            with Cutwater(*again, folder=tmp_path) as replay:
                replay.wait_for(lambda before=left: count(tmp_path, "dead_letter") < before, "letters that were sent")
                replay.process.kill()
                replay.process.wait()
            left = count(tmp_path, "dead_letter")
        code, output = run(*again, folder=tmp_path)
        doubtful = count(tmp_path, "dead_letter")
        assert code == (1 if doubtful else 0), output
        assert doubtful == count(tmp_path, "dead_letter_on_its_way") <= 3 * 500, "at most one call for each kill"
        assert ("may be in the stream already" in output) == bool(doubtful)
        found = asyncio.run(contents(endpoint_url))
    assert count(tmp_path, "document") == documents
    assert len(set(found)) == len(found), "none twice"
    assert records - doubtful <= len(found) <= records


def refused(number: int) -> DeadLetter:
    record = Record(Position(number), "key", NOON, b"bytes")
    return rejection_letter(
        "RawStreamData", "shard", record, entry(number), Rejected(entry(number).id, "mapping", "no")
    )


def spoiled(number: int) -> DeadLetter:
    data = json.dumps({"iotName": "s", "iotValue": number}).encode()
    return DeadLetter("RawStreamData", "shard", Record(Position(number), f"{number}", NOON, data), "no_sensor", "no")


async def put(folder, letters):
    folder.mkdir()
    store = SQLiteDeadLetters(folder / "cutwater.db")
    await store.open()
    await store.put(letters)
    await store.close()


def count(folder, table) -> int:
    with contextlib.closing(sqlite3.connect(folder / "data" / "cutwater.db", timeout=30)) as db:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


async def contents(endpoint_url) -> list[bytes]:
    """Everything in the stream's one shard."""
    async with kinesis(endpoint_url) as client:
        shard = (await client.list_shards(StreamName="RawStreamData"))["Shards"][0]["ShardId"]
        kind = "TRIM_HORIZON"
        answer = await client.get_shard_iterator(StreamName="RawStreamData", ShardId=shard, ShardIteratorType=kind)
        found, token, behind = [], answer["ShardIterator"], 1
        while behind:
            answer = await client.get_records(ShardIterator=token)
            found += [record["Data"] for record in answer["Records"]]
            token, behind = answer["NextShardIterator"], answer["MillisBehindLatest"]
        return found
