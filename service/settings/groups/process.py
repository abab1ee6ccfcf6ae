"""The settings of the process and its state."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from service.settings.table import Table


class ProcessSettings(Table):
    """Where state is kept, and how the process behaves."""

    model_config = ConfigDict(title="State and process")

    data_dir: Path = Path("data")
    """Folder of cutwater.db, with all that has no other place: leases (unless lease_table), models (snapshot_url),
    documents (opensearch_url), dead letters (dead_letter_url). Workers on one machine may share it."""
    lease_table: str = Field("", max_length=255, pattern=r"^([a-zA-Z0-9_.-]{3,})?$", examples=["cutwater-leases"])
    """DynamoDB table that says which worker reads which shard, and how far, for workers on several machines. It is made
    if needed. Each stream needs its own."""
    snapshot_url: str = Field("", pattern=r"^(s3://[a-z0-9][a-z0-9.-]+(/.*)?)?$", examples=["s3://bucket/prefix"])
    """Where models are kept instead of data_dir, such as s3://bucket/prefix. lease_table needs it."""
    dead_letter_url: str = Field("", pattern=r"^(s3://[a-z0-9][a-z0-9.-]+(/.*)?)?$", examples=["s3://bucket/prefix"])
    """Where dead letters are kept instead of data_dir, such as s3://bucket/prefix."""
    state_region: str = ""
    """AWS region of lease_table, snapshot_url and dead_letter_url, if it is not the stream's."""
    on_bad_snapshot: Literal["refuse", "learn"] = "refuse"
    """What to do if a shard's models are damaged or of an unknown format: refuse to read the shard, or learn its
    sensors anew. After a change of the configuration sensors always learn anew."""
    failover_seconds: float = Field(10.0, ge=1, le=300)
    """A worker that has not renewed its leases for this long is taken for dead, and others read its shards."""
    checkpoint_seconds: float = Field(10.0, ge=0.1, le=3600)
    """Longest time between two checkpoints of a shard. After a crash this much is read and scored again."""
    stop_seconds: float = Field(25.0, ge=0, le=3600)
    """Longest time to finish after a signal to stop. The rest is read again later. Keep it below the time after which
    the process is killed (stopTimeout on ECS)."""
    max_in_flight_bytes: int = Field(64 * 1024 * 1024, ge=11 * 1024 * 1024)
    """Memory for records that are fetched but not yet acknowledged by the index, over all shards. When it is full,
    fetching stops."""
    max_sensors: int = Field(5_000, ge=1, le=10_000_000)
    """Sensors of a shard with models in memory, about 0.2 MB each (with several values 2 MB). The models of others wait
    in data_dir until their next reading: slower, with the same scores."""
    recent_scores: int = Field(100_000, ge=100, le=10_000_000)
    """Scores that are kept in memory for /scores."""
    metrics: Literal["prometheus", "emf"] = "prometheus"
    """Where metrics go. prometheus: to /metrics; emf: also to CloudWatch, as a line in its embedded metric format on
    standard output each minute."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe messages to log."""
    log_format: Literal["text", "json"] = "text"
    """Log lines as text, or as a JSON object each (timestamp, level, logger, message, exception)."""

    @model_validator(mode="after")
    def _shared_state(self) -> Self:
        if self.lease_table and not self.snapshot_url:
            raise ValueError(
                f"lease_table = {self.lease_table!r} needs snapshot_url: where other machines find the models"
            )
        return self
