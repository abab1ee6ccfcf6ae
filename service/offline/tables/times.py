"""Columns of times: ISO 8601, numbers since 1970, and local forms of which the whole column tells which it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from detector.types import Integers
from service.offline.tables.files import HistoryError
from service.offline.tables.numbers import number
from service.pipeline.times import TimeError, parse_time

LIKE_A_TIME = re.compile(r"time|date|stamp|epoch|zeit|datum|fecha|hora|heure|_at$|_on$|last_(changed|updated)", re.I)
_TIME_OF_DAY = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?( ?[AP]M)?", re.IGNORECASE)
_DAY = re.compile(
    r"[0-9]{4}[-/.]?[0-9]{1,2}[-/.]?[0-9]{1,2}|[0-9]{1,2}[-/. ](?:[0-9]{1,2}|[a-z]{3,9})[-/. ][0-9]{2,4}", re.I
)
_LOCAL = re.compile(
    r"(?P<weekday>[a-z]{3},? )?"
    r"(?:(?P<year>[0-9]{4})(?P<by>[-/.])[0-9]{1,2}(?P=by)[0-9]{1,2}"
    r"|(?P<first>[0-9]{1,2})(?P<by2>[-/.])(?P<second>[0-9]{1,2})(?P=by2)(?P<year2>[0-9]{4}|[0-9]{2})"
    r"|[0-9]{1,2}(?P<by3>[-/ ])(?P<month>[a-z]{3,9})(?P=by3)[0-9]{4}"
    r"|(?P<month2>[a-z]{3,9}) [0-9]{1,2}(?P<comma>,?) [0-9]{4})"
    r"(?:(?P<gap>,? |T|:)[0-9]{1,2}:[0-9]{2}(?P<second_>:[0-9]{2}(?P<fraction>[.,][0-9]{1,6})?)?(?P<half> ?[ap]m)?"
    r"(?P<zone> ?(?:Z|[+-][0-9]{2}:?[0-9]{2}|UTC|GMT))?)?",
    re.IGNORECASE,
)


def is_time(cell: str) -> bool:
    """Whether a cell alone looks like a time."""
    return _is_plain(cell) or _LOCAL.fullmatch(cell) is not None


def is_moment(cell: str) -> bool:
    """Whether a cell can hardly be anything but a time: text, or such a number as times since 1995 have."""
    if not is_time(cell):
        return False
    value = number(cell, ".")
    return value is None or value >= 8e8 or 19_000_101 <= value < 22_000_101


def is_time_of_day(cell: str) -> bool:
    """Whether a cell is a time without a day."""
    return _TIME_OF_DAY.fullmatch(cell) is not None


def is_day(cell: str) -> bool:
    """Whether a cell is a day without a time."""
    return _DAY.fullmatch(cell) is not None


def times_of(cells: Sequence[str], lines: Sequence[int], name: str, column: str, formats: Sequence[str]) -> Integers:
    """[n] milliseconds since 1970 of a column's cells; ``formats`` of ``datetime.strptime`` are tried first.

    Raises HistoryError that names the file, the line and the column.
    """
    times = np.empty(len(cells), dtype=np.int64)
    day_first: bool | None = None
    for row, cell in enumerate(cells):
        try:
            times[row] = parse_time(cell, formats)
        except TimeError as error:
            found = _LOCAL.fullmatch(cell)
            if found is None:
                raise bad_time(name, lines[row], column, cell, error) from None
            if found["first"] and day_first is None:
                day_first = _is_day_first(cells, found, name, column)
            try:
                times[row] = parse_time(cell, (_form(found, bool(day_first)),))
            except TimeError as second:
                raise bad_time(name, lines[row], column, cell, second) from None
    return times


def bad_time(name: str, line: int, column: str, cell: str, reason: TimeError | None = None) -> HistoryError:
    """What to say of a cell that is no time."""
    if reason is None:
        try:
            parse_time(cell)
        except TimeError as error:
            reason = error
    return HistoryError(f"{name}, line {line}: column {column!r}: {reason or repr(cell)}")


def _is_day_first(cells: Sequence[str], one: re.Match[str], name: str, column: str) -> bool:
    """Whether 05/01/2026 is in January: what any cell shows. Raises HistoryError if none does."""
    pairs = [(int(found["first"]), int(found["second"])) for cell in cells if (found := _local_pair(cell))]
    day_first, month_first = any(first > 12 for first, _ in pairs), any(second > 12 for _, second in pairs)
    if day_first != month_first:
        return day_first
    if one["by2"] == ".":
        return True
    day, month = _form(one, True), _form(one, False)
    raise HistoryError(
        f"{name}: {column} = {one[0]!r}: does the day come first, or the month? "
        f"Say --time-format '{day}' or --time-format '{month}'"
    )


def _local_pair(cell: str) -> re.Match[str] | None:
    found = _LOCAL.fullmatch(cell)
    return found if found and found["first"] else None


def _form(found: re.Match[str], day_first: bool) -> str:
    """The format for ``datetime.strptime`` of a local form."""
    weekday = "" if not found["weekday"] else "%a, " if "," in found["weekday"] else "%a "
    if by := found["by"]:
        day = by.join(("%Y", "%m", "%d"))
    elif by := found["by2"]:
        year = "%Y" if len(found["year2"]) == 4 else "%y"
        day = by.join(("%d", "%m", year) if day_first else ("%m", "%d", year))
    elif by := found["by3"]:
        day = by.join(("%d", _month(found["month"]), "%Y"))
    else:
        day = f"{_month(found['month2'])} %d{found['comma']} %Y"
    if not (gap := found["gap"]):
        return weekday + day
    hour = "%I:%M" if found["half"] else "%H:%M"
    second = ":%S" if found["second_"] else ""
    fraction = f"{found['fraction'][0]}%f" if found["fraction"] else ""
    half = " %p" if found["half"] and found["half"][0] == " " else "%p" if found["half"] else ""
    zone = found["zone"] or ""
    letter = "%Z" if zone.strip()[-1:].isalpha() and len(zone.strip()) > 1 else "%z"
    return (
        weekday + day + gap + hour + second + fraction + half + (zone[: zone.startswith(" ")] + letter if zone else "")
    )


def _month(name: str) -> str:
    return "%b" if len(name) == 3 else "%B"


def _is_plain(cell: str) -> bool:
    try:
        parse_time(cell)
    except TimeError:
        return False
    return True
