"""Which column of a table is the time, which names the sensor, which are values: by what all their cells hold.

Names help, but they never stand alone: a column called time that holds none is no time. Row numbers, ids and columns
that never change are neither times nor values.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from service.nearest import nearest
from service.offline.tables.dialect import Grid
from service.offline.tables.files import HistoryError
from service.offline.tables.numbers import Mark, is_missing, marks_of
from service.offline.tables.times import LIKE_A_TIME, bad_time, is_day, is_moment, is_time, is_time_of_day
from service.sinks.index.fields import FIELDS

_TIMES = (
    *("@timestamp", "timestamp", "datetime", "date_time", "date/time", "time", "date", "ts", "iottime"),
    *(
        "event_time",
        "eventtime",
        "measured_at",
        "epoch",
        "unixtime",
        "unix_time",
        "utc",
        "zeit",
        "datum",
        "zeitstempel",
    ),
)
_SENSORS = (
    *("sensor", "iotname", "sensor_id", "sensorid", "sensor_name", "device", "device_id", "deviceid", "device_name"),
    *("entity_id", "entity", "machine", "machine_id", "host", "hostname", "station", "station_id", "station_name"),
    *("node", "node_id", "asset", "asset_id", "meter", "meter_id", "mac"),
)
_PERHAPS_SENSORS = ("tag", "point", "name", "series", "series_id", "unit_id", "id")  # if they repeat
_LABELS = ("label", "anomaly", "is_anomaly")
_ID = re.compile(
    r"(?:.*[_ .-])?(?:id|ids|index|idx|row|rownum|no|nr|key|uuid|guid|serial|serial_number)"
    r"|.*[a-z]Id|row_number|unnamed: ?[0-9]+|#",
    re.IGNORECASE,
)
_NO = ("", "0", "0.0", "false", "no", "normal", "none")
_FEATURE = "feature_data_"  # what the index calls values
_OWN = frozenset(name for name in FIELDS if name[-1] not in "_.") | {"grade"}
_FEW = 3  # rows from which on a column that never changes, or counts, is none of the values


@dataclass(frozen=True, slots=True)
class Columns:
    """What a table's columns may be called, beside the usual names.

    Attributes:
        sensor, time: names of columns.
        values: what a value is called, to what its column may be called instead.
        given: which of ``sensor``, ``time`` and ``value`` must be there, because the user asked for them.
        by_name: whether the values must be found by their names; one value may be the only column of numbers.
        formats: of times, for ``datetime.strptime``.
    """

    sensor: str = "iotName"
    time: str = "iotTime"
    values: Mapping[str, str] = field(default_factory=lambda: {"iotValue": "iotValue"})
    given: frozenset[str] = frozenset()
    by_name: bool = False
    formats: tuple[str, ...] = ()


@dataclass(slots=True)
class Roles:
    """What the columns of a table are, by their numbers.

    Attributes:
        time: the column of times, or of days.
        clock: the column of the times of those days, if it is another.
        sensors: the columns that name the sensor; none if all rows are of one.
        label: the column that marks anomalies.
        values: name of each value, and its column.
        marks: what stands before the decimals in a column of numbers; None for others.
        ignored: what was left out, and why.
    """

    time: int
    clock: int | None
    sensors: list[int]
    label: int | None
    values: dict[str, int]
    marks: list[Mark | None]
    ignored: list[str]


def roles_of(grid: Grid, columns: Columns, name: str) -> Roles:
    """What each column is; ``name`` is for messages. Raises HistoryError."""
    return _Finder(grid, columns, name).find()


class _Finder:
    """The columns of one table, of which some have a role already."""

    def __init__(self, grid: Grid, columns: Columns, name: str) -> None:
        self.grid, self.wanted, self.name = grid, columns, name
        self.header = grid.header
        self.lower = [title.lower() for title in grid.header]
        self.cells = [grid.column(k) for k in range(len(grid.header))]
        self.marks = marks_of(self.cells, grid.separator)
        self.present = [[cell for cell in column if not is_missing(cell)] for column in self.cells]

    def find(self) -> Roles:
        """All roles."""
        time, clock = self._time()
        taken = {time, clock}
        label = next((k for title in _LABELS for k in self._called(title) if k not in taken), None)
        named = {value: self._value(value, path) for value, path in self.wanted.values.items()}
        sensors = self._sensors(time, taken | {label, *named.values()})
        taken |= {label, *sensors}
        values, ignored = self._values(named, taken)
        left = [k for k in range(len(self.header)) if k not in taken | set(values.values()) | ignored.keys()]
        ignored |= {k: self._why_ignored(k) for k in left}
        words = [f"{self._title(k)} ({ignored[k]})" for k in sorted(ignored)]
        return Roles(time, clock, sensors, label, values, self.marks, words)

    # Times

    def _time(self) -> tuple[int, int | None]:
        """The column of times, and that of the times of day if the first holds days."""
        rows = len(self.grid.rows)
        clocks = [k for k in range(len(self.header)) if self._share(k, is_time_of_day) >= 0.5]
        candidates = [k for k in range(len(self.header)) if self._is_time_column(k)]
        asked = self._column(self.wanted.time, "time", "time_field")
        if asked is not None:
            chosen = asked
        else:
            several = [
                k
                for k in candidates
                if rows < _FEW or len(set(self.present[k])) > 1 or (clocks and self._holds_days(k))
            ]
            if not several:
                raise self._no_time(candidates)
            chosen = min(several, key=self._rank)
        if self._holds_days(chosen) and clocks:
            return chosen, clocks[0]
        return chosen, None

    def _is_time_column(self, k: int) -> bool:
        if self._share(k, is_time) < 0.5:
            return False
        if self.marks[k] is None:
            return True
        if self._hint(k) is not None:  # seconds since the beginning of a recording, perhaps
            return not self._counts(k) or self._hint(k) == 0
        return not self._is_id(k) and self._share(k, is_moment) == 1.0

    def _rank(self, k: int) -> tuple[int, int, int]:
        """Text before numbers but for the usual names, then as names tell, then in the order of the file."""
        hint = self._hint(k)
        named = _TIMES.index(self.lower[k]) if hint == 0 else len(_TIMES)
        return (0 if hint == 0 or self.marks[k] is None else 1, named + (0 if hint is not None else 1), k)

    def _hint(self, k: int) -> int | None:
        """0 for a usual name of a time, 1 for one that is like it."""
        return 0 if self.lower[k] in _TIMES else 1 if LIKE_A_TIME.search(self.header[k]) else None

    def _holds_days(self, k: int) -> bool:
        return self._share(k, is_day) == 1.0

    def _no_time(self, constant: Sequence[int]) -> HistoryError:
        hinted = next((k for title in _TIMES for k in self._called(title)), None)
        if hinted is not None and hinted not in constant:
            for line, cell in zip(self.grid.lines, self.cells[hinted], strict=True):
                if not is_time(cell):
                    return bad_time(self.name, line, self.header[hinted], cell)
        names = ", ".join(repr(title) for title in self.header)
        never = f"; {self.header[constant[0]]!r} is the same in all rows" if constant else ""
        return HistoryError(
            f"{self.name}: no column of times among {names}{never}; "
            "times are ISO 8601, or seconds or milliseconds since 1970; name the column with --time-field"
        )

    # Sensors

    def _sensors(self, time: int, taken: set[int | None]) -> list[int]:
        asked = self._column(self.wanted.sensor, "sensor", "sensor_field")
        if asked is not None:
            return [asked]
        rows = len(self.grid.rows)
        free = [k for k in range(len(self.header)) if k not in taken and self.present[k]]
        names = (*_SENSORS, *_PERHAPS_SENSORS)
        for k in sorted((k for k in free if self.lower[k] in names), key=lambda k: names.index(self.lower[k])):
            distinct = len(set(self.cells[k]))
            if (self.lower[k] in _SENSORS and self.marks[k] is None) or (distinct > 1 and 2 * distinct <= rows):
                return [k, *self._telling_apart([time, k], free)]
        return self._telling_apart([time], free)

    def _telling_apart(self, known: Sequence[int], free: Sequence[int]) -> list[int]:
        """A column of text that tells several rows apart where those of the columns known are the same.

        Such is the quantity in a table that has temperatures and pressures below each other.
        """
        rows = len(self.grid.rows)
        places = list(zip(*(self.cells[k] for k in known), strict=True))
        if 2 * len(set(places)) > rows:
            return []
        for k in free:
            if k in known or self.marks[k] is not None or self._is_time_column(k) or 2 * len(set(self.cells[k])) > rows:
                continue
            if len(set(zip(places, self.cells[k], strict=True))) > 0.95 * rows:
                return [k]
        return []

    # Values

    def _values(self, named: Mapping[str, int | None], taken: set[int | None]) -> tuple[dict[str, int], dict[int, str]]:
        """The columns of the values, and why others are none: those that are named, else all that can be values."""
        present = {value: k for value, k in named.items() if k is not None}
        if len(present) == len(named):
            return present, {}
        wanted = self.wanted
        if not present and "value" not in wanted.given and not wanted.by_name:
            return self._all_values(taken)
        if wanted.by_name and len(named) == 1:
            found, ignored = self._all_values(taken)
            if len(found) == 1:
                return dict(zip(named, found.values(), strict=True)), ignored
        missing = [value for value in named if value not in present]
        numbers = [repr(title) for k, title in enumerate(self.header) if self.marks[k] is not None and k not in taken]
        raise HistoryError(
            f"{self.name}: no column for the value{'s' * (len(missing) > 1)} {', '.join(missing)}"
            f"{nearest(missing[0], self.header, most=2)}; the values are {', '.join(named)}, "
            f"the columns of numbers {', '.join(numbers) or 'none'}; set value_fields"
        )

    def _value(self, value: str, path: str) -> int | None:
        titles = (value, path, path.strip('"'), _FEATURE + value)
        return next((k for title in titles for k in self._exactly(title)), None)

    def _all_values(self, taken: set[int | None]) -> tuple[dict[str, int], dict[int, str]]:
        """All columns of numbers that can be values, and why others cannot."""
        free = [k for k in range(len(self.header)) if k not in taken and self.marks[k] is not None]
        own = [k for k in free if self.header[k].startswith(_FEATURE)]
        if own:  # what `cutwater export` has written
            return {self.header[k].removeprefix(_FEATURE): k for k in own}, {}
        scored = {"anomaly_score", "alert_score"} <= set(self.lower)
        ignored = {}
        for k in free:
            if reason := "a score" if scored and self.lower[k] in _OWN else self._why_no_value(k, len(free)):
                ignored[k] = reason
        values = [k for k in free if k not in ignored]
        if not values:  # a sensor may be stuck from the first reading to the last
            values = [k for k in free if ignored[k].startswith("always") and not self._is_id(k)]
            ignored = {k: reason for k, reason in ignored.items() if k not in values}
        if not values:
            others = [
                f"{self.header[k]!r}" + (f" (such as {self.present[k][0]!r})" if self.present[k] else "")
                for k in range(len(self.header))
                if k not in taken
            ]
            why = "".join(f"; {self._title(k)}: {reason}" for k, reason in ignored.items())
            raise HistoryError(
                f"{self.name}: no column of numbers among {', '.join(others) or 'those beside the time'}{why}; "
                "name it with --value-fields"
            )
        return {self._title(k): k for k in values}, ignored

    def _why_no_value(self, k: int, among: int) -> str:
        """Why a column of numbers holds no values; nothing if it may."""
        rows = len(self.grid.rows)
        title, distinct = self.header[k], set(self.present[k])
        if self._counts(k) and (not title or self._is_id(k) or (k == 0 and among > 1)):
            return "counts the rows"
        if self._is_id(k):
            return "an id"
        if rows >= _FEW and len(distinct) == 1:
            return f"always {next(iter(distinct))}"
        return ""

    def _why_ignored(self, k: int) -> str:
        """Why a column without a role has none."""
        cells = self.present[k]
        if not cells:
            return "empty"
        if self.marks[k] is not None:
            return (
                "not asked for" if self.wanted.given or self.wanted.by_name else self._why_no_value(k, 2) or "a number"
            )
        if self._share(k, is_time) == 1.0:
            return "times, too"
        if len(set(cells)) > 1 and 2 * len(set(cells)) <= len(self.grid.rows):
            return f"text that repeats; if it names the sensors: --sensor-field {shlex.quote(self._title(k))}"
        return "text"

    # Columns

    def _column(self, title: str, role: str, setting: str) -> int | None:
        """A column that is named; None if it is not there and need not be."""
        found = self._exactly(title) or self._exactly(title.strip('"'))
        if found:
            return found[0]
        if role in self.wanted.given:
            names = ", ".join(repr(each) for each in self.header)
            flag = setting.replace("_", "-")
            raise HistoryError(
                f"{self.name}: --{flag} {title}: no such column{nearest(title, self.header, most=2)}; there are {names}"
            )
        return None

    def _exactly(self, title: str) -> list[int]:
        return [k for k, each in enumerate(self.header) if each == title and title]

    def _called(self, title: str) -> list[int]:
        return [k for k, each in enumerate(self.lower) if each == title]

    def _title(self, k: int) -> str:
        return self.header[k] or f"column_{k + 1}"

    def _share(self, k: int, test: Callable[[str], object]) -> float:
        """The part of a column's cells, or of 200 of them, that pass a test."""
        cells = self.present[k][:: max(len(self.present[k]) // 200, 1)]
        return sum(bool(test(cell)) for cell in cells) / len(cells) if cells else 0.0

    def _is_id(self, k: int) -> bool:
        return not self.header[k] or _ID.fullmatch(self.header[k]) is not None

    def _counts(self, k: int) -> bool:
        """Whether a column numbers the rows, in any order."""
        numbers = sorted({int(cell) for cell in self.present[k] if cell.isdecimal()})
        if len(numbers) != len(self.grid.rows) or len(numbers) < _FEW:
            return False
        return numbers[-1] - numbers[0] == len(numbers) - 1 or not self.header[k]


def marked(cell: str) -> bool:
    """Whether a label says that a reading is an anomaly."""
    return cell.lower() not in _NO
