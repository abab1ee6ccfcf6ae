"""The way of one shard's records: fetch, decode and score, deliver, checkpoint.

Three tasks work on consecutive batches at once; each stage keeps the shard's order.

Guarantee: a checkpoint is committed only when every document and dead letter of the records up to its position is
acknowledged, and it holds the models as of that position. A crash repeats what came after the checkpoint, with the same
document ids. When the index stalls, batches wait, the room for records fills up and fetching stops; nothing is dropped.
When the lease is lost, what is not committed is dropped, for the shard's new holder reads it again. In memory are at
most the models, a copy of those that wait to be committed, the room for records, and a few thousand documents a shard.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from detector.fleet import Fleet
from detector.types import Floats, Readings, Scores
from service.metrics import Metrics
from service.pipeline.decode import DecodeError, Decoder, Labeller, Reading
from service.pipeline.documents import Entry, ScoredBatch, entries, record_fields
from service.pipeline.records import DeadLetter, Gap, HashKeys, Position, Record
from service.sinks.dead_letters import DeadLetters, describe_letter, refusal_letter
from service.sinks.index import Index
from service.sinks.recent_scores import RecentScores
from service.source.aggregates import hash_key
from service.source.kinesis import Fetched, Room, Stream
from service.state.checkpoints import Checkpoint, Hold
from service.state.leases import LeaseLostError
from service.state.snapshots import Model

log = logging.getLogger("cutwater.pipeline")
T = TypeVar("T")

_NOTHING = Fetched([], 0, 0, ended=False)
BATCHES_AHEAD = 4  # between two stages; the real bound is the room for bytes
DOCUMENTS_AT_ONCE = 5_000  # made and written at once; a document takes many times the memory of a scored record
_AGAIN_SECONDS = 1.0  # before another try of a checkpoint while one is still on its way


@dataclass(frozen=True, slots=True)
class Setup:
    """What all shards of a service share."""

    stream: Stream
    stream_name: str
    decode: Decoder
    label: Labeller | None
    features: Sequence[str]
    detector: str
    index_all: bool
    index_record: bool
    checkpoint_seconds: float
    room: Room
    executor: Executor
    index: Index
    letters: DeadLetters
    recent: RecentScores
    metrics: Metrics


@dataclass(slots=True)
class Work:
    """A batch between scoring and acknowledgement, or a bare checkpoint."""

    size: int = 0
    records: Sequence[Record] = ()
    scored: ScoredBatch | None = None
    rows: Sequence[int] = ()  # that are to become documents
    sources: Sequence[Record] = ()  # each reading's record, if documents are to hold it
    letters: list[DeadLetter] = field(default_factory=list)
    checkpoint: Checkpoint | None = None


class ShardPipeline:
    """One shard from its last checkpoint to its end, until ``stop``, or until its lease is lost."""

    def __init__(self, hold: Hold, setup: Setup, fleet: Fleet) -> None:
        self.shard = hold.shard
        self.state = "reading"
        self.behind: int | None = None
        self.in_flight = 0
        self.committed: Position | None = None
        self.uncommitted_since: float | None = None  # of the loop's clock; None if all that was fetched is committed
        self._hold = hold
        self._setup = setup
        self._fleet = fleet
        self._keys = HashKeysOf(hold.lease.hash_keys)
        self._scoring = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._fetched: asyncio.Queue[Fetched | None] = asyncio.Queue(BATCHES_AHEAD)
        self._worked: asyncio.Queue[Work | None] = asyncio.Queue(BATCHES_AHEAD)
        self._committing = 0  # checkpoints on their way
        self._fetched_to: Position | None = None

    async def run(self) -> bool:
        """Work until the shard's end (True) or until stopped and everything fetched is committed (False).

        Raises LeaseLostError (in an ExceptionGroup), StreamError or StateError.
        """
        start = await self._restore()
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch())
                tasks.create_task(self._fetch(start.position))
                tasks.create_task(self._work(start.position))
                ended = await self._deliver()
                watching.cancel()
        finally:
            await self._setup.room.release(self.in_flight)
            self.in_flight = 0
            self._setup.metrics.forget(self.shard)
        return ended

    def stop(self) -> None:
        """Fetch no more; what is fetched will be finished."""
        self._stopping.set()

    async def score(self, sensor: str, time: int, values: Floats) -> Scores | None:
        """What a reading would score now; None if this shard never saw the sensor."""
        async with self._scoring:
            return await self._in_thread(self._fleet.score, sensor, np.array([time], dtype=np.int64), values[None, :])

    async def _restore(self) -> Checkpoint:
        start = await self._hold.restore()
        self.committed = start.position
        try:
            await self._in_thread(self._fleet.restore, {sensor: model.state for sensor, model in start.models.items()})
            self._keys.restore(start.models)
        except ValueError as error:
            self._hold.refuse(str(error))
            self._fleet = self._fleet.fresh()
        if self._hold.lease.parents and not self._hold.lease.snapshot:
            await self._hold.commit(Checkpoint(start.position))  # what it has inherited is its own from now on
        return start

    async def _watch(self) -> None:
        """End everything when the lease is lost."""
        await self._hold.lost.wait()
        raise LeaseLostError(self.shard)

    # Fetch

    async def _fetch(self, after: Position | None) -> None:
        reader = self._setup.stream.read(self.shard, after, self._setup.room, self._hold.lease.since)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while fetched := await self._next(reader, stopping):
                await self._fetched.put(fetched)
        finally:
            stopping.cancel()
        await self._fetched.put(None)

    async def _next(self, reader: AsyncIterator[Fetched], stopping: asyncio.Task[Any]) -> Fetched | None:
        """The next batch; None at the end or when stopped. Whatever was fetched is counted as in flight."""
        if stopping.done():
            return None
        read = asyncio.ensure_future(anext(reader, None))
        try:
            await asyncio.wait((read, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not read.done():
                read.cancel()
                await asyncio.wait((read,))
            fetched = None if read.cancelled() or read.exception() else read.result()
            if fetched is not None:
                self._note_fetched(fetched)
        return None if read.cancelled() else read.result()

    def _note_fetched(self, fetched: Fetched) -> None:
        metrics = self._setup.metrics
        self.behind = fetched.behind
        self.in_flight += fetched.size
        if fetched.records:
            self._fetched_to = fetched.records[-1].position
            if self.uncommitted_since is None:
                self.uncommitted_since = asyncio.get_running_loop().time()
        metrics.behind.labels(self.shard).set(fetched.behind)

    # Decode and score

    async def _work(self, start: Position | None) -> None:
        clock = asyncio.get_running_loop().time
        position = snapshotted = start
        due = clock() + self._setup.checkpoint_seconds
        running = True
        while running:
            fetched: Fetched | None = _NOTHING
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due if position != snapshotted else None):
                    fetched = await self._fetched.get()
            ended = fetched is not None and fetched.ended
            running = fetched is not None and not ended
            work = Work()
            if fetched is not None and fetched.records:
                async with self._scoring:
                    work = await self._in_thread(self._score, fetched)
                position = fetched.records[-1].position
                self._note_scored(work)
            if fetched is not None and fetched.gap:
                work.letters.insert(0, self._gap(fetched.gap))
            if ended or (position != snapshotted and (clock() >= due or not running)):
                if running and self._committing:  # the index or the store is slow; one copy of the models is enough
                    due = clock() + min(_AGAIN_SECONDS, self._setup.checkpoint_seconds)
                else:
                    work.checkpoint = Checkpoint(position, ended, await self._in_thread(self._snapshot))
                    snapshotted, due = position, clock() + self._setup.checkpoint_seconds
                    self._committing += 1
            if work.records or work.letters or work.checkpoint:
                await self._worked.put(work)
        await self._worked.put(None)

    def _note_scored(self, work: Work) -> None:
        if work.scored is None:
            return
        self._setup.recent.append(work.scored)
        metrics, scores = self._setup.metrics, work.scored.scores
        ready = int(np.count_nonzero(scores.ready))
        metrics.scored.inc(ready)
        metrics.learning.inc(len(scores) - ready)
        metrics.anomalies.inc(int(np.count_nonzero(scores.is_anomaly | scores.alert)) + len(work.scored.silences))

    def _score(self, fetched: Fetched) -> Work:
        """In a worker thread: a batch of records to documents and dead letters."""
        setup = self._setup
        with setup.metrics.batch_seconds.time():
            work = Work(fetched.size, fetched.records)
            decoded: list[tuple[Record, int, Reading]] = []
            for record in fetched.records:
                try:
                    decoded.extend((record, ordinal, reading) for ordinal, reading in enumerate(setup.decode(record)))
                except DecodeError as error:
                    work.letters.append(DeadLetter(setup.stream_name, self.shard, record, error.code, str(error)))
            self._keys.note(decoded)
            if decoded:
                readings = _columns([reading for _, _, reading in decoded])
                scores = self._fleet.process(readings)
                work.scored = ScoredBatch(
                    stream=setup.stream_name,
                    shard=self.shard,
                    positions=[record.position for record, _, _ in decoded],
                    arrivals=[record.arrival for record, _, _ in decoded],
                    ordinals=[ordinal for _, ordinal, _ in decoded],
                    features=setup.features,
                    detector=setup.detector,
                    readings=readings,
                    scores=scores,
                    silences=self._fleet.silences,
                    labels=[setup.label(record) for record, _, _ in decoded] if setup.label else (),
                )
                wanted = scores.ready if setup.index_all else scores.is_anomaly | scores.alert | scores.renamed
                silences = range(len(scores), len(scores) + len(self._fleet.silences))
                work.sources = [record for record, _, _ in decoded] if setup.index_record else ()
                work.rows = [*np.flatnonzero(wanted).tolist(), *silences]
            return work

    def _snapshot(self) -> Mapping[str, Model]:
        """In a worker thread: the models that the next checkpoint must hold."""
        changed = self._fleet.snapshot(self._hold.outdated())
        return {sensor: Model(state, *self._keys.of(sensor)) for sensor, state in changed.items()}

    def _gap(self, gap: Gap) -> DeadLetter:
        """What may have been lost, as a dead letter at the place just behind the checkpoint."""
        place = Position(gap.after.sequence, gap.after.subsequence + 1)
        until = f"sequence number {gap.until.sequence}" if gap.until else "the shard's end"
        return DeadLetter(
            self._setup.stream_name, self.shard, Record(place, "", gap.resumed or 0, b""), "gap",
            f"records after sequence number {gap.after.sequence} and before {until} may have left the stream before "
            "they were read: the service stood still for longer than the stream keeps records",
        )  # fmt: skip

    # Deliver and checkpoint

    async def _deliver(self) -> bool:
        """Hand over whatever waits in one go, then commit the checkpoints in it meanwhile. True at the shard's end."""
        finished = False
        async with asyncio.TaskGroup() as tasks:
            committing: asyncio.Task[None] | None = None
            while not finished:
                waiting, finished = await _everything(self._worked)
                await self._acknowledge(waiting)
                for checkpoint in (work.checkpoint for work in waiting if work.checkpoint):
                    if committing:
                        await committing
                    committing = tasks.create_task(self._commit(checkpoint))
        self.state = "closed" if self._hold.lease.ended else "stopped"
        return self._hold.lease.ended

    async def _commit(self, checkpoint: Checkpoint) -> None:
        metrics, clock = self._setup.metrics, asyncio.get_running_loop().time
        began = clock()
        written = await self._hold.commit(checkpoint)
        metrics.snapshot_seconds.observe(clock() - began)
        metrics.snapshot_bytes.observe(written.size)
        metrics.checkpoints.inc()
        self._committing -= 1
        self.committed = checkpoint.position
        self.uncommitted_since = None if self.committed == self._fetched_to else began

    async def _acknowledge(self, waiting: Sequence[Work]) -> None:
        """Return when the index has everything; give the room back."""
        letters = [letter for work in waiting for letter in work.letters]
        wanted = [(work, row) for work in waiting for row in work.rows]
        for start in range(0, len(wanted), DOCUMENTS_AT_ONCE):
            letters += await self._write(wanted[start : start + DOCUMENTS_AT_ONCE])
        if letters:
            await self._setup.letters.bury(letters)
            await self._setup.index.mention([describe_letter(letter) for letter in letters])
        for letter in letters:
            self._setup.metrics.dead.labels(letter.code).inc()
        for work in waiting:
            self.in_flight -= work.size
            await self._setup.room.release(work.size)

    async def _write(self, wanted: Sequence[tuple[Work, int]]) -> list[DeadLetter]:
        """Return when the index has these rows' documents; those that it will never take, as dead letters."""
        made = await self._in_thread(_documents, wanted)
        refused = {refusal.id: refusal for refusal in await self._setup.index.write(made)}
        self._setup.metrics.indexed.inc(len(made) - len(refused))
        letters = []
        for (work, _), entry in zip(wanted, made, strict=True) if refused else ():
            if refusal := refused.get(entry.id):
                record = next(record for record in work.records if record.position == entry.position)
                letters.append(refusal_letter(self._setup.stream_name, self.shard, record, entry, refusal))
        return letters

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._setup.executor, function, *args)


class HashKeysOf:
    """The hash keys that each sensor's readings come with, which say whose they are after a split or merge.

    Kept are the first and the last of a sensor: a sensor has one partition key, if all is well. A record whose
    partition key does not hash into the shard was put with an explicit hash key, which is not delivered with it; its
    sensor may then belong anywhere in the shard.
    """

    def __init__(self, shard: HashKeys) -> None:
        self._shard = shard
        self._ranges: dict[str, HashKeys] = {}
        self._latest: dict[str, str] = {}  # partition key

    def restore(self, models: Mapping[str, Model]) -> None:
        """Go on from a checkpoint."""
        self._ranges = {sensor: (model.first_key, model.last_key) for sensor, model in models.items()}

    def note(self, decoded: Iterable[tuple[Record, int, Reading]]) -> None:
        """Readings with their records."""
        latest = self._latest
        for record, _, reading in decoded:
            if latest.get(reading.sensor) != record.partition_key:
                latest[reading.sensor] = record.partition_key
                self._widen(reading.sensor, hash_key(record.partition_key))

    def of(self, sensor: str) -> HashKeys:
        """The first and the last."""
        return self._ranges.get(sensor, self._shard)

    def _widen(self, sensor: str, key: int) -> None:
        first, last = (key, key) if self._shard[0] <= key <= self._shard[1] else self._shard
        known = self._ranges.get(sensor, (first, last))
        self._ranges[sensor] = min(known[0], first), max(known[1], last)


async def _everything(queue: asyncio.Queue[T | None]) -> tuple[list[T], bool]:
    """All that waits in the queue, at least one item unless it is finished; and whether it is (a None was found)."""
    items: list[T] = []
    item = await queue.get()
    while item is not None:
        items.append(item)
        if queue.empty():
            return items, False
        item = queue.get_nowait()
    return items, True


def _documents(wanted: Iterable[tuple[Work, int]]) -> list[Entry]:
    """In a worker thread: rows of batches as documents."""
    made = []
    for work, row in wanted:
        if work.scored:
            (entry,) = entries(work.scored, (row,))
            if row < len(work.sources):  # a silence is of no record: another sensor's revealed it
                entry.document.update(record_fields(work.sources[row].data))
            made.append(entry)
    return made


def _columns(readings: Sequence[Reading]) -> Readings:
    """Readings one by one as columns."""
    codes: dict[str, int] = {}
    return Readings(
        codes=np.array([codes.setdefault(reading.sensor, len(codes)) for reading in readings], dtype=np.int64),
        sensors=tuple(codes),
        times=np.array([reading.time for reading in readings], dtype=np.int64),
        values=np.array([reading.values for reading in readings], dtype=np.float64),
    )
