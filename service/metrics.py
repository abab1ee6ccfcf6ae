"""What the service counts, as Prometheus metrics in base units, and docs/reference/metrics.md."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from service import __version__
from service.pipeline.event_stage import EventCounts

COMPONENTS = ("stream", "index", "leases", "snapshots", "dead_letters")


class Metrics:
    """The metrics of one service; each has its own registry, so that two may live in a process.

    ``registry`` is what ``/metrics`` shows, with the process's CPU, memory and open files; ``advice`` says
    when to look at a metric, by its name.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.advice: dict[str, str] = {}

        def counter(name: str, text: str, *labels: str, advice: str = "") -> Counter:
            self.advice[f"cutwater_{name}_total"] = advice
            return Counter(f"cutwater_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str, advice: str = "") -> Gauge:
            self.advice[f"cutwater_{name}"] = advice
            return Gauge(f"cutwater_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, *buckets: float, advice: str = "") -> Histogram:
            self.advice[f"cutwater_{name}"] = advice
            return Histogram(f"cutwater_{name}", text, buckets=buckets, registry=self.registry)

        # The process
        ProcessCollector(registry=self.registry)
        self.advice["cutwater_build_info"] = ""
        build = Info("cutwater_build", "Version of Cutwater and of Python", registry=self.registry)
        build.info({"version": __version__, "python": platform.python_version()})
        self.ready = gauge(
            "ready", "1 while the service does its work, as /ready says", advice="Alert when it is 0 for some minutes."
        )
        self.component_up = gauge(
            "component_up",
            "1 while a component answers, at the moment of the scrape",
            "component",
            advice="Alert when it is 0 for some minutes: `/ready` says why.",
        )

        # Reading
        self.records = counter("records", "Records fetched from the stream")
        self.bytes = counter("fetched_bytes", "Bytes of records fetched from the stream")
        self.behind = gauge(
            "behind_latest_seconds",
            "How far reading a shard is behind its newest record",
            "shard",
            advice="Alert when it grows: too few CPUs, or the index is slow.",
        )
        self.in_flight = gauge(
            "in_flight_bytes",
            "Memory of records that are fetched and not yet acknowledged",
            advice="Alert when it stays near `max_in_flight_bytes`: the index does not keep up.",
        )
        self.throttled = counter(
            "throttled_calls",
            "Calls that Kinesis throttled",
            "operation",
            advice="Alert when the rate stays above 0: another consumer reads the same shards.",
        )
        self.expired = counter(
            "expired_iterators",
            "Shard iterators that expired and were replaced",
            advice="Alert when the rate is above 0: nothing was read for more than five minutes.",
        )
        self.gaps = counter(
            "gaps",
            "Times that records may have expired in the stream before they were read",
            "shard",
            advice="Alert when the rate is above 0; the log and a dead letter say which records.",
        )
        self.other_shard_records = counter(
            "other_shard_records",
            "User records of aggregates that belong to other shards by their hash key",
            advice="Alert when the rate is above 0 outside of resharding: a producer other than the Kinesis Producer"
            " Library aggregates records of different shards.",
        )
        self.hash_range_gaps = gauge(
            "hash_range_gaps",
            "Ranges of hash keys that no shard of the stream's list covers",
            advice="Alert when it is above 0 for long: the stream's list of shards is incomplete.",
        )

        # Scoring and indexing
        self.scored = counter("readings_scored", "Readings that got a score")
        self.learning = counter("readings_learning", "Readings of sensors that were still learning")
        self.anomalies = counter("anomalies", "Anomalies and alerts, silences included")
        self.alerts = counter("alerts", "Alerts by kind, silences included", "kind")
        self.indexed = counter("documents_indexed", "Documents that the index acknowledged")
        self.refused = counter(
            "documents_refused",
            "Documents that the index refused, each a dead letter",
            advice="Alert when the rate is above 0.",
        )
        self.dead = counter(
            "dead_letters",
            "Records and documents sent to the dead letter, by reason",
            "code",
            advice="Alert when the rate is above 0: look at `/dead-letter`.",
        )
        self.sensors = gauge("sensors", "Sensors seen since the start that are still remembered")
        self.batch_seconds = histogram(
            "batch_seconds", "Time to decode and score one batch", 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10
        )

        # Enrichment
        self.events = counter("events", "Events read, by their format", "format")
        self.messages_dropped = counter(
            "messages_dropped",
            "Messages that are neither events nor errors, such as control messages",
            "kind",
        )
        self.windows = counter("windows_closed", "Windows closed, including those of zeros")
        self.window_keys = gauge(
            "window_keys",
            "Keys of windows that are remembered, over all programs",
            "shard",
            advice="Alert when it nears `max_keys`: events with further keys go to the dead letter.",
        )
        self.table_age = gauge(
            "table_age_seconds",
            "How long ago a table was last found to be current",
            "table",
            advice="Alert when it is above five times the table's `refresh`: the log says why it cannot be read again.",
        )
        self.table_refused_rows = gauge(
            "table_refused_rows",
            "Rows of a reference table that cannot be read and are left out",
            "table",
            advice="Alert when it is above 0: the log has the first rows and what is wrong with them.",
        )

        # Notifications
        self.notices_sent = counter("notices_sent", "Messages that receivers took", "route", "stage")
        self.notices_failed = counter(
            "notices_failed",
            "Attempts to send a message that failed",
            "route",
            advice="Alert when the rate stays above 0: the receiver is down, or refuses what it is sent.",
        )
        self.notices_waiting = gauge(
            "notices_waiting",
            "Changes of episodes that a route has not been told yet",
            "route",
            advice="Alert when it grows outside of the route's quiet hours.",
        )
        self.notices_given_up = counter(
            "notices_given_up",
            "Changes of episodes that went to the dead letters, because nobody could be told",
            "route",
            advice="Alert when the rate is above 0: the dead letter says why.",
        )
        self.notices_muted = counter("notices_muted", "Changes of episodes of muted sensors", "route")

        # Checkpoints and leases
        self.checkpoints = counter(
            "checkpoints", "Checkpoints committed", advice="Alert when the rate is 0 while readings arrive."
        )
        self.checkpoint_age = gauge(
            "checkpoint_age_seconds",
            "How long a shard's oldest record has waited for a checkpoint",
            "shard",
            advice="Alert when it is far above `checkpoint_seconds`: the index, the leases or the snapshots cannot be"
            " written.",
        )
        self.snapshot_seconds = histogram(
            "snapshot_seconds",
            "Time to write a snapshot and commit it",
            *(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
            advice="When it nears `checkpoint_seconds`, make that longer.",
        )
        self.snapshot_bytes = histogram(
            "snapshot_bytes",
            "Bytes that each snapshot added to the store",
            *(10.0**exponent for exponent in range(3, 10)),
        )
        self.faults = counter(
            "shard_faults",
            "Times that a shard's pipeline ended with an error and was restarted",
            "shard",
            advice="Alert when the rate is above 0: the log has the error, `/ready` says which shards wait.",
        )
        self.leases_held = gauge(
            "leases_held",
            "Shards that this worker reads",
            advice="Alert when it is uneven among workers for more than two `failover_seconds`.",
        )
        self.leases_lost = counter(
            "leases_lost",
            "Leases that another worker took while this one held them",
            advice="Alert when the rate is above 0 while no worker comes or goes: one is paused for longer than"
            " `failover_seconds`.",
        )

    def note_readiness(self, problems: Mapping[str, str | None], ready: bool) -> None:
        """Set what is up: a problem, or None, for each of ``COMPONENTS``."""
        for component, problem in problems.items():
            self.component_up.labels(component).set(problem is None)
        self.ready.set(ready)

    def note_events(self, shard: str, counts: EventCounts) -> None:
        """What came of a batch of records of a stream of events."""
        self.events.labels(counts.dataset).inc(counts.events)
        self.windows.inc(counts.windows)
        self.window_keys.labels(shard).set(counts.keys)
        for reason, number in counts.dropped.items():
            self.messages_dropped.labels(reason).inc(number)

    def forget(self, shard: str) -> None:
        """Tell no more of a shard that somebody else reads now."""
        for metric in (self.behind, self.checkpoint_age, self.window_keys):
            with contextlib.suppress(KeyError):
                metric.remove(shard)

    @staticmethod
    def value(metric: Counter | Gauge) -> float:
        """A metric's current value, summed over its labels."""
        samples = next(iter(metric.collect())).samples
        return sum(sample.value for sample in samples if not sample.name.endswith("_created"))


def markdown() -> str:
    """docs/reference/metrics.md."""
    metrics = Metrics()
    lines = [
        "# Metrics",
        "",
        "Made from `service/metrics.py` by `python -m service.metrics`; don't edit.",
        "",
        "`/metrics` has these, in Prometheus's text format. Where there are several workers, each tells of the shards",
        "that it reads. `deploy/prometheus/rules.yaml` has alerts, `deploy/grafana/dashboard.json` a dashboard.",
        'With the setting `metrics = "emf"` CloudWatch gets the same each minute; see',
        "[operate](../how-to/operations.md#cloudwatch).",
        "On Linux the process's own metrics are there too: `process_cpu_seconds_total`,",
        "`process_resident_memory_bytes`, `process_open_fds`, `process_start_time_seconds` and others.",
        "",
        "| Metric | Type | What it is | When to look |",
        "|---|---|---|---|",
    ]
    for family in metrics.registry.collect():
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        if name.startswith("cutwater_"):
            labels = ", ".join(_labels(metrics, family.name))
            shown = f"`{name}{{{labels}}}`" if labels else f"`{name}`"
            lines.append(f"| {shown} | {family.type} | {family.documentation} | {metrics.advice[name]} |")
    return "\n".join(lines) + "\n"


def _labels(metrics: Metrics, family: str) -> tuple[str, ...]:
    found = (each for each in vars(metrics).values() if getattr(each, "_name", None) == family)
    return next((tuple(each._labelnames) for each in found), ())


if __name__ == "__main__":
    Path("docs/reference/metrics.md").write_text(markdown(), encoding="utf-8")
