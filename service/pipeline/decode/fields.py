"""Where a reading's sensor, time, values and labels lie, and what counts as one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import jmespath
import orjson

from service.pipeline.decode.decoded import DecodeError
from service.pipeline.times import TimeError, parse_time, show

MAX_SENSOR_NAME_BYTES = 10 * 1024
YEAR_2000 = 946_684_800_000  # ms
_LARGEST_EXACT = 2**53

Reading = tuple[str, int, tuple[float, ...]]
"""Sensor, event time and values; a missing value is NaN."""
Find = Callable[[Any, Any], Any]
"""Finds something in an element (the first argument) of a record (the second); None if there is nothing."""
NumericText = Literal["refuse", "accept"]

_QUOTED = re.compile(r'"([^"\\]+)"')
_ROOT = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)|\$""")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?(?:[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})|0,[0-9]+)")
_MISSING = frozenset(("", "-", "--", "na", "n/a", "nan", "nil", "none", "null", "missing", "unavailable", "unknown"))


def find_field(expression: str) -> Find:
    """A look-up by a JMESPath expression, in which ``$`` is the JSON value of the record that an element lies in.

    Plain names skip JMESPath, which costs ten times as much.

    Raises:
        jmespath.exceptions.JMESPathError: it is no expression. The look-up raises DecodeError if it cannot be applied.
    """
    if name := plain_name(expression):
        return lambda element, root: element.get(name) if isinstance(element, dict) else None
    if not names_root(expression):
        search = _searching(expression, expression)
        return lambda element, root: search(element)
    rest = expression[1:].removeprefix(".")
    if expression[0] == "$" and expression[1:2] in ("", ".", "[") and not names_root(rest):
        if expression == "$":
            return lambda element, root: root
        if name := plain_name(rest):
            return lambda element, root: root.get(name) if isinstance(root, dict) else None
        search = _searching(rest, expression)
        return lambda element, root: search(root)
    search = _searching(_ROOT.sub(lambda found: found[1] or '"$"', expression), expression)
    return lambda element, root: search({**element, "$": root} if isinstance(element, dict) else {"$": root})


def names_root(expression: str) -> bool:
    """Whether an expression has a ``$`` outside of quotes."""
    return any(not found[1] for found in _ROOT.finditer(expression))


def plain_name(expression: str) -> str:
    """The name that an expression is if it is nothing else; empty if it is more."""
    if expression.isidentifier():
        return expression
    found = _QUOTED.fullmatch(expression)
    return found[1] if found else ""


def _searching(expression: str, shown: str) -> Callable[[Any], Any]:
    compiled = jmespath.compile(expression)

    def search(body: Any) -> Any:
        try:
            return compiled.search(body)
        except Exception as error:  # whatever a function of JMESPath does with what it is given
            raise DecodeError("bad_field", f"{shown} cannot be applied: {first_line(error)}") from None

    return search


class Fields:
    """Reads one element of a record.

    Args:
        sensor: expression of the sensor's name.
        values: expression of each value, by the value's name.
        time: expression of the event time; where it finds nothing the record's arrival counts.
        labels: expression of each label, by the label's name.
        time_formats: of ``datetime.strptime``, tried before the usual forms of times.
        numeric_text: whether text is a number if it looks like one.
        max_future: milliseconds that an event time may lie after the record's arrival.
        max_past: milliseconds that it may lie before; None for any. The year 2000 is the limit in any case.
    """

    def __init__(
        self,
        sensor: str,
        values: Mapping[str, str],
        time: str,
        *,
        labels: Mapping[str, str] | None = None,
        time_formats: Sequence[str] = (),
        numeric_text: NumericText = "refuse",
        max_future: int = 0,
        max_past: int | None = None,
    ) -> None:
        self._sensor, self._find_sensor = sensor, find_field(sensor)
        self._time, self._find_time = time, find_field(time)
        self._values = [(expression, find_field(expression)) for expression in values.values()]
        self._labels = [(name, find_field(expression)) for name, expression in (labels or {}).items()]
        self.time_formats = time_formats
        self._numeric_text = numeric_text
        self.max_future = max_future
        self.max_past = max_past
        self.plain_names = self._plain_names(sensor, time, *values.values())
        self.dimensions, self.has_labels = len(self._values), bool(self._labels)
        self.names_root = any(map(names_root, (sensor, time, *values.values(), *(labels or {}).values())))

    @staticmethod
    def _plain_names(sensor: str, time: str, *values: str) -> tuple[str, str, list[str]] | None:
        """The names of sensor, time and values, if they are nothing else than names of members; else None."""
        names = [plain_name(expression) for expression in (sensor, time, *values)]
        return (names[0], names[1], names[2:]) if all(names) else None

    def read(self, element: Any, root: Any, arrival: int) -> Reading:
        """Sensor, event time and values. Raises DecodeError."""
        name = self._name(self._find_sensor(element, root))
        numbers = tuple([self._number(find(element, root), expression) for expression, find in self._values])
        if all(map(math.isnan, numbers)):
            raise DecodeError("no_value", f"{', '.join(name for name, _ in self._values)}: missing or null")
        found = self._find_time(element, root)
        return name, arrival if found is None else self.moment(found, arrival), numbers

    def labels(self, element: Any, root: Any) -> dict[str, str]:
        """What an element says of its sensor, as text; what is missing or no text, number or boolean is left out."""
        found = {}
        for name, find in self._labels:
            try:
                value = find(element, root)
                if isinstance(value, str):
                    value.encode()
                    found[name] = value
                elif isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
                    found[name] = orjson.dumps(value).decode()
                elif isinstance(value, int):
                    found[name] = str(value)
            except (DecodeError, ValueError):
                continue
        return found

    def _name(self, value: Any) -> str:
        expression = self._sensor
        if value is None:
            raise DecodeError("no_sensor", f"{expression} is missing, so the reading has no sensor")
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise DecodeError("bad_sensor", f"{expression} is {describe(value)}, not a name")
        try:
            name = str(value)
            size = len(name.encode())
        except ValueError:
            raise DecodeError("bad_sensor", f"{expression} is {describe(value)}, which UTF-8 cannot say") from None
        if not name.strip():
            raise DecodeError("bad_sensor", f"{expression} is empty{' but for blanks' * bool(name)}")
        if size > MAX_SENSOR_NAME_BYTES:
            raise DecodeError("bad_sensor", f"{expression} is longer than {MAX_SENSOR_NAME_BYTES} bytes")
        return name

    def _number(self, value: Any, expression: str) -> float:
        if value is None:
            return math.nan
        if isinstance(value, str):
            value = self._text(value, expression)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DecodeError("bad_value", f"{expression} is {describe(value)}, not a number")
        if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
            raise DecodeError("bad_value", f"{expression} = {show(value)} is too large for a float to hold exactly")
        number = float(value)
        if math.isinf(number):
            raise DecodeError("bad_value", f"{expression} = {number} is not finite")
        return number

    def _text(self, text: str, expression: str) -> float:
        """A number as text; NaN for a word that says that there is none."""
        plain = text.strip()
        is_number = _NUMBER.fullmatch(plain) or _DECIMAL_COMMA.fullmatch(plain)
        missing = len(plain) < 12 and plain.lower() in _MISSING
        if self._numeric_text == "refuse":
            remedy = "; set numeric_text = accept to read it" if is_number or missing else ""
            raise DecodeError("bad_value", f"{expression} is {describe(text)}, not a number{remedy}")
        if missing:
            return math.nan
        if not is_number or len(plain) > 400:
            raise DecodeError(
                "bad_value", f"{expression} is {describe(text)}, not a number that numeric_text = accept could read"
            )
        return float(plain.replace(",", ".")) if not plain.lstrip("+-").isdigit() else int(plain)

    def moment(self, value: Any, arrival: int) -> int:
        """The event time that a value says, in ms, of a record that arrived then. Raises DecodeError."""
        try:
            time = parse_time(value, self.time_formats)
        except TimeError as error:
            raise DecodeError("bad_time", f"{self._time}: {error}") from None
        if time > arrival + self.max_future:
            ahead = (time - arrival) / 1000
            reason = f"{self._time} = {show(value)} lies {ahead:.0f} s after the record's arrival, more than"
            raise DecodeError("future_time", f"{reason} max_future_seconds = {self.max_future / 1000:g}")
        if time < YEAR_2000:
            reason = f"{self._time} = {show(value)} is {_iso(time)}, before the year 2000"
            raise DecodeError("past_time", f"{reason}: the device's clock was not set")
        if self.max_past is not None and time < arrival - self.max_past:
            behind = (arrival - time) / 1000
            reason = f"{self._time} = {show(value)} lies {behind:.0f} s before the record's arrival, more than"
            raise DecodeError("past_time", f"{reason} max_past_seconds = {self.max_past / 1000:g}")
        return time


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat().replace("+00:00", "Z")


def describe(value: Any) -> str:
    """A JSON value in words, in short."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "object" if isinstance(value, dict) else "array"
    if value == "":
        return "an empty string"
    names = {bool: "boolean", str: "string", int: "number", float: "number"}
    return f"{names[type(value)]} {show(value)}" if type(value) in names else show(value)


def first_line(error: Exception) -> str:
    """What an exception says, in short."""
    try:
        text = (str(error).splitlines() or [""])[0] or type(error).__name__
    except Exception:  # a message that cannot be made
        text = type(error).__name__
    return text if len(text) <= 120 else text[:119] + "…"
