"""The service: everything between a stream and its charts, started and stopped as one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import socket
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from detector.detector import warm_up
from detector.types import Floats, Forecast, Scores
from service import emf
from service.assembly import make_core, model_fingerprint
from service.metrics import Metrics
from service.pipeline.documents import Document
from service.pipeline.records import DeadLetter
from service.settings.model import Settings, start_time
from service.sinks.notify.notifier import Notifier
from service.sinks.recent_scores import LEAST_SENSORS, RecentScores
from service.source.budget import ByteBudget
from service.source.client import connect
from service.source.kinesis import Stream
from service.source.tables import Tables
from service.state.checkpoints import Checkpoints, HeldLease
from service.state.feedback import Feedback
from service.state.leases import LeaseManager
from service.state.templates import Templates, TemplateStore
from service.stores import make_blobs, make_dead_letters, make_index, make_lease_store, make_model_store
from service.worker.consumer import Consumer
from service.worker.context import PipelineContext
from service.worker.dead_letter_monitor import DeadLetterMonitor
from service.worker.faults import first_error
from service.worker.sensor_monitor import SensorMonitor
from service.worker.shard import ShardPipeline
from service.worker.status import Status

log = logging.getLogger("cutwater")

OPENING_SECONDS = 2.0  # that the API waits for stores that are away
NOTICE_SECONDS = 1.0  # of compiling before it is worth a word


def _say(line: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(line)
    sys.stdout.flush()


class Service:
    """Reads the stream that the settings name until stopped.

    ``async with Service.open(settings) as service`` begins to open the stores; ``run`` works until ``stop``.
    """

    def __init__(self, settings: Settings, client: Any) -> None:
        """``client``: of Kinesis. Raises UserError for settings that cannot work."""
        self.settings = settings
        self.index = make_index(settings)
        self.letters = make_dead_letters(settings)
        worker = f"{socket.gethostname()}-{uuid.uuid4().hex}"
        self._leases, self._snapshots = make_lease_store(settings, worker), make_blobs(settings)
        self.metrics = Metrics()
        self.stream = Stream(client, settings, self.metrics)
        self.tables = Tables(settings.tables, self._snapshots, settings.stream, settings.region, self.metrics)
        self.recent = RecentScores(settings.recent_scores, max(settings.max_sensors, LEAST_SENSORS))
        self.configuration = settings.configuration()
        self.budget = ByteBudget(settings.max_in_flight_bytes)
        self._executor = ThreadPoolExecutor(thread_name_prefix="score")
        began = start_time(settings.start, time.time())
        self.consumer: Consumer[ShardPipeline] = Consumer(
            stream=self.stream,
            checkpoints=Checkpoints(
                LeaseManager(self._leases, worker),
                self._snapshots,
                settings.stream,
                model_fingerprint(settings),
                settings.on_bad_snapshot,
            ),
            pipeline=self._pipeline,
            since=None if began is None else round(began * 1000),
            failover_seconds=settings.failover_seconds,
            stop_seconds=settings.stop_seconds,
            metrics=self.metrics,
            blocked=lambda: self.index.last_error or self.letters.last_error,
        )
        self.dead_letter_monitor = DeadLetterMonitor(time.monotonic)
        self.feedback = Feedback(self._snapshots, settings.stream)
        self.notifier = (
            Notifier(settings, self._put_dead_letters, self.metrics, self._unwanted) if settings.notify else None
        )
        self._context = PipelineContext(
            stream=self.stream,
            stream_name=settings.stream,
            checkpoint_seconds=settings.checkpoint_seconds,
            budget=self.budget,
            executor=self._executor,
            index=self.index,
            letters=self.letters,
            recent=self.recent,
            sensor_monitor=SensorMonitor(settings.sensor_field, settings.max_sensors, time.monotonic),
            metrics=self.metrics,
            dead_letter_monitor=self.dead_letter_monitor,
            tables=self.tables if settings.event_format else None,
            notifier=self.notifier,
            feedback=self.feedback,
        )
        self._status = Status(
            settings=settings,
            stream=self.stream,
            index=self.index,
            letters=self.letters,
            leases=self._leases,
            snapshots=self._snapshots,
            recent=self.recent,
            budget=self.budget,
            consumer=self.consumer,
            dead_letter_monitor=self.dead_letter_monitor,
            metrics=self.metrics,
            notifier=self.notifier,
        )
        self._embedded = (
            emf.EmbeddedMetrics(self.metrics.registry, settings.stream, worker, _say)
            if settings.metrics == "emf"
            else None
        )
        self._opening: asyncio.Future[Templates] = asyncio.create_task(self._open())

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Service]:
        """A service that is opening its stores; ``run`` waits for those that are away.

        Raises UserError, IndexSetupError or StateError if what waiting cannot mend shows within a moment.
        """
        async with connect(settings) as client:
            service = cls(settings, client)
            try:
                await asyncio.wait({service._opening}, timeout=OPENING_SECONDS)
                if service._opening.done():
                    await service._opening
                yield service
            finally:
                await service._close()

    async def _open(self) -> Templates:
        """Open all stores at once, each as soon as it can be reached, and see what was learnt beforehand."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for store in (self.letters, self._leases, self.index):
                    tasks.create_task(store.open())
                await self._snapshots.open()
                self.feedback.opened.set()
                await self.tables.open()
                learnt = TemplateStore(self._snapshots, self.settings.stream, model_fingerprint(self.settings))
                return await learnt.read(self.configuration)
        except* Exception as errors:
            raise first_error(errors) from None

    async def _close(self) -> None:
        self._opening.cancel()
        await asyncio.wait({self._opening})
        await self.tables.close()
        for store in (self._snapshots, self._leases, self.letters, self.index):
            await store.close()

    async def run(self) -> bool:
        """Read our share of the shards until ``stop``; whether all that was fetched is committed then.

        Raises IndexSetupError, StreamError or StateError.
        """
        await self._warm_up()
        if not await self._opened():
            return True
        meter = asyncio.create_task(self._status.measure())
        writing = asyncio.create_task(self._write_metrics()) if self._embedded else None
        watching = asyncio.create_task(self.tables.watch())
        if self.notifier:
            await self.notifier.open()
        listening = asyncio.create_task(self.feedback.watch())
        try:
            return await self.consumer.run()
        except* Exception as errors:
            raise first_error(errors) from None
        finally:
            meter.cancel()
            listening.cancel()
            if self.notifier:
                await self.notifier.close()
            if writing and self._embedded:
                writing.cancel()
                self._embedded.write()
            watching.cancel()
            self._executor.shutdown(wait=False, cancel_futures=True)

    async def _write_metrics(self) -> None:
        """Write the metrics to standard output from time to time, until cancelled."""
        assert self._embedded is not None
        while True:
            await asyncio.sleep(emf.SECONDS)
            await self.unready()  # sets what is up
            self._embedded.write()

    def _unwanted(self, change: Document, now: float) -> bool:
        """Whether nobody is to be told: of a muted sensor, or of how an episode changes that somebody sees to."""
        seen_to = change["stage"] == "update" and self.feedback.acknowledged(change["episode_id"])
        return seen_to or self.feedback.mutes(change["sensor"], now)

    async def _put_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep notices that no receiver took."""
        await self.letters.put(letters)
        for letter in letters:
            self.metrics.dead.labels(letter.code).inc()

    async def _warm_up(self) -> None:
        """Have everything compiled before the first reading; say so where that is not in the cache and takes long."""
        notice = asyncio.get_running_loop().call_later(
            NOTICE_SECONDS,
            log.info,
            "compiling the detector for this machine; it takes half a minute, once for each version and processor",
        )
        compiling: concurrent.futures.Future[None] = concurrent.futures.Future()

        def work() -> None:
            try:
                warm_up(self.configuration)
                compiling.set_result(None)
            except Exception as error:
                compiling.set_exception(error)

        threading.Thread(target=work, name="compile", daemon=True).start()  # so that SIGTERM need not wait for it
        compiled: asyncio.Future[Any] = asyncio.wrap_future(compiling)
        stopping: asyncio.Future[Any] = asyncio.create_task(self.consumer.stopping.wait())
        await asyncio.wait({compiled, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        notice.cancel()
        if compiled.done():
            compiled.result()

    async def _opened(self) -> bool:
        """Wait for the stores; False if stopped before they are there."""
        stopping: asyncio.Future[Any] = asyncio.create_task(self.consumer.stopping.wait())
        await asyncio.wait({self._opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._opening.done():
            await self._opening
        return self._opening.done()

    def stop(self) -> None:
        """Fetch no more, finish and commit what is fetched, let other workers go on, then let ``run`` return."""
        self.consumer.stop()

    async def score(self, sensor: str, moment: int, values: Floats) -> Scores | None:
        """What a reading would score now; None for a sensor that was never seen."""
        known = self.recent.sensors.get(sensor)
        pipeline = self.consumer.pipelines.get(known.shard) if known else None
        return await pipeline.score(sensor, moment, values) if pipeline else None

    async def forecast(self, sensor: str, horizon: int) -> Forecast | None:
        """What a sensor's next readings are expected to be; None for a sensor that was never seen."""
        known = self.recent.sensors.get(sensor)
        pipeline = self.consumer.pipelines.get(known.shard) if known else None
        return await pipeline.forecast(sensor, horizon) if pipeline else None

    async def unready(self) -> list[str]:
        """Why the service is not doing its work, a line for each thing that it waits for; empty when it is."""
        return await self._status.unready()

    async def status(self) -> Document:
        """What the page shows of the service itself."""
        return await self._status.describe()

    def _pipeline(self, held: HeldLease) -> ShardPipeline:
        """The stores are open by now."""
        core = make_core(
            self.settings,
            held.shard,
            held.lease.hash_keys,
            self._opening.result(),
            make_model_store(self.settings),
            self.tables.current,
        )
        return ShardPipeline(held, self._context, core)
