"""What all shards of a service share."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

from service.metrics import Metrics
from service.sinks.dead_letters import DeadLetters
from service.sinks.index import Index
from service.sinks.notify.notifier import Notifier
from service.sinks.recent_scores import RecentScores
from service.source.budget import ByteBudget
from service.source.kinesis import Stream
from service.source.tables import Tables
from service.state.feedback import Feedback
from service.worker.dead_letter_monitor import DeadLetterMonitor
from service.worker.sensor_monitor import SensorMonitor


@dataclass(frozen=True, slots=True)
class PipelineContext:
    """What all shards of a service share."""

    stream: Stream
    stream_name: str
    checkpoint_seconds: float
    budget: ByteBudget
    executor: Executor
    index: Index
    letters: DeadLetters
    recent: RecentScores
    metrics: Metrics
    dead_letter_monitor: DeadLetterMonitor
    sensor_monitor: SensorMonitor | None = None  # None: nobody is warned
    tables: Tables | None = None  # of a stream of events
    notifier: Notifier | None = None  # None: nobody is told
    feedback: Feedback | None = None  # None: nobody says anything
