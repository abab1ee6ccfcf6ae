"""A recording played back: a CSV file becomes a sensor.

Any CSV with a header, one column of times and one or more columns of numbers will do, separated by commas, semicolons
or tabs. A row becomes ``{"iotName": <file's name without .csv>, "iotTime": "2014-04-01T00:00:00Z", "iotValue": 20.0}``;
with several value columns each value stands under its column's name instead.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import orjson

from simulator import SimulatorError
from simulator.reading import Reading, format_time

TIME_COLUMNS = ("timestamp", "@timestamp", "time", "datetime", "date", "ts", "iottime")  # else the first with times


class RecordingError(SimulatorError):
    """The file cannot be played; the message names the file, the line and the column."""


class Recording:
    """A CSV file's readings, in the order of its rows. Iterate over it; each pass reads the file anew.

    The header and the first row are looked at when the recording is made, the others as they come.

    Args:
        path: the file, in UTF-8.
        time_column: the times' column; None finds it. ISO 8601 (without a zone: UTC), or seconds or milliseconds since
            1970.
        value_columns: the values' columns; None takes all that hold a number in the first row.

    Raises:
        RecordingError: the file is missing or empty, or its columns are not to be found.
    """

    def __init__(
        self, path: str | Path, *, time_column: str | None = None, value_columns: Sequence[str] | None = None
    ) -> None:
        self.path = Path(path)
        self.sensor = self.path.stem
        try:
            with self._open() as file:
                rows = self._rows(file)
                header = next(rows, (1, []))[1]
                first = next(rows, None)
        except OSError as error:
            raise RecordingError(f"{self.path}: {error.strerror or error}") from None
        if not any(header):
            raise RecordingError(f"{self.path}: line 1: expected a header such as timestamp,value; the file is empty")
        if first is None:
            raise RecordingError(f"{self.path}: has a header, but no rows")
        self.columns = [name.strip() for name in header]
        self.time_column = self._find_time(first[1]) if time_column is None else self._require(time_column)
        if value_columns is None:
            self.value_columns = self._find_values(first[1])
        else:
            self.value_columns = [self._require(name) for name in value_columns]

    def __length_hint__(self) -> int:
        with self.path.open("rb") as file:
            return max(sum(1 for _ in file) - 1, 0)

    def __iter__(self) -> Iterator[Reading]:
        """Raises RecordingError at the first row that is no reading."""
        time_place = self.columns.index(self.time_column)
        places = [self.columns.index(name) for name in self.value_columns]
        labels = ["iotValue"] if len(places) == 1 else self.value_columns
        start: datetime | None = None
        with self._open() as file:
            rows = self._rows(file)
            next(rows)
            for line, row in rows:
                if len(row) != len(self.columns):
                    raise self._error(line, f"expected {len(self.columns)} columns, found {len(row)}")
                moment = _time(row[time_place])
                if moment is None:
                    raise self._error(line, f"column {self.time_column!r}: {row[time_place]!r} is not a time")
                start = start or moment
                body: dict[str, object] = {"iotName": self.sensor, "iotTime": format_time(moment)}
                for label, place in zip(labels, places, strict=True):
                    value = _number(row[place])
                    if value is None:
                        raise self._error(line, f"column {self.columns[place]!r}: {row[place]!r} is not a number")
                    body[label] = value
                yield Reading(self.sensor, (moment - start).total_seconds(), orjson.dumps(body))

    def _open(self) -> IO[str]:
        return self.path.open(encoding="utf-8-sig", newline="")

    def _rows(self, file: IO[str]) -> Iterator[tuple[int, list[str]]]:
        """Rows that are not blank, each with the number of its last line."""
        line = 0
        try:
            header = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=header.count))
            for row in reader:
                line = reader.line_num
                if row:
                    yield line, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise self._error(line + 1, f"not CSV in UTF-8: {error}") from None

    def _find_time(self, first: Sequence[str]) -> str:
        for wanted in TIME_COLUMNS:
            for name in self.columns:
                if name.lower() == wanted:
                    return name
        for name, text in zip(self.columns, first, strict=False):
            if _number(text) is None and _time(text) is not None:
                return name
        raise RecordingError(
            f"{self.path}: line 1: no column of times among {', '.join(self.columns)}; "
            f"name one of them {TIME_COLUMNS[0]!r}, or say which it is"
        )

    def _find_values(self, first: Sequence[str]) -> list[str]:
        found = [
            name
            for name, text in zip(self.columns, first, strict=False)
            if name != self.time_column and _number(text) is not None
        ]
        if not found:
            raise RecordingError(f"{self.path}: line 2: no column but {self.time_column!r} holds a number")
        return found

    def _require(self, name: str) -> str:
        if name not in self.columns:
            raise RecordingError(f"{self.path}: line 1: no column {name!r}; there are {', '.join(self.columns)}")
        return name

    def _error(self, line: int, problem: str) -> RecordingError:
        return RecordingError(f"{self.path}: line {line}: {problem}")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _time(text: str) -> datetime | None:
    number = _number(text)
    try:
        if number is None:
            moment = datetime.fromisoformat(text.strip())
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # As seconds 10¹¹ would be the year 5138, so it must be milliseconds.
        return datetime.fromtimestamp(number if abs(number) < 1e11 else number / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
