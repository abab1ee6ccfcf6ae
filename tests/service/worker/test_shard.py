"""One shard's way from records to acknowledged documents and a checkpoint, with a scripted stream and index."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from detector.detector import Configuration
from detector.fleet import Fleet
from detector.types import Readings
from service import StateError, __version__
from service.metrics import Metrics
from service.pipeline.core import Core, CoreConfiguration
from service.pipeline.decode import Fields, JSONDecoder, decoder
from service.pipeline.identity import document_id
from service.pipeline.models import Model, hash_key
from service.pipeline.records import Gap, Position, Record
from service.sinks.index import Rejected
from service.sinks.query import Filter
from service.sinks.recent_scores import RecentScores
from service.source.budget import ByteBudget
from service.source.reader import RecordBatch
from service.state.blobs.sqlite import SQLiteBlobs
from service.state.checkpoints import Checkpoint, Checkpoints
from service.state.leases import Lease, LeaseLostError, LeaseManager
from service.state.leases.sqlite import SQLiteLeaseStore
from service.state.snapshots import ModelFingerprint
from service.state.snapshots.shard import ShardSnapshots
from service.worker import shard
from service.worker.context import PipelineContext
from service.worker.dead_letter_monitor import DeadLetterMonitor
from service.worker.shard import ShardPipeline

SHARD = "shardId-000000000000"
FINGERPRINT = ModelFingerprint("rcf-1", {})
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

    def __init__(self, script, batch=7, ends=False, gap=None):
        self.script, self.batch, self.ends, self.gap = script, batch, ends, gap
        self.handed_out = 0

    async def read(self, shard, after, budget, since=None):
        left = [record for record in self.script if after is None or record.position > after]
        while left:
            chunk, left = left[: self.batch], left[self.batch :]
            size = sum(len(record.data) for record in chunk)
            await budget.reserve(size)
            self.handed_out += len(chunk)
            yield RecordBatch(chunk, size, 0, ended=self.ends and not left, gap=self.gap)
            self.gap = None
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
        refused = [Rejected(entry.id, "mapping", "no") for entry in entries if self.refuse(entry)]
        for entry in entries:
            if not self.refuse(entry):
                assert self.documents.setdefault(entry.id, entry.document) == entry.document
        return refused

    async def put(self, letters):
        """As the store of dead letters, too."""
        await self.open.wait()
        self.letters |= {letter.id: letter for letter in letters}

    async def index_dead_letters(self, letters):
        assert {letter["id"] for letter in letters} <= self.letters.keys()


class World:
    """Pipelines of one shard after each other, as workers take it; they share the stores and an index."""

    def __init__(self, table, blobs, executor):
        self.table, self.blobs, self.executor = table, blobs, executor
        self.index = RememberingIndex()

    async def lease(self) -> Lease:
        (lease,) = await self.table.rows()
        return lease

    async def hold(self, worker="worker", on_bad_snapshot="refuse"):
        checkpoints = Checkpoints(LeaseManager(self.table, worker), self.blobs, "stream", FINGERPRINT, on_bad_snapshot)
        return await checkpoints.take(await self.lease(), [])

    async def models(self):
        lease = await self.lease()
        return await ShardSnapshots(self.blobs, f"stream/{SHARD}", 10**6, FINGERPRINT).read(lease.snapshot)

    async def pipeline(
        self, stream, *, hold=None, checkpoint_seconds=3600.0, budget=10**9, index_all=True, index_record=False
    ):
        configuration = CoreConfiguration(
            stream="stream",
            detector="rcf-1",
            features=("iotValue",),
            decoder=JSONDecoder(Fields("iotName", {"iotValue": "iotValue"}, "iotTime", labels={"site": "plant.name"})),
            index_all=index_all,
            index_record=index_record,
        )
        context = PipelineContext(
            stream=stream,
            stream_name="stream",
            checkpoint_seconds=checkpoint_seconds,
            budget=ByteBudget(budget),
            executor=self.executor,
            index=self.index,
            letters=self.index,
            recent=RecentScores(10_000),
            metrics=Metrics(),
            dead_letter_monitor=DeadLetterMonitor(lambda: 0.0),
        )
        core = Core(configuration, SHARD, Fleet(CONFIGURATION))
        return ShardPipeline(hold or await self.hold(), context, core), context


@pytest.fixture
async def world(tmp_path):
    with ThreadPoolExecutor(1) as executor:
        table, blobs = SQLiteLeaseStore(tmp_path / "db", "stream", "worker"), SQLiteBlobs(tmp_path / "db")
        for store in (table, blobs):
            await store.open()
        await table.insert(Lease(SHARD))
        yield World(table, blobs, executor)
        for store in (table, blobs):
            await store.close()


async def eventually(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - any condition, not an event
            await asyncio.sleep(0.005)


async def test_a_closed_shard_is_scored_to_its_end(world):
    one, context = await world.pipeline(ScriptedStream(records(100), ends=True))
    assert await one.run() is True
    assert len(world.index.documents) == 100 - 16
    assert (await world.lease()).ended
    assert context.budget.taken == 0


async def test_stopping_finishes_what_was_fetched_and_going_on_scores_as_if_never_stopped(world):
    script = records(200)
    first, _ = await world.pipeline(ScriptedStream(script[:90]))
    running = asyncio.create_task(first.run())
    await eventually(lambda: len(world.index.documents) == 90 - 16)
    first.stop()
    assert await running is False
    assert (await world.lease()).position == Position(90)

    second, _ = await world.pipeline(ScriptedStream(script, batch=11, ends=True))
    assert await second.run() is True
    assert scores(world.index) == expected_scores(script)


async def test_documents_hold_their_records_and_hold_them_again_on_a_replay(world):
    script = records(100)
    one, _ = await world.pipeline(ScriptedStream(script), index_record=True)
    running = asyncio.create_task(one.run())
    await eventually(lambda: len(world.index.documents) == 100 - 16)
    running.cancel()  # before a checkpoint
    await asyncio.wait((running,))
    assert (await world.lease()).position is None
    again, _ = await world.pipeline(ScriptedStream(script, batch=11, ends=True), index_record=True)
    assert await again.run() is True  # the index would not take another document under the same id
    for document in world.index.documents.values():
        data = script[int(document["sequence_number"]) - 1].data
        assert (document["record"], document["record_bytes"]) == (json.loads(data), len(data))


def scores(index) -> list[float]:
    found = {int(document["sequence_number"]) - 1: document["anomaly_score"] for document in index.documents.values()}
    return [found.get(i, 0.0) for i in range(max(found) + 1)]


def expected_scores(script, first=0) -> list[float]:
    values = np.array([[json.loads(record.data)["iotValue"]] for record in script], dtype=float)
    times = first + np.arange(len(script)) * 1000
    found = Fleet(CONFIGURATION).process(Readings(("a",), np.zeros(len(script), np.int64), times, values)).score
    return [0.0] * 16 + found[16:].tolist()


async def test_no_checkpoint_passes_a_document_that_is_not_acknowledged(world):
    world.index.open.clear()
    one, _ = await world.pipeline(ScriptedStream(records(100), ends=True), checkpoint_seconds=0.01)
    running = asyncio.create_task(one.run())
    await asyncio.sleep(0.2)
    stuck = (await world.lease()).position
    assert stuck is None or stuck <= Position(16 + 7)  # learning readings make no documents
    world.index.open.set()
    assert await running is True


async def test_a_stalled_index_stops_the_fetching_and_loses_nothing(world):
    world.index.open.clear()
    stream = ScriptedStream(records(2000), ends=True)
    one, context = await world.pipeline(stream, budget=1500)
    running = asyncio.create_task(one.run())
    await asyncio.sleep(0.3)
    assert stream.handed_out < 100
    assert context.budget.taken <= 1500
    world.index.open.set()
    assert await running is True
    assert len(world.index.documents) == 2000 - 16


async def test_what_records_unpack_to_is_bounded_and_each_part_may_be_a_checkpoint(world, monkeypatch):
    monkeypatch.setattr(decoder, "BATCH_MEMORY", 30_000)  # 60 readings
    monkeypatch.setattr(shard, "SCORED_BYTES", 100_000)
    single, first = records(2000), 1_795_746_600_000
    timed = [one.data[:-1] + b', "iotTime": %d}' % (first + one.arrival) for one in single]
    script = [
        Record(Position(1 + start // 50), "a", first + 10**9, b"\n".join(timed[start : start + 50]))
        for start in range(0, len(timed), 50)
    ]
    world.index.open.clear()
    one, context = await world.pipeline(ScriptedStream(script, batch=40, ends=True), checkpoint_seconds=0.001)
    running = asyncio.create_task(one.run())
    await eventually(lambda: one._scored_bytes > shard.SCORED_BYTES)
    await asyncio.sleep(0.1)
    assert one._scored_bytes <= shard.SCORED_BYTES + 50_000
    world.index.open.set()
    await eventually(lambda: running.done() or (one.committed and one.committed < Position(40)))
    assert await running is True
    assert context.budget.taken == one._scored_bytes == 0
    found = {each["@timestamp"]: each["anomaly_score"] for each in world.index.documents.values()}
    assert [found[time] for time in sorted(found)] == expected_scores(single, first)[16:]


async def test_while_the_index_is_away_one_copy_of_the_models_waits(world):
    """However often checkpoints are due."""
    world.index.open.clear()
    one, _ = await world.pipeline(ScriptedStream(records(400), batch=1), checkpoint_seconds=0.001)
    running = asyncio.create_task(one.run())
    await eventually(lambda: one._scored.full())
    assert sum(pending.checkpoint is not None for pending in one._scored._queue) <= 1
    world.index.open.set()
    await eventually(lambda: len(world.index.documents) == 400 - 16)
    one.stop()
    assert await running is False
    assert (await world.lease()).position == Position(400)


async def test_when_the_lease_is_lost_the_work_is_dropped_and_the_new_holder_does_it_again(world):
    world.index.open.clear()
    script = records(100)
    zombie, context = await world.pipeline(ScriptedStream(script), checkpoint_seconds=0.01)
    running = asyncio.create_task(zombie.run())
    await eventually(lambda: zombie.in_flight)
    heir, _ = await world.pipeline(ScriptedStream(script, batch=13, ends=True), hold=await world.hold("heir"))
    world.index.open.set()
    with pytest.raises(ExceptionGroup) as lost:
        await running
    assert lost.group_contains(LeaseLostError)
    assert context.budget.taken == zombie.in_flight == 0
    assert await heir.run() is True
    assert scores(world.index) == expected_scores(script)


async def test_a_pipeline_ends_as_soon_as_its_lease_is_known_to_be_lost(world):
    one, _ = await world.pipeline(ScriptedStream(records(50)))
    running = asyncio.create_task(one.run())
    await eventually(lambda: len(world.index.documents) == 50 - 16)
    await world.hold("another")
    with pytest.raises(LeaseLostError):
        await one._held.renew()
    with pytest.raises(ExceptionGroup):
        await running


async def test_bad_records_and_refused_documents_become_dead_letters_with_their_reasons(world):
    script = records(60)
    script[30] = Record(Position(31), "a", 0, b"junk")
    world.index.refuse = lambda entry: entry.position == Position(50)
    one, context = await world.pipeline(ScriptedStream(script, ends=True))
    assert await one.run() is True
    assert {letter.record.position.sequence: letter.code for letter in world.index.letters.values()} == {
        31: "not_json",
        50: "mapping",
    }
    assert len(world.index.documents) == 60 - 16 - 2
    assert Metrics.value(context.metrics.dead) == 2


async def test_a_gap_in_the_stream_becomes_a_dead_letter(world):
    gap = Gap(Position(5), Position(9), resumed=1234)
    one, _ = await world.pipeline(ScriptedStream(records(20), ends=True, gap=gap))
    assert await one.run() is True
    (letter,) = world.index.letters.values()
    assert (letter.code, letter.record.arrival) == ("gap", 1234)
    assert "after sequence number 5 and before sequence number 9" in letter.reason


async def test_checkpoints_come_while_the_stream_is_silent(world):
    one, _ = await world.pipeline(ScriptedStream(records(50)), checkpoint_seconds=0.1)
    running = asyncio.create_task(one.run())
    await eventually(lambda: one.committed == Position(50))
    models = await world.models()
    assert {sensor: (model.first_key, model.last_key) for sensor, model in models.items()} == {
        "a": (hash_key("a"), hash_key("a"))
    }
    one.stop()
    await running


async def test_a_reading_can_be_scored_without_being_learnt(world):
    one, _ = await world.pipeline(ScriptedStream(records(100)))
    running = asyncio.create_task(one.run())
    await eventually(lambda: len(world.index.documents) == 84)
    once, twice = [await one.score("a", 0, np.array([500.0])) for _ in range(2)]
    assert once.score[0] == twice.score[0] > 10
    assert await one.score("b", 0, np.array([500.0])) is None
    one.stop()
    await running


@pytest.mark.parametrize("batch", [13, 500])
async def test_a_silent_sensor_is_a_document_whatever_the_batches(world, batch):
    minutes = [(minute, sensor) for minute in range(400) for sensor in "ab" if sensor == "a" or minute < 200]
    script = [
        Record(Position(i + 1), sensor, 60_000 * minute, json.dumps({"iotName": sensor, "iotValue": i % 7}).encode())
        for i, (minute, sensor) in enumerate(minutes)
    ]
    stream = ScriptedStream(script, batch=batch, ends=True)
    one, context = await world.pipeline(stream, index_all=False, index_record=True)
    assert await one.run() is True
    silences = {
        key: document for key, document in world.index.documents.items() if document["anomaly_kind"] == "silent"
    }
    (document,) = silences.values()
    assert document["sensor"] == "b"
    assert document["silent_since"] == "1970-01-01T03:19:00.000Z"
    assert document["@timestamp"] == "1970-01-01T03:29:00.000Z"
    assert document["event.kind"] == "alert"
    assert "record" not in document, "that is another sensor's"
    assert list(silences) == [document_id("stream", SHARD, Position(411), "silent b", "rcf-1", __version__)]
    assert context.recent.search(Filter(sensor="b", anomalies=True), 1)[0]["anomaly_kind"] == "silent"


async def test_models_that_this_version_cannot_read_are_refused_or_learnt_anew(world):
    one, _ = await world.pipeline(ScriptedStream(records(50)))
    hold = one._held
    await hold.commit(Checkpoint(Position(30), models={"a": Model(b"of a later version")}))
    refusing, _ = await world.pipeline(ScriptedStream(records(50)), hold=await world.hold("two"))
    with pytest.raises(StateError, match=r"sensor 'a'.*on_bad_snapshot = learn"):
        await refusing.run()
    learning, _ = await world.pipeline(
        ScriptedStream(records(50), ends=True), hold=await world.hold("three", on_bad_snapshot="learn")
    )
    assert await learning.run() is True
    assert len(world.index.documents) == 20 - 16  # from the same position on
