"""From a record's bytes to readings, or to the reason why not.

A decoder is a function ``Record -> list[Reading]`` that raises ``DecodeError``. It never lets anything else out, so one
poisonous record cannot stop a shard.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jmespath
import orjson

from service.pipeline.records import Record
from service.pipeline.times import TimeError, parse_time

MAX_SENSOR_NAME_BYTES = 10 * 1024
_LARGEST_EXACT = 2**53


class Reading(NamedTuple):
    """One sensor's values at one event time, in milliseconds since 1970; a missing value is NaN, but never all."""

    sensor: str
    time: int
    values: tuple[float, ...]


class DecodeError(Exception):
    """Why a record is no reading: ``code`` for counting, the message for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


Decoder = Callable[[Record], list[Reading]]


def json_decoder(sensor: str, values: Mapping[str, str], time: str, max_future: int) -> Decoder:
    """A decoder of JSON objects, one reading each.

    Args:
        sensor: JMESPath expression of the sensor's name.
        values: JMESPath expression of each value, by the value's name. Of several values some may be missing or null;
            they are NaN in the reading.
        time: JMESPath expression of the event time; where it finds nothing the arrival time counts.
        max_future: milliseconds that an event time may lie after the record's arrival.
    """
    find_sensor, find_time = _finder(sensor), _finder(time)
    find_values = [(expression, _finder(expression)) for expression in values.values()]

    def decode(record: Record) -> list[Reading]:
        body = _parse(record.data)
        name = _name(find_sensor(body), sensor)
        numbers = tuple(_number(find(body), expression) for expression, find in find_values)
        if all(map(math.isnan, numbers)):
            raise DecodeError("no_value", f"{', '.join(values.values())}: missing or null")
        if any(abs(number) >= 2**63 for number in numbers):
            exact = json.loads(record.data)  # orjson has turned integers beyond 64 bits into floats
            numbers = tuple(_number(find(exact), expression) for expression, find in find_values)
        moment = _moment(find_time(body), time, record.arrival, max_future)
        return [Reading(name, moment, numbers)]

    return decode


Labeller = Callable[[Record], dict[str, str]]


def json_labels(labels: Mapping[str, str]) -> Labeller:
    """What JSON records say of their sensors, as text: a JMESPath expression by each label's name.

    For records that a decoder has accepted; what is missing or no text, number or boolean is left out.
    """
    finders = {name: _finder(expression) for name, expression in labels.items()}

    def label(record: Record) -> dict[str, str]:
        body, found = orjson.loads(record.data), {}
        for name, find in finders.items():
            try:
                value = find(body)
            except DecodeError:
                continue
            if isinstance(value, str | int | float):
                found[name] = value if isinstance(value, str) else orjson.dumps(value).decode()
        return found

    return label


def _finder(expression: str) -> Callable[[dict[str, Any]], Any]:
    """A look-up of the expression; plain names skip JMESPath, which costs ten times as much."""
    if expression.isidentifier():
        return lambda body: body.get(expression)
    compiled = jmespath.compile(expression)

    def search(body: dict[str, Any]) -> Any:
        try:
            return compiled.search(body)
        except jmespath.exceptions.JMESPathError as error:
            raise DecodeError("bad_field", f"{expression} cannot be applied: {error}") from None

    return search


def _parse(data: bytes) -> dict[str, Any]:
    if not data:
        raise DecodeError("empty", "the record is empty")
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DecodeError("not_json", f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise DecodeError("not_an_object", f"a JSON {_kind(body)} instead of an object")
    return body


def _name(value: Any, expression: str) -> str:
    if value is None:
        raise DecodeError("no_sensor", f"{expression} is missing, so the reading has no sensor")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DecodeError("bad_sensor", f"{expression} is {_kind(value)}, not a name")
    name = str(value)
    if not name:
        raise DecodeError("bad_sensor", f"{expression} is empty")
    if len(name.encode("utf-8", "surrogatepass")) > MAX_SENSOR_NAME_BYTES:
        raise DecodeError("bad_sensor", f"{expression} is longer than {MAX_SENSOR_NAME_BYTES} bytes")
    return name


def _number(value: Any, expression: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DecodeError("bad_value", f"{expression} is {_kind(value)}, not a number")
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        raise DecodeError("bad_value", f"{expression} = {value} is too large for a float to hold exactly")
    number = float(value)
    if not math.isfinite(number):
        raise DecodeError("bad_value", f"{expression} = {number} is not finite")
    return number


def _moment(value: Any, expression: str, arrival: int, max_future: int) -> int:
    if value is None:
        return arrival
    try:
        time = parse_time(value)
    except TimeError as error:
        raise DecodeError("bad_time", f"{expression} = {error}") from None
    if time > arrival + max_future:
        ahead = (time - arrival) / 1000
        raise DecodeError(
            "future_time", f"{expression} = {_short(value)} lies {ahead:.0f} s after the record's arrival"
        )
    return time


def _kind(value: Any) -> str:
    names = {bool: "boolean", str: "string", list: "array", dict: "object", int: "number", float: "number"}
    return "null" if value is None else f"{names[type(value)]} {_short(value)}" if value != "" else "an empty string"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
