"""What is asked of scores, in memory or in an index: which ones, in which order, and where a page goes on."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Literal

from service.pipeline.documents import Document, Kind
from service.pipeline.times import parse_time

Place = tuple[float, int, str]
"""Where a document stands in an order: the value that it is sorted by (0 for the time), event time (ms), id."""

FIRST_TIME, LAST_TIME = -62_135_596_800_000, 253_402_300_799_999  # ms: what ISO 8601 can say, the years 1 to 9999
CURSOR = (  # what it is sorted by, the way, the place
    r"(time|score|severity)-(asc|desc)_(-?[0-9]{1,17}(?:\.[0-9]{1,25})?(?:e[+-][0-9]{1,3})?)_(-?[0-9]{1,15})"
    r"_([0-9a-f]{32})"
)
NO_SCORE = -1.0  # sorts documents without a score, which are silences, below all that have one


@dataclass(frozen=True, slots=True)
class Filter:
    """Which scores to show; all conditions that are set must hold.

    Attributes:
        since, until: event time in milliseconds since 1970; ``since`` inclusive, ``until`` exclusive.
        anomalies: anomalies and alerts only.
        alerts: alerts only.
        kind: kind of the anomaly.
        labels: names and values.
    """

    sensor: str | None = None
    since: int | None = None
    until: int | None = None
    min_score: float | None = None
    anomalies: bool = False
    alerts: bool = False
    shard: str | None = None
    kind: str | None = None
    min_severity: int | None = None
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Find:
    """Which events or windows to show; all conditions must hold.

    Attributes:
        kind: event or window.
        since, until: event time in milliseconds since 1970; ``since`` inclusive, ``until`` exclusive.
        terms: fields with a value that they must have, as text; a list has that of any of its elements.
    """

    kind: Kind
    since: int | None = None
    until: int | None = None
    terms: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """By what documents are sorted. Ties are sorted by event time, then by id, in the same direction.

    So the order is total, and the same in memory and in every index.
    """

    by: Literal["time", "score", "severity"] = "time"
    descending: bool = True

    def place(self, document: Document) -> Place:
        """Where a document stands."""
        return self.value(document), parse_time(document["@timestamp"]), document["event.id"]

    def value(self, document: Document) -> float:
        """What a document is sorted by, before its event time."""
        if self.by == "score":
            score = document.get("anomaly_score")
            return NO_SCORE if score is None else float(score)
        return float(document.get("severity") or 0) if self.by == "severity" else 0.0


NEWEST = Order()


def cursor_after(document: Document, order: Order = NEWEST) -> str:
    """The cursor for what comes after a document in an order."""
    value, time, identity = order.place(document)
    return f"{order.by}-{'desc' if order.descending else 'asc'}_{value!r}_{time}_{identity}"


def parse_cursor(cursor: str) -> tuple[Order, Place]:
    """The order and the place that a cursor names. Raises ValueError if it is none of ours."""
    found = re.fullmatch(CURSOR, cursor)
    if found is None:
        raise ValueError(f"cursor {cursor!r} is not one that an earlier answer gave; leave it out to begin anew")
    by, way, value, time, identity = found.groups()
    moment = min(max(int(time), FIRST_TIME), LAST_TIME)
    return Order(by, way == "desc"), (  # type: ignore[arg-type]  # the pattern has its three values
        min(float(value), sys.float_info.max),
        moment,
        identity,
    )
