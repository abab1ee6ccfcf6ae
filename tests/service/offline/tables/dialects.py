"""The same readings written in many ways: what spreadsheets, loggers, databases and data frames make of them."""

import gzip
import random
from dataclasses import dataclass
from datetime import UTC, datetime

from hypothesis import strategies as st

TIME_FORMS = {
    "iso": lambda ms: _utc(ms).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "space": lambda ms: _utc(ms).strftime("%Y-%m-%d %H:%M:%S"),
    "offset": lambda ms: _utc(ms).strftime("%Y-%m-%dT%H:%M:%S+00:00"),
    "seconds": lambda ms: str(ms // 1000),
    "milliseconds": lambda ms: str(ms),
    "compact": lambda ms: _utc(ms).strftime("%Y%m%d%H%M%S"),
    "dotted": lambda ms: _utc(ms).strftime("%d.%m.%Y %H:%M:%S"),
    "month": lambda ms: _utc(ms).strftime("%d-%b-%Y %H:%M:%S"),
    "slashes": lambda ms: _utc(ms).strftime("%Y/%m/%d %H:%M:%S"),
}
MISSING = ("", "NA", "N/A", "null", "NULL", "None", "-", "?", "NaN", "No Data", "unavailable")


def _utc(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


@dataclass(frozen=True)
class Dialect:
    """How a table is written."""

    separator: str
    decimal: str
    grouped: bool
    quoted: bool
    encoding: str
    packed: bool
    line_end: str
    time_form: str
    time_name: str
    time_first: bool
    index: str | None  # the name of a column of row numbers; "R" for one without a place in the header
    identity: str | None  # the name of a column that is always 1048
    note: bool  # a column of texts
    order: str
    missing: str
    comment: bool
    named: bool  # sep=;
    units: bool
    title: bool
    blank_end: bool

    def write(self, names, times, values, seed: int) -> bytes:
        """A table of these readings (``values`` [n][d], None where one is missing)."""
        rows = [
            [TIME_FORMS[self.time_form](time), *(self._number(value) for value in row)]
            for time, row in zip(times, values, strict=True)
        ]
        header = [self.time_name, *names]
        if not self.time_first:
            rows, header = [row[1:] + row[:1] for row in rows], header[1:] + header[:1]
        if self.identity:
            rows, header = [["1048", *row] for row in rows], [self.identity, *header]
        if self.note:
            rows, header = [[*row, "checked by hand"] for row in rows], [*header, "remark"]
        if self.order == "newest first":
            rows.reverse()
        elif self.order == "shuffled":
            random.Random(seed).shuffle(rows)
        if self.index is not None:
            rows = [[str(number), *row] for number, row in enumerate(rows)]
            header = header if self.index == "R" else [self.index, *header]
        lines = [self._line(header, head=True), *(self._line(row) for row in rows)]
        if self.units:
            lines.insert(1, self._line(["" if name == self.time_name else "°C" for name in header]))
        if self.title:
            lines.insert(0, "Station Nord")
        if self.comment:
            lines = ["# written by a logger", *lines[:2], "# restarted", *lines[2:]]
        if self.named:
            lines.insert(0, f"sep={self.separator}")
        if self.blank_end:
            lines += ["", self.separator * (len(header) - 1)]
        data = (self.line_end.join(lines) + self.line_end).encode(self.encoding)
        return gzip.compress(data) if self.packed else data

    def _number(self, value) -> str:
        if value is None:
            return self.missing
        text = f"{value:,.2f}" if self.grouped else f"{value:.2f}"
        return text.translate(str.maketrans(".,", ",.")) if self.decimal == "," else text

    def _line(self, cells, head: bool = False) -> str:
        return self.separator.join(self._cell(cell, head) for cell in cells)

    def _cell(self, cell: str, head: bool) -> str:
        if self.quoted or self.separator in cell or (head and '"' in cell):
            return '"' + cell.replace('"', '""') + '"'
        return cell


@st.composite
def dialects(draw) -> Dialect:
    """Any that tells all that is needed."""
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    decimal = draw(st.sampled_from([".", ","])) if separator != "," else "."
    index = draw(st.sampled_from([None, None, "", "Unnamed: 0", "id", "R"]))
    plain = index != "R"
    return Dialect(
        separator, decimal, draw(st.booleans()), draw(st.booleans()),
        draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])), draw(st.booleans()),
        draw(st.sampled_from(["\n", "\r\n"])), draw(st.sampled_from(sorted(TIME_FORMS))),
        draw(st.sampled_from(["timestamp", "Time (UTC)", "measured_at", "Date/Time", "Zeit"])), draw(st.booleans()),
        index,
        draw(st.sampled_from([None, "station_id"])) if plain else None, draw(st.booleans()),
        draw(st.sampled_from(["oldest first", "newest first", "shuffled"])), draw(st.sampled_from(MISSING)),
        draw(st.booleans()), draw(st.booleans()), draw(st.booleans()) and plain, draw(st.booleans()) and plain,
        draw(st.booleans()) and plain,
    )  # fmt: skip
