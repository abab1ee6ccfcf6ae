"""The settings of the stream."""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, PrivateAttr, field_validator, model_validator

from service.pipeline.times import TimeError, parse_moment
from service.settings.table import Table


class StreamSettings(Table):
    """The stream, and where to begin in it."""

    model_config = ConfigDict(title="Stream")

    stream: str = Field(
        "RawStreamData", min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_.-]+$", examples=["RawStreamData"]
    )
    """Kinesis stream to read: its name, or its ARN, which also sets the region and may belong to another account."""
    region: str = Field("us-east-1", min_length=1)
    """AWS region of the stream."""
    role_arn: str = Field(
        "",
        pattern=r"^(arn:aws[a-z-]*:iam::[0-9]{12}:role/\S{1,512})?$",
        examples=["arn:aws:iam::123456789012:role/NAME"],
    )
    """Role to assume for reading the stream, for example in another account. Index and state use the credentials as
    they are."""
    endpoint_url: str = Field("", pattern=r"^(https?://.+)?$", examples=["http://127.0.0.1:4567"])
    """Kinesis endpoint if it is not AWS's, such as http://127.0.0.1:4567 for a local stream."""
    start: str = "TRIM_HORIZON"
    """Where to begin in a shard without a checkpoint. TRIM_HORIZON: at its oldest record; LATEST: with what arrives
    after the first start; a time such as 2026-01-31T12:00:00Z: with what arrived from then on."""
    poll_seconds: float = Field(1.0, ge=0.2, le=60)
    """Pause after a read that found nothing new. Kinesis allows five reads a second for each shard."""
    fan_out: str = Field(
        "",
        max_length=2048,
        pattern=r"^([a-zA-Z0-9_.-]{0,128}|arn:\S+:kinesis:\S+/consumer/\S+)$",
        examples=["cutwater"],
    )
    """Consumer with enhanced fan-out: a name, which is registered if needed, or an ARN. Kinesis then pushes records,
    with 2 MB a second for each shard to itself; AWS charges for it. Without it shards are polled."""

    @field_validator("region", "opensearch_region", "state_region", check_fields=False)
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


def start_time(start: str, began: float) -> float | None:
    """When to begin, in seconds since 1970: ``began`` for LATEST, None for the oldest record.

    Raises ValueError if ``start`` is none of what the setting allows.
    """
    if start == "TRIM_HORIZON":
        return None
    if start == "LATEST":
        return began
    try:
        return parse_moment(start) / 1000
    except TimeError:
        raise ValueError("must be TRIM_HORIZON, LATEST or a time such as 2026-01-31T12:00:00Z") from None


_STREAM_ARN = re.compile(r"arn:aws[a-z-]*:kinesis:([a-z0-9-]+):[0-9]{12}:stream/([a-zA-Z0-9_.-]{1,128})")
