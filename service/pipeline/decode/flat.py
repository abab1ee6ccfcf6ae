"""Many records at once that hold one flat JSON object each, the fast way of nearly all readings.

Such records are joined to one array, which orjson reads in a third of the time, and their fields become columns without
a Python call a reading. Guarantee: a reading found here is the one that ``JSONDecoder`` finds in the record by itself;
what is not understood here, or could be refused, is left to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from detector.types import Flags, Floats, Integers
from service.pipeline.decode.fields import MAX_SENSOR_NAME_BYTES, YEAR_2000, Fields
from service.pipeline.records import Record, arrivals_of, data_of, of_other_shards

FEWEST = 32  # records for which columns are worth while
_ALONE = 8  # records, of which one is broken, that are left to the decoder
_LARGEST = 2.0**53  # what is as large may be an integer that no float holds
_MILLISECONDS = 10**12, 10**13  # integers between these are times in milliseconds and nothing else


@dataclass(frozen=True, slots=True)
class FlatReadings:
    """m readings, one a record.

    Attributes:
        records: [m] the records' numbers, ascending.
        sensors: [m] names.
        times: [m] event times in ms.
        values: [m, d]; NaN is a missing value, but not all of a reading are missing.
        labels: [m], or empty if nothing is asked for.
    """

    records: Integers
    sensors: list[str]
    times: Integers
    values: Floats
    labels: list[dict[str, str]]

    def before(self, record: int) -> FlatReadings:
        """The readings of the records before one."""
        n = int(np.searchsorted(self.records, record))
        if n == len(self.records):
            return self
        return FlatReadings(self.records[:n], self.sensors[:n], self.times[:n], self.values[:n], self.labels[:n])


def read_flat(records: Sequence[Record], fields: Fields) -> FlatReadings | None:
    """The readings of those of n records that are understood here; None if there are none."""
    names = fields.plain_names
    if names is None or len(records) < FEWEST:
        return None
    data = data_of(records)
    flat = _are_flat(data)
    flat[list(of_other_shards(records))] = False
    rows = np.flatnonzero(flat)
    bodies: list[Any] = []
    _parse(data if len(rows) == len(data) else [data[row] for row in rows.tolist()], bodies)
    keep = np.array([body is not None for body in bodies], dtype=bool)
    if not keep.all():
        rows, bodies = rows[keep], [body for body in bodies if body is not None]
    if not bodies:
        return None
    sensor, time, values = names
    arrivals = np.asarray(arrivals_of(records), dtype=np.int64)[rows]
    sensors = [body.get(sensor) for body in bodies]
    keep = _are_names(sensors)
    found = np.empty((len(rows), len(values)))
    for number, name in enumerate(values):
        found[:, number] = _numbers([body.get(name) for body in bodies], keep)
    keep &= ~np.isnan(found).all(axis=1)
    times = _times([body.get(time) for body in bodies], arrivals, fields, keep)
    if keep.all():
        return FlatReadings(rows, sensors, times, found, _labels(bodies, fields))
    if not keep.any():
        return None
    kept = np.flatnonzero(keep).tolist()
    labels = _labels([bodies[row] for row in kept], fields)
    return FlatReadings(rows[kept], [sensors[row] for row in kept], times[kept], found[kept], labels)


def _are_flat(data: Sequence[bytes]) -> Flags:
    """[n] whether a record begins with ``{``, ends with ``}`` (or with a newline behind it), and has no other brace."""
    joined = np.frombuffer(b"".join(data), np.uint8)
    sizes = np.fromiter(map(len, data), np.int64, len(data))
    ends = np.cumsum(sizes)
    starts = ends - sizes
    opening, closing = np.flatnonzero(joined == ord("{")), np.flatnonzero(joined == ord("}"))
    if not len(opening) or not len(closing):
        return np.zeros(len(data), dtype=bool)
    first, last = np.searchsorted(opening, starts), np.searchsorted(closing, starts)
    begins = opening[np.minimum(first, len(opening) - 1)] == starts
    stops = closing[np.minimum(last, len(closing) - 1)]
    newline = joined[np.clip(ends - 1, 0, None)] == ord("\n")
    alone = (np.searchsorted(opening, ends) - first == 1) & (np.searchsorted(closing, ends) - last == 1)
    return np.asarray(alone & begins & (stops == ends - 1 - newline))


def _parse(data: Sequence[bytes], bodies: list[Any]) -> None:
    """Append each flat record's object to ``bodies``, None if it may be broken.

    A brace may stand in a text, or a text may begin in one record and end in another. But where an array of n such
    records has n objects, each brace begins or ends one of these, so that each record is one.
    """
    if not data:
        return
    try:
        found = orjson.loads(b"[" + b",".join(data) + b"]")
        if len(found) == len(data) and set(map(type, found)) == {dict}:
            bodies.extend(found)
            return
    except orjson.JSONDecodeError:
        pass
    if len(data) <= _ALONE:
        bodies.extend([None] * len(data))
        return
    half = len(data) // 2
    _parse(data[:half], bodies)
    _parse(data[half:], bodies)


def _are_names(sensors: Sequence[Any]) -> Flags:
    """[m] whether each is text that can be a sensor's name."""
    if set(map(type, sensors)) == {str}:
        refused = {name for name in set(sensors) if not _is_name(name)}
        if not refused:
            return np.ones(len(sensors), dtype=bool)
    return np.array([type(name) is str and _is_name(name) for name in sensors], dtype=bool)


def _is_name(name: str) -> bool:
    return 0 < 4 * len(name) <= MAX_SENSOR_NAME_BYTES


def _numbers(column: Sequence[Any], keep: Flags) -> Floats:
    """[m] the numbers; NaN is null or missing. What is anything else, or large, is marked as not to ``keep``."""
    if not set(map(type, column)) <= {int, float, type(None)}:
        known = [type(value) in (int, float, type(None)) for value in column]
        keep &= known
        column = [value if is_known else None for value, is_known in zip(column, known, strict=True)]
    numbers = np.array(column, dtype=np.float64)
    keep &= ~(np.abs(numbers) >= _LARGEST)
    return numbers


def _times(column: Sequence[Any], arrivals: Integers, fields: Fields, keep: Flags) -> Integers:
    """[m] event times in ms; what may be refused is marked as not to ``keep``."""
    kinds = set(map(type, column))
    if kinds == {type(None)}:
        return arrivals
    if kinds == {int} and not fields.time_formats and min(column) >= -(2**63) and max(column) < 2**63:
        times = np.array(column, dtype=np.int64)
        low, high = _MILLISECONDS
        usual = (times >= max(low, YEAR_2000)) & (times < high) & (times <= arrivals + fields.max_future)
        if fields.max_past is not None:
            usual &= times >= arrivals - fields.max_past
        if usual.all():
            return times
    times = arrivals.copy()
    for row, (value, arrival) in enumerate(zip(column, arrivals.tolist(), strict=True)):
        if value is not None and keep[row]:
            try:
                times[row] = fields.moment(value, arrival)
            except Exception:  # the decoder finds it again and says why
                keep[row] = False
    return times


def _labels(bodies: Sequence[dict[str, Any]], fields: Fields) -> list[dict[str, str]]:
    return [fields.labels(body, body) for body in bodies] if fields.has_labels else []
