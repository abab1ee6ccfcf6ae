"""What simulators make and the writer sends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple


class Reading(NamedTuple):
    """One record to be.

    Attributes:
        sensor: its name, and the partition key.
        offset: seconds after the first reading at which it is due.
        data: the record's bytes, JSON.
        outlier: whether it was made to stand out; the record does not tell.
    """

    sensor: str
    offset: float
    data: bytes
    outlier: bool = False


def format_time(moment: datetime) -> str:
    """ISO 8601 in UTC with a Z, with milliseconds if there are any. A time without a zone is in UTC."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond >= 1000 else "seconds")
    return text.removesuffix("+00:00") + "Z"
