"""What is computed of a window's events: counts, sums and the like, as cells that can be added to, merged and kept.

A cell is a list that JSON can hold: the number of events, then an entry a measure: a number, None before the first one
of a min or max, [sum, number] of a mean, or the least ``SKETCH`` hashes of a distinct count in their order.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from service.nearest import nearest

MeasureKind = Literal["count", "sum", "min", "max", "mean", "distinct", "new"]
KINDS: tuple[str, ...] = get_args(MeasureKind)
SKETCH = 512
"""A distinct count is exact below so many values; from there on it is an estimate, off by some 4 %."""
_HASHES = 2**64

Value = float | int | None


@dataclass(frozen=True, slots=True)
class Measure:
    """What is computed of a window's events.

    Attributes:
        kind: count, sum, min, max, mean, distinct, or new, which ``firsts`` counts.
        field: whose values; of a count the field that must have ``value``, or empty for all events.
        value: as text, of a count.
    """

    kind: MeasureKind
    field: str = ""
    value: str = ""

    @classmethod
    def parse(cls, text: str) -> Measure:
        """Of ``count``, ``count FIELD=VALUE`` or ``KIND FIELD``. Raises ValueError."""
        kind, _, rest = text.strip().partition(" ")
        field, equals, value = rest.strip().partition("=")
        if kind not in KINDS:
            raise ValueError(f"{text!r}: {kind!r} is none of {', '.join(KINDS)}{nearest(kind, KINDS)}")
        if kind == "count":
            if bool(field) != bool(equals):
                raise ValueError(f"{text!r}: write count, or count FIELD=VALUE for the events with that value")
        elif not field or equals:
            raise ValueError(f"{text!r}: write {kind} FIELD")
        return cls(kind, field.strip(), value.strip())  # type: ignore[arg-type]  # it is one of them


def as_text(value: Any) -> str:
    """How a value is compared and written in a key: 1 and 1.0 and "1" are the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and math.isfinite(value):
        return str(int(value))
    return str(value)


def new_cell(measures: Sequence[Measure]) -> list[Any]:
    """The cell of no events."""
    return [0, *map(_nothing, measures)]


def _nothing(measure: Measure) -> Any:
    if measure.kind in ("count", "sum", "new"):
        return 0
    return {"mean": [0, 0], "distinct": []}.get(measure.kind)


def count(
    cell: list[Any], measures: Sequence[Measure], fields: Mapping[str, Any], program: str
) -> Sequence[tuple[str, str]]:
    """Add one event to a cell; why a measure cannot count it."""
    refused: list[tuple[str, str]] = []
    for place, measure in enumerate(measures, 1):
        kind = measure.kind
        if kind == "count":
            if not measure.field or _has(fields.get(measure.field), measure.value):
                cell[place] += 1
            continue
        value = fields.get(measure.field)
        if value is None or kind == "new":
            continue
        if kind == "distinct":
            for each in value if type(value) is list else (value,):
                _note_hash(cell[place], as_text(each))
            continue
        if type(value) is not int and (type(value) is not float or not math.isfinite(value)):
            reason = f"{program}: {measure.field} is {_describe(value)}, of which there is no {kind}"
            refused.append(("not_counted", reason))
        elif kind == "sum":
            cell[place] += value
        elif kind == "mean":
            cell[place][0] += value
            cell[place][1] += 1
        elif cell[place] is None or (value < cell[place] if kind == "min" else value > cell[place]):
            cell[place] = value
    return refused


def _describe(value: Any) -> str:
    return repr(value) if type(value) is float else f"a {type(value).__name__}"


def _has(value: Any, wanted: str) -> bool:
    if type(value) is list:
        return any(as_text(each) == wanted for each in value)
    return value is not None and (value == wanted or as_text(value) == wanted)


def _note_hash(hashes: list[int], text: str) -> None:
    """Keep the least ``SKETCH`` hashes, in order."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    number = int.from_bytes(digest, "big")
    place = bisect_left(hashes, number)
    if place < len(hashes) and hashes[place] == number:
        return
    if place < SKETCH:
        hashes.insert(place, number)
        del hashes[SKETCH:]


def results(cell: Sequence[Any], measures: Sequence[Measure]) -> tuple[Value, ...]:
    """What the measures say of a cell, then the sum and number of each mean."""
    found: list[Value] = []
    more: list[Value] = []
    for content, measure in zip(cell[1:], measures, strict=True):
        if measure.kind == "distinct":
            estimate = len(content) if len(content) < SKETCH else round((SKETCH - 1) * _HASHES / (content[-1] + 1))
            found.append(estimate)
        elif measure.kind == "mean":
            found.append(content[0] / content[1] if content[1] else None)
            more += content
        else:
            found.append(content)
    return tuple(map(_within_64_bits, (*found, *more)))


def _within_64_bits(value: Value) -> Value:
    """An integer that JSON readers take for one, or a float."""
    return float(value) if type(value) is int and abs(value) >= 2**63 else value


def merged(one: list[Any], other: list[Any], measures: Sequence[Measure]) -> list[Any]:
    """The cell of the events of both."""
    both: list[Any] = [one[0] + other[0]]
    for mine, theirs, measure in zip(one[1:], other[1:], measures, strict=True):
        if measure.kind in ("count", "sum", "new"):
            both.append(mine + theirs)
        elif measure.kind == "mean":
            both.append([mine[0] + theirs[0], mine[1] + theirs[1]])
        elif measure.kind == "distinct":
            both.append(sorted({*mine, *theirs})[:SKETCH])
        else:
            present = [each for each in (mine, theirs) if each is not None]
            both.append((min if measure.kind == "min" else max)(present) if present else None)
    return both


def unpacked_cell(content: Any, measures: Sequence[Measure]) -> list[Any]:
    """A cell that JSON held. Raises ValueError if it is none of these measures."""
    if not isinstance(content, list) or len(content) != len(measures) + 1:
        raise ValueError(f"a cell of {len(measures)} measures cannot be {str(content)[:100]}")
    return content
