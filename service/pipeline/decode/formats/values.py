"""Values for fields of the index: what fits a field's type, and what the free part of a document takes."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from service.pipeline.decode.decoded import DecodeError
from service.pipeline.decode.exact import load
from service.pipeline.decode.fields import describe
from service.pipeline.decode.json import dump
from service.pipeline.documents import DEEPEST_RECORD, LARGEST_RECORD, timestamp
from service.pipeline.events import Envelope, FieldType, Message
from service.pipeline.times import TimeError, parse_time

LARGEST_LONG = 2**63 - 1
_LARGEST_INTEGER = 2**31 - 1
_MAX_LIST = 1000  # values of one field
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,4})?")
_TRUTH = {"true": True, "false": False}

iso = lru_cache(maxsize=8192)(timestamp)
"""ISO 8601 of milliseconds since 1970; most times of a stream come several times."""

LOG_FIELDS: dict[str, FieldType] = {
    "cloud.account.id": "keyword",
    "aws.cloudwatch.log_group": "keyword",
    "aws.cloudwatch.log_stream": "keyword",
}
LOG_ALIASES = {
    "@owner": "cloud.account.id",
    "@log_group": "aws.cloudwatch.log_group",
    "@log_stream": "aws.cloudwatch.log_stream",
}


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address, without a zone."""
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):  # ValueError: a NUL in it, or no ASCII
        return False
    return True


def fit(value: Any, kind: FieldType) -> Any:
    """A value as the index takes it for a field of this type, None if it does not fit it.

    What says the same in another form fits: numbers and booleans as text, and the other way round.
    """
    if type(value) is list:
        if kind in ("object", "geo_point") or len(value) > _MAX_LIST:
            return None
        found = [FITTING[kind](each) for each in value if each is not None]
        return found if None not in found else None
    return FITTING[kind](value)


def as_object(message: Message) -> Mapping[str, Any]:
    """A message's JSON object. Raises DecodeError if it is none."""
    if not isinstance(message, str):
        return message
    stripped = message.strip()
    if not stripped.startswith("{"):
        raise DecodeError("not_json", f"{describe(stripped)} is no JSON object")
    value: Mapping[str, Any] = load(stripped)
    return value


def text_of(message: Message) -> str:
    """A message as text."""
    return message.strip() if isinstance(message, str) else dump(message, b"").decode()


def free_part(fields: dict[str, Any], rest: Mapping[str, Any], size: int | None = None) -> None:
    """Add what no field holds as ``record``, so that every server takes it.

    A member that is too long or too deep for that, or has a name that no server takes, is left out and named in
    ``record_omitted``.

    Args:
        fields: of the document.
        rest: the free part; integers are of 64 bits.
        size: of its JSON at most, if that is known.
    """
    if not rest:
        return
    if _is_small(rest):
        fields["record"] = rest
        return
    if (size if size is not None and size <= LARGEST_RECORD else _size(rest)) <= LARGEST_RECORD and _takes(rest, 0):
        fields["record"] = rest
        return
    kept, omitted, room = {}, [], LARGEST_RECORD
    for name, value in sorted(rest.items(), key=lambda item: (_size(item[1]), item[0])):
        length = _size(value) + len(name) * 6
        if length <= room and _takes({name: value}, 0):
            kept[name] = value
            room -= length
        else:
            omitted.append(name[:200])
    if kept:
        fields["record"] = kept
    fields["record_omitted"] = omitted[:_MAX_LIST]


def log_fields(envelope: Envelope) -> dict[str, Any]:
    """What an envelope says of where a message was logged."""
    found = {}
    if envelope.owner:
        found["cloud.account.id"] = envelope.owner
    if envelope.log_group:
        found["aws.cloudwatch.log_group"] = envelope.log_group
    if envelope.log_stream:
        found["aws.cloudwatch.log_stream"] = envelope.log_stream
    return found


def identity_of(envelope: Envelope, message: Message) -> str:
    """What the carrier calls a message, if it has a name for it, and what it says: there are made-up names."""
    if not envelope.log_id:
        return ""
    text = message if isinstance(message, str) else canonical(message).decode("utf-8", "replace")
    return f"{envelope.log_group}\0{envelope.log_stream}\0{envelope.log_id}\0{text}"


def canonical(body: Mapping[str, Any]) -> bytes:
    """An object as JSON, the same in whatever order its members come."""
    try:
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, RecursionError):
        return dump(body, b"")


def _is_small(rest: Mapping[str, Any]) -> bool:
    """Whether it certainly fits: a few short texts, numbers and booleans."""
    length = 0
    for name, value in rest.items():
        kind = type(value)
        if kind is str:
            length += len(value)
        elif kind is not int and kind is not float and kind is not bool:
            return False
        length += len(name) + 20
        if "\0" in name:
            return False
    return length * 6 < LARGEST_RECORD  # a character has at most six bytes as JSON


def _size(value: Any) -> int:
    """Bytes as JSON; more than any limit if that cannot be told."""
    try:
        return len(orjson.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return LARGEST_RECORD + 1


def _takes(value: Any, depth: int) -> bool:
    """Whether every server takes it for an object of unknown fields."""
    level = [value]
    while level:
        inside: list[Any] = []
        for each in level:
            kind = type(each)
            if kind is not dict and kind is not list:
                continue
            if depth >= DEEPEST_RECORD or (kind is dict and "\0" in "".join(each)):
                return False
            inside += each.values() if kind is dict else each
        level = inside
        depth += 1
    return True


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


def _whole(value: Any, largest: int) -> int | None:
    if type(value) is int:
        return value if -largest - 1 <= value <= largest else None
    if isinstance(value, str):
        if not _WHOLE.fullmatch(value):
            return None
        value = int(value)
    elif isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -largest - 1 <= value <= largest else None


def _long(value: Any) -> int | None:
    return _whole(value, LARGEST_LONG)


def _integer(value: Any) -> int | None:
    return _whole(value, _LARGEST_INTEGER)


def _double(value: Any) -> float | None:
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and int(float(value)) != value:
        return None
    return float(value) if math.isfinite(value) else None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, str):
        return _TRUTH.get(value.lower())
    return value if isinstance(value, bool) else None


def _date(value: Any) -> str | None:
    try:
        return iso(parse_time(value))
    except TimeError:
        return None


def _ip(value: Any) -> str | None:
    return value if isinstance(value, str) and is_address(value) else None


def _point(value: Any) -> dict[str, float] | None:
    if not isinstance(value, dict) or set(value) != {"lat", "lon"}:
        return None
    lat, lon = _double(value["lat"]), _double(value["lon"])
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180:
        return None
    return {"lat": lat, "lon": lon}


def _object(value: Any) -> Any:
    return value if isinstance(value, dict) and _size(value) <= LARGEST_RECORD and _takes(value, 0) else None


FITTING: dict[FieldType, Callable[[Any], Any]] = {
    "keyword": _text,
    "text": _text,
    "stored": _text,
    "long": _long,
    "integer": _integer,
    "double": _double,
    "boolean": _boolean,
    "date": _date,
    "ip": _ip,
    "geo_point": _point,
    "object": _object,
}
"""By type: a value that is no list as the index takes it, None if it does not fit."""
