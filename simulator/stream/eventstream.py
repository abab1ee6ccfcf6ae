"""Messages of ``application/vnd.amazon.eventstream``, the encoding of answers that have no end.

A message is its length and that of its headers, their CRC-32, the headers, the payload, and the CRC-32 of all that.

Source: "Amazon event stream specification" of Smithy, the language of AWS's interfaces.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Mapping

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7  # the type of a header's value


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message. Names of headers take at most 255 bytes, values 32,767."""
    head = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    message = b"".join((prelude, struct.pack("!I", crc32(prelude)), head, payload))
    return message + struct.pack("!I", crc32(message))


def event(type_: str, payload: bytes, content_type: str) -> bytes:
    """A message of an event."""
    return encode({":event-type": type_, ":content-type": content_type, ":message-type": "event"}, payload)


def exception(type_: str, payload: bytes, content_type: str) -> bytes:
    """A message of what ends the stream."""
    return encode({":exception-type": type_, ":content-type": content_type, ":message-type": "exception"}, payload)


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack("!B", len(name)) + name + struct.pack("!BH", _STRING, len(value)) + value
