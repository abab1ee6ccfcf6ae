"""The service: everything between a stream and its charts, started and stopped as one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from detector.batch import Floats, Scores
from detector.detector import warm_up
from detector.fleet import Fleet
from service import UserError, __version__
from service.checkpoints import Checkpoints, Hold
from service.consumer import Consumer
from service.deadletter import DeadLetters
from service.decoder import Decoder, json_decoder, json_labels
from service.documents import Document
from service.identity import detector_id, making
from service.index import Index
from service.kinesis import Room, Stream, connect
from service.leases import Lease, Leases
from service.metrics import Metrics
from service.pipeline import Setup, ShardPipeline
from service.recent import RecentScores
from service.settings import Settings, start_time
from service.stores import dead_letters_first, state
from service.templates import Templates, TemplateStore

log = logging.getLogger("cutwater")

INDEX_SECONDS = 2.0  # that the API waits for an index that is away
NOTICE_SECONDS = 1.0  # of compiling before it is worth a word
RATE_WINDOW = 5.0  # s, over which throughput is averaged


class Service:
    """Reads the stream that the settings name until stopped.

    ``async with Service.open(settings) as service`` prepares the stores; ``run`` works until ``stop``.
    """

    def __init__(
        self,
        settings: Settings,
        index: Index,
        letters: DeadLetters,
        checkpoints: Checkpoints,
        client: Any,
        templates: Templates,
        opening: asyncio.Future[Any],
    ) -> None:
        self.settings = settings
        self.index = index
        self.letters = letters
        self.metrics = Metrics()
        self.stream = Stream(client, settings, self.metrics)
        self.recent = RecentScores(settings.recent_scores)
        self.configuration = settings.configuration()
        self.detector_id = detector_id(settings, templates.digest)
        self._templates = templates.models
        self.room = Room(settings.max_in_flight_bytes)
        self._checkpoints = checkpoints
        self._opening = opening
        self._executor = ThreadPoolExecutor(thread_name_prefix="score")
        self._setup = self._set_up()
        began = start_time(settings.start, time.time())
        self.consumer: Consumer[ShardPipeline] = Consumer(
            stream=self.stream,
            checkpoints=checkpoints,
            pipeline=self._pipeline,
            since=None if began is None else round(began * 1000),
            failover_seconds=settings.failover_seconds,
            stop_seconds=settings.stop_seconds,
            metrics=self.metrics,
        )
        self._started = time.monotonic()
        self._rate = 0.0

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Service]:
        """A service with its stores open, but for an index whose server is away: ``run`` waits for that.

        Raises UserError, IndexSetupError or StateError.
        """
        async with AsyncExitStack() as stack:
            index, letters = await stack.enter_async_context(dead_letters_first(settings))
            opening = asyncio.create_task(index.open())
            stack.callback(opening.cancel)
            await asyncio.wait({opening}, timeout=INDEX_SECONDS)
            if opening.done():
                await opening
            worker = f"{socket.gethostname()}-{uuid.uuid4().hex}"
            table, blobs = await stack.enter_async_context(state(settings, worker))
            checkpoints = Checkpoints(
                Leases(table, worker), blobs, settings.stream, making(settings), settings.on_bad_snapshot
            )
            templates = await TemplateStore(blobs, settings.stream, making(settings)).read(settings.configuration())
            client = await stack.enter_async_context(connect(settings))
            yield cls(settings, index, letters, checkpoints, client, templates, opening)

    async def run(self) -> bool:
        """Read our share of the shards until ``stop``; whether all that was fetched is committed then.

        Raises IndexSetupError, StreamError or StateError.
        """
        await self._warm_up()
        if not await self._index_open():
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

    async def _index_open(self) -> bool:
        """Wait for the index; False if stopped before it is there."""
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
        """Why the service is not doing its work; empty when it is."""
        reasons = [] if self.consumer.discovered else [f"stream {self.settings.stream!r} has not been read yet"]
        if trouble := self.letters.trouble:
            reasons.append(f"dead letters: {trouble}")
        if trouble := self._checkpoints.trouble:
            reasons.append(f"checkpoints: {trouble}")
        if trouble := await self.index.healthy():
            reasons.append(f"index: {trouble}")
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
            "uptime_seconds": round(time.monotonic() - self._started, 1),
            "readings": {
                "received": int(scored + learning + dead),
                "scored": int(scored),
                "learning": int(learning),
                "dead": int(dead),
                "indexed": int(value(metrics.indexed)),
                "anomalies": int(value(metrics.anomalies)),
            },
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
        state = "closed" if lease.ended else "elsewhere" if lease.owner else "waiting"
        return {
            "shard": lease.shard,
            "state": pipeline.state if pipeline else state,
            "owner": self.consumer.worker if pipeline else lease.owner,
            "millis_behind_latest": pipeline.behind if pipeline else None,
            "checkpoint": str(pipeline.committed.sequence) if pipeline and pipeline.committed else lease.checkpoint,
            "in_flight_bytes": pipeline.in_flight if pipeline else 0,
        }

    def _pipeline(self, hold: Hold) -> ShardPipeline:
        return ShardPipeline(hold, self._setup, Fleet(self.configuration, self._templates))

    def _set_up(self) -> Setup:
        settings = self.settings
        return Setup(
            stream=self.stream,
            stream_name=settings.stream,
            decode=decoder(settings),
            label=json_labels(settings.label_fields) if settings.label_fields else None,
            features=tuple(settings.value_fields),
            detector=self.detector_id,
            index_all=settings.index == "all",
            index_record=settings.index_record == "on",
            checkpoint_seconds=settings.checkpoint_seconds,
            room=self.room,
            executor=self._executor,
            index=self.index,
            letters=self.letters,
            recent=self.recent,
            metrics=self.metrics,
        )

    async def _measure(self) -> None:
        """Keep the throughput of the last seconds, and the gauges that nobody else sets."""
        seen = [(time.monotonic(), self.recent.rows)]
        while True:
            await asyncio.sleep(0.5)
            seen.append((time.monotonic(), self.recent.rows))
            while seen[-1][0] - seen[0][0] > RATE_WINDOW:
                seen.pop(0)
            self._rate = (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0]) if len(seen) > 1 else 0.0
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


@asynccontextmanager
async def serve(app: Any, host: str, port: int) -> AsyncIterator[str]:
    """Serve an ASGI application; yields its address. Raises UserError if the port is taken."""
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", log_config=None, timeout_graceful_shutdown=1
    )
    server = Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0.01)
    if not server.started:
        with contextlib.suppress(SystemExit):
            task.result()
        raise UserError(f"cannot listen on {host}:{port}; set another host or port")
    try:
        bound = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{bound}"
    finally:
        server.should_exit = True
        await task


def decoder(settings: Settings) -> Decoder:
    """What turns records into readings."""
    return json_decoder(
        settings.sensor_field, settings.value_fields, settings.time_field, round(settings.max_future_seconds * 1000)
    )


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error behind nested groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
