"""A recording played back: a CSV file with a time and one or more value columns becomes a sensor."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from simulator.sensors import Message

_TIME_NAMES = ("timestamp", "time", "datetime", "date", "@timestamp", "iottime", "ts")


class RecordingError(Exception):
    """A file is no recording; the message names file, line, column and what is wrong."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A CSV file, checked from first to last line.

    One value column is called ``iotValue`` in the records, several keep their names. Times without a zone are UTC.

    Attributes:
        name: the sensor's, from the file's name.
        fields: what the values are called in the records.
        times: of the rows, ascending or not.
        values: of the rows.
    """

    name: str
    fields: tuple[str, ...]
    times: tuple[datetime, ...]
    values: tuple[tuple[float, ...], ...]

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Read a file. Raises RecordingError."""
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.reader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise RecordingError(f"{path}: {error}") from None
        if len(rows) < 2:
            raise RecordingError(f"{path}: needs a line of column names and at least one reading")
        header, body = rows[0], [(line, row) for line, row in enumerate(rows[1:], 2) if row]
        time = _time_column(path, header)
        columns = [i for i, name in enumerate(header) if i != time and name.strip()]
        if not columns:
            raise RecordingError(f"{path}: has no value column beside {header[time]!r}")
        for line, row in body:
            if len(row) != len(header):
                raise RecordingError(f"{path}:{line}: {len(row)} columns instead of {len(header)}")
        return cls(
            name=path.stem,
            fields=("iotValue",) if len(columns) == 1 else tuple(header[i].strip() for i in columns),
            times=tuple(_time(path, line, header[time], row[time]) for line, row in body),
            values=tuple(tuple(_value(path, line, header[i], row[i]) for i in columns) for line, row in body),
        )

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[Message]:
        """The readings as messages, in the file's order."""
        for time, values in zip(self.times, self.values, strict=True):
            moment = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            body = {"iotName": self.name, "iotTime": moment, **dict(zip(self.fields, values, strict=True))}
            yield Message(self.name, orjson.dumps(body))

    def pauses(self, speed: float) -> Iterator[float]:
        """Seconds to wait before each reading when played ``speed`` times faster than it was recorded."""
        before = self.times[0] if self.times else None
        for time in self.times:
            yield max(0.0, (time - before).total_seconds() / speed) if before else 0.0
            before = time


def _time_column(path: Path, header: list[str]) -> int:
    for wanted in _TIME_NAMES:
        for i, name in enumerate(header):
            if name.strip().lower() == wanted:
                return i
    raise RecordingError(f"{path}: no time column among {', '.join(header)}; call one {_TIME_NAMES[0]}")


def _time(path: Path, line: int, column: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            moment = datetime.fromtimestamp(float(text), UTC)
        except (ValueError, OverflowError, OSError):
            message = f"{path}:{line}: {column} = {text!r} is neither an ISO 8601 time nor seconds since 1970"
            raise RecordingError(message) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _value(path: Path, line: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise RecordingError(f"{path}:{line}: {column} = {text!r} is not a number") from None
    if not math.isfinite(value):
        raise RecordingError(f"{path}:{line}: {column} = {text!r} is not finite")
    return value
