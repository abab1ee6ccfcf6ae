"""What the service says of itself: /ready, /status, and the gauges of /metrics."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from service import __version__
from service.metrics import Metrics
from service.pipeline.documents import Document
from service.settings.model import Settings
from service.sinks.dead_letters import DeadLetters
from service.sinks.index import Index
from service.sinks.notify.notifier import Notifier
from service.sinks.recent_scores import RecentScores
from service.source.budget import ByteBudget
from service.source.kinesis import Stream
from service.state.blobs import Blobs
from service.state.leases import Lease, LeaseStore
from service.worker.consumer import Consumer
from service.worker.dead_letter_monitor import DeadLetterMonitor
from service.worker.shard import ShardPipeline

GAUGE_SECONDS = 0.5  # between two updates of the gauges
RATE_WINDOW = 5.0  # s, over which throughput is averaged


@dataclass(slots=True)
class Status:
    """Looks at the parts of a service; changes none of them but the gauges."""

    settings: Settings
    stream: Stream
    index: Index
    letters: DeadLetters
    leases: LeaseStore
    snapshots: Blobs
    recent: RecentScores
    budget: ByteBudget
    consumer: Consumer[ShardPipeline]
    dead_letter_monitor: DeadLetterMonitor
    metrics: Metrics
    notifier: Notifier | None = None
    _started: float = field(default_factory=time.monotonic)
    _rate: float = 0.0

    async def unready(self) -> list[str]:
        """Why the service is not doing its work, a line for each thing that it waits for; empty when it is."""
        problems = {
            "stream": self.stream.last_error,
            "dead_letters": self.letters.last_error or self.dead_letter_monitor.last_error,
            "leases": self.leases.last_error,
            "snapshots": self.snapshots.last_error,
            "index": await self.index.healthy(),
        }
        names = {"stream": f"stream {self.settings.stream!r}", "dead_letters": "dead letters"}
        reasons = [f"{names.get(name, name)}: {problem}" for name, problem in problems.items() if problem]
        reasons += self.consumer.faults.describe(asyncio.get_running_loop().time())
        self.metrics.note_readiness(problems, not reasons)
        return reasons

    async def describe(self) -> Document:
        """What the page shows of the service itself."""
        metrics, value = self.metrics, Metrics.value
        problem = await self.index.healthy()
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
            "events": self._describe_events(),
            "dead_letters": self.dead_letter_monitor.describe(),
            "readings_per_second": round(self._rate, 1),
            "worker": self.consumer.worker,
            "shards": [self._describe(lease) for lease in self.consumer.leases],
            "notify": self.notifier.describe() if self.notifier else [],
            "index": {
                "kind": "opensearch" if self.settings.opensearch_url else "sqlite",
                "healthy": problem is None,
                "detail": problem,
            },
        }

    def _describe_events(self) -> Document | None:
        """Of a stream of events."""
        if not self.settings.event_format:
            return None
        metrics, value = self.metrics, Metrics.value
        return {
            "format": self.settings.event_format,
            "events": int(value(metrics.events)),
            "dropped": int(value(metrics.messages_dropped)),
            "windows": int(value(metrics.windows)),
            "keys": int(value(metrics.window_keys)),
            "programs": [program.name for program in self.settings.programs],
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

    async def measure(self) -> None:
        """Update throughput and gauge metrics twice a second, until cancelled."""
        seen = deque([(time.monotonic(), self.recent.rows)])
        while True:
            await asyncio.sleep(GAUGE_SECONDS)
            seen.append((time.monotonic(), self.recent.rows))
            while seen[-1][0] - seen[0][0] > RATE_WINDOW:
                seen.popleft()
            self._rate = (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0]) if len(seen) > 1 else 0.0
            self.dead_letter_monitor.remind()
            self.metrics.in_flight.set(self.budget.taken)
            self.metrics.sensors.set(len(self.recent.sensors))
            now = asyncio.get_running_loop().time()
            for shard, pipeline in self.consumer.pipelines.items():
                since = pipeline.uncommitted_since
                self.metrics.checkpoint_age.labels(shard).set(0.0 if since is None else now - since)
