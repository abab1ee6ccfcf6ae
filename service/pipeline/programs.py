"""What windows count: programs, of which each names events, a key, a length of time and measures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
        learn: how long after its first event no value counts as new, in milliseconds.
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
    learn: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what a window says: the measures, then NAME_sum and NAME_count of each mean."""
        means = (name for name, measure in self.measures if measure.kind == "mean")
        return (
            *(name for name, _ in self.measures),
            *(f"{name}_{part}" for name in means for part in ("sum", "count")),
        )

    @property
    def digest(self) -> str:
        """Names what its windows hold: a program that counts otherwise writes other documents."""
        counted = (self.name, self.measures, self.key, self.every, [(name, sorted(of)) for name, of in self.where])
        return hashlib.blake2b(repr(counted).encode(), digest_size=8).hexdigest()


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
