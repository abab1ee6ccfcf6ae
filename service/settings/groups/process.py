"""The settings of the process and its state."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from service.settings.table import Table


class ProcessSettings(Table):
    """Where state is kept, and how the process behaves."""

    data_dir: Path = Path("data")
    """Folder of cutwater.db, which holds what goes nowhere else: leases without lease_table, models without
    snapshot_url, documents without opensearch_url, dead letters without dead_letter_url. Several workers on one machine
    may share it."""
    lease_table: str = Field("", max_length=255, pattern=r"^([a-zA-Z0-9_.-]{3,})?$")
    """DynamoDB table of who reads which shard and how far, for workers on several machines; it is made if it is not
    there. Each stream needs a table of its own."""
    snapshot_url: str = Field("", pattern=r"^(s3://[a-z0-9][a-z0-9.-]+(/.*)?)?$")
    """Where models are kept instead of data_dir, such as s3://bucket/prefix; lease_table needs it."""
    dead_letter_url: str = Field("", pattern=r"^(s3://[a-z0-9][a-z0-9.-]+(/.*)?)?$")
    """Where records and documents that can never be scored or indexed are kept instead of data_dir, such as
    s3://bucket/prefix."""
    state_region: str = ""
    """AWS region of lease_table, snapshot_url and dead_letter_url, if it is not the stream's."""
    on_bad_snapshot: Literal["refuse", "learn"] = "refuse"
    """If a shard's models are damaged or of an unknown format: refuse to go on, or learn its sensors anew. After a
    change of the configuration they are always learnt anew."""
    failover_seconds: float = Field(10.0, ge=1, le=300)
    """A worker that has not renewed its leases for so long is taken for dead, and its shards are read by others."""
    checkpoint_seconds: float = Field(10.0, ge=0.1, le=3600)
    """Longest time between two checkpoints of a shard; after a crash this much is read and scored again."""
    stop_seconds: float = Field(25.0, ge=0, le=3600)
    """Longest time to finish what is fetched after a signal to stop; what is not finished is read again later. Keep it
    below the time after which the process is killed (stopTimeout on ECS)."""
    max_in_flight_bytes: int = Field(64 * 1024 * 1024, ge=11 * 1024 * 1024)
    """Memory for records fetched but not yet acknowledged by the index, over all shards; when full, fetching stops."""
    max_sensors: int = Field(5_000, ge=1, le=10_000_000)
    """Sensors of a shard whose models are in memory, each some 0.2 MB (of several values: 2 MB). Beyond it the models
    of those not heard of for longest lie in data_dir until their next reading; scores are the same, only slower."""
    recent_scores: int = Field(100_000, ge=100, le=10_000_000)
    """How many scores /scores keeps in memory."""
    metrics: Literal["prometheus", "emf"] = "prometheus"
    """Who is told the metrics. prometheus: whoever asks /metrics; emf: CloudWatch as well, by a line of its embedded
    metric format on standard output each minute."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe messages to log."""
    log_format: Literal["text", "json"] = "text"
    """Lines of the log: text for people, or a JSON object each (timestamp, level, logger, message, exception)."""

    @model_validator(mode="after")
    def _shared_state(self) -> Self:
        if self.lease_table and not self.snapshot_url:
            raise ValueError(
                f"lease_table = {self.lease_table!r} needs snapshot_url: where other machines find the models"
            )
        return self
