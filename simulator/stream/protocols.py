"""How requests and answers are written: JSON, as most SDKs do, and CBOR, as the SDK for Java does unless told not to.

Inside, blobs are base64 and times are seconds since 1970, as in JSON. CBOR has bytes, and under tag 1 *milliseconds*
since 1970, in requests and in answers; the standard means seconds, but AWS and its clients do not.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cbor2
import orjson

from simulator.stream.api_model import SERVICE
from simulator.stream.errors import KinesisError

EPOCH_TAG = 1
DEEPEST = 32  # levels of a request; the API's have at most five


@dataclass(frozen=True)
class Protocol:
    """One way to write requests and answers.

    Attributes:
        content_type: of requests, answers and events.
        read: a request's members from its body. Raises KinesisError (SerializationException).
        write: an answer as the named shape of the API's description; None for one that it does not have.
    """

    content_type: str
    read: Callable[[bytes], dict[str, Any]]
    write: Callable[[Any, str | None], bytes]


def protocol_of(content_type: str) -> Protocol:
    """What a request is written in; JSON unless it says otherwise."""
    return CBOR if content_type.partition(";")[0].strip().lower() == CBOR.content_type else JSON


def _read(name: str, load: Callable[[bytes], Any], body: bytes) -> dict[str, Any]:
    try:
        message = load(body)
    except (ValueError, RecursionError, cbor2.CBORDecodeError) as error:
        raise KinesisError("SerializationException", f"the body is not {name}: {error}") from None
    if not isinstance(message, dict):
        raise KinesisError("SerializationException", f"the body must be a {name} object")
    return message


def _load_cbor(body: bytes) -> Any:
    decoders: Any = {EPOCH_TAG: lambda milliseconds, _: milliseconds / 1000}
    return _plain(cbor2.loads(body, semantic_decoders=decoders, max_depth=DEEPEST))


def _plain(value: Any) -> Any:
    """A value as JSON would have it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ValueError(f"{type(value).__name__} has no place in a request")


def _dump_cbor(value: Any, name: str | None) -> bytes:
    return cbor2.dumps(value if name is None else _tagged(value, SERVICE.shape_for(name)))


def _tagged(value: Any, shape: Any) -> Any:
    """A value of a shape with its blobs as bytes and its times as tags."""
    match shape.type_name:
        case "structure":
            return {name: _tagged(each, shape.members[name]) for name, each in value.items() if name in shape.members}
        case "list":
            return [_tagged(each, shape.member) for each in value]
        case "blob":
            return base64.b64decode(value)
        case "timestamp":
            return cbor2.CBORTag(EPOCH_TAG, round(1000 * value))
    return value


JSON = Protocol(
    "application/x-amz-json-1.1", partial(_read, "JSON", orjson.loads), lambda value, _: orjson.dumps(value)
)
CBOR = Protocol("application/x-amz-cbor-1.1", partial(_read, "CBOR", _load_cbor), _dump_cbor)
