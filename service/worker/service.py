"""The service: everything between a stream and its charts, started and stopped as one."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from detector.detector import warm_up
from detector.types import Floats, Scores
from service import UserError, __version__
from service.assembly import make_core, model_fingerprint
from service.metrics import Metrics
from service.pipeline.documents import Document
from service.settings.model import Settings, start_time
from service.sinks.recent_scores import RecentScores
from service.source.kinesis import Room, Stream, connect
from service.state.checkpoints import Checkpoints, Hold
from service.state.leases import Lease, Leases
from service.state.templates import Templates, TemplateStore
from service.stores import index_of, leases_of, letters_of, models_of, snapshots_of
from service.worker.consumer import Consumer
from service.worker.dead_letter_monitor import DeadLetterMonitor
from service.worker.sensor_monitor import SensorMonitor
from service.worker.shard import PipelineContext, ShardPipeline

log = logging.getLogger("cutwater")

OPENING_SECONDS = 2.0  # that the API waits for stores that are away
NOTICE_SECONDS = 1.0  # of compiling before it is worth a word
RATE_WINDOW = 5.0  # s, over which throughput is averaged


class Service:
    """Reads the stream that the settings name until stopped.

    ``async with Service.open(settings) as service`` begins to open the stores; ``run`` works until ``stop``.
    """

    def __init__(self, settings: Settings, client: Any) -> None:
        """``client``: of Kinesis. Raises UserError for settings that cannot work."""
        self.settings = settings
        self.index = index_of(settings)
        self.letters = letters_of(settings)
        worker = f"{socket.gethostname()}-{uuid.uuid4().hex}"
        self._leases, self._snapshots = leases_of(settings, worker), snapshots_of(settings)
        self.metrics = Metrics()
        self.stream = Stream(client, settings, self.metrics)
        self.recent = RecentScores(settings.recent_scores)
        self.configuration = settings.configuration()
        self.room = Room(settings.max_in_flight_bytes)
        self._executor = ThreadPoolExecutor(thread_name_prefix="score")
        began = start_time(settings.start, time.time())
        self.consumer: Consumer[ShardPipeline] = Consumer(
            stream=self.stream,
            checkpoints=Checkpoints(
                Leases(self._leases, worker),
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
            blocked=lambda: self.index.trouble or self.letters.trouble,
        )
        self.dead_letter_monitor = DeadLetterMonitor(time.monotonic)
        self._context = PipelineContext(
            stream=self.stream,
            stream_name=settings.stream,
            checkpoint_seconds=settings.checkpoint_seconds,
            room=self.room,
            executor=self._executor,
            index=self.index,
            letters=self.letters,
            recent=self.recent,
            sensor_monitor=SensorMonitor(settings.sensor_field, settings.max_sensors, time.monotonic),
            metrics=self.metrics,
            dead_letter_monitor=self.dead_letter_monitor,
        )
        self._started = time.monotonic()
        self._rate = 0.0
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
                learnt = TemplateStore(self._snapshots, self.settings.stream, model_fingerprint(self.settings))
                return await learnt.read(self.configuration)
        except* Exception as errors:
            raise _first(errors) from None

    async def _close(self) -> None:
        self._opening.cancel()
        await asyncio.wait({self._opening})
        for store in (self._snapshots, self._leases, self.letters, self.index):
            await store.close()

    async def run(self) -> bool:
        """Read our share of the shards until ``stop``; whether all that was fetched is committed then.

        Raises IndexSetupError, StreamError or StateError.
        """
        await self._warm_up()
        if not await self._opened():
            return True
        meter = asyncio.create_task(self._measure())
        try:
            return await self.consumer.run()
        except* Exception as errors:
            raise _first(errors) from None
        finally:
            meter.cancel()
            self._executor.shutdown(wait=False, cancel_futures=True)

    async def _warm_up(self) -> None:
        """Have everything compiled before the first reading; say so where that is not in the cache and takes long."""
        notice = asyncio.get_running_loop().call_later(
            NOTICE_SECONDS,
            log.info,
            "compiling the detector for this machine; it takes half a minute, once for each version and processor",
        )
        await asyncio.to_thread(warm_up, self.configuration)
        notice.cancel()

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

    async def unready(self) -> list[str]:
        """Why the service is not doing its work, a line for each thing that it waits for; empty when it is."""
        troubles = {
            "stream": self.stream.trouble,
            "dead_letters": self.letters.trouble or self.dead_letter_monitor.trouble,
            "leases": self._leases.trouble,
            "snapshots": self._snapshots.trouble,
            "index": await self.index.healthy(),
        }
        names = {"stream": f"stream {self.settings.stream!r}", "dead_letters": "dead letters"}
        reasons = [f"{names.get(name, name)}: {trouble}" for name, trouble in troubles.items() if trouble]
        reasons += self.consumer.faults.describe(asyncio.get_running_loop().time())
        self.metrics.note_readiness(troubles, not reasons)
        return reasons

    async def status(self) -> Document:
        """What the page shows of the service itself."""
        metrics, value = self.metrics, Metrics.value
        trouble = await self.index.healthy()
        scored, learning, dead = value(metrics.scored), value(metrics.learning), value(metrics.dead)
        return {
            "version": __version__,
            "stream": self.settings.stream,
            "features": list(self.settings.value_fields),
            "units": self.settings.value_units,
            "dashboards_url": self.settings.dashboards_url or None,
            "uptime_seconds": round(time.monotonic() - self._started, 1),
            "records": int(value(metrics.records)),
            "readings": {
                "received": int(scored + learning + dead - value(metrics.refused)),
                "scored": int(scored),
                "learning": int(learning),
                "dead": int(dead),
                "indexed": int(value(metrics.indexed)),
                "anomalies": int(value(metrics.anomalies)),
            },
            "sensors": self.recent.count_sensors(),
            "dead_letters": self.dead_letter_monitor.describe(),
            "readings_per_second": round(self._rate, 1),
            "worker": self.consumer.worker,
            "shards": [self._describe(lease) for lease in self.consumer.leases],
            "index": {
                "kind": "opensearch" if self.settings.opensearch_url else "sqlite",
                "healthy": trouble is None,
                "detail": trouble,
            },
        }

    def _describe(self, lease: Lease) -> Document:
        """One shard, whoever reads it."""
        pipeline = self.consumer.pipelines.get(lease.shard)
        fault = self.consumer.faults.current.get(lease.shard)
        state = "failed" if fault else "closed" if lease.ended else "elsewhere" if lease.owner else "waiting"
        return {
            "shard": lease.shard,
            "state": pipeline.state if pipeline and not fault else state,
            "error": fault.reason if fault else None,
            "owner": self.consumer.worker if pipeline or fault else lease.owner,
            "millis_behind_latest": pipeline.behind if pipeline else None,
            "checkpoint": str(pipeline.committed.sequence) if pipeline and pipeline.committed else lease.checkpoint,
            "in_flight_bytes": pipeline.in_flight if pipeline else 0,
        }

    def _pipeline(self, hold: Hold) -> ShardPipeline:
        """The stores are open by now."""
        core = make_core(
            self.settings, hold.shard, hold.lease.hash_keys, self._opening.result(), models_of(self.settings)
        )
        return ShardPipeline(hold, self._context, core)

    async def _measure(self) -> None:
        """Keep the throughput of the last seconds, and the gauges that nobody else sets."""
        seen = [(time.monotonic(), self.recent.rows)]
        while True:
            await asyncio.sleep(0.5)
            seen.append((time.monotonic(), self.recent.rows))
            while seen[-1][0] - seen[0][0] > RATE_WINDOW:
                seen.pop(0)
            self._rate = (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0]) if len(seen) > 1 else 0.0
            self.dead_letter_monitor.remind()
            self.metrics.in_flight.set(self.room.taken)
            self.metrics.sensors.set(len(self.recent.sensors))
            now = asyncio.get_running_loop().time()
            for shard, pipeline in self.consumer.pipelines.items():
                since = pipeline.uncommitted_since
                self.metrics.checkpoint_age.labels(shard).set(0.0 if since is None else now - since)


class Server(uvicorn.Server):
    """Uvicorn that leaves signals to the service."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections. Raises UserError if there can be none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = "it is taken by another process" if error.errno == errno.EADDRINUSE else error.strerror
        raise UserError(f"cannot listen on {host}:{port}: {reason}; set another host or port") from None


@asynccontextmanager
async def serve(app: Any, host: str, port: int) -> AsyncIterator[str]:
    """Serve an ASGI application; yields its address. Raises UserError if the port is taken."""
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", log_config=None, timeout_graceful_shutdown=1
    )
    listening = _listen(host, port)
    server = Server(config)
    task = asyncio.create_task(server.serve([listening]))
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0.01)
    if not server.started:
        await task
    try:
        bound = listening.getsockname()[1]
        yield f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{bound}"
    finally:
        server.should_exit = True
        await task


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error behind nested groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
