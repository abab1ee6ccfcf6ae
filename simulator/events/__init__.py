"""Streams of events as the real carriers deliver them, with labelled faults: one module a recipe.

Each module has ``FAULTS``, the kinds of its faults; ``plan(start, seconds)``, where they are unless told otherwise;
and ``generate(start, rate, seconds, seed, faults)``, the records in the order of their arrival. All of it follows from
its arguments. ``start`` and all times are milliseconds since 1970; ``rate`` is events a second of event time, on
average over a day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

NAMES = ("clickstream", "ec2-api-events", "vpc-flow-logs", "ossec-alerts")


class Fault(NamedTuple):
    """Something that should be found: its kind, when it is, and what it is about (an article, a user, a host …)."""

    kind: str
    start: int
    end: int
    about: str


class EventRecord(NamedTuple):
    """One record to be.

    Attributes:
        partition_key: as the carrier would choose it.
        data: the record's bytes.
        time: event time of its newest event.
        label: the kind of the fault that an event in it belongs to.
    """

    partition_key: str
    data: bytes
    time: int
    label: str | None = None


Generate = Callable[[int, float, float, int, Sequence[Fault] | None], Iterator[EventRecord]]


class Generator(NamedTuple):
    """What a recipe's module offers.

    Attributes:
        generate: makes the records.
        plan: makes the faults of (start, seconds).
        rate: events a second that suit a demonstration.
        files: makes the tables that the recipe reads, by their names.
    """

    generate: Generate
    plan: Callable[[int, float], tuple[Fault, ...]]
    rate: float
    files: Callable[[], Mapping[str, bytes]]


def generator(name: str) -> Generator:
    """The generator of a recipe. Raises KeyError for one that there is not."""
    if name not in NAMES:
        raise KeyError(name)
    module = import_module(f"simulator.events.{name.replace('-', '_')}")
    return Generator(module.generate, module.plan, module.RATE, module.files)
