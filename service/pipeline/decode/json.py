"""The JSON values in a record: one, one a line, or one after the other."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import orjson

from service.pipeline.decode.carriers import looks_like, unpack
from service.pipeline.decode.decoded import DecodeError

_STRAY = "\0\ufeff"  # ends of C strings, and byte order marks of files that were joined
_SEPARATORS = re.compile(rf"[\s,\x1e{_STRAY}]*")  # between values; 0x1E as in RFC 7464
_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_BETWEEN = re.compile(rf"(?<=\}})[\s,\x1e{_STRAY}]*(?=\{{)")
_DECODER = json.JSONDecoder()
_PERMANENT = 100  # broken lines of a record before any other

MAX_READINGS = 100_000
"""Readings in a record; beyond, it is refused as a whole."""


class Broken(NamedTuple):
    """A part of a record that is no JSON."""

    text: str
    error: DecodeError


def parse(data: bytes, *, exact: bool = False) -> list[Any | Broken]:
    """The values in a record's bytes, whatever they are packed in, and between them what is no JSON.

    Args:
        data: as Kinesis delivers it.
        exact: whether integers beyond 64 bits are to be kept as they are, which takes longer.

    Raises:
        DecodeError: nothing in it is JSON.
    """
    unpacked = unpack(data)
    if not unpacked.strip():
        raise DecodeError("empty", "the record is empty" if not data else "the record holds nothing but blanks")
    try:
        if not exact:
            return [orjson.loads(unpacked)]
    except orjson.JSONDecodeError:
        pass
    try:
        text = unpacked.decode()
    except UnicodeDecodeError as error:
        raise _not_json(unpacked, f"byte {error.start} is not UTF-8") from None
    try:
        return _values(text, exact=exact)
    except DecodeError as error:
        if error.code == "too_large":
            raise
        found = _lines(text, exact=exact)
        if len(found) < 2 or all(isinstance(each, Broken) for each in found):
            raise _not_json(unpacked, str(error)) from None
        return found


def dump(value: Any, otherwise: bytes) -> bytes:
    """A value as JSON; ``otherwise`` if that cannot be told in JSON."""
    try:
        return orjson.dumps(value)
    except (TypeError, RecursionError):
        try:
            return json.dumps(value).encode()  # integers beyond 64 bits
        except (TypeError, ValueError, RecursionError):
            return otherwise


def _lines(text: str, *, exact: bool) -> list[Any | Broken]:
    """The values in each line, or what is broken there; after many broken ones and no other it is given up."""
    found: list[Any | Broken] = []
    broken = 0
    for line in text.split("\n"):
        for part in _parts(line):
            found.append(_line(part, exact=exact))
            broken += isinstance(found[-1], Broken)
            if broken == len(found) > _PERMANENT:
                return found
            _check_number(found)
    return found


def _check_number(found: list[Any]) -> None:
    if len(found) > MAX_READINGS:
        raise DecodeError("too_large", f"the record holds more than {MAX_READINGS} readings")


def _values(text: str, *, exact: bool) -> list[Any]:
    """Values one after the other. Raises DecodeError at the first thing that is none."""
    found: list[Any] = []
    at = _end(_SEPARATORS, text, 0)
    while at < len(text):
        if found and text[at] not in "{[":
            raise DecodeError("not_json", f"character {at} begins no JSON object")
        try:
            value, end = _DECODER.raw_decode(text, at)
        except RecursionError:
            raise DecodeError("not_json", "it is nested too deeply") from None
        except ValueError as error:
            raise DecodeError("not_json", str(error)) from None
        found.append(value if exact else _usual(text[at:end], value))
        _check_number(found)
        at = _end(_SEPARATORS, text, end)
    return found


def _usual(text: str, value: Any) -> Any:
    """The value as orjson reads it; NaN and numbers beyond all floats are as Python reads them."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if _LONE_SURROGATE.search(text):
            raise DecodeError("not_json", str(error)) from None
        return value


def _parts(line: str) -> list[str]:
    """A line if it is one value, else its objects, as far as they can be told apart."""
    line = line.strip(" \t\r,\x1e" + _STRAY)
    if not line:
        return []
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return _BETWEEN.split(line)
    return [line]


def _line(text: str, *, exact: bool) -> Any | Broken:
    try:
        (value,) = _values(text, exact=exact)
    except DecodeError as error:
        return Broken(text, error)
    except ValueError:
        return Broken(text, DecodeError("not_json", "several values where one is expected"))
    return value


def _not_json(data: bytes, reason: str) -> DecodeError:
    guess = looks_like(data)
    return DecodeError("not_json", f"not JSON: it looks like {guess}" if guess else f"not JSON: {reason}")


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    assert found is not None
    return found.end()
