"""The frame of every snapshot: what it is, of which version, and whether it is whole.

    8 bytes  magic: "CUTWATER"
    2 bytes  version, of this frame and of all that lies in it
    2 bytes  1 if the body is compressed by Zstandard, else 0
    4 bytes  length of the head
    8 bytes  length of the body, once it is no longer compressed
    4 bytes  CRC-32 of all but these four bytes
    head     JSON object: "kind" says what the snapshot is of, the rest is the kind's own
    body     the kind's own

All numbers are little-endian. The checksum tells damage, not forgery. Whoever restores a snapshot checks besides that
its contents can be what they claim to be, so that none can crash the process.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
import zstandard

VERSION = 5
_MAGIC = b"CUTWATER"
_FRAME = struct.Struct("<8sHHIQ")
_CHECKSUM = struct.Struct("<I")
_HEAD = _FRAME.size + _CHECKSUM.size  # where the head begins
_LEVEL = 1  # of compression: floats hardly compress further at any other


class Snapshot(NamedTuple):
    """A snapshot taken apart."""

    kind: str
    fields: dict[str, Any]
    body: bytes


def encode(kind: str, fields: Mapping[str, Any], body: bytes, *, compress: bool = True) -> bytes:
    """The snapshot of this kind that says ``fields``, which JSON can say, and holds ``body``."""
    head = orjson.dumps({"kind": kind, **fields})
    return _frame(head, zstandard.compress(body, _LEVEL) if compress else body, compress, len(body))


def decode(snapshot: bytes, what: str = "a snapshot") -> Snapshot:
    """Take a snapshot apart. ValueError says why it is refused; ``what`` it should be, for that message."""
    compressed, length, size = _checked(snapshot, what)
    head, body = _head(snapshot, length, what), snapshot[_HEAD + length :]
    if compressed:
        body = _decompress(body, size)
    if len(body) != size:
        raise ValueError(f"the snapshot is damaged: it holds {len(body)} bytes and says {size}")
    return Snapshot(head.pop("kind"), head, body)


def fields_of(snapshot: bytes, what: str = "a snapshot") -> dict[str, Any]:
    """What a snapshot says of itself. Raises ValueError."""
    _, length, _ = _checked(snapshot, what)
    return _head(snapshot, length, what)


def with_fields(snapshot: bytes, **fields: Any) -> bytes:
    """The same snapshot, whose head says other ``fields``. Raises ValueError."""
    is_compressed, length, size = _checked(snapshot, "a snapshot")
    head = _head(snapshot, length, "a snapshot") | fields
    return _frame(orjson.dumps(head), snapshot[_HEAD + length :], bool(is_compressed), size)


def compressed(snapshot: bytes) -> bytes:
    """The same snapshot, its body compressed. Raises ValueError."""
    is_compressed, length, size = _checked(snapshot, "a snapshot")
    if is_compressed:
        return snapshot
    head, body = snapshot[_HEAD : _HEAD + length], snapshot[_HEAD + length :]
    return _frame(head, zstandard.compress(body, _LEVEL), True, size)


def _frame(head: bytes, body: bytes, is_compressed: bool, size: int) -> bytes:
    start = _FRAME.pack(_MAGIC, VERSION, is_compressed, len(head), size)
    return b"".join((start, _CHECKSUM.pack(zlib.crc32(body, zlib.crc32(head, zlib.crc32(start)))), head, body))


def _checked(snapshot: bytes, what: str) -> tuple[int, int, int]:
    """(whether the body is compressed, length of the head, size of the body). Raises ValueError."""
    if len(snapshot) < _HEAD or not snapshot.startswith(_MAGIC):
        raise ValueError(f"this is not {what}")
    _, version, is_compressed, length, size = _FRAME.unpack_from(snapshot)
    if version != VERSION:
        raise ValueError(f"the snapshot has version {version}, this program reads version {VERSION}")
    (checksum,) = _CHECKSUM.unpack_from(snapshot, _FRAME.size)
    if zlib.crc32(memoryview(snapshot)[_HEAD:], zlib.crc32(snapshot[: _FRAME.size])) != checksum:
        raise ValueError("the snapshot is damaged: its checksum does not match")
    return is_compressed, length, size


def _head(snapshot: bytes, length: int, what: str) -> dict[str, Any]:
    try:
        head = orjson.loads(snapshot[_HEAD : _HEAD + length])
    except orjson.JSONDecodeError:
        head = None
    if not isinstance(head, dict) or not isinstance(head.get("kind"), str):
        raise ValueError(f"this is not {what}: its head cannot be read")
    return head


def _decompress(body: bytes, size: int) -> bytes:
    try:
        if zstandard.get_frame_parameters(body).content_size != size:
            raise ValueError("the snapshot is damaged: its body has another size than it says")
        return zstandard.decompress(body)
    except (zstandard.ZstdError, MemoryError):
        raise ValueError("the snapshot is damaged: its body cannot be decompressed") from None
