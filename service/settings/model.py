"""Every setting in one table: the fields of ``Settings``.

A value comes from its default, then ``cutwater.toml``, then ``CUTWATER_<NAME>`` in the environment, then the command
line; the last one wins. ``--help`` and docs/reference/settings.md are made from the same table.
"""

from __future__ import annotations

import os
import re
import tomllib
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal, Self

import jmespath
import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from detector.detector import Configuration
from detector.forest.forest import MAX_SAMPLES, MAX_TREES
from detector.rules import Rules
from service import UserError
from service.nearest import nearest
from service.pipeline.decode import find_field
from service.pipeline.times import TimeError, check_format, parse_time

FILE = Path("cutwater.toml")
PREFIX = "CUTWATER_"


class SettingsError(UserError):
    """A setting is unknown or has a value that cannot be used; the message says which, and what is allowed."""

    exit_code = 2


class Settings(BaseModel):
    """What ``cutwater run`` can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)

    # Stream
    stream: str = Field("RawStreamData", min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_.-]+$")
    """Name of the Kinesis stream to read, or its ARN, such as that of another account's stream; an ARN says the region,
    too."""
    region: str = Field("us-east-1", min_length=1)
    """AWS region of the stream."""
    endpoint_url: str = Field("", pattern=r"^(https?://.+)?$")
    """Kinesis endpoint if it is not AWS's own, such as http://127.0.0.1:4567 for a local stream."""
    start: str = "TRIM_HORIZON"
    """Where to begin in a shard that has no checkpoint. TRIM_HORIZON: at its oldest record; LATEST: with what arrives
    after the first start; a time such as 2026-01-31T12:00:00Z: with what arrived then or later."""
    poll_seconds: float = Field(1.0, ge=0.2, le=60)
    """Pause between reads of a shard that had nothing new; Kinesis allows five reads a second and shard."""
    fan_out: str = Field("", max_length=2048, pattern=r"^([a-zA-Z0-9_.-]{0,128}|arn:\S+:kinesis:\S+/consumer/\S+)$")
    """Name of a consumer with enhanced fan-out, which is registered if it is not there, or the ARN of one: records are
    pushed to it as they come, 2 MB a second and shard for it alone, which AWS charges for. Without it shards are
    polled."""

    # Records
    readings_field: str = ""
    """Where a record holds a list of readings (a JMESPath expression), such as records; the other expressions are then
    looked up in each element, and from $ on in the whole record, as in $.device. Without it each JSON object is a
    reading. See docs/how-to/record-format.md."""
    sensor_field: str = "iotName"
    """Where a reading names its sensor (a JMESPath expression). A name with other characters than letters, digits and _
    needs quotes: '"device-id"'."""
    value_fields: dict[str, str] = {"iotValue": "iotValue"}
    """Where a reading holds its values: NAME=EXPRESSION pairs, or just NAME if the field is called so."""
    numeric_text: Literal["refuse", "accept"] = "refuse"
    """Whether a value may be a number as text, such as "23.4" or "23,8", or a word for a missing one, such as "n/a"."""
    value_units: dict[str, str] = {}
    """In which units the values are, for people: NAME=UNIT pairs, such as temperature=°C."""
    time_field: str = "iotTime"
    """Where a reading holds its event time: ISO 8601, or seconds, milli-, micro- or nanoseconds since 1970; without it
    the record's arrival time counts. Two fields are join(' ', [date, time])."""
    time_format: str = ""
    """How event times are written if not so, in the signs of Python's strptime: %d.%m.%Y %H:%M:%S is 31.01.2026
    12:00:00. Several are separated by |. Without an offset (%z) they are in UTC."""
    label_fields: dict[str, str] = {}
    """What documents shall say of their sensor besides: NAME=EXPRESSION pairs, such as site=plant.name; they are text,
    called labels.NAME."""
    max_future_seconds: float = Field(86400.0, ge=0)
    """How far a reading's event time may lie after its record's arrival before it counts as wrong."""
    max_past_seconds: float = Field(0.0, ge=0)
    """How far it may lie before its record's arrival; 0 for any time since 2000. Earlier ones always count as wrong:
    they come from devices whose clock is not set."""

    # Detector
    engine: Literal["cutwater", "rrcf"] = "cutwater"
    """What scores. cutwater: single values against all random cut trees of their sample at once, in closed form, and
    several values or a shingle by a compiled forest; rrcf: always the reference forest, which is slow."""
    profile: Literal["small", "default", "best"] = "default"
    """Memory and time for accuracy: about 60, 200 or 390 kB a sensor."""
    trees: int = Field(50, ge=1, le=MAX_TREES)
    """Trees in a sensor's forest; a closed form needs none."""
    samples: int = Field(256, ge=8, le=MAX_SAMPLES)
    """Readings that each tree keeps; a sensor is learning until it has seen as many. Scores begin earlier, with little
    confidence."""
    shingle: int = Field(1, ge=1, le=30)
    """Consecutive readings that are looked at together."""
    time_decay: float | None = Field(None, ge=0)
    """How fast old readings are forgotten, a rate per reading; by default 0.1 / samples."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of all randomness: the same seed and readings give the same scores."""

    # Rules
    ignore_near_above: float = Field(0.0, ge=0)
    """A reading is no anomaly if it lies this far or less above what was expected; of several values, if all do."""
    ignore_near_below: float = Field(0.0, ge=0)
    """The same below what was expected."""
    ignore_near_above_ratio: float = Field(0.0, ge=0)
    """The same above, as a part of what was expected: 0.1 is 10 %."""
    ignore_near_below_ratio: float = Field(0.0, ge=0)
    """The same below, as a part of what was expected."""
    direction: Literal["both", "high", "low"] = "both"
    """Which readings may be anomalies: all, or only those above (high) or below (low) what was expected."""
    never_between: tuple[float, float] | None = None
    """Values from LOW to HIGH are no anomaly, whatever their score."""
    always_below: float | None = None
    """Hard limit: a value below is an anomaly and an alert, also while its sensor is learning."""
    always_above: float | None = None
    """Hard limit: a value above is an anomaly and an alert, also while its sensor is learning."""
    minimum_grade: float = Field(0.0, ge=0, le=1)
    """Anomalies of a lower grade are none."""
    quiet: tuple[str, ...] = ()
    """Spans of the day, in UTC, in which there are no alerts; anomalies stay."""
    silent_after: float | None = Field(None, ge=0)
    """Seconds without a reading, while the other sensors of its shard go on, after which a sensor is told as silent; 0:
    never; by default what is unusual for it."""
    rules: dict[str, dict[str, Any]] = {}
    """Other rules for some sensors: a table [rules."boiler-*"] holds those that differ for sensors of such names (* is
    any text); the first table that fits counts."""

    # Index
    opensearch_url: str = Field("", pattern=r"^(https?://.+)?$")
    """OpenSearch or Elasticsearch to write anomalies to; without it they go to a SQLite file in data_dir."""
    opensearch_user: str = ""
    """User of the index server, with opensearch_password."""
    opensearch_password: SecretStr = SecretStr("")
    """Password of opensearch_user."""
    opensearch_api_key: SecretStr = SecretStr("")
    """Elasticsearch API key (its encoded form), instead of a user."""
    opensearch_ca: Path | None = None
    """PEM file of the authority that signed the index server's certificate, if it is not a public one."""
    opensearch_client_cert: Path | None = None
    """PEM file of the certificate that proves who we are to the index server."""
    opensearch_client_key: Path | None = None
    """PEM file of that certificate's key, if it is in a file of its own."""
    opensearch_aws: Literal["off", "es", "aoss"] = "off"
    """Sign requests with AWS credentials (SigV4) for Amazon OpenSearch Service (es) or a serverless collection (aoss)
    in the stream's region."""
    dashboards_url: str = Field("", pattern=r"^(https?://.+)?$")
    """Address of OpenSearch Dashboards or Kibana, with its base path: `cutwater setup` imports the charts there, and
    the page links to it."""
    index_prefix: str = Field("cutwater", min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """What the names of indices begin with: PREFIX-YYYY.MM.DD; the alias PREFIX is all of them."""
    index: Literal["anomalies", "all"] = "anomalies"
    """Which readings become documents: the anomalies, or every scored reading."""
    index_record: Literal["off", "on"] = "off"
    """Whether documents hold the record that their reading came from, too, so that its other fields can be seen and
    searched as record.NAME; see docs/how-to/opensearch.md."""
    index_rotation: Literal["NoRotation", "OneHour", "OneDay", "OneWeek", "OneMonth"] = "OneDay"
    """How much event time one index holds; a change leaves the indices of before as they are."""
    retention_days: int = Field(0, ge=0, le=36500)
    """Days that documents are kept; 0 for ever. A server deletes whole indices once all their documents are so old,
    by a policy that `cutwater setup` makes; the SQLite file keeps that much event time before its newest document."""

    # Process
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
    on_bad_snapshot: Literal["refuse", "learn"] = "refuse"
    """If a shard's models are damaged or of an unknown format: refuse to go on, or learn its sensors anew. After a
    change of the configuration they are always learnt anew."""
    failover_seconds: float = Field(10.0, ge=1, le=300)
    """A worker that has not renewed its leases for so long is taken for dead, and its shards are read by others."""
    checkpoint_seconds: float = Field(10.0, ge=0.1, le=3600)
    """Longest time between two checkpoints of a shard; after a crash this much is read and scored again."""
    stop_seconds: float = Field(25.0, ge=0, le=3600)
    """Longest time to finish what is fetched when told to stop; what is not finished is read again later. Keep it below
    the time after which the process is killed (stopTimeout on ECS)."""
    max_in_flight_bytes: int = Field(64 * 1024 * 1024, ge=11 * 1024 * 1024)
    """Memory for records fetched but not yet acknowledged by the index, over all shards; when full, fetching stops."""
    max_sensors: int = Field(5_000, ge=1, le=10_000_000)
    """Sensors of a shard whose models are in memory, each some 0.2 MB (of several values: 2 MB). Beyond it the models
    of those not heard of for longest lie in data_dir until their next reading; scores are the same, only slower."""
    recent_scores: int = Field(100_000, ge=100, le=10_000_000)
    """How many scores /scores keeps in memory."""
    host: str = "127.0.0.1"
    """Address that the API and the page listen on."""
    port: int = Field(8080, ge=0, le=65535)
    """Port that the API and the page listen on; 0 takes a free one."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe messages to log."""
    log_format: Literal["text", "json"] = "text"
    """Lines of the log: text for people, or a JSON object each (timestamp, level, logger, message, exception)."""

    @field_validator("region")
    @classmethod
    def _some_region(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", value):
            likely = "-".join(re.findall(r"[a-z0-9]+", value.lower()))
            raise ValueError(f"is no AWS region such as eu-west-1{f'; did you mean {likely}?' if likely else ''}")
        return value

    _stream_arn: str = PrivateAttr("")

    @property
    def stream_arn(self) -> str:
        """The stream's ARN if the setting was one; ``stream`` and ``region`` are then what it says."""
        return self._stream_arn

    @model_validator(mode="wrap")
    @classmethod
    def _named_by_arn(cls, values: Any, make: ModelWrapValidatorHandler[Self]) -> Self:
        arn = _STREAM_ARN.fullmatch(str(values.get("stream", ""))) if isinstance(values, dict) else None
        if not arn:
            return make(values)
        region, stream = arn.groups()
        if values.get("region", region) != region:
            raise ValueError(f"region = {values['region']!r}: the stream {arn[0]} is in {region}; leave region out")
        made = make(values | {"stream": stream, "region": region})
        made._stream_arn = arn[0]
        return made

    @field_validator("stream", mode="before")
    @classmethod
    def _some_stream(cls, value: Any) -> Any:
        if str(value).startswith("arn:"):
            raise ValueError("is no ARN of a stream such as arn:aws:kinesis:eu-west-1:123456789012:stream/NAME")
        return value

    @field_validator("start")
    @classmethod
    def _some_start(cls, value: str) -> str:
        start_time(value, 0.0)
        return value

    @field_validator("value_fields", "value_units", "label_fields", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        """Accept ``a,b=path.to.b`` and lists of such words besides a table."""
        if isinstance(value, str):
            value = [word for word in (part.strip() for part in _split(value)) if word]
        if isinstance(value, list):
            pairs = [str(word).partition("=") for word in value]
            value = {name.strip(): (expression or name).strip() for name, _, expression in pairs}
        return value

    @field_validator("value_fields", "label_fields")
    @classmethod
    def _some_values(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        least = 1 if info.field_name == "value_fields" else 0
        if not least <= len(value) <= 30:
            raise ValueError(f"needs {least} to 30 fields, not {len(value)}")
        for name, expression in value.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"{name!r} cannot name a value in documents; write for example value={expression}")
            _check_expression(expression)
        return value

    @model_validator(mode="after")
    def _units_of_values(self) -> Self:
        for name in self.value_units:
            if name not in self.value_fields:
                known = ", ".join(self.value_fields)
                raise ValueError(f"value_units: there is no value {name}; value_fields has {known}")
        return self

    @field_validator("never_between", "quiet", mode="before")
    @classmethod
    def _list(cls, value: Any, info: ValidationInfo) -> Any:
        """Accept ``a,b`` besides a list."""
        if isinstance(value, str):
            value = [word.strip() for word in value.split(",") if word.strip()]
        if info.field_name == "never_between" and isinstance(value, list) and len(value) != 2:
            raise ValueError("needs two numbers such as 10,20")
        return value

    @field_validator("rules", mode="before")
    @classmethod
    def _tables(cls, value: Any) -> Any:
        """Accept JSON besides tables."""
        if not isinstance(value, str):
            return value
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise ValueError(f'is not JSON such as {{"boiler-*": {{"always_above": 90}}}}: {error}') from None

    @model_validator(mode="after")
    def _some_rules(self) -> Self:
        self.rules_for_sensors()
        return self

    def configuration(self) -> Configuration:
        """What the settings make of a detector."""
        return Configuration(
            dimensions=len(self.value_fields),
            engine=self.engine,
            profile=self.profile,
            trees=self.trees,
            samples=self.samples,
            shingle=self.shingle,
            time_decay=self.time_decay,
            seed=self.seed,
            rules=self.rules_for_all(),
            rules_of=self.rules_for_sensors(),
        )

    def rules_for_all(self) -> Rules:
        """The rules of sensors that no table names."""
        return Rules(**{name: getattr(self, name) for name in _RULES})

    def rules_for_sensors(self) -> tuple[tuple[str, Rules], ...]:
        """(pattern, rules) of each table; what a table leaves out is as for all."""
        usual = asdict(self.rules_for_all())
        return tuple((pattern, _rules(pattern, usual, table)) for pattern, table in self.rules.items())

    @model_validator(mode="after")
    def _shared_state(self) -> Self:
        if self.lease_table and not self.snapshot_url:
            raise ValueError(
                f"lease_table = {self.lease_table!r} needs snapshot_url: where other machines find the models"
            )
        return self

    @field_validator("sensor_field", "time_field", "readings_field")
    @classmethod
    def _expression(cls, value: str, info: ValidationInfo) -> str:
        if value or info.field_name != "readings_field":
            _check_expression(value)
        return value

    @field_validator("time_format")
    @classmethod
    def _some_formats(cls, value: str) -> str:
        for format_ in _formats(value):
            check_format(format_)
        return value

    @property
    def time_formats(self) -> list[str]:
        """The formats in ``time_format``."""
        return _formats(self.time_format)


_RULES = tuple(rule.name for rule in fields(Rules))


def _rules(pattern: str, usual: dict[str, Any], table: Mapping[str, Any]) -> Rules:
    """The rules of one table."""
    for name in table:
        if name not in _RULES:
            raise ValueError(f"rules.{pattern!r}: there is no rule {name}{_nearest(name, _RULES)}")
    try:
        return TypeAdapter(Rules).validate_python(usual | dict(table))
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        shown = f"{name} = {problem['input']!r}: " if name else ""
        raise ValueError(f"rules.{pattern!r}: {shown}{_reason(problem['msg'])}") from None


def start_time(start: str, began: float) -> float | None:
    """When to begin, in seconds since 1970: ``began`` for LATEST, None for the oldest record.

    Raises ValueError if ``start`` is none of what the setting allows.
    """
    if start == "TRIM_HORIZON":
        return None
    if start == "LATEST":
        return began
    try:
        return parse_time(start) / 1000
    except TimeError as error:
        raise ValueError(f"is neither TRIM_HORIZON nor LATEST nor a time such as 2026-01-31T12:00Z: {error}") from None


SECRETS = frozenset(name for name, field in Settings.model_fields.items() if field.annotation is SecretStr)
_TOKEN = re.compile(r"""
    "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `(?:[^`\\]|\\.)*` | .  # text in quotes, or one character
""", re.VERBOSE | re.DOTALL)  # fmt: skip
_PLAIN_NAME = re.compile(r"""[^"'`()\[\]{}|&=]+""")
_STREAM_ARN = re.compile(r"arn:aws[a-z-]*:kinesis:([a-z0-9-]+):[0-9]{12}:stream/([a-zA-Z0-9_.-]{1,128})")
_USER_INFO = re.compile(r"[^'\"]*(?=@)")


def _formats(text: str) -> list[str]:
    return [part.strip() for part in text.split("|") if part.strip()]


def _check_expression(expression: str) -> None:
    """Raises ValueError if this is no JMESPath expression."""
    try:
        find_field(expression)
    except jmespath.exceptions.JMESPathError as error:
        if _PLAIN_NAME.fullmatch(expression):
            quoted = ".".join(part if part.isidentifier() else f'"{part}"' for part in expression.split("."))
            remedy = f"a name with other characters than letters, digits and _ needs quotes: write '{quoted}'"
        else:
            remedy = str(error).splitlines()[0]
        raise ValueError(f"{expression!r} is not a JMESPath expression: {remedy}") from None


def _split(text: str) -> list[str]:
    """The parts between commas that are neither in quotes nor in brackets."""
    parts, depth = [""], 0
    for token in _TOKEN.findall(text):
        depth += (token in "([{") - (token in ")]}")
        if token == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += token
    return parts


def load(
    flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] = os.environ, file: Path | None = None
) -> Settings:
    """Settings from file, environment and flags. ``file`` must exist if given; ``cutwater.toml`` need not.

    A secret may also be given as NAME_file, the name of a file that holds it.

    Raises:
        SettingsError: an unknown name, or a value that is not allowed.
    """
    origins: dict[str, str] = {}
    values: dict[str, Any] = {}
    for origin, source in (*_file(file), _environment(environment), ("command line", dict(flags or {}))):
        for given, value in source.items():
            name, spelt = given, _spell(origin, given)
            if given.endswith("_file") and given.removesuffix("_file") in SECRETS:
                name, value = given.removesuffix("_file"), _read_secret(spelt, value)
            if name not in Settings.model_fields:
                raise SettingsError(f"{spelt}: no such setting{_nearest(name, Settings.model_fields)}")
            values[name], origins[name] = value, spelt
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError("\n".join(_complaints(error, origins))) from None


def _file(path: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    chosen = path or FILE
    if path is None and not chosen.exists():
        return
    try:
        yield str(chosen), tomllib.loads(chosen.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{chosen}: no such file") from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{chosen}: {error}") from None


def _environment(environment: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    names = {key: key.removeprefix(PREFIX).lower() for key in environment if key.startswith(PREFIX)}
    reserved = {name for name in names.values() if name.startswith("test_") or name == "nab"}
    return "environment", {name: environment[key] for key, name in names.items() if name not in reserved}


def _read_secret(spelt: str, path: Any) -> str:
    try:
        return Path(str(path)).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"{spelt} = {str(path)!r}: {reason}") from None


def _spell(origin: str, name: str) -> str:
    """A setting's name as the user wrote it."""
    if origin == "environment":
        return PREFIX + name.upper()
    if origin == "command line":
        return "--" + name.replace("_", "-")
    return f"{origin}: {name}"


def _nearest(name: str, names: Iterable[str]) -> str:
    return nearest(name, names) or "; docs/reference/settings.md lists them all"


def _complaints(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    for problem in error.errors():
        if not problem["loc"]:  # of several settings together: the message names them
            yield _reason(problem["msg"])
            continue
        name = str(problem["loc"][0])
        field = Settings.model_fields[name]
        value = repr(problem["input"])
        value = _USER_INFO.sub("***", value) if name.endswith("_url") else value
        shown = "" if name in SECRETS else f" = {value}"
        yield f"{origins.get(name, name)}{shown}: {_reason(problem['msg'])} (allowed: {allowed(field)})"


_WORDS = {  # of the library that checks settings, and ours
    "Input should be a valid ": "must be a ",
    "Input should be ": "must be ",
    "String should have at least 1 character": "must not be empty",
    "String should have": "must have",
    "String should match pattern": "must match",
    "Extra inputs are not permitted": "there is no such setting",
    ", unable to parse string as a number": "",
    ", unable to parse string as an integer": "",
}


def _reason(message: str) -> str:
    reason = message.removeprefix("Value error, ")
    for theirs, ours in _WORDS.items():
        reason = reason.replace(theirs, ours)
    return reason[0].lower() + reason[1:]


def allowed(field: FieldInfo) -> str:
    """The values that a setting takes, in words."""
    kind = field.annotation
    if typing.get_origin(kind) is Literal:
        return " | ".join(map(str, typing.get_args(kind)))
    names = {int: "integer", float: "number", str: "text", Path: "path", dict[str, str]: "NAME=EXPRESSION, …"}
    names |= {tuple[float, float]: "LOW,HIGH", tuple[str, ...]: "HH:MM-HH:MM, …", dict[str, dict[str, Any]]: "tables"}
    text = next((names[part] for part in (kind, *typing.get_args(kind)) if part in names), "text")
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits = ((sign, getattr(rule, key, None)) for rule in field.metadata for key, sign in signs.items())
    return " ".join([text, *(f"{sign} {limit}" for sign, limit in limits if limit is not None)])


def default(field: FieldInfo) -> str:
    """A setting's default as one would write it."""
    value = field.default
    if isinstance(value, SecretStr):
        return ""
    if isinstance(value, dict):
        return ",".join(name if name == expression else f"{name}={expression}" for name, expression in value.items())
    return "" if value is None or value == () else str(value)


def markdown() -> str:
    """docs/reference/settings.md."""
    lines = [
        "# Configuration",
        "",
        "Made from `service/settings/model.py` by `python -m service.settings.model`; don't edit.",
        "",
        "A setting is read from `cutwater.toml` in the working folder (or `--config FILE`), then from the environment,",
        "then from the command line; the last one wins. `trees` is `trees = 50` in the file, `CUTWATER_TREES` in the",
        "environment and `--trees` on the command line.",
        "",
        "A secret is never given on the command line, where other users see it: put it into the environment, or name a",
        "file that holds it (`CUTWATER_OPENSEARCH_PASSWORD_FILE`, `--opensearch-password-file`).",
        "",
        "| Setting | Default | Allowed | What it does |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        shown = f"`{default(field)}`" if default(field) else ""
        text = " ".join((field.description or "").split())
        lines.append(f"| `{name}` | {shown} | {allowed(field).replace('|', '&#124;')} | {text} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path("docs/reference/settings.md").write_text(markdown(), encoding="utf-8")
