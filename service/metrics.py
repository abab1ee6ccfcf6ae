"""What the service counts, as Prometheus metrics with units in their names."""

from __future__ import annotations

import contextlib

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The metrics of one service; each has its own registry, so that two may live in a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"cutwater_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"cutwater_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, *buckets: float) -> Histogram:
            return Histogram(f"cutwater_{name}", text, buckets=buckets, registry=self.registry)

        # Reading
        self.records = counter("records", "Records fetched from the stream")
        self.bytes = counter("fetched_bytes", "Bytes of records fetched from the stream")
        self.behind = gauge("millis_behind_latest", "How far a shard's last read was behind its newest record", "shard")
        self.in_flight = gauge("in_flight_bytes", "Memory that records take which are fetched and not yet acknowledged")
        self.throttled = counter("throttled_calls", "Calls that Kinesis throttled", "operation")
        self.expired = counter("expired_iterators", "Shard iterators that expired and were made anew")
        self.gaps = counter("gaps", "Times that records after a checkpoint may have left the stream unread", "shard")
        self.foreign = counter(
            "foreign_records", "User records of aggregates left out: their hash keys are of other shards"
        )
        self.holes = gauge("hash_key_holes", "Ranges of hash keys that no shard of the stream's list covers")

        # Scoring and indexing
        self.scored = counter("readings_scored", "Readings that got a score")
        self.learning = counter("readings_learning", "Readings of sensors that were still learning")
        self.anomalies = counter("anomalies", "Anomalies and alerts, silences included")
        self.indexed = counter("documents_indexed", "Documents that the index acknowledged")
        self.refused = counter("documents_refused", "Documents that the index refused, each a dead letter")
        self.alerts = counter("alerts", "Alerts by kind, silences included", "kind")
        self.dead = counter("dead_letters", "Records and documents sent to the dead letter, by reason", "code")
        self.sensors = gauge("sensors", "Sensors seen since the start")
        self.batch_seconds = histogram(
            "batch_seconds", "Time to decode and score one batch", 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10
        )

        # Checkpoints and leases
        self.checkpoints = counter("checkpoints", "Checkpoints committed")
        self.checkpoint_age = gauge(
            "checkpoint_age_seconds", "How long a shard's oldest record without a checkpoint has waited for it", "shard"
        )
        self.snapshot_seconds = histogram(
            "snapshot_seconds", "Time to write a snapshot and commit it", 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30
        )
        self.snapshot_bytes = histogram(
            "snapshot_bytes", "Size of the snapshots written", *(10.0**exponent for exponent in range(3, 10))
        )
        self.faults = counter(
            "shard_faults", "Times that a shard's pipeline ended with an error and was restarted", "shard"
        )
        self.leases_held = gauge("leases_held", "Shards that this worker reads")
        self.leases_lost = counter("leases_lost", "Leases that another worker took while this one held them")

    def forget(self, shard: str) -> None:
        """Tell no more of a shard that somebody else reads now."""
        for metric in (self.behind, self.checkpoint_age):
            with contextlib.suppress(KeyError):
                metric.remove(shard)

    @staticmethod
    def value(metric: Counter | Gauge) -> float:
        """A metric's current value, summed over its labels."""
        samples = next(iter(metric.collect())).samples
        return sum(sample.value for sample in samples if not sample.name.endswith("_created"))
