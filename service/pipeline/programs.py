"""What windows count: programs, of which each names events, a key, a length of time and measures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from service.nearest import nearest
from service.pipeline.measures import Measure, as_text

MOST_KEYS = 1_000_000  # that a program may be told to remember
ANY = "*"  # a condition that any value meets

Conditions = tuple[tuple[str, frozenset[str]], ...]
"""Fields with the texts of which each must have one; all must hold."""


@dataclass(frozen=True, slots=True)
class Program:
    """Tumbling windows of one kind.

    Attributes:
        name: as in documents and in sensors' names.
        measures: by name.
        key: the fields that tell windows of the same time apart; a list in a field counts for each of its elements.
        every: length of a window, in milliseconds; windows begin at whole multiples since 1970.
        lateness: how long after the newest event time an older event may still come, in milliseconds.
        expire: how long a key without events gives windows of zeros, in milliseconds.
        where: which events count.
        detect: the measures of which sensors are made.
        max_keys: keys that are remembered at once.
    """

    name: str
    measures: tuple[tuple[str, Measure], ...]
    key: tuple[str, ...] = ()
    every: int = 60_000
    lateness: int = 0
    expire: int = 600_000
    where: Conditions = ()
    detect: tuple[str, ...] = ()
    max_keys: int = 10_000

    @property
    def digest(self) -> str:
        """Names what its windows hold: a program that counts otherwise writes other documents."""
        counted = (self.name, self.measures, self.key, self.every, [(name, sorted(of)) for name, of in self.where])
        return hashlib.blake2b(repr(counted).encode(), digest_size=8).hexdigest()

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Program:
        """As a table of the settings says. Raises ValueError, naming the entry, its value and what is allowed."""
        known = [each.name for each in fields(cls)]
        for name in table:
            if name not in known:
                raise ValueError(f"there is no {name}{nearest(name, known) or '; there are ' + ', '.join(known)}")
        title = table.get("name")
        if not isinstance(title, str) or not title.replace("-", "a").replace("_", "a").isalnum() or len(title) > 64:
            raise ValueError(f"name = {title!r}: must be letters, digits, - and _, such as clicks-per-article")
        measures = _measures(table.get("measures", {"count": "count"}))
        every = _milliseconds(table, "every", 60, least=1, most=86_400)
        detect = _texts(table, "detect", [name for name, _ in measures])
        for name in detect:
            if name not in dict(measures):
                raise ValueError(f"detect = {name!r}: there is no such measure; there are {', '.join(dict(measures))}")
        most = table.get("max_keys", 10_000)
        if type(most) is not int or not 1 <= most <= MOST_KEYS:
            raise ValueError(f"max_keys = {most!r}: must be a whole number from 1 to {MOST_KEYS}")
        return cls(
            name=title,
            measures=measures,
            key=_texts(table, "key", []),
            every=every,
            lateness=_milliseconds(table, "lateness", 0, least=0, most=86_400),
            expire=_milliseconds(table, "expire", every / 100, least=0, most=7 * 86_400),  # ten windows
            where=_conditions(table.get("where", {})),
            detect=detect,
            max_keys=most,
        )


def meets(fields: Mapping[str, Any], conditions: Conditions) -> bool:
    """Whether fields have what is asked for; a list has what any of its elements is."""
    for name, wanted in conditions:
        value = fields.get(name)
        if value is None or value == []:
            return False
        if ANY in wanted:
            continue
        if isinstance(value, list):
            if not any(as_text(each) in wanted for each in value):
                return False
        elif as_text(value) not in wanted:
            return False
    return True


def _measures(table: Any) -> tuple[tuple[str, Measure], ...]:
    if not isinstance(table, Mapping) or not 1 <= len(table) <= 30:
        raise ValueError('measures: needs 1 to 30 of them, such as { events = "count", bytes = "sum source.bytes" }')
    found = []
    for name, text in table.items():
        if not name.isidentifier() or not name.isascii():
            raise ValueError(f"measures.{name}: must be called by letters, digits and _")
        try:
            found.append((name, Measure.parse(str(text))))
        except ValueError as error:
            raise ValueError(f"measures.{name} = {error}") from None
    return tuple(found)


def _conditions(table: Any) -> Conditions:
    if not isinstance(table, Mapping):
        raise ValueError(f"where = {table!r}: must be a table of fields and their values")
    return tuple(
        (name, frozenset(map(as_text, wanted if isinstance(wanted, list) else [wanted])))
        for name, wanted in table.items()
    )


def _texts(table: Mapping[str, Any], name: str, default: Sequence[str]) -> tuple[str, ...]:
    value = table.get(name, default)
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(each, str) for each in value):
        raise ValueError(f'{name} = {value!r}: must be a list of names, such as ["source.ip"]')
    return tuple(value)


def _milliseconds(table: Mapping[str, Any], name: str, default: float, *, least: float, most: float) -> int:
    """A number of seconds in the table, in milliseconds."""
    value = table.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name} = {value!r}: must be a number of seconds from {least:g} to {most:g}")
    return round(value * 1000)
