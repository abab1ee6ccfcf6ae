"""What answers hold, as OpenAPI describes it. Answers are made without these models, and tests hold them to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt

State = Literal["learning", "ready"]


class Error(BaseModel):
    """Why a request could not be answered."""

    detail: str = Field(description="One sentence for each thing that is wrong.")


class Score(BaseModel):
    """A scored reading or a silence: a document. What its values and labels are called depends on the stream:
    `feature_data_VALUE`, `expected_values_VALUE`, `expected_lower_VALUE`, `expected_upper_VALUE`,
    `relevant_attribution_VALUE`, `labels.LABEL`.

    With `fields` only those asked for are there.
    """

    model_config = ConfigDict(extra="allow")

    timestamp: str | None = Field(None, alias="@timestamp", json_schema_extra={"format": "date-time"})
    sensor: str | None = None
    anomaly_score: float | None = None
    anomaly_grade: float | None = None
    severity: int | None = None
    confidence: float | None = None
    threshold: float | None = None
    is_anomaly: bool | None = None
    in_anomaly: bool | None = None
    alert: bool | None = None
    alert_score: float | None = None
    anomaly_kind: str | None = None
    silent_since: str | None = None
    episode_id: str | None = None
    episode_kind: str | None = None
    approx_anomaly_start_time: str | None = None
    episode_peak_score: float | None = None
    episode_readings: int | None = None
    state: State | None = None
    readings_seen: int | None = None
    stream: str | None = None
    shard: str | None = None
    sequence_number: str | None = None
    sub_sequence_number: int | None = None
    record_ordinal: int | None = None
    detector_id: str | None = None
    detector_version: str | None = None
    event_id: str | None = Field(None, alias="event.id")
    event_kind: str | None = Field(None, alias="event.kind")
    event_module: str | None = Field(None, alias="event.module")
    event_created: str | None = Field(None, alias="event.created")
    schema_version: int | None = None
    row: int | None = Field(None, description="Number of the score in this process's memory; not in the index.")


History = Literal["complete", "unavailable", "not asked"]


class Scores(BaseModel):
    """Scores in the order asked for."""

    scores: list[Score]
    cursor: str | None = Field(description="For the next page; null: there is no more.")
    history: History = Field(description="Whether the index was asked too; unavailable: these are from memory only.")


class Anomaly(BaseModel):
    """An episode: one fault, from its first alert on."""

    episode_id: str
    sensor: str
    anomaly_kind: str | None = Field(description="Of the first alert.")
    episode_kind: str | None = Field(description="What the episode has turned out to be.")
    severity: int = Field(description="The highest one, 0 to 100.")
    approx_anomaly_start_time: str = Field(json_schema_extra={"format": "date-time"})
    last_seen: str = Field(description="Event time of its last anomaly.", json_schema_extra={"format": "date-time"})
    episode_peak_score: float | None
    documents: int = Field(description="How many the index has.")
    alerts: list[Score] = Field(description="Its alerts, oldest first.")


class Anomalies(BaseModel):
    """Episodes in the order of their first alerts."""

    anomalies: list[Anomaly]
    cursor: str | None = Field(description="For the next page; null: there is no more.")


class Event(BaseModel):
    """An event: a document. What other fields it has depends on the format and on the tables that enrich it."""

    model_config = ConfigDict(extra="allow")

    timestamp: str = Field(alias="@timestamp", json_schema_extra={"format": "date-time"})
    event_id: str = Field(alias="event.id")
    event_dataset: str = Field(alias="event.dataset", description="The format.")
    event_created: str = Field(alias="event.created")
    event_time_source: str = Field(alias="event.time_source")
    stream: str
    shard: str
    sequence_number: str
    sub_sequence_number: int
    record_ordinal: int


class Events(BaseModel):
    """Events in the order asked for."""

    events: list[Event]
    cursor: str | None = Field(description="For the next page; null: there is no more.")


class Window(BaseModel):
    """A window with what all shards have counted."""

    program: str = Field(description="Name of its `[[windows]]` table.")
    start: str = Field(json_schema_extra={"format": "date-time"})
    end: str = Field(json_schema_extra={"format": "date-time"})
    key: str = Field(description="The values of the key's fields as one text.")
    fields: dict[str, Any] = Field(description="The key's fields.")
    events: int
    measures: dict[str, float | None]
    shards: int = Field(description="How many shards had events of this key, or zeros.")


class Windows(BaseModel):
    """Windows in the order asked for."""

    windows: list[Window]
    cursor: str | None = Field(description="For the next page; null: there is no more.")


class LastReading(BaseModel):
    """The last reading of a sensor."""

    timestamp: str = Field(alias="@timestamp", json_schema_extra={"format": "date-time"})
    values: dict[str, float | None]
    anomaly_score: float | None


class Sensor(BaseModel):
    """What is known of a sensor since the service started."""

    sensor: str
    shard: str
    state: State = Field(description="At its last reading.")
    readings_seen: int = Field(description="Readings that its model has seen.")
    needed: int = Field(description="Readings that a model needs before it is ready.")
    last: LastReading | None
    anomalies: int
    last_anomaly: str | None
    severity: int = Field(ge=0, le=100, description="Of its latest anomaly; 0 if there was none.")


class Sensors(BaseModel):
    """Sensors, sorted."""

    total: int = Field(description="How many match.")
    sensors: list[Sensor]


class Reading(BaseModel):
    """A reading to try out."""

    model_config = ConfigDict(extra="forbid")

    sensor: str = Field(min_length=1, examples=["DemoSensor"])
    values: dict[str, Annotated[float, Field(strict=True, allow_inf_nan=False)]] = Field(examples=[{"iotValue": 117}])
    time: StrictInt | StrictFloat | str | None = Field(None, description="As `since` of GET /scores; now if absent.")


class Trial(BaseModel):
    """What a reading would score."""

    sensor: str
    timestamp: str = Field(alias="@timestamp", json_schema_extra={"format": "date-time"})
    anomaly_score: float | None
    anomaly_grade: float | None
    severity: int
    confidence: float | None
    threshold: float | None
    is_anomaly: bool
    state: State
    readings_seen: int
    expected_values: dict[str, float | None]
    relevant_attribution: dict[str, float | None]


class ForecastReading(BaseModel):
    """What one of the next readings is expected to be, by value."""

    timestamp: str = Field(alias="@timestamp", json_schema_extra={"format": "date-time"})
    expected_values: dict[str, float]
    expected_lower: dict[str, float | None] = Field(description="Nine of ten such readings lie between here")
    expected_upper: dict[str, float | None] = Field(description="and here.")


class Forecast(BaseModel):
    """What the next readings of a sensor are expected to be."""

    sensor: str
    readings: list[ForecastReading]


class Readings(BaseModel):
    """Counts since the service started."""

    model_config = ConfigDict(extra="allow")

    received: int
    scored: int = Field(description="With a model that has learnt.")
    learning: int = Field(description="While their sensor's model was learning.")
    dead: int = Field(description="Records and documents in the dead letter.")
    indexed: int
    anomalies: int


class LatestLetter(BaseModel):
    """The latest dead letter."""

    code: str
    reason: str
    time: str


class DeadLetterCounts(BaseModel):
    """Dead letters since the service started."""

    model_config = ConfigDict(extra="allow")

    count: int
    last_minute: int
    by_code: dict[str, int]
    everything: bool = Field(description="Whether nothing but dead letters came of late.")
    latest: LatestLetter | None
    remedy: str | None


class SensorCounts(BaseModel):
    """Sensors seen since the service started, as far as they are remembered."""

    seen: int
    learning: int = Field(description="At their last reading.")


class EventCounts(BaseModel):
    """Events since the service started."""

    format: str
    events: int
    dropped: int = Field(description="Messages that are no events and no faults either.")
    windows: int = Field(description="Windows that have closed.")
    keys: int = Field(description="Keys of windows that are remembered.")
    programs: list[str]


class Shard(BaseModel):
    """A shard of the stream, whoever reads it."""

    model_config = ConfigDict(extra="allow")

    shard: str
    state: str
    error: str | None = Field(description="Why it failed, in one line; null if it did not.")
    owner: str | None
    millis_behind_latest: int | None
    checkpoint: str | None
    in_flight_bytes: int


class IndexState(BaseModel):
    """The index."""

    kind: Literal["opensearch", "sqlite"]
    healthy: bool
    detail: str | None


class RouteState(BaseModel):
    """A route by which people are told of episodes."""

    name: str
    to: str
    sent: int = Field(description="Messages that its receiver took.")
    waiting: int = Field(description="Changes of episodes that it was not told yet.")
    quiet: bool = Field(description="Whether it is in its quiet hours.")
    error: str | None = Field(description="Why the last attempt failed; null if it did not.")


class Status(BaseModel):
    """The service in numbers."""

    model_config = ConfigDict(extra="allow")

    version: str
    stream: str
    features: list[str]
    units: dict[str, str]
    dashboards_url: str | None
    uptime_seconds: float
    records: int = Field(description="Fetched from the stream.")
    readings: Readings
    sensors: SensorCounts
    events: EventCounts | None = Field(description="null for a stream of readings.")
    dead_letters: DeadLetterCounts
    readings_per_second: float
    worker: str
    shards: list[Shard]
    notify: list[RouteState]
    index: IndexState
    role: Literal["read", "operate"] = Field(description="What the one who asks may do.")


class Health(BaseModel):
    """The process lives."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Whether the service does its work."""

    ready: bool
    reasons: list[str] = Field(description="What it waits for; empty if it does its work.")


class DeadLetter(BaseModel):
    """A record or document that could not be used, in the form in which Amazon Data Firehose keeps them."""

    model_config = ConfigDict(extra="allow")

    timestamp: str | None = Field(None, alias="@timestamp")
    errorCode: str  # noqa: N815 - Firehose's name
    errorMessage: str  # noqa: N815


class DeadLetters(BaseModel):
    """Dead letters, newest first."""

    dead_letters: list[DeadLetter]


def responses(model: type[BaseModel], example: Any = None, **more: Any) -> dict[int | str, dict[str, Any]]:
    """``responses`` of a route: its answer with an example, and others by their status, as s503="description"."""
    content = {} if example is None else {"content": {"application/json": {"example": example}}}
    others: dict[int | str, dict[str, Any]] = {
        int(status[1:]): {"model": Error, "description": text} for status, text in more.items()
    }
    return {200: {"model": model, **content}, **others}
