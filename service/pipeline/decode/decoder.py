"""A batch of records to readings and refusals, for records that hold JSON."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import orjson

from detector.types import Integers, Readings
from service.pipeline.decode.carriers import MAX_UNPACKED, looks_like
from service.pipeline.decode.decoded import BATCH_MEMORY, READING_MEMORY, Decoded, DecodeError, Refusal
from service.pipeline.decode.fields import Fields, Find, Reading, describe, find_field, first_line
from service.pipeline.decode.flat import FlatReadings, read_flat
from service.pipeline.decode.json import MAX_READINGS, Broken, dump, parse
from service.pipeline.records import Record

T = TypeVar("T")
MANY = 1000  # readings of a record, of which all are refused, that make one refusal and not so many
_BEYOND_64_BITS = 2.0**63
OTHER_SHARD = (
    "the partition key of this user record of an aggregate hashes into another shard than the aggregate's; its "
    "producer must aggregate by shard. After a resharding the Kinesis Producer Library sends such records again itself"
)


class JSONDecoder:
    """Decodes records that hold one or many JSON objects.

    A record may be a JSON object, several one after the other or one a line, an array, or one of these by gzip, zlib or
    zstd. Guarantee: total and bounded, see ``Decoder``, ``carriers`` and MAX_READINGS; a reading that is refused spoils
    only itself.

    Args:
        fields: what to read of each element.
        readings_field: expression of a list in each JSON object, whose elements are the readings; empty if the object
            is one itself.
    """

    def __init__(self, fields: Fields, readings_field: str = "") -> None:
        self._fields = fields
        self._list = readings_field
        self._find_list = find_field(readings_field) if readings_field else None
        self._latest: tuple[bytes, list[_Element]] = (b"", [])

    def decode(self, records: Sequence[Record], *, bounded: bool = False) -> Decoded:
        """Readings and refusals of a batch, see ``Decoder``."""
        fields, single, taken = self._fields, self._find_list is None, len(records)
        columns = _Columns(fields, read_flat(records, fields) if single else None)
        for number in columns.missing(len(records)):
            record = records[number]
            if single and not record.other_shard:
                try:  # nearly all of the others: one object that is one reading
                    body = orjson.loads(record.data)
                    if type(body) is dict:
                        reading = fields.read(body, body, record.arrival)
                        if _is_exact(reading[2]):
                            columns.add(number, 0, reading, fields.labels(body, body))
                            continue
                except Exception:  # told apart below
                    pass
            self._decode_one(number, record, columns)
            if bounded and columns.size(number) > BATCH_MEMORY:  # of records like those above a batch is small enough
                taken = number + 1
                break
        return columns.decoded(taken)

    def element(self, record: Record, ordinal: int) -> bytes:
        """The JSON value that a reading was made of."""
        if self._find_list is None:
            with contextlib.suppress(orjson.JSONDecodeError):
                if type(orjson.loads(record.data)) is dict:
                    return record.data
        data, elements = self._latest  # a record's readings are asked for one after the other
        if data is not record.data:
            elements = list(self._elements(parse(record.data)))
            self._latest = record.data, elements
        return dump(elements[ordinal].value, b"{}")

    def _decode_one(self, number: int, record: Record, columns: _Columns) -> None:
        """Any record, whatever it holds."""
        try:
            if record.other_shard:
                raise DecodeError("other_shard", OTHER_SHARD)
            if not self._read(number, record, columns, exact=False):
                self._read(number, record, columns, exact=True)
        except DecodeError as error:
            columns.refusals.append(Refusal(number, None, error.code, str(error), record.data))
        except Exception as error:  # a record that nobody thought of must not stop the shard
            columns.refusals.append(Refusal(number, None, "unreadable", _describe(error), record.data))

    def _read(self, number: int, record: Record, columns: _Columns, *, exact: bool) -> bool:
        """Add a record's readings and refusals, but nothing and False if the record must be read more exactly.

        Raises DecodeError if the whole record is refused.
        """
        elements = list(self._elements(parse(record.data, exact=exact)))
        if not elements:
            raise DecodeError("empty", f"{self._list or 'the record'} is an empty array, so it holds no reading")
        fields, arrival = self._fields, record.arrival
        found: list[tuple[int, Reading, dict[str, str]]] = []
        refused: list[tuple[int, DecodeError]] = []
        for ordinal, (value, root, error) in enumerate(elements):
            try:
                if error is not None:
                    raise error
                reading = fields.read(value, root, arrival)
                if not exact and not _is_exact(reading[2]):
                    return False
                found.append((ordinal, reading, fields.labels(value, root)))
            except DecodeError as refusal:
                refused.append((ordinal, refusal))
            except Exception as failure:  # as above
                refused.append((ordinal, DecodeError("unreadable", _describe(failure))))
        if refused and len(elements) == 1:
            raise refused[0][1]
        if len(refused) == len(elements) > MANY:
            _, first = refused[0]
            raise DecodeError(first.code, f"none of its {len(elements)} readings can be read; the first: {first}")
        for ordinal, reading, labels in found:
            columns.add(number, ordinal, reading, labels)
        room = MAX_UNPACKED
        for ordinal, why in refused:
            data = self._alone(elements[ordinal], record.data, room)
            room -= len(data)
            columns.refusals.append(Refusal(number, ordinal, why.code, str(why), data))
            columns.refused_bytes += len(data)
        return True

    def _elements(self, values: Sequence[Any | Broken]) -> Iterator[_Element]:
        """What shall be a reading each. Raises DecodeError if they are too many."""
        count = 0
        for value in values:
            for element in self._within(value):
                yield element
                count += 1
                if count > MAX_READINGS:
                    raise DecodeError("too_large", f"the record holds more than {MAX_READINGS} readings")

    def _within(self, value: Any | Broken) -> Iterator[_Element]:
        if isinstance(value, Broken):
            yield _Element(value, None, value.error)
        elif self._find_list is not None:
            for document in value if isinstance(value, list) else (value,):
                yield from self._listed(document, self._find_list)
        elif isinstance(value, list):
            for each in value:
                yield _Element(each, value, _no_object(each))
        else:
            yield _Element(value, value, _no_object(value))

    def _listed(self, document: Any, find_list: Find) -> Iterator[_Element]:
        """The elements of the list that ``readings_field`` names."""
        if why := _no_object(document):
            yield _Element(document, document, why)
            return
        try:
            found = find_list(document, document)
        except DecodeError as error:
            yield _Element(document, document, error)
            return
        if isinstance(found, list):
            for each in found:
                yield _Element(each, document, None)
        elif found is None:
            reason = f"{self._list} is missing, so the record has no list of readings"
            yield _Element(document, document, DecodeError("no_readings", reason))
        else:
            reason = f"{self._list} is {describe(found)}, not a list of readings"
            yield _Element(document, document, DecodeError("no_readings", reason))

    def _alone(self, element: _Element, record: bytes, room: int) -> bytes:
        """A record that holds an element alone, in at most ``room`` bytes; otherwise one that is never a reading."""
        value, root, _ = element
        if isinstance(value, Broken):
            return value.text.encode()
        named = dump({"reading": value}, record)
        if value is root:
            return dump(value, record)
        if self._find_list is None:
            return named if self._fields.names_root else dump(value, record)
        path = self._list.split(".")
        if not all(name.isidentifier() for name in path):
            return named
        alone = dump(_replaced(root, path, [value]), record)
        return alone if len(alone) <= room else named


class _Element(NamedTuple):
    """What shall be a reading, the JSON value it lies in, and why it cannot be one."""

    value: Any
    root: Any
    error: DecodeError | None


class _Columns:
    """Readings one by one, beside those that were read together, and refusals."""

    def __init__(self, fields: Fields, flat: FlatReadings | None) -> None:
        self.refusals: list[Refusal] = []
        self.refused_bytes = 0  # in refusals of single readings; others hold their record
        self._fields, self._flat = fields, flat
        self._sensors: list[str] = []
        self._times: list[int] = []
        self._values: list[tuple[float, ...]] = []
        self._records: list[int] = []
        self._ordinals: list[int] = []
        self._labels: list[dict[str, str]] = []

    def missing(self, records: int) -> list[int]:
        """The numbers of the records, of so many, that were not read together."""
        numbers = np.arange(records)
        return (numbers if self._flat is None else np.delete(numbers, self._flat.records)).tolist()

    def add(self, record: int, ordinal: int, reading: Reading, labels: dict[str, str]) -> None:
        """One reading more."""
        sensor, time, values = reading
        self._sensors.append(sensor)
        self._times.append(time)
        self._values.append(values)
        self._records.append(record)
        self._ordinals.append(ordinal)
        self._labels.append(labels)

    def size(self, last: int) -> int:
        """What all of them take in memory up to a record, in bytes."""
        together = 0 if self._flat is None else int(np.searchsorted(self._flat.records, last, side="right"))
        return READING_MEMORY * (together + len(self._sensors) + len(self.refusals)) + self.refused_bytes

    def decoded(self, taken: int) -> Decoded:
        """All of them as columns, in the records' order; ``taken``: of how many records."""
        flat = self._flat.before(taken) if self._flat else None
        times = np.array(self._times, dtype=np.int64)
        values = np.array(self._values, dtype=np.float64).reshape(len(times), self._fields.dimensions)
        records: Sequence[int] = self._records
        sensors, ordinals, labels = self._sensors, self._ordinals, self._labels
        if flat and not records:
            times, values, sensors, labels = flat.times, flat.values, flat.sensors, flat.labels
            records, ordinals = flat.records.tolist(), [0] * len(times)
            if records == list(range(len(records))):
                records = range(len(records))
        elif flat:
            numbers = np.concatenate((flat.records, np.array(records, dtype=np.int64)))
            order = np.argsort(numbers, kind="stable")
            times = np.concatenate((flat.times, times))[order]
            values = np.concatenate((flat.values, values))[order]
            sensors = _ordered([*flat.sensors, *sensors], order)
            ordinals = _ordered([0] * len(flat.records) + ordinals, order)
            labels = _ordered([*flat.labels, *labels], order) if self._fields.has_labels else []
            records = numbers[order].tolist()
        numbers_of = {sensor: number for number, sensor in enumerate(dict.fromkeys(sensors))}
        codes = np.fromiter(map(numbers_of.__getitem__, sensors), np.int64, len(sensors))
        readings = Readings(sensors=tuple(numbers_of), codes=codes, times=times, values=values)
        given = labels if self._fields.has_labels else ()
        return Decoded(readings, records, ordinals, given, self.refusals, taken, self.size(taken - 1))


def _ordered(column: list[T], order: Integers) -> list[T]:
    return [column[place] for place in order.tolist()]


def _is_exact(values: Sequence[float]) -> bool:
    """Whether no value may be an integer of more than 64 bits, of which orjson has made a float."""
    return not any(value >= _BEYOND_64_BITS or value <= -_BEYOND_64_BITS for value in values)


def _no_object(value: Any) -> DecodeError | None:
    """Why a value cannot be an object with the fields of a reading."""
    if isinstance(value, dict):
        return None
    reason = f"a JSON {describe(value)} instead of an object"
    if isinstance(value, str):
        if value.lstrip()[:1] in ("{", "["):
            reason = "a JSON string that holds JSON, as if it had been encoded twice; send the object itself"
        elif guess := looks_like(value[:4096].encode("utf-8", "replace")):
            reason = f"a JSON string that looks like {guess}"
    return DecodeError("not_an_object", reason)


def _replaced(root: Any, path: Sequence[str], value: Any) -> Any:
    """A copy of an object with another value at a path in it."""
    name, *rest = path
    return {**root, name: _replaced(root[name], rest, value) if rest else value}


def _describe(error: Exception) -> str:
    return f"it cannot be read: {type(error).__name__}: {first_line(error)}"
