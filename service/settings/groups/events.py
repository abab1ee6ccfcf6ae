"""The settings of events and windows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from service.pipeline.measures import Measure, as_text
from service.pipeline.programs import MOST_KEYS, Program
from service.settings.complaints import no_such
from service.settings.table import Table

_WINDOWS_THAT_EXPIRE = 10


class WindowTable(Table):
    """Events counted in tumbling windows of event time, per key: a document each, and readings for the detector."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    """What the windows are called, such as clicks-per-article."""
    key: list[str] = Field([], max_length=8)
    """The fields of events that tell windows of the same time apart; without one there is one window at a time. A list
    in a field counts for each of its elements."""
    where: dict[str, Any] = Field({})
    """Which events count: fields with a value, or a list of them, that they must have; "*" is any."""
    every: int = Field(60, ge=1, le=86_400)
    """Length of a window in seconds; windows begin at whole multiples of it since 1970."""
    lateness: float = Field(0.0, ge=0, le=86_400)
    """Seconds for which a window stays open once its shard's newest event time has reached its end. An event that comes
    later is late: it is not counted, and goes to the dead letter."""
    expire: int | None = Field(None, ge=0, le=7 * 86_400)
    """Seconds for which a key without events gives windows of zeros; by default ten windows."""
    measures: dict[str, str] = Field({"events": "count"}, min_length=1, max_length=30)
    """What is computed: NAME = "count", "count FIELD=VALUE", or "sum FIELD", and likewise min, max, mean, distinct."""
    detect: list[str] | None = None
    """The measures in which the detector looks for anomalies, each key a sensor called NAME.MEASURE|KEY; by default
    all."""
    max_keys: int = Field(10_000, ge=1, le=MOST_KEYS)
    """Keys of a shard that are remembered at once; an event with another one goes to the dead letter."""

    @field_validator("measures")
    @classmethod
    def _some_measures(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"{name!r} cannot name a measure in documents: use letters, digits and _")
            Measure.parse(text)
        return value

    @model_validator(mode="after")
    def _detected_measures(self) -> Self:
        for name in self.detect or ():
            if name not in self.measures:
                raise ValueError(f"detect: there is no measure {name}{no_such(name, self.measures)}")
        return self

    def program(self) -> Program:
        """The same for the pipeline, in milliseconds."""
        conditions = {name: each if isinstance(each, list) else [each] for name, each in self.where.items()}
        return Program(
            name=self.name,
            measures=tuple((name, Measure.parse(text)) for name, text in self.measures.items()),
            key=tuple(self.key),
            every=self.every * 1000,
            lateness=round(self.lateness * 1000),
            expire=1000 * (_WINDOWS_THAT_EXPIRE * self.every if self.expire is None else self.expire),
            where=tuple((name, frozenset(map(as_text, wanted))) for name, wanted in conditions.items()),
            detect=tuple(self.measures if self.detect is None else self.detect),
            max_keys=self.max_keys,
        )


class EventSettings(Table):
    """What events are made of, and what is counted of them."""

    windows: tuple[WindowTable, ...] = Field((), max_length=20)
    """Windows that events are counted in; they need an event_format. See docs/how-to/events.md."""

    @field_validator("windows")
    @classmethod
    def _different_names(cls, value: tuple[WindowTable, ...]) -> tuple[WindowTable, ...]:
        for name in _repeated(each.name for each in value):
            raise ValueError(f"two of them are called {name!r}; a name belongs to one")
        return value

    @property
    def programs(self) -> tuple[Program, ...]:
        """What the windows count."""
        return tuple(each.program() for each in self.windows)


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
