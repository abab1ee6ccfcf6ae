"""A table as its sensors' readings, in order of time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.types import Floats, Integers
from service.offline.tables.dialect import Grid, grid_of
from service.offline.tables.files import HistoryError, stem, text_of
from service.offline.tables.numbers import is_missing, number
from service.offline.tables.roles import Columns, Roles, marked, roles_of
from service.offline.tables.times import times_of

_BY_FILE = "the file's name"
Window = tuple[int, int]  # first and last event time in ms, inclusive


@dataclass(frozen=True, slots=True)
class History:
    """One sensor's readings in a file, in order of time; those of one time in the file's order.

    Attributes:
        sensor: its name: of the sensors' column, else the file's without .csv.
        features: [d] the names of the values.
        stamps: [n] times as the file writes them.
        times: [n] the same in milliseconds since 1970, ascending.
        values: [n, d]; NaN where a cell says that there is none.
        windows: stretches that a column of labels marks; None if there is no such column.
    """

    sensor: str
    features: tuple[str, ...]
    stamps: list[str]
    times: Integers
    values: Floats
    windows: list[Window] | None


@dataclass(frozen=True, slots=True)
class Table:
    """A file's sensors, in the order in which they appear, and in ``taken`` what its columns were taken for."""

    histories: list[History]
    taken: str


def read(path: Path, columns: Columns | None = None) -> Table:
    """All readings of a file. Raises HistoryError, which names the file, the line and the column.

    The file is text with a header and with commas, semicolons, tabs or bars between its columns, in UTF-8, UTF-16 or
    Latin-1, also compressed by gzip. Its columns are told apart by what they hold, and by their names.
    """
    text, encoding = text_of(path)
    grid = grid_of(text, str(path))
    if encoding in ("cp1252", "latin-1"):
        grid.notes.append("read as Latin-1")
    return table_of(grid, columns or Columns(), path)


def table_of(grid: Grid, columns: Columns, path: Path) -> Table:
    """The readings in a table of text. Raises HistoryError."""
    name = str(path)
    roles = roles_of(grid, columns, name)
    _drop_silences(grid)
    stamps = grid.column(roles.time)
    if roles.clock is not None:
        stamps = [f"{day} {clock}" for day, clock in zip(stamps, grid.column(roles.clock), strict=True)]
    times = times_of(stamps, grid.lines, name, grid.header[roles.time], columns.formats)
    values = np.empty((len(times), len(roles.values)))
    for j, k in enumerate(roles.values.values()):
        values[:, j] = _numbers(grid, k, roles, name)
    sensors = _sensors(grid, roles, stem(path), name)
    labels = None if roles.label is None else [marked(cell) for cell in grid.column(roles.label)]
    if (np.diff(times) < 0).any():
        grid.notes.append("rows sorted by time")
    order = np.argsort(times, kind="stable").tolist()
    rows: dict[str, list[int]] = {sensor: [] for sensor in sensors}
    for row in order:
        rows[sensors[row]].append(row)
    histories = []
    for sensor, own in rows.items():
        windows = None if labels is None else _stretches(times[own].tolist(), [labels[row] for row in own])
        histories.append(
            History(sensor, tuple(roles.values), [stamps[row] for row in own], times[own], values[own], windows)
        )
    return Table(histories, _taken(grid, roles))


def _numbers(grid: Grid, k: int, roles: Roles, name: str) -> list[float]:
    """A column's numbers."""
    mark = roles.marks[k] or "."
    found = []
    for line, row in zip(grid.lines, grid.rows, strict=True):
        value = number(row[k], mark)
        if value is None:
            other = "; the others have a decimal comma" if mark == "," and number(row[k], ".") is not None else ""
            raise HistoryError(f"{name}, line {line}: column {grid.header[k]!r}: {row[k]!r} is not a number{other}")
        found.append(value)
    return found


def _sensors(grid: Grid, roles: Roles, usual: str, name: str) -> list[str]:
    """[n] each reading's sensor."""
    if not roles.sensors:
        return [usual] * len(grid.rows)
    for line, row in zip(grid.lines, grid.rows, strict=True):
        for k in roles.sensors:
            if not row[k]:
                raise HistoryError(f"{name}, line {line}: column {grid.header[k]!r} names no sensor")
    return ["/".join(row[k] for k in roles.sensors) for row in grid.rows]


def _drop_silences(grid: Grid) -> None:
    """An export of the index also tells of silent sensors; these rows are no readings."""
    if "silent_since" not in grid.header or "sensor" not in grid.header:
        return
    k = grid.header.index("silent_since")
    kept = [row for row, cells in enumerate(grid.rows) if is_missing(cells[k])]
    if 0 < len(kept) < len(grid.rows):
        grid.notes.append(f"left out {len(grid.rows) - len(kept)} rows of silent sensors")
        grid.rows, grid.lines = [grid.rows[row] for row in kept], [grid.lines[row] for row in kept]


def _stretches(times: Sequence[int], labels: Sequence[bool]) -> list[Window]:
    """From the first to the last of each run of labelled readings."""
    windows: list[Window] = []
    for time, label, before in zip(times, labels, [False, *labels], strict=False):
        if label and before:
            windows[-1] = (windows[-1][0], time)
        elif label:
            windows.append((time, time))
    return windows


def _taken(grid: Grid, roles: Roles) -> str:
    """What each column was taken for, on one line."""
    times = [grid.header[k] or f"column_{k + 1}" for k in (roles.time, roles.clock) if k is not None]
    values = [
        value if grid.header[k] in (value, "") else f"{value} (column {grid.header[k]})"
        for value, k in roles.values.items()
    ]
    parts = [
        f"time: {' and '.join(times)}",
        f"sensor: {', '.join(grid.header[k] for k in roles.sensors) or _BY_FILE}",
        f"values: {', '.join(values)}",
    ]
    if roles.label is not None:
        parts.append(f"labels: {grid.header[roles.label]}")
    if any(roles.marks[k] == "," for k in roles.values.values()):
        parts.append("decimal comma")
    if roles.ignored:
        parts.append("ignored: " + ", ".join(roles.ignored))
    return "; ".join(parts + grid.notes)


def say_once(tables: Iterable[tuple[str, Table]]) -> list[str]:
    """A line for each way in which files were read: the first file's name, how many others, and what was taken."""
    names: dict[str, list[str]] = {}
    for name, table in tables:
        names.setdefault(table.taken, []).append(name)
    lines = []
    for taken, files in names.items():
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        lines.append(f"{files[0]}{more}: {taken}")
    return lines
