"""One shard's way from records to acknowledged documents and a checkpoint, with a scripted stream and index."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from detector.batch import Readings
from detector.detector import Configuration
from detector.fleet import Fleet
from service.checkpoints import Checkpoints
from service.decoder import json_decoder, json_labels
from service.documents import document_id
from service.index import Refused
from service.kinesis import Fetched, Room
from service.metrics import Metrics
from service.pipeline import Setup, ShardPipeline
from service.recent import Filter, RecentScores
from service.records import Position, Record

SHARD = "shardId-000000000000"
CONFIGURATION = Configuration(engine="rrcf", trees=5, samples=16, seed=7)


def records(n: int) -> list[Record]:
    random = np.random.default_rng(3)
    values = np.where(random.random(n) < 0.02, 110, random.integers(10, 21, n))
    return [
        Record(Position(i + 1), "a", 1000 * i, json.dumps({"iotName": "a", "iotValue": int(value)}).encode())
        for i, value in enumerate(values)
    ]


class ScriptedStream:
    """Hands out the records in batches of a given size; after the last it ends or stays silent."""

    def __init__(self, script, batch=7, ends=False):
        self.script, self.batch, self.ends = script, batch, ends
        self.handed_out = 0

    async def read(self, shard, after, room):
        left = [record for record in self.script if after is None or record.position > after]
        while left:
            chunk, left = left[: self.batch], left[self.batch :]
            size = sum(len(record.data) for record in chunk)
            await room.reserve(size)
            self.handed_out += len(chunk)
            yield Fetched(chunk, size, 0, ended=self.ends and not left)
        if not self.ends:
            await asyncio.Event().wait()


class RememberingIndex:
    """Keeps what is written; can stall and refuse."""

    def __init__(self):
        self.documents, self.letters, self.writes = {}, {}, 0
        self.open = asyncio.Event()
        self.open.set()
        self.refuse = lambda entry: False

    async def write(self, entries):
        await self.open.wait()
        self.writes += 1
        refused = [Refused(entry.id, "mapping", "no") for entry in entries if self.refuse(entry)]
        for entry in entries:
            if not self.refuse(entry):
                assert self.documents.setdefault(entry.id, entry.document) == entry.document
        return refused

    async def bury(self, letters):
        """As the store of dead letters, too."""
        await self.open.wait()
        self.letters |= {letter.id: letter for letter in letters}

    async def mention(self, letters):
        assert {letter["id"] for letter in letters} <= self.letters.keys()


@pytest.fixture
def world(tmp_path):
    """Makes pipelines that share a checkpoint file and an index."""
    executor = ThreadPoolExecutor(1)
    index, checkpoints = RememberingIndex(), Checkpoints(tmp_path / "cutwater.db", "stream", "rcf-1")

    def pipeline(stream, *, checkpoint_seconds=3600.0, room=10**9, index_all=True):
        setup = Setup(
            stream=stream,
            stream_name="stream",
            decode=json_decoder("iotName", {"iotValue": "iotValue"}, "iotTime", 0),
            label=json_labels({"site": "plant.name"}),
            features=("iotValue",),
            detector="rcf-1",
            index_all=index_all,
            checkpoint_seconds=checkpoint_seconds,
            room=Room(room),
            executor=executor,
            index=index,
            letters=index,
            checkpoints=checkpoints,
            recent=RecentScores(10_000),
            metrics=Metrics(),
        )
        made = ShardPipeline(SHARD, setup, Fleet(CONFIGURATION))
        return made, setup

    yield pipeline, index, checkpoints
    executor.shutdown()


async def eventually(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - any condition, not an event
            await asyncio.sleep(0.005)


async def test_a_closed_shard_is_scored_to_its_end(world):
    pipeline, index, checkpoints = world
    one, setup = pipeline(ScriptedStream(records(100), ends=True))
    assert await one.run() is True
    assert len(index.documents) == 100 - 16
    assert (await checkpoints.read(SHARD)).ended
    assert setup.room.taken == 0
    assert await pipeline(ScriptedStream(records(100)))[0].run() is True  # nothing is read twice


async def test_stopping_finishes_what_was_fetched_and_going_on_scores_as_if_never_stopped(world, tmp_path):
    pipeline, index, checkpoints = world
    whole = Fleet(CONFIGURATION)
    script = records(200)
    first, _ = pipeline(ScriptedStream(script[:90]))
    running = asyncio.create_task(first.run())
    await eventually(lambda: len(index.documents) == 90 - 16)
    first.stop()
    assert await running is False
    assert (await checkpoints.read(SHARD)).position == Position(90)

    second, _ = pipeline(ScriptedStream(script, batch=11, ends=True))
    assert await second.run() is True
    assert len(index.documents) == 200 - 16
    values = np.array([[json.loads(record.data)["iotValue"]] for record in script], dtype=float)
    expected = whole.process(Readings(("a",), np.zeros(200, np.int64), np.arange(200) * 1000, values)).score
    scores = {int(d["sequence_number"]) - 1: d["anomaly_score"] for d in index.documents.values()}
    assert [scores[i] for i in range(16, 200)] == expected[16:].tolist()


async def test_no_checkpoint_passes_a_document_that_is_not_acknowledged(world):
    pipeline, index, checkpoints = world
    index.open.clear()
    one, _ = pipeline(ScriptedStream(records(100), ends=True), checkpoint_seconds=0.01)
    running = asyncio.create_task(one.run())
    await asyncio.sleep(0.2)
    stuck = (await checkpoints.read(SHARD)).position
    assert stuck is None or stuck <= Position(16 + 7)  # learning readings make no documents
    index.open.set()
    assert await running is True


async def test_a_stalled_index_stops_the_fetching_and_loses_nothing(world):
    pipeline, index, _ = world
    index.open.clear()
    stream = ScriptedStream(records(2000), ends=True)
    one, setup = pipeline(stream, room=1500)
    running = asyncio.create_task(one.run())
    await asyncio.sleep(0.3)
    assert stream.handed_out < 100
    assert setup.room.taken <= 1500
    index.open.set()
    assert await running is True
    assert len(index.documents) == 2000 - 16


async def test_bad_records_and_refused_documents_become_dead_letters_with_their_reasons(world):
    pipeline, index, _ = world
    script = records(60)
    script[30] = Record(Position(31), "a", 0, b"junk")
    index.refuse = lambda entry: entry.position == Position(50)
    one, setup = pipeline(ScriptedStream(script, ends=True))
    assert await one.run() is True
    assert {letter.record.position.sequence: letter.code for letter in index.letters.values()} == {
        31: "not_json",
        50: "mapping",
    }
    assert len(index.documents) == 60 - 16 - 2
    assert Metrics.value(setup.metrics.dead) == 2


async def test_checkpoints_come_while_the_stream_is_silent(world):
    pipeline, _, checkpoints = world
    one, _ = pipeline(ScriptedStream(records(50)), checkpoint_seconds=0.1)
    running = asyncio.create_task(one.run())
    await eventually(lambda: one.committed == Position(50))
    assert (await checkpoints.read(SHARD)).models.keys() == {"a"}
    one.stop()
    await running


async def test_a_reading_can_be_scored_without_being_learnt(world):
    pipeline, index, _ = world
    one, _ = pipeline(ScriptedStream(records(100)))
    running = asyncio.create_task(one.run())
    await eventually(lambda: len(index.documents) == 84)
    once, twice = [await one.score("a", 0, np.array([500.0])) for _ in range(2)]
    assert once.score[0] == twice.score[0] > 10
    assert await one.score("b", 0, np.array([500.0])) is None
    one.stop()
    await running


@pytest.mark.parametrize("batch", [13, 500])
async def test_a_silent_sensor_is_a_document_whatever_the_batches(world, batch):
    pipeline, index, _ = world
    minutes = [(minute, sensor) for minute in range(400) for sensor in "ab" if sensor == "a" or minute < 200]
    script = [
        Record(Position(i + 1), sensor, 60_000 * minute, json.dumps({"iotName": sensor, "iotValue": i % 7}).encode())
        for i, (minute, sensor) in enumerate(minutes)
    ]
    one, setup = pipeline(ScriptedStream(script, batch=batch, ends=True), index_all=False)
    assert await one.run() is True
    silences = {key: document for key, document in index.documents.items() if document["anomaly_kind"] == "silent"}
    (document,) = silences.values()
    assert document["sensor"] == "b"
    assert document["silent_since"] == "1970-01-01T03:19:00.000Z"
    assert document["@timestamp"] == "1970-01-01T03:29:00.000Z"
    assert document["event.kind"] == "alert"
    assert list(silences) == [document_id("stream", SHARD, Position(411), "silent b", "rcf-1")]
    assert setup.recent.newest(Filter(sensor="b", anomalies=True), 1)[0]["anomaly_kind"] == "silent"
