"""JSON without numbers that change: what no index takes for a number becomes text."""

from __future__ import annotations

from typing import Any

import orjson

from service.pipeline.decode.decoded import DecodeError
from service.pipeline.decode.json import Broken, parse

_BEYOND_64_BITS = 2.0**63


def load(text: str | bytes) -> Any:
    """A JSON value. Integers beyond 64 bits, NaN and infinities, which no index takes for numbers, become text.

    Raises:
        DecodeError: it is none.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        found = parse(text.encode() if isinstance(text, str) else text, exact=True)
        if len(found) != 1 or isinstance(found[0], Broken):
            raise DecodeError("not_json", f"not JSON: {error}") from None
        return plain(found[0])
    return _exactly(text, value) if has_large_float(value) else value


def has_large_float(value: Any) -> bool:
    """Whether there is a float that was perhaps an integer beyond 64 bits. Values may be as deep as they like."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if kind is float:
            if not -_BEYOND_64_BITS < value < _BEYOND_64_BITS:
                return True
            continue
        for each in value.values() if kind is dict else value if kind is list else ():
            kind = type(each)
            if kind is dict or kind is list or kind is float:
                waiting.append(each)
    return False


def _exactly(text: str | bytes, value: Any) -> Any:
    found = parse(text.encode() if isinstance(text, str) else text, exact=True)
    return plain(found[0]) if len(found) == 1 and not isinstance(found[0], Broken) else value


def plain(value: Any) -> Any:
    """The value with text for what no index takes for a number. Raises DecodeError for text that is no UTF-8."""
    if isinstance(value, dict):
        return {plain(name): plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise DecodeError("not_json", f"a text has a lone surrogate, which UTF-8 cannot say: {error}") from None
    elif isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return _digits(value)
    elif isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # thousands of digits
        raise DecodeError("not_json", "a number of thousands of digits") from None
