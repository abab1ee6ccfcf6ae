"""The envelope of a snapshot: what it is, of which parameters, and whether it is whole.

    8 bytes  magic: "CUTWATER"
    2 bytes  version of this layout
    2 bytes  length of the head
    4 bytes  CRC-32 of all that follows
    head     JSON {"kind": ..., "parameters": {...}}
    body     compressed by Zstandard

All numbers are little-endian. The checksum tells damage, not forgery: restore only snapshots that you trust.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import asdict

import orjson
import zstandard

from detector.forest.forest import Parameters

VERSION = 1
_MAGIC = b"CUTWATER"
_FRAME = struct.Struct("<8sHHI")
_LEVEL = 1  # of compression: floats hardly compress further at any other


def seal(kind: str, parameters: Parameters, body: bytes) -> bytes:
    """A snapshot of a forest of this kind."""
    fields = asdict(parameters)
    if parameters.time_decay == float("inf"):
        fields["time_decay"] = "inf"  # which JSON lacks
    head = orjson.dumps({"kind": kind, "parameters": fields})
    rest = head + zstandard.compress(body, _LEVEL)
    return _FRAME.pack(_MAGIC, VERSION, len(head), zlib.crc32(rest)) + rest


def unseal(snapshot: bytes) -> tuple[str, Parameters, bytes]:
    """(kind, parameters, body) of a snapshot. ValueError says why it is refused."""
    if len(snapshot) < _FRAME.size or not snapshot.startswith(_MAGIC):
        raise ValueError("this is not the snapshot of a forest")
    _, version, length, checksum = _FRAME.unpack_from(snapshot)
    if version != VERSION:
        raise ValueError(f"the snapshot has version {version}, this program reads version {VERSION}")
    rest = snapshot[_FRAME.size :]
    if zlib.crc32(rest) != checksum:
        raise ValueError("the snapshot is damaged: its checksum does not match")
    try:
        head = orjson.loads(rest[:length])
    except orjson.JSONDecodeError:
        raise ValueError("the snapshot is damaged: its head cannot be read") from None
    fields = head["parameters"]
    if fields["time_decay"] == "inf":
        fields["time_decay"] = float("inf")
    return head["kind"], Parameters(**fields), zstandard.decompress(rest[length:])
