"""Windows over all shards, kept by key: Flink brings a key's events together, whatever shards they come in.

The service's windows (``pipeline.windows``) belong to a shard and close by its newest event. These belong to a key and
close by Flink's watermark, which has passed a time when all shards have. Programs, measures and documents are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from service import UserError
from service.pipeline.events import Event
from service.pipeline.measures import count, new_cell, results
from service.pipeline.programs import Program, meets
from service.pipeline.records import ALL_HASH_KEYS
from service.pipeline.windows import MOST_OF_AN_EVENT, Closed, KeyValues, bad_key, key_text, keys_of

Cell = list[Any]
Rejection = tuple[str, str]


class Counted(NamedTuple):
    """An event for one key of one program: its index there, and of the event what the measures need."""

    program: int
    values: KeyValues
    text: str
    time: int
    fields: dict[str, Any]


def require_countable(programs: Sequence[Program]) -> None:
    """Raises UserError if a program counts what only the service does."""
    for program in programs:
        for name, measure in program.measures:
            if measure.kind == "new":
                raise UserError(
                    f"windows: {program.name}.{name} = 'new {measure.field}': the Flink job does not know what was "
                    "there before; leave the measure out, or run the service"
                )


def counted(programs: Sequence[Program], event: Event) -> tuple[list[Counted], list[Rejection]]:
    """What an event counts for, and where a program cannot count it: code and reason."""
    found: list[Counted] = []
    refused: list[Rejection] = []
    for number, program in enumerate(programs):
        if not meets(event.fields, program.where):
            continue
        size, keys = keys_of(map(event.fields.get, program.key))
        if size > MOST_OF_AN_EVENT:
            refused.append(("too_many_keys", f"{program.name}: it counts for more than {MOST_OF_AN_EVENT} keys"))
            continue
        fields = {
            measure.field: event.fields[measure.field]
            for _, measure in program.measures
            if measure.field in event.fields
        }
        for values in keys:
            text = key_text(values)
            if why := bad_key(program, text):
                refused.append(why)
                continue
            found.append(Counted(number, values, text, event.time, fields))
    return found, refused


class KeyWindows:
    """The open windows of one key of one program.

    A window closes when the watermark has reached its end and the lateness after it. As in the service, a key that was
    active and has no events gives windows of zeros until it expires; at the end of a bounded input none follow its last
    window with events.

    Guarantee: what a window holds does not depend on the order of its events, nor on snapshots in between.
    """

    __slots__ = ("_active", "_cells", "_following")

    def __init__(self) -> None:
        self._cells: dict[int, Cell] = {}
        self._active: int | None = None  # its latest closed window with events
        self._following: int | None = None  # the one behind its latest closed window

    def add(self, program: Program, event: Counted, watermark: int) -> list[Rejection]:
        """Count an event; why it could not be."""
        start = event.time - event.time % program.every
        closed = self._following is not None and start < self._following
        if closed or start + program.every + program.lateness <= watermark:
            behind = f"its window closed before it came (lateness = {program.lateness / 1000:g})"
            return [("late", f"{program.name}: {behind}")]
        measures = [measure for _, measure in program.measures]
        cell = self._cells.get(start)
        if cell is None:
            cell = self._cells[start] = new_cell(measures)
        cell[0] += 1
        return list(count(cell, measures, event.fields, program.name))

    def due(self, program: Program, *, ended: bool = False) -> int | None:
        """The watermark that closes the next window; None if there is none. ``ended``: nothing follows."""
        start = self._next(program)
        return None if start is None or (ended and not self._cells) else start + program.every + program.lateness

    def close(self, program: Program, watermark: int, *, ended: bool) -> Iterator[tuple[int, Cell]]:
        """The windows that a watermark closes, with their beginnings; ``ended``: nothing follows."""
        while (start := self._next(program)) is not None and start + program.every + program.lateness <= watermark:
            if ended and not self._cells:
                return
            cell = self._cells.pop(start, None)
            if cell is not None:
                self._active = start
            self._following = start + program.every
            yield start, cell or new_cell([measure for _, measure in program.measures])

    def _next(self, program: Program) -> int | None:
        first = min(self._cells, default=None)
        if self._active is None or self._following is None or self._following > self._active + program.expire:
            return first
        return self._following if first is None else min(first, self._following)


def closed(number: int, program: Program, values: KeyValues, text: str, start: int, cell: Cell) -> Closed:
    """A window as the core's documents and readings take it."""
    measures = [measure for _, measure in program.measures]
    return Closed(number, start, values, text, cell[0], results(cell, measures), 0, ALL_HASH_KEYS)


def readings_of(program: Program, window: Closed) -> Iterator[tuple[str, int, float]]:
    """What the detector is told of a window, as the service names it: sensor, time and value."""
    for place, (name, _) in enumerate(program.measures):
        value = window.values[place]
        if name in program.detect and value is not None:
            series = f"{program.name}.{name}"
            yield f"{series}|{window.text}" if window.key else series, window.start, float(value)
