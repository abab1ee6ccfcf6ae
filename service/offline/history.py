"""Recordings in CSV files: what sensors measured before, and where it was wrong if somebody knows."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector.types import Floats, Integers
from service import UserError
from service.pipeline.times import TimeError, parse_time

Window = tuple[int, int]  # first and last event time in ms, inclusive

TIME_COLUMNS = ("timestamp", "@timestamp", "time", "datetime", "date", "ts")
LABEL_COLUMNS = ("label", "anomaly", "is_anomaly")
_NO = ("", "0", "0.0", "false", "no", "normal", "none")


class HistoryError(UserError):
    """A recording cannot be read; the message names the file, the line and what is expected."""


@dataclass(frozen=True, slots=True)
class History:
    """One sensor's readings in a file, in the file's order.

    Attributes:
        sensor: its name: of the sensors' column, else the file's without .csv.
        features: [d] the names of the values' columns.
        stamps: [n] times as the file writes them.
        times: [n] the same in milliseconds since 1970.
        values: [n, d]; NaN where a cell is empty.
        windows: stretches that a column of labels marks; None if there is no such column.
    """

    sensor: str
    features: tuple[str, ...]
    stamps: list[str]
    times: Integers
    values: Floats
    windows: list[Window] | None


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a table may say who, when and what: names of columns, looked for before the usual ones."""

    sensor: str = "iotName"
    time: str = "iotTime"
    values: tuple[str, ...] = ("iotValue",)


def moment(text: str) -> int:
    """Milliseconds since 1970. Raises TimeError."""
    return parse_time(text)


def find(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """CSV files, and the names they go by: relative to the folder they were found in."""
    files = []
    for path in paths:
        if path.is_dir():
            files += [(file, str(file.relative_to(path))) for file in sorted(path.rglob("*.csv"))]
        elif path.exists():
            files.append((path, path.name))
        else:
            raise HistoryError(f"{path}: no such file or folder")
    if not files:
        raise HistoryError(f"{', '.join(map(str, paths))}: no .csv files")
    return files


def read(path: Path, columns: Columns | None = None) -> list[History]:
    """The sensors of a file, in the order in which they appear.

    The file is comma-, semicolon- or tab-separated UTF-8 with a header. Values are the columns that ``columns`` names,
    else all that hold a number in the first row and are neither time nor label.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            rows = csv.reader(file, delimiter=max(",;\t", key=head.count))
            return _Table(path, next(rows, []), columns or Columns()).read(rows)
    except OSError as error:
        raise HistoryError(f"{path}: {error.strerror or error}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise HistoryError(f"{path}: not CSV in UTF-8: {error}") from None


class _Table:
    """A file's columns, and the readings in it."""

    def __init__(self, path: Path, header: Sequence[str], columns: Columns) -> None:
        self.path = path
        self.header = [name.strip() for name in header]
        if len(self.header) < 2:
            raise HistoryError(f"{path}, line 1: needs a header such as timestamp,value")
        self.wanted = columns
        lower = [name.lower() for name in self.header]
        usual = [lower.index(name) for name in TIME_COLUMNS if name in lower]
        self.time = self.header.index(columns.time) if columns.time in self.header else [*usual, 0][0]
        self.sensor = self.header.index(columns.sensor) if columns.sensor in self.header else None
        self.label = next((lower.index(name) for name in LABEL_COLUMNS if name in lower), None)
        self.values: list[int] = []

    def read(self, rows: Any) -> list[History]:
        """All rows, by sensor."""
        found: dict[str, tuple[list[str], list[list[float]], list[bool]]] = {}
        for row in rows:
            if not row:
                continue
            if len(row) != len(self.header):
                raise self._error(rows.line_num, f"expected {len(self.header)} columns, found {len(row)}")
            if not self.values:
                self.values = self._find_values(row, rows.line_num)
            name = self.path.stem if self.sensor is None else row[self.sensor]
            stamps, values, labels = found.setdefault(name, ([], [], []))
            stamps.append(row[self.time])
            values.append([self._number(row[k], k, rows.line_num) for k in self.values])
            labels.append(self.label is not None and row[self.label].strip().lower() not in _NO)
        if not found:
            raise HistoryError(f"{self.path}: has no rows")
        features = tuple(self.header[k] for k in self.values)
        histories = []
        for name, (stamps, values, labels) in found.items():
            times = self._times(stamps)
            windows = None if self.label is None else _stretches(times.tolist(), labels)
            histories.append(History(name, features, stamps, times, np.array(values, dtype=np.float64), windows))
        return histories

    def _find_values(self, first: Sequence[str], line: int) -> list[int]:
        if set(self.wanted.values) <= set(self.header):
            return [self.header.index(name) for name in self.wanted.values]
        others = [k for k in range(len(first)) if k not in (self.time, self.sensor, self.label)]
        numbers = [k for k in others if _is_number(first[k])]
        if not numbers:
            names = ", ".join(self.header[k] for k in others) or "none besides the time"
            raise self._error(line, f"no column of numbers among {names}")
        return numbers

    def _number(self, text: str, column: int, line: int) -> float:
        if not text.strip():
            return math.nan
        try:
            number = float(text)
        except ValueError:
            raise self._error(line, f"{self.header[column]} = {text!r} is not a number") from None
        return number if math.isfinite(number) else math.nan

    def _times(self, stamps: Sequence[str]) -> Integers:
        times = np.empty(len(stamps), dtype=np.int64)
        for row, stamp in enumerate(stamps):
            try:
                times[row] = moment(stamp)
            except TimeError as error:
                raise HistoryError(f"{self.path}: {self.header[self.time]} = {error}") from None
        return times

    def _error(self, line: int, problem: str) -> HistoryError:
        return HistoryError(f"{self.path}, line {line}: {problem}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _stretches(times: Sequence[int], labels: Sequence[bool]) -> list[Window]:
    """From the first to the last of each run of labelled readings."""
    windows: list[Window] = []
    for time, label, before in zip(times, labels, [False, *labels], strict=False):
        if label and before:
            windows[-1] = (windows[-1][0], time)
        elif label:
            windows.append((time, time))
    return windows
