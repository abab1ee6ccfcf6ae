"""The way of one shard's records: fetch, decode and score, deliver, checkpoint.

Three tasks work on consecutive batches at once; each stage keeps the shard's order.

Guarantee: a checkpoint is committed only when every document and dead letter of the records up to its position is
acknowledged, and it holds the models as of that position. A crash repeats what came after the checkpoint, with the same
document ids. When the index stalls, batches wait, the byte budget is used up and fetching stops; nothing is dropped.
When the lease is lost, what is not committed is dropped, for the shard's new holder reads it again. In memory are at
most the models, a copy of those that wait to be committed, the byte budget, and for each shard what comes of its
records until it is acknowledged: SCORED_BYTES, a batch and a record more, and a few thousand documents.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from detector.types import KINDS, SILENT, Floats, Forecast, Scores
from service.pipeline.core import Core, Output
from service.pipeline.documents import IndexDocument, JoinedDocuments
from service.pipeline.event_stage import enrichment_of
from service.pipeline.records import DeadLetter, Position
from service.sinks.dead_letters.format import describe_letter, rejection_letter
from service.sinks.notify.outbox import Outbox
from service.source.reader import RecordBatch
from service.state.checkpoints import Checkpoint, HeldLease
from service.state.leases import LeaseLostError
from service.worker.context import PipelineContext

log = logging.getLogger("cutwater.pipeline")
T = TypeVar("T")

_NOTHING = RecordBatch([], 0, 0, ended=False)
BATCHES_AHEAD = 4  # between two stages; the real bound is the byte budget
SCORED_BYTES = 64 * 1024 * 1024  # of a shard's readings and refusals, scored and not acknowledged, before it waits
DOCUMENTS_AT_ONCE = 5_000  # made and written at once; a document takes many times the memory of a scored record
_AGAIN_SECONDS = 1.0  # before another try of a checkpoint while one is still on its way


@dataclass(slots=True)
class PendingBatch:
    """A batch between scoring and acknowledgement, or a bare checkpoint.

    Attributes:
        size: what its records take in memory, in bytes.
        output: what came of them.
        checkpoint: to be committed once all before it is acknowledged.
    """

    size: int = 0
    output: Output | None = None
    checkpoint: Checkpoint | None = None


class ShardPipeline:
    """One shard from its last checkpoint to its end, until ``stop``, or until its lease is lost."""

    def __init__(self, held: HeldLease, context: PipelineContext, core: Core) -> None:
        self.shard = held.shard
        self.state = "reading"
        self.behind: int | None = None
        self.in_flight = 0
        self.committed: Position | None = None
        self.uncommitted_since: float | None = None  # of the loop's clock; None if all that was fetched is committed
        self._held = held
        self._context = context
        self._core = core
        self._scoring = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._fetched: asyncio.Queue[RecordBatch | None] = asyncio.Queue(BATCHES_AHEAD)
        self._scored: asyncio.Queue[PendingBatch | None] = asyncio.Queue(BATCHES_AHEAD)
        self._commit_done = asyncio.Event()  # no checkpoint is on its way
        self._commit_done.set()
        self._repeats = True  # an earlier worker, which had not heard the news, may have delivered what comes next
        self._fetched_to: Position | None = None
        self._scored_bytes = 0
        self._acknowledged = asyncio.Event()  # since it was last cleared
        self._outbox: Outbox | None = None
        self._heard = (0, 0)  # how much was said, and of how many sensors, when it was last asked

    async def run(self) -> bool:
        """Work until the shard's end (True) or until stopped and everything fetched is committed (False).

        Raises LeaseLostError (in an ExceptionGroup), StreamError or StateError.
        """
        if self._context.notifier:
            self._outbox = self._context.notifier.outbox(self.shard)
        try:
            start = await self._restore()
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch())
                tasks.create_task(self._fetch(start.position))
                tasks.create_task(self._work(start.position))
                ended = await self._deliver()
                watching.cancel()
        finally:
            if self._context.notifier and self._outbox:
                self._context.notifier.close_outbox(self._outbox)
            await self._context.budget.release(self.in_flight)
            self.in_flight = 0
            self._context.metrics.forget(self.shard)
        return ended

    def stop(self) -> None:
        """Fetch no more; what is fetched will be finished."""
        self._stopping.set()

    async def score(self, sensor: str, time: int, values: Floats) -> Scores | None:
        """What a reading would score now; None if this shard never saw the sensor."""
        async with self._scoring:
            return await self._in_thread(self._core.score, sensor, np.array([time], dtype=np.int64), values[None, :])

    async def forecast(self, sensor: str, horizon: int) -> Forecast | None:
        """What the sensor's next readings are expected to be; None if this shard never saw the sensor."""
        async with self._scoring:
            return await self._in_thread(self._core.forecast, sensor, horizon)

    async def _restore(self) -> Checkpoint:
        start = await self._held.restore()
        self.committed = start.position
        tables = self._context.tables
        try:
            if tables and (version := enrichment_of(start.states)) is not None:
                self._core.use(await tables.at(version))
            await self._in_thread(self._core.restore, start.models, start.states)
        except ValueError as error:
            self._held.refuse(str(error))
        if self._outbox:  # what a parent has to tell is told by the child that has the sensor
            self._outbox.restore(start.notices, None if self._held.lease.snapshot else start.models)
        named = tables is None or not tables.current.version or start.states  # else nothing says what is used from here
        if not named or (self._held.lease.parents and not self._held.lease.snapshot):
            # What it has inherited is its own from now on.
            await self._held.commit(Checkpoint(start.position, states=(self._core.state(),), notices=self._notices()))
            self._repeats = False
        return start

    async def _watch(self) -> None:
        """End everything when the lease is lost."""
        await self._held.lost.wait()
        raise LeaseLostError(self.shard)

    # Fetch

    async def _fetch(self, after: Position | None) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        reading = self._context.stream.read(self.shard, after, self._context.budget, self._held.lease.since)
        try:
            async with aclosing(reading) as reader:
                while fetched := await self._next(reader, stopping):
                    await self._fetched.put(fetched)
        finally:
            stopping.cancel()
        await self._fetched.put(None)

    async def _next(self, reader: AsyncIterator[RecordBatch], stopping: asyncio.Task[Any]) -> RecordBatch | None:
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

    def _note_fetched(self, fetched: RecordBatch) -> None:
        metrics = self._context.metrics
        self.behind = fetched.behind
        self.in_flight += fetched.size
        if fetched.records:
            self._fetched_to = fetched.records[-1].position
            if self.uncommitted_since is None:
                self.uncommitted_since = asyncio.get_running_loop().time()
        metrics.behind.labels(self.shard).set(fetched.behind / 1000)

    # Decode and score

    async def _work(self, start: Position | None) -> None:
        clock = asyncio.get_running_loop().time
        position = snapshotted = start
        due = clock() + self._context.checkpoint_seconds
        running = True
        rest: RecordBatch | None = None  # of a batch that unpacks to more than is processed at once
        while running:
            fetched: RecordBatch | None = rest or _NOTHING
            told = self._outbox is not None and self._outbox.changed
            if rest is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due if position != snapshotted or told else None):
                        fetched = await self._fetched.get()
            pending, rest = PendingBatch(), None
            if fetched is not None and (fetched.records or fetched.gap):
                if not self._repeats and (self._tables_have_changed() or await self._hears_news()):
                    await self._use_news(position)
                    snapshotted, due = position, clock() + self._context.checkpoint_seconds
                output = await self._process(fetched)
                fetched, rest = fetched.cut(output.taken)
                pending = PendingBatch(fetched.size, output)
                position = fetched.records[-1].position if fetched.records else position
                self._note_scored(output)
            if fetched is not None and fetched is not _NOTHING and not rest and not fetched.behind:
                self._repeats = False  # it was at the stream's end, where no earlier worker has been
            ended = fetched is not None and fetched.ended
            running = fetched is not None and not ended
            told = self._outbox is not None and self._outbox.changed  # it would be told again after a restart
            if ended or ((position != snapshotted or told) and (clock() >= due or not running)):
                if running and not self._commit_done.is_set():
                    # The index or the store is slow; one copy of the models is enough.
                    due = clock() + min(_AGAIN_SECONDS, self._context.checkpoint_seconds)
                else:
                    if pending.output:
                        await self._scored.put(pending)
                        pending = PendingBatch()
                    await self._commit_done.wait()  # only then is it known which models the next snapshot must hold
                    models = await self._in_thread(self._core.snapshot, self._held.needs_rewrite())
                    state = await self._in_thread(self._core.state)
                    pending.checkpoint = Checkpoint(position, ended, models, (state,), self._notices())
                    snapshotted, due = position, clock() + self._context.checkpoint_seconds
                    self._commit_done.clear()
            if pending.output or pending.checkpoint:
                await self._scored.put(pending)
        await self._scored.put(None)

    def _tables_have_changed(self) -> bool:
        tables, mine = self._context.tables, self._core.enrichment
        return tables is not None and mine is not None and mine.version != tables.current.version

    async def _hears_news(self) -> bool:
        """Whether people called other stretches normal than this shard's state has, which it does from now on."""
        feedback = self._context.feedback
        if feedback is None or (heard := (feedback.changes, self._core.sensors.made)) == self._heard:
            return False
        self._heard = heard
        said = feedback.normal()
        async with self._scoring:
            return bool(said) and await self._in_thread(self._core.call_normal, said)

    async def _use_news(self, position: Position | None) -> None:
        """Go on with the newest tables and feedback once a checkpoint says so: a crash would else mix old and new.

        All up to ``position`` is processed, and nothing after it was delivered by an earlier worker without the news:
        this one has been at the stream's end.
        """
        await self._commit_done.wait()
        if self._tables_have_changed():
            assert self._context.tables
            self._core.use(self._context.tables.current)
        models = await self._in_thread(self._core.snapshot, self._held.needs_rewrite())
        state = await self._in_thread(self._core.state)
        self._commit_done.clear()
        await self._scored.put(PendingBatch(checkpoint=Checkpoint(position, False, models, (state,), self._notices())))
        await self._commit_done.wait()

    async def _process(self, fetched: RecordBatch) -> Output:
        """The first records of a batch to documents and dead letters, in a worker thread, once there is room."""
        while self._scored_bytes > SCORED_BYTES:
            self._acknowledged.clear()
            await self._acknowledged.wait()
        async with self._scoring:
            output = await self._in_thread(self._process_in_thread, fetched)
        self._scored_bytes += output.size
        return output

    def _process_in_thread(self, fetched: RecordBatch) -> Output:
        with self._context.metrics.batch_seconds.time():
            return self._core.process(fetched.records, fetched.gap, bounded=True)

    def _notices(self) -> tuple[bytes, ...]:
        """What is to be told, as of now."""
        return (self._outbox.snapshot(),) if self._outbox else ()

    def _note_scored(self, output: Output) -> None:
        batch = output.scored
        if self._outbox:
            self._outbox.note(batch)
        if self._context.sensor_monitor:
            self._context.sensor_monitor.note(self.shard, self._core.sensors)
        self._context.recent.append(batch)
        counts = output.counts
        self._context.dead_letter_monitor.note_scored(len(batch) + (counts.events if counts else 0))
        metrics, scores = self._context.metrics, batch.scores
        if counts:
            metrics.note_events(self.shard, counts)
        ready = int(np.count_nonzero(scores.ready))
        metrics.scored.inc(ready)
        metrics.learning.inc(len(scores) - ready)
        metrics.anomalies.inc(int(np.count_nonzero(scores.is_anomaly | scores.alert)) + len(batch.silences))
        for kind in (*scores.kind[scores.alert].tolist(), *(SILENT for silence in batch.silences if silence.alert)):
            metrics.alerts.labels(KINDS[kind]).inc()

    # Deliver and checkpoint

    async def _deliver(self) -> bool:
        """Hand over whatever waits in one go, then commit the checkpoints in it meanwhile. True at the shard's end."""
        finished = False
        async with asyncio.TaskGroup() as tasks:
            committing: asyncio.Task[None] | None = None
            while not finished:
                waiting, finished = await _everything(self._scored)
                await self._acknowledge(waiting)
                for checkpoint in (pending.checkpoint for pending in waiting if pending.checkpoint):
                    if committing:
                        await committing
                    committing = tasks.create_task(self._commit(checkpoint))
        self.state = "closed" if self._held.lease.ended else "stopped"
        return self._held.lease.ended

    async def _commit(self, checkpoint: Checkpoint) -> None:
        metrics, clock = self._context.metrics, asyncio.get_running_loop().time
        began = clock()
        written = await self._held.commit(checkpoint)
        metrics.snapshot_seconds.observe(clock() - began)
        metrics.snapshot_bytes.observe(written.size)
        metrics.checkpoints.inc()
        self._commit_done.set()
        self.committed = checkpoint.position
        self.uncommitted_since = None if self.committed == self._fetched_to else began

    async def _acknowledge(self, waiting: Sequence[PendingBatch]) -> None:
        """Return when the index and the dead letter have everything; give the bytes back."""
        outputs = [pending.output for pending in waiting if pending.output]
        letters = [letter for output in outputs for letter in output.dead_letters]
        wanted = [(output.documents, row) for output in outputs for row in range(len(output.documents))]
        for start in range(0, len(wanted), DOCUMENTS_AT_ONCE):
            letters += await self._write(wanted[start : start + DOCUMENTS_AT_ONCE])
        if letters:
            await self._put_dead_letters(letters)
        self._scored_bytes -= sum(output.size for output in outputs)
        self._acknowledged.set()
        for pending in waiting:
            self.in_flight -= pending.size
            await self._context.budget.release(pending.size)

    async def _write(self, wanted: Sequence[tuple[JoinedDocuments, int]]) -> list[DeadLetter]:
        """Return when the index has these documents; those that it will never take, as dead letters."""
        made = await self._in_thread(_made, wanted)
        refused = {refusal.id: refusal for refusal in await self._context.index.write(made)}
        self._context.metrics.indexed.inc(len(made) - len(refused))
        self._context.metrics.refused.inc(len(refused))
        return [
            rejection_letter(self._context.stream_name, self.shard, documents.source(row), entry, refusal)
            for (documents, row), entry in zip(wanted, made, strict=True)
            if (refusal := refused.get(entry.id))
        ]

    async def _put_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Return when the dead letters are kept."""
        now = round(time.time() * 1000)
        stamped = [replace(letter, ended=now) for letter in letters]
        await self._context.letters.put(stamped)
        await self._context.index.index_dead_letters([describe_letter(letter) for letter in stamped])
        for letter in stamped:
            self._context.metrics.dead.labels(letter.code).inc()
        self._context.dead_letter_monitor.note(stamped)

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._context.executor, function, *args)


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


def _made(wanted: Sequence[tuple[JoinedDocuments, int]]) -> list[IndexDocument]:
    """In a worker thread: documents by their batch and number."""
    return [documents[number] for documents, number in wanted]
