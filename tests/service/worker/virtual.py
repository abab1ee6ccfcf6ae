"""Whole workers in one thread under a clock that the test moves: each on an event loop of its own that runs a step when
it is told to. So any interleaving of workers can be played, and played again; nothing sleeps.

The consumer, the pipelines, the checkpoints and the SQLite stores are the real ones. The stream, the index and the
detector are scripted: the detector is a chain of hashes, which a single reading lost, doubled or out of order changes
for ever.
"""

import asyncio
import hashlib
import itertools
import os
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from detector.types import Readings, Scores
from service.metrics import Metrics
from service.pipeline.core import Core, CoreConfiguration
from service.pipeline.decode import Decoded
from service.pipeline.models import Model, hash_key
from service.pipeline.records import HashKeys, Position, Record
from service.sinks.recent_scores import RecentScores
from service.source.budget import ByteBudget
from service.source.reader import RecordBatch
from service.source.shards import Shard
from service.state.blobs.sqlite import SQLiteBlobs
from service.state.checkpoints import Checkpoints
from service.state.leases import LeaseManager
from service.state.leases.sqlite import SQLiteLeaseStore
from service.state.snapshots import ModelFingerprint
from service.state.snapshots.shard import ShardSnapshots
from service.worker.consumer import Consumer
from service.worker.context import PipelineContext
from service.worker.dead_letter_monitor import DeadLetterMonitor
from service.worker.shard import ShardPipeline

STREAM = "stream"
FINGERPRINT = ModelFingerprint("chain", {})
FAILOVER, CHECKPOINT, STOP = 10.0, 3.0, 20.0  # s
BATCH = 4  # records a read


class Clock:
    now = 0.0


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still until the clock is moved."""

    def __init__(self, clock):
        super().__init__()
        self._moved = clock

    def time(self):
        return self._moved.now

    def step(self) -> None:
        """Run what is ready, once."""
        self.call_soon(self.stop)
        self.run_forever()


class Killed(BaseException):
    """The process is gone."""


class Inline(ThreadPoolExecutor):
    """Runs what it is given at once, until its process is killed."""

    def __init__(self):
        super().__init__(1)
        self.killed = False
        self.flakes = 0  # calls to come whose answers are lost

    def submit(self, function, *arguments):
        future = Future()
        try:
            if self.killed:
                raise Killed
            result = function(*arguments)
            if self.flakes and getattr(function, "__name__", "") == "run":  # of Database.execute
                self.flakes -= 1
                busy = sqlite3.OperationalError("the answer was lost")
                busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise busy
            future.set_result(result)
        except BaseException as error:
            future.set_exception(error)
        return future


# The detector


def link(state: bytes, value: float) -> bytes:
    """The chain's next state."""
    return hashlib.blake2b(state + repr(value).encode(), digest_size=8).digest()


def score(state: bytes) -> float:
    return float(int.from_bytes(state[:6]))


class Chain:
    """A fleet of chains. Amid a batch it may break."""

    breaks = broken = 0  # batches to come that raise, and those that have

    def __init__(self):
        self.configuration, self.silences = None, []
        self.states, self.changed = {}, set()

    def process(self, readings) -> Scores:
        scores = Scores.empty(len(readings), 1)
        scores.ready[:] = True
        for row, code in enumerate(readings.codes):
            sensor = readings.sensors[code]
            self.states[sensor] = link(self.states.get(sensor, b""), float(readings.values[row, 0]))
            if Chain.breaks:
                Chain.breaks -= 1
                Chain.broken += 1
                raise BrokenError("of the detector")
            scores.score[row] = score(self.states[sensor])
            self.changed.add(sensor)
        return scores

    def snapshot(self, also=frozenset()):
        wanted = self.changed | (also & self.states.keys())
        self.changed = set()
        return {sensor: self.states[sensor] for sensor in sorted(wanted)}

    def restore(self, snapshots):
        self.states |= snapshots

    def empty_copy(self):
        return Chain()


# The stream


@dataclass
class ScriptedShard:
    """A shard with what every reader of it must come to."""

    shard: Shard
    inherited: dict[str, Model]
    records: list[Record] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)  # of each record
    closed: bool = False
    listed: bool = True

    def put(self, record: Record, sensor: str, value: float) -> None:
        state = link(self.models().get(sensor, Model(b"")).state, value)
        self.records.append(record)
        self.scores.append(score(state))

    def models(self, until: Position | None = None) -> dict[str, Model]:
        """What is known after the record at a position; after all of them if there is none."""
        models = dict(self.inherited)
        for record in self.records:
            if until is not None and record.position > until:
                break
            sensor, value, key = record.partition_key, float(record.data), hash_key(record.partition_key)
            models[sensor] = Model(link(models.get(sensor, Model(b"")).state, value), key, key)
        return models


class NumberDecoder:
    """A record is a number, its partition key the sensor."""

    def decode(self, records, *, bounded=False) -> Decoded:
        n = len(records)
        sensors = tuple(dict.fromkeys(record.partition_key for record in records))
        readings = Readings(
            codes=np.array([sensors.index(record.partition_key) for record in records], dtype=np.int64),
            sensors=sensors,
            times=np.array([record.arrival for record in records], dtype=np.int64),
            values=np.array([float(record.data) for record in records]).reshape(n, 1),
        )
        return Decoded(readings, range(n), [0] * n, (), (), n, 0)

    def element(self, record: Record, ordinal: int) -> bytes:
        return record.data


class ScriptedStream:
    """A stream that can be resharded."""

    def __init__(self, clock, shards=2):
        self._clock = clock
        self._numbers = itertools.count(1)
        self.all: dict[str, ScriptedShard] = {}
        width = 2**128 // shards
        for i in range(shards):
            self._add((), (i * width, (i + 1) * width - 1), {})

    def _add(self, parents, keys: HashKeys, inherited) -> None:
        shard = Shard(f"shardId-{len(self.all):012d}", parents, keys)
        within = {s: m for s, m in inherited.items() if keys[0] <= m.first_key <= keys[1]}
        self.all[shard.id] = ScriptedShard(shard, within)

    def open(self) -> list[ScriptedShard]:
        return [one for one in self.all.values() if not one.closed]

    def put(self, sensor: str, value: float) -> None:
        key = hash_key(sensor)
        (one,) = [one for one in self.open() if one.shard.hash_keys[0] <= key <= one.shard.hash_keys[1]]
        data, arrival = repr(value).encode(), round(self._clock.now * 1000)
        one.put(Record(Position(next(self._numbers)), sensor, arrival, data), sensor, value)

    def split(self, one: ScriptedShard) -> None:
        first, last = one.shard.hash_keys
        one.closed = True
        middle = (first + last) // 2
        for keys in ((first, middle), (middle + 1, last)):
            self._add((one.shard.id,), keys, one.models())

    def merge(self, left: ScriptedShard, right: ScriptedShard) -> None:
        left.closed = right.closed = True
        keys = (left.shard.hash_keys[0], right.shard.hash_keys[1])
        self._add((left.shard.id, right.shard.id), keys, left.models() | right.models())

    async def shards(self) -> list[Shard]:
        await asyncio.sleep(0)
        return [one.shard for one in self.all.values() if one.listed]

    async def read(self, shard, after, budget, since=None):
        one = self.all[shard]
        ended = False
        while not ended:
            await asyncio.sleep(0)
            left = [record for record in one.records if after is None or record.position > after]
            left = [record for record in left if after or since is None or record.arrival >= since]
            chunk = left[:BATCH]
            size = sum(len(record.data) for record in chunk)
            await budget.reserve(size)
            ended = one.closed and len(left) == len(chunk)
            after = chunk[-1].position if chunk else after
            yield RecordBatch(chunk, size, 0, ended)
            if not ended:
                await asyncio.sleep(0 if chunk else 1)


class BrokenError(Exception):
    """A bug of ours."""


class Index:
    """Documents of all workers by id. Nobody gets through while it is away; it may break, too."""

    def __init__(self):
        self.documents, self.away = {}, False
        self.breaks = self.broken = 0  # writes to come that raise, and those that have

    async def write(self, entries):
        if self.breaks:
            self.breaks -= 1
            self.broken += 1
            raise BrokenError("of the index")
        for _ in range(2):
            await asyncio.sleep(0)
        while self.away:  # noqa: ASYNC110 - many loops wait, to which no event belongs
            await asyncio.sleep(1)
        for entry in entries:
            assert self.documents.setdefault(entry.id, entry.document) == entry.document
        await asyncio.sleep(0)
        return []


# Workers


class Worker:
    """One process."""

    def __init__(self, world, name):
        self.name = name
        self.loop, self.executor = Loop(world.clock), Inline()
        self.loop.set_default_executor(self.executor)
        self.paused = False
        self.consumer = None
        self.metrics = Metrics()
        self.budget = ByteBudget(200)
        self.table = SQLiteLeaseStore(world.path, STREAM, self.name, self.executor)
        self.blobs = SQLiteBlobs(world.path, self.executor)
        self.main = self.loop.create_task(self._main(world))

    async def _main(self, world) -> bool:
        await self.table.open()
        await self.blobs.open()
        configuration = CoreConfiguration(STREAM, "chain", ("value",), NumberDecoder())
        context = PipelineContext(
            stream=world.stream,
            stream_name=STREAM,
            checkpoint_seconds=CHECKPOINT,
            budget=self.budget,
            executor=self.executor,
            index=world.index,
            letters=world.index,
            recent=RecentScores(100),
            metrics=self.metrics,
            dead_letter_monitor=DeadLetterMonitor(self.loop.time),
        )
        checkpoints = Checkpoints(LeaseManager(self.table, self.name), self.blobs, STREAM, FINGERPRINT, "refuse")
        self.consumer = Consumer(
            stream=world.stream,
            checkpoints=checkpoints,
            pipeline=lambda hold: ShardPipeline(
                hold, context, Core(configuration, hold.shard, Chain(), hold.lease.hash_keys)
            ),
            since=world.since,
            failover_seconds=FAILOVER,
            stop_seconds=STOP,
            metrics=context.metrics,
        )
        finished = await self.consumer.run()
        await self.blobs.close()
        await self.table.close()
        return finished

    @property
    def over(self) -> bool:
        return self.main.done()

    def step(self) -> None:
        if not (self.paused or self.over):
            self.loop.step()
            if self.over:
                self.main.result()  # raises what went wrong

    def kill(self, noticed: bool) -> None:
        """End at once. Not noticed: as on another machine, whose locks nobody sees."""
        self.executor.killed = True
        if noticed and self.table._lock_file is not None:
            os.close(self.table._lock_file)
            self.table._lock_file = None

    def tidy_up(self) -> None:
        """Tidy up in the test's own process what a killed one would leave to the system."""
        self.executor.killed = True
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        for _ in range(50):
            if not asyncio.all_tasks(self.loop):
                break
            self.loop.step()
        for store in (self.table, self.blobs):
            if store._database._db is not None:
                store._database._db.close()
        if self.table._lock_file is not None:
            os.close(self.table._lock_file)
        self.loop.close()


class World:
    """A stream, an index, and workers that come and go."""

    def __init__(self, folder, shards=2):
        self.clock = Clock()
        Chain.breaks = Chain.broken = 0
        self.since = None  # where a worker that starts now would begin to read a new stream
        self.path = folder / "cutwater.db"
        self.stream = ScriptedStream(self.clock, shards)
        self.index = Index()
        self.workers: list[Worker] = []
        self._gone: list[Worker] = []
        self._places: dict[str, tuple[bool, Position, int]] = {}
        self._look = Loop(self.clock)
        self._table, self._blobs = (
            SQLiteLeaseStore(self.path, STREAM, "test", Inline()),
            SQLiteBlobs(self.path, Inline()),
        )
        self._look.set_default_executor(Inline())
        for store in (self._table, self._blobs):
            self._look.run_until_complete(store.open())

    def start(self) -> Worker:
        self.workers.append(Worker(self, f"worker-{len(self.workers) + len(self._gone)}"))
        return self.workers[-1]

    def kill(self, worker: Worker, noticed: bool = True) -> None:
        worker.kill(noticed)
        self.workers.remove(worker)
        self._gone.append(worker)

    def steps(self, count: int) -> None:
        for _ in range(count):
            for worker in list(self.workers):
                worker.step()
                if worker.over:
                    self.workers.remove(worker)
                    self._gone.append(worker)

    def advance(self, seconds: float, steps: int = 40) -> None:
        self.clock.now += seconds
        self.steps(steps)

    def rows(self):
        return self._look.run_until_complete(self._table.rows())

    def check(self) -> None:
        """No gap below any checkpoint, models equal to a replay, and no document that an undisturbed run lacks."""
        expected = self.expected()
        for lease in self.rows():
            shard = self.stream.all[lease.shard]
            place = (lease.ended, lease.position or Position(0), lease.counter)
            assert place >= self._places.get(lease.shard, place), "a checkpoint went back"
            self._places[lease.shard] = place
            for record in shard.records:
                if lease.ended or (lease.position is not None and record.position <= lease.position):
                    assert (lease.shard, record.position.sequence) in self.found(), "a gap below the checkpoint"
            if lease.snapshot and shard.listed:  # else it is being deleted, the snapshot before the row
                reader = ShardSnapshots(self._blobs, f"{STREAM}/{lease.shard}", 2**60, FINGERPRINT)
                models = self._look.run_until_complete(reader.read(lease.snapshot))
                begun = lease.ended or lease.position is not None
                assert models == (shard.models(lease.position) if begun else shard.inherited)
        assert self.found().items() <= expected.items()

    def found(self) -> dict[tuple[str, int], float]:
        """(shard, sequence number): score."""
        documents = self.index.documents.values()
        found = {(d["shard"], int(d["sequence_number"])): d["anomaly_score"] for d in documents}
        assert len(found) == len(documents), "doubled"
        return found

    def expected(self) -> dict[tuple[str, int], float]:
        return {
            (name, record.position.sequence): expected
            for name, shard in self.stream.all.items()
            for record, expected in zip(shard.records, shard.scores, strict=True)
        }

    def faults(self) -> int:
        """How often a shard's pipeline ended with an error."""
        return sum(int(Metrics.value(worker.metrics.faults)) for worker in self.workers + self._gone)

    def settle(self, seconds: int = 200) -> None:
        """Let whoever lives come to the end of all there is."""
        self.index.away = False
        self.index.breaks = Chain.breaks = 0
        for worker in self.workers:
            worker.paused = False
        if not self.workers:
            self.start()
        for _ in range(seconds):
            self.advance(1)
            if not self.workers:
                self.start()
            if self.found() == self.expected() and not any(worker.budget.taken for worker in self.workers):
                break

    def close(self) -> None:
        for worker in self.workers + self._gone:
            worker.tidy_up()
        for store in (self._table, self._blobs):
            self._look.run_until_complete(store.close())
        self._look.close()


SENSORS = [f"sensor-{i}" for i in range(8)]
