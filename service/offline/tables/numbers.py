"""Numbers as tables write them: 1234.5, 1,234.5, 1.234,5, 1 234,5, and the words for none."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

Mark = Literal[".", ","]  # what stands before the decimals

MISSING = frozenset(
    (
        *("", "na", "n/a", "n.a.", "nan", "null", "none", "nil", "nul", "void", "undefined", "missing", "empty"),
        *("-", "--", "---", "–", "—", "?", ".", "no data", "nodata", "no_data", "unavailable", "unknown", "offline"),
        *("#n/a", "#na", "#null!", "#value!", "#ref!", "#div/0!", "#num!", "#name?", "<na>", "\\n", "nat", "bad"),
    )
)
_GROUPS = {  # digits in threes
    ".": re.compile(r"[+-]?[1-9][0-9]{0,2}(?:[,'’\s_][0-9]{3})+(?:\.[0-9]*)?"),
    ",": re.compile(r"[+-]?[1-9][0-9]{0,2}(?:[.'’\s_][0-9]{3})+(?:,[0-9]*)?"),
}
_COMMA = re.compile(r"[+-]?(?:[0-9]+(?:,[0-9]*)?|,[0-9]+)(?:[eE][+-]?[0-9]+)?")
_POINT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INFINITE = re.compile(r"[+-]?(?:inf|infinity)", re.IGNORECASE)
_BETWEEN = re.compile(r"[,.'’\s_]")


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value, in a word or in the bars of a spreadsheet's column too narrow."""
    return not cell or cell.strip().lower() in MISSING or not cell.strip("#")


def number(cell: str, mark: Mark) -> float | None:
    """A cell's number; NaN if it is missing or infinite, None if it is something else."""
    cell = cell.strip().replace("\N{MINUS SIGN}", "-")
    if (_POINT if mark == "." else _COMMA).fullmatch(cell):
        value = float(cell.replace(",", "."))
        return value if math.isfinite(value) else math.nan
    if _GROUPS[mark].fullmatch(cell):
        whole, _, decimals = cell.partition(mark)
        return float(f"{_BETWEEN.sub('', whole)}.{decimals}")
    return math.nan if is_missing(cell) or _INFINITE.fullmatch(cell) else None


def is_number(cell: str) -> bool:
    """Whether a cell holds a number in either form."""
    return not is_missing(cell) and (number(cell, ".") is not None or number(cell, ",") is not None)


def marks_of(columns: Sequence[Sequence[str]], separator: str) -> list[Mark | None]:
    """What stands before the decimals in each column; None where fewer than half of the cells are numbers.

    A column in which 1.234 can be either is read as the others of its file are, and else by the separator: next to
    commas a comma groups digits, next to semicolons and tabs it stands before decimals.
    """
    counts = [(_count(column, "."), _count(column, ",")) for column in columns]
    present = [sum(not is_missing(cell) for cell in column) for column in columns]
    comma = any(commas > points and 2 * commas >= n for (points, commas), n in zip(counts, present, strict=True))
    usual: Mark = "," if comma else "."
    marks: list[Mark | None] = []
    for column, (points, commas), n in zip(columns, counts, present, strict=True):
        if n == 0 or 2 * max(points, commas) < n:
            marks.append(None)
        elif points != commas:
            marks.append("." if points > commas else ",")
        elif any("," in cell for cell in column):
            marks.append("." if separator == "," and not comma else ",")
        else:
            marks.append(usual)
    return marks


def _count(column: Sequence[str], mark: Mark) -> int:
    """How many cells are numbers with this mark."""
    return sum(value is not None and not is_missing(cell) for cell in column for value in (number(cell, mark),))
