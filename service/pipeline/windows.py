"""Tumbling windows in event time: what happened per key and minute, as columns of counts, sums and the like.

A window closes when the shard's *watermark*, the greatest event time so far less the program's lateness, has reached
its end. An event without a time of its own, which counts by its record's arrival, moves the watermark only in a stream
where none has one: what is read late would all be late then. An event that comes for a window which has closed is late:
it is refused and counts nowhere. A key that was active and has no more events gives windows of zeros until it expires.
A pause of the whole stream is such a silence of all keys, as soon as an event ends it.

Guarantee: which windows close, at which event, in which order, and what they hold depends only on the programs and on
the events in their order: not on batches, nor on snapshots in between. In memory is a bounded number of keys, each with
its open windows, of which none holds events; a distinct count holds at most ``measures.SKETCH`` numbers, and of values
that were there before are known at most ``firsts.MOST`` a program. Windows of two shards are merged, and those of one
divided, without an event lost or counted twice: see ``restore``.

One pass over the events, in pure Python: an event costs a few lookups in the dictionary that it is already.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from detector import snapshot_format
from service.pipeline.events import Event
from service.pipeline.firsts import Firsts
from service.pipeline.measures import Value, as_text, count, merged, new_cell, results, unpacked_cell
from service.pipeline.models import hash_key
from service.pipeline.programs import Program, meets
from service.pipeline.records import ALL_HASH_KEYS, HashKeys

MOST_OF_AN_EVENT = 64
"""Keys that one event may count for, where fields of the key hold lists."""
LONGEST_KEY = 1024
"""Characters of a key's text."""
NULL = r"\N"  # in a key's text: the event lacks the field
_SNAPSHOT, _VERSION = "windows", 1

KeyValues = tuple[Any, ...]
_Name = tuple[str | None, ...]  # a key's values as they are compared


class Closed(NamedTuple):
    """A window that has closed.

    Attributes:
        program: its index.
        start: first event time that belongs to it, in milliseconds since 1970.
        key: the values of the key's fields.
        text: the same as one text; unique within the program.
        events: how many it had.
        values: what each measure says, then the sum and the number of values of each mean, in order.
        row: the event whose time has closed it.
        keys: first and last hash key of the records that its key's events came in.
    """

    program: int
    start: int
    key: KeyValues
    text: str
    events: int
    values: tuple[Value, ...]
    row: int
    keys: HashKeys


class NotCounted(NamedTuple):
    """An event that a program cannot count: ``code`` for counting, ``reason`` for people."""

    row: int
    code: str
    reason: str


class Windows:
    """The open windows of one shard.

    Args:
        programs: what is counted.
        hash_keys: first and last of the shard.
    """

    def __init__(self, programs: Sequence[Program], hash_keys: HashKeys = ALL_HASH_KEYS) -> None:
        self.programs = tuple(programs)
        self._hash_keys = hash_keys
        self._newest: int | None = None  # event time
        self._timed = False  # whether an event has had a time of its own
        self._tables = [_Table(number, program, hash_keys) for number, program in enumerate(self.programs)]

    def __len__(self) -> int:
        """How many keys are remembered, of all programs."""
        return sum(len(table.keys) for table in self._tables)

    def process(self, events: Sequence[Event], partition_keys: Sequence[str]) -> tuple[list[Closed], list[NotCounted]]:
        """Count n events, in the shard's order; ``partition_keys``: [n] of their records.

        Returns the windows that they have closed, and where a program could not count an event.
        """
        closed: list[Closed] = []
        refused: list[NotCounted] = []
        newest, timed, tables = self._newest, self._timed, self._tables
        for row, (event, partition_key) in enumerate(zip(events, partition_keys, strict=True)):
            time, fields = event.time, event.fields
            moves = not timed or event.time_source != "arrival"
            timed = timed or event.time_source != "arrival"
            if moves and (newest is None or time > newest):
                newest = time
                for table in tables:
                    if time >= table.due:
                        closed += table.close(time, row)
            for table in tables:
                if not table.where or meets(fields, table.where):
                    refused += [NotCounted(row, *why) for why in table.add(time, fields, partition_key)]
        self._newest, self._timed = newest, timed
        return closed, refused

    def snapshot(self) -> bytes:
        """The whole state."""
        state = {
            "newest": self._newest,
            "timed": self._timed,
            "programs": {table.program.digest: table.pack() for table in self._tables},
        }
        return snapshot_format.encode(_SNAPSHOT, {"version": _VERSION}, json.dumps(state).encode())

    def restore(self, snapshots: Sequence[bytes]) -> list[str]:
        """Go on where snapshots were taken: of this shard, or of its parents.

        Of a parent that was split, each child goes on with the keys whose first hash key is its own. Of parents that
        were merged, windows of one key and time become one, and the older watermark counts: so no event is late that
        would not have been. Either way each event is in one window of one shard.

        Returns what could not be taken over, a sentence each: open windows of programs that are no more, or that count
        otherwise by now.

        Raises:
            ValueError: one is damaged or of an unknown version.
        """
        states = [_unpacked(each) for each in snapshots]
        self._tables = [_Table(number, program, self._hash_keys) for number, program in enumerate(self.programs)]
        self._newest = min((state["newest"] for state in states if state["newest"] is not None), default=None)
        self._timed = any(state["timed"] for state in states)
        known = {table.program.digest: table for table in self._tables}
        dropped = []
        try:
            for digest, packed in [item for state in states for item in state["programs"].items()]:
                if digest in known:
                    known[digest].unpack(packed)
                elif left := sum(len(key["open"]) for key in packed["keys"]):
                    dropped.append(
                        f"{left} open windows of the program {packed['name']!r}, which was removed or changed, "
                        "were dropped with what they had counted"
                    )
        except (AttributeError, LookupError, TypeError) as error:
            raise ValueError(f"a snapshot of windows is damaged: {type(error).__name__}: {error}") from None
        return dropped


class _Key:
    """One key of a program: when it was active, and its open windows."""

    __slots__ = ("active", "done", "first", "last", "latest", "open", "text", "values")

    def __init__(self, values: KeyValues, text: str) -> None:
        self.values = values
        self.text = text
        self.active: int | None = None  # its latest closed window with events
        self.done: float = -math.inf  # windows before were closed by another shard
        self.open: dict[int, list[Any]] = {}  # cells by start
        self.first, self.last = ALL_HASH_KEYS[1], ALL_HASH_KEYS[0]  # hash keys
        self.latest: str | None = None  # partition key

    def close(self, since: float, until: int, program: Program) -> Iterator[tuple[int, list[Any] | None]]:
        """Its windows from ``since`` on that end by ``until``, the earliest first: their cells, None for zeros."""
        every, expire = program.every, program.expire
        for start in (*sorted(start for start in self.open if start < until), until):
            if self.active is not None:
                begin = max(self.active + every, since, self.done)
                for zero in range(int(begin), min(start, self.active + expire + 1), every):
                    yield zero, None
            if start < until:
                self.active = start
                yield start, self.open.pop(start)

    def note(self, partition_key: str, shard: HashKeys) -> None:
        """A record of this key had such a partition key; one that hashes elsewhere was put with a hash key."""
        self.latest = partition_key
        key = hash_key(partition_key)
        first, last = (key, key) if shard[0] <= key <= shard[1] else shard
        self.first, self.last = min(self.first, first), max(self.last, last)


class _Table:
    """The keys of one program."""

    def __init__(self, number: int, program: Program, hash_keys: HashKeys) -> None:
        self.program = program
        self.where = program.where
        self.keys: dict[_Name, _Key] = {}
        self.due: float = -1e300  # newest event time at which a window may close
        self._number = number
        self._closed_to: int | None = None  # all windows that end up to here are closed
        self._hash_keys = hash_keys
        self._measures = [measure for _, measure in program.measures]
        self._firsts = Firsts(program.learn)
        self._new = [(place, each.field) for place, each in enumerate(self._measures, 1) if each.kind == "new"]

    def add(self, time: int, fields: Mapping[str, Any], partition_key: str) -> Iterable[tuple[str, str]]:
        """Count an event for each of its keys; why it could not be."""
        program = self.program
        start = time - time % program.every
        closed_to = self._closed_to
        if closed_to is not None and start < closed_to:
            return [("late", self._late(time, closed_to))]
        values = [fields.get(name) for name in program.key]
        if any(type(value) is list for value in values):
            return self._add_each(values, start, fields, time, partition_key)
        return self._add(tuple(values), start, fields, time, partition_key)

    def _add_each(
        self, values: list[Any], start: int, fields: Mapping[str, Any], time: int, partition_key: str
    ) -> list[tuple[str, str]]:
        """Count an event for each combination of the elements of its lists, each once."""
        size, keys = keys_of(values)
        if size > MOST_OF_AN_EVENT:
            return [("too_many_keys", f"{self.program.name}: it counts for {size} keys, more than {MOST_OF_AN_EVENT}")]
        return [why for key in keys for why in self._add(key, start, fields, time, partition_key)]

    def _add(
        self, values: KeyValues, start: int, fields: Mapping[str, Any], time: int, partition_key: str
    ) -> Sequence[tuple[str, str]]:
        name = _name(values)
        key = self.keys.get(name)
        if key is None:
            text = key_text(values)
            if why := bad_key(self.program, text):
                return [why]
            if len(self.keys) >= self.program.max_keys:
                return [("too_many_keys", self._too_many(text))]
            key = self.keys[name] = _Key(values, text)
        if key.latest != partition_key:
            key.note(partition_key, self._hash_keys)
        cell = key.open.get(start)
        if cell is None:
            cell = key.open[start] = new_cell(self._measures)
        cell[0] += 1
        for place, field in self._new:
            found = fields.get(field)
            each = found if type(found) is list else [] if found is None else [found]
            cell[place] += self._firsts.note(place, key.text, map(as_text, each), time)
        return count(cell, self._measures, fields, self.program.name)

    def close(self, newest: int, row: int) -> list[Closed]:
        """The windows that an event of this time closes, by their time and key."""
        program, every = self.program, self.program.every
        bound = newest - program.lateness
        closed_to, before = bound - bound % every, self._closed_to
        self._closed_to, self.due = closed_to, closed_to + every + program.lateness
        found: list[tuple[int, str, _Key, list[Any] | None]] = []
        expired = []
        since = -math.inf if before is None else before
        for name, key in self.keys.items():
            found += [(start, key.text, key, cell) for start, cell in key.close(since, closed_to, program)]
            if not key.open and (key.active is None or closed_to - key.active > program.expire):
                expired.append(name)
        for name in expired:
            del self.keys[name]
        found.sort(key=lambda each: each[:2])
        zero = new_cell(self._measures)
        return [
            Closed(
                self._number,
                start,
                key.values,
                text,
                (cell or zero)[0],
                results(cell or zero, self._measures),
                row,
                (key.first, key.last),
            )
            for start, text, key, cell in found
        ]

    def pack(self) -> dict[str, Any]:
        """Everything as JSON can say it."""
        return {
            "name": self.program.name,
            "closed_to": self._closed_to,
            "firsts": self._firsts.pack() if self._new else None,
            "keys": [
                {
                    "values": list(key.values),
                    "active": key.active,
                    "done": None if key.done == -math.inf else key.done,
                    "hash_keys": [key.first, key.last],
                    "open": [[start, cell] for start, cell in key.open.items()],
                }
                for key in self.keys.values()
            ],
        }

    def unpack(self, packed: Mapping[str, Any]) -> None:
        """Add what another table has packed, as far as its keys are this shard's."""
        if packed.get("firsts"):  # of all keys: a key's values may come in either child
            self._firsts.unpack(packed["firsts"])
        before = self._closed_to
        bounds = [bound for bound in (before, packed["closed_to"]) if bound is not None]
        self._closed_to = min(bounds, default=None)
        if self._closed_to is not None:
            self.due = self._closed_to + self.program.every + self.program.lateness
        for each in packed["keys"]:
            first, last = each["hash_keys"]
            if not self._hash_keys[0] <= first <= self._hash_keys[1]:
                continue  # the other child's
            values = tuple(each["values"])
            name = _name(values)
            key = self.keys.get(name)
            if key is None:
                key = self.keys[name] = _Key(values, key_text(values))
            key.active = max((active for active in (key.active, each["active"]) if active is not None), default=None)
            key.done = max([key.done, *(bound for bound in (each["done"], packed["closed_to"]) if bound is not None)])
            key.first, key.last = min(key.first, first), max(key.last, last)
            for start, content in each["open"]:
                cell = unpacked_cell(content, self._measures)
                known = key.open.get(start)
                key.open[start] = cell if known is None else merged(known, cell, self._measures)

    def _late(self, time: int, closed_to: int) -> str:
        behind = (closed_to + self.program.lateness - time) / 1000
        return (
            f"{self.program.name}: its window has closed: its event time lies more than {behind:g} s before that of "
            f"the newest event (lateness = {self.program.lateness / 1000:g})"
        )

    def _too_many(self, text: str) -> str:
        return (
            f"{self.program.name}: key {text[:200]!r} is new, and {len(self.keys)} are remembered already "
            f"(max_keys = {self.program.max_keys}); raise it, or key by fields with fewer values"
        )


def _name(values: KeyValues) -> _Name:
    return tuple([value if value is None or type(value) is str else as_text(value) for value in values])


def keys_of(values: Iterable[Any]) -> tuple[int, Iterable[KeyValues]]:
    """How many keys an event counts for, and these: each combination of the elements of its lists, each once."""
    lists = [(list(dict.fromkeys(value)) or [None]) if type(value) is list else [value] for value in values]
    return math.prod(map(len, lists)), product(*lists)


def bad_key(program: Program, text: str) -> tuple[str, str] | None:
    """Code and reason if a key's text is too long, or nothing that UTF-8 can say."""
    if len(text) <= LONGEST_KEY:
        if text.isascii():
            return None
        with contextlib.suppress(UnicodeEncodeError):
            text.encode()
            return None
    return "bad_key", f"{program.name}: its key is longer than {LONGEST_KEY} characters, or no text"


def key_text(values: Iterable[Any]) -> str:
    r"""A key's values as one text, by |. A | or \ in a value has a \ before it; what is not there is \N."""
    return "|".join(
        NULL if value is None else as_text(value).replace("\\", "\\\\").replace("|", "\\|") for value in values
    )


def _unpacked(snapshot: bytes) -> dict[str, Any]:
    """Raises ValueError."""
    found = snapshot_format.decode(snapshot, "a snapshot of windows")
    if found.kind != _SNAPSHOT or found.fields.get("version") != _VERSION:
        raise ValueError(
            f"a snapshot of windows is expected, of version {_VERSION}, not one of {found.kind} of version "
            f"{found.fields.get('version')}"
        )
    state: dict[str, Any] = json.loads(found.body)
    return state
