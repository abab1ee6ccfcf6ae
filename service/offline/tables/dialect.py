"""From text to rows: the separator, comments, lines before the header, the header and lines of units below it."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from service.offline.tables.files import HistoryError
from service.offline.tables.numbers import is_missing, is_number
from service.offline.tables.times import LIKE_A_TIME, is_moment, is_time, is_time_of_day

SEPARATORS = (",", ";", "\t", "|")
_SAMPLE = 200  # lines that are looked at
_MOST_UNITS = 3  # lines below a header that hold no data
_FORMULA = re.compile(r'="(.*)"')  # so that a spreadsheet takes a cell as text
_NAMED = re.compile(r"\s*\"?sep=(.)\"?\s*", re.IGNORECASE)

Row = tuple[int, list[str]]  # the number of its last line, its cells


@dataclass(slots=True)
class Grid:
    """A table of text: ``header`` [d], ``rows`` [n][d] and the number of the line that each ends in.

    Attributes:
        separator: what stands between cells.
        notes: what was left out or made up.
    """

    header: list[str]
    rows: list[list[str]]
    lines: list[int]
    separator: str = ","
    notes: list[str] = field(default_factory=list)

    def column(self, number: int) -> list[str]:
        """[n] the cells of a column."""
        return [row[number] for row in self.rows]


def grid_of(text: str, name: str) -> Grid:
    """The table in a file's text; ``name`` is for messages. Raises HistoryError."""
    lines = list(io.StringIO(text, newline=""))
    named = _NAMED.fullmatch(lines[0].lstrip("\ufeff")) if lines else None
    separator = named[1] if named else separator_of(lines)
    try:
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=separator != "\t")
        rows = [(reader.line_num, [_FORMULA.sub(r"\1", cell.strip()) for cell in row]) for row in reader]
    except csv.Error as error:
        raise HistoryError(f"{name}: not a table: {error}") from None
    return arrange(rows[1:] if named else rows, separator, name)


def separator_of(lines: Sequence[str]) -> str:
    """What stands between the cells: with it most rows are as wide, and most cells hold a time or a number."""
    sample = [line for line in lines[: 2 * _SAMPLE] if line.strip() and not line.lstrip().startswith("#")][:_SAMPLE]
    return max(SEPARATORS, key=lambda separator: _fit(sample, separator))


def _fit(sample: Sequence[str], separator: str) -> float:
    """How well a separator explains the lines, 0 to 2."""
    try:
        rows = list(csv.reader(sample, delimiter=separator, skipinitialspace=separator != "\t"))
    except csv.Error:
        return 0.0
    widths = Counter(len(row) for row in rows if len(row) > 1)
    if not widths:
        return 0.0
    width, count = max(widths.items(), key=lambda pair: (pair[1], pair[0]))
    cells = [cell for row in rows if len(row) == width for cell in row if cell.strip()]
    known = sum(is_number(cell) or is_time(cell) or is_time_of_day(cell) for cell in cells)
    return count / len(rows) * (1 + known / max(len(cells), 1))


def arrange(rows: Iterable[Row], separator: str, name: str) -> Grid:
    """Rows of cells as a table with a header. Raises HistoryError."""
    rows = [row for row in rows if any(row[1])]
    rows, comments = _without_comments(rows)
    if not rows:
        raise HistoryError(f"{name}, line 1: needs a header such as timestamp,value; the file is empty")
    notes: list[str] = []
    width = _width(rows)
    if width < 2:
        raise HistoryError(f"{name}, line {rows[0][0]}: needs a header such as timestamp,value: times, and values")
    first = next(k for k, (_, row) in enumerate(rows) if len(row) == width)
    above = rows[:first]
    if header := _short_header(rows, first, width, name):
        above = above[:-1]
    elif not _is_data(rows[first][1], rows[first + 1 : first + 20]):
        header, first = rows[first][1], first + 1
    elif comments and len(names := _cells(comments[-1], separator)) == width:
        header = names  # in a comment, as numpy writes it
    else:
        header = [f"column_{number}" for number in range(1, width + 1)]
        notes.append(f"no header: columns are called column_1 to column_{width}")
    for line, row in above:
        if len(row) > 1 and _is_data(row, rows[first:]):
            raise _wrong_width(name, line, width, row)
    if above:
        notes.append(f"left out above the header: {_lines([line for line, _ in above])}")
    units = 0
    while units < _MOST_UNITS and first + units < len(rows) and not _holds_data(rows[first + units][1]):
        units += 1
    if units and first + units < len(rows):
        notes.append(f"left out below the header: {_lines([line for line, _ in rows[first : first + units]])}")
        first += units
    again = [line for line, row in rows[first:] if row == header]  # files joined one behind the other
    if again:
        notes.append(f"left out the header again: {_lines(again)}")
    body = [(line, row) for line, row in rows[first:] if row != header]
    if not body:
        raise HistoryError(f"{name}: has no rows")
    for line, row in body:
        while len(row) > width and not row[-1]:
            row.pop()
        if len(row) != width:
            raise _wrong_width(name, line, width, row)
    return Grid(_unique(header), [row for _, row in body], [line for line, _ in body], separator, notes)


def _wrong_width(name: str, line: int, width: int, row: Sequence[str]) -> HistoryError:
    hint = "; a decimal comma needs quotes, or ; between the columns" if len(row) > width else ""
    return HistoryError(f"{name}, line {line}: expected {width} columns, found {len(row)}{hint}")


def _without_comments(rows: Sequence[Row]) -> tuple[list[Row], list[list[str]]]:
    """Rows that do not begin with #, unless most do; and the comments above all of them."""
    marked = [row[0].startswith("#") for _, row in rows]
    if 2 * sum(marked) > len(rows):
        return list(rows), []
    top = marked.index(False) if False in marked else 0
    return [row for row, comment in zip(rows, marked, strict=True) if not comment], [row for _, row in rows[:top]]


def _cells(comment: Sequence[str], separator: str) -> list[str]:
    """A comment's cells."""
    first = comment[0].lstrip("# ")
    return [first, *comment[1:]] if len(comment) > 1 else first.split(separator)


def _width(rows: Sequence[Row]) -> int:
    """How many cells most rows have; an empty cell at the end of all of them is none."""
    widths = Counter(len(row) for _, row in rows)
    return max(widths.items(), key=lambda pair: (pair[1], pair[0]))[0]


def _short_header(rows: Sequence[Row], first: int, width: int, name: str) -> list[str] | None:
    """The header if it has another width than the rows: no name for row numbers, or none for an empty last column.

    Raises HistoryError if the times stand below their title all the same: then it is a number that has a comma in it.
    """
    if first == 0 or not _is_data(rows[first][1], rows[first + 1 : first + 20]):
        return None
    above = rows[first - 1][1]
    if len(above) > width and not any(above[width:]):
        return above[:width]
    if len(above) != width - 1:
        return None
    empty = all(not row[-1] for _, row in rows[first:] if len(row) == width)
    line, data = rows[first]
    if not empty and any(
        LIKE_A_TIME.search(title) and is_moment(data[k]) and not is_moment(data[k + 1]) for k, title in enumerate(above)
    ):
        raise _wrong_width(name, line, width - 1, data)
    return [*above, ""] if empty else ["", *above]


def _is_data(row: Sequence[str], following: Sequence[Row]) -> bool:
    """Whether a row is no header: it holds a time where the rows below do, or nothing but numbers and times."""
    below = [cells for _, cells in following if len(cells) == len(row)]
    if all(is_missing(cell) or is_number(cell) or is_time(cell) for cell in row):
        moments = [k for k in range(len(row)) if below and all(is_moment(cells[k]) for cells in below)]
        return not moments or any(is_moment(row[k]) or is_missing(row[k]) for k in moments)  # else 0,1,2 are titles
    return any(
        is_moment(cell) and (not below or any(is_moment(cells[k]) for cells in below)) for k, cell in enumerate(row)
    )


def _holds_data(row: Sequence[str]) -> bool:
    """Whether a row below the header is more than units."""
    return any(is_number(cell) or is_time(cell) or is_time_of_day(cell) for cell in row)


def _unique(header: Sequence[str]) -> list[str]:
    """Names that differ; one that is missing stays so."""
    seen: Counter[str] = Counter()
    names = []
    for name in header:
        seen[name] += 1
        names.append(f"{name}_{seen[name]}" if name and seen[name] > 1 else name)
    return names


def _lines(numbers: Sequence[int]) -> str:
    return f"line {numbers[0]}" if len(numbers) == 1 else f"lines {numbers[0]} to {numbers[-1]}"
