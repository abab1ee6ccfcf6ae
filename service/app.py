"""The service: everything between a stream and its charts, started and stopped as one."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from detector.batch import Floats, Scores
from detector.detector import Configuration
from detector.fleet import Fleet
from service import __version__
from service.checkpoints import Checkpoints
from service.deadletter import DeadLetters
from service.decoder import Decoder, json_decoder, json_labels
from service.documents import Document
from service.index import Index
from service.kinesis import Room, Stream, connect
from service.metrics import Metrics
from service.pipeline import Setup, ShardPipeline
from service.recent import RecentScores
from service.settings import Settings
from service.stores import StartError, data_file, stores

log = logging.getLogger("cutwater")

DISCOVERY_SECONDS = 10.0  # between two looks for new shards
RATE_WINDOW = 5.0  # s, over which throughput is averaged


class Service:
    """Reads the stream that the settings name until stopped.

    ``async with Service.open(settings) as service`` prepares the stores; ``run`` works until ``stop``.
    """

    def __init__(
        self, settings: Settings, index: Index, letters: DeadLetters, checkpoints: Checkpoints, client: Any
    ) -> None:
        self.settings = settings
        self.index = index
        self.letters = letters
        self.metrics = Metrics()
        self.stream = Stream(client, settings, self.metrics)
        self.recent = RecentScores(settings.recent_scores)
        self.configuration = _configuration(settings)
        self.detector_id = _detector_id(settings)
        self.room = Room(settings.max_in_flight_bytes)
        self.shards: dict[str, ShardPipeline] = {}
        self.discovered = False
        self._checkpoints = checkpoints
        self._stopping = asyncio.Event()
        self._look = asyncio.Event()
        self._started = time.monotonic()
        self._rate = 0.0

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Service]:
        """A service with its stores open. Raises StartError or IndexSetupError."""
        async with AsyncExitStack() as stack:
            index, letters = await stack.enter_async_context(stores(settings))
            path = data_file(settings.data_dir)
            checkpoints = Checkpoints(path, settings.stream, _detector_id(settings, rules=False))
            stack.callback(checkpoints.close)
            client = await stack.enter_async_context(connect(settings))
            yield cls(settings, index, letters, checkpoints, client)

    async def run(self) -> None:
        """Read all shards until ``stop``; then finish what was fetched and commit it. Raises StreamError."""
        meter = asyncio.create_task(self._measure())
        with ThreadPoolExecutor(thread_name_prefix="score") as executor:
            setup = self._setup(executor)
            try:
                async with asyncio.TaskGroup() as tasks:
                    supervisor = tasks.create_task(self._supervise(tasks, setup))
                    await self._stopping.wait()
                    supervisor.cancel()
            except* Exception as errors:
                raise _first(errors) from None
            finally:
                meter.cancel()

    def stop(self) -> None:
        """Fetch no more, finish and commit what is fetched, then let ``run`` return."""
        self._stopping.set()
        for pipeline in self.shards.values():
            pipeline.stop()

    async def score(self, sensor: str, moment: int, values: Floats) -> Scores | None:
        """What a reading would score now; None for a sensor that was never seen."""
        known = self.recent.sensors.get(sensor)
        pipeline = self.shards.get(known.shard) if known else None
        return await pipeline.score(sensor, moment, values) if pipeline else None

    async def unready(self) -> list[str]:
        """Why the service is not doing its work; empty when it is."""
        reasons = [] if self.discovered else [f"stream {self.settings.stream!r} has not been read yet"]
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
            "shards": [
                {
                    "shard": pipeline.shard,
                    "state": pipeline.state,
                    "millis_behind_latest": pipeline.behind,
                    "checkpoint": str(pipeline.committed.sequence) if pipeline.committed else None,
                    "in_flight_bytes": pipeline.in_flight,
                }
                for pipeline in self.shards.values()
            ],
            "index": {
                "kind": "opensearch" if self.settings.opensearch_url else "sqlite",
                "healthy": trouble is None,
                "detail": trouble,
            },
        }

    async def _supervise(self, tasks: asyncio.TaskGroup, setup: Setup) -> None:
        """Start a pipeline for every shard whose parents are finished."""
        while True:
            self._look.clear()
            shards = await self.stream.shards()
            self.discovered = True
            known = {shard.id for shard in shards}
            for shard in shards:
                if shard.id in self.shards or any(parent in known for parent in shard.parents if self._open(parent)):
                    continue
                self.shards[shard.id] = pipeline = ShardPipeline(shard.id, setup, Fleet(self.configuration))
                tasks.create_task(self._read(pipeline))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), DISCOVERY_SECONDS)

    def _open(self, shard: str) -> bool:
        """Whether a shard still has records that its children must wait for."""
        return shard not in self.shards or self.shards[shard].state != "closed"

    async def _read(self, pipeline: ShardPipeline) -> None:
        if await pipeline.run():
            self._look.set()

    def _setup(self, executor: ThreadPoolExecutor) -> Setup:
        settings = self.settings
        return Setup(
            stream=self.stream,
            stream_name=settings.stream,
            decode=decoder(settings),
            label=json_labels(settings.label_fields) if settings.label_fields else None,
            features=tuple(settings.value_fields),
            detector=self.detector_id,
            index_all=settings.index == "all",
            checkpoint_seconds=settings.checkpoint_seconds,
            room=self.room,
            executor=executor,
            index=self.index,
            letters=self.letters,
            checkpoints=self._checkpoints,
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


class Server(uvicorn.Server):
    """Uvicorn that leaves signals to the service."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@asynccontextmanager
async def serve(app: Any, host: str, port: int) -> AsyncIterator[str]:
    """Serve an ASGI application; yields its address. Raises StartError if the port is taken."""
    server = Server(uvicorn.Config(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0.01)
    if not server.started:
        with contextlib.suppress(SystemExit):
            task.result()
        raise StartError(f"cannot listen on {host}:{port}; set another host or port")
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


def _configuration(settings: Settings) -> Configuration:
    return Configuration(
        dimensions=len(settings.value_fields),
        engine=settings.engine,
        profile=settings.profile,
        trees=settings.trees,
        samples=settings.samples,
        shingle=settings.shingle,
        time_decay=settings.time_decay,
        seed=settings.seed,
        rules=settings.rules_for_all(),
        rules_of=settings.rules_for_sensors(),
    )


def _detector_id(settings: Settings, rules: bool = True) -> str:
    """Names what makes documents: another configuration is another detector. Without rules, what makes models."""
    configuration = _configuration(settings)
    parts = (
        configuration if rules else configuration.without_rules(),
        sorted(settings.value_fields.items()),
        settings.sensor_field,
        settings.time_field,
    )
    return "rcf-" + hashlib.blake2b(repr(parts).encode(), digest_size=4).hexdigest()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error behind nested groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
