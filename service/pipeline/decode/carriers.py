"""What records are packed in: gzip, zlib and zstd are unpacked, other things are named.

Bounded: a record unpacks to at most 10 MiB, and beyond 1 MiB to at most a hundred times its size.
"""

from __future__ import annotations

import binascii
import re
import zlib

import zstandard

from service.pipeline.decode.decoded import DecodeError

MAX_UNPACKED = 10 * 1024 * 1024
MAX_RATIO = 100
_ALWAYS = 1024 * 1024  # may be unpacked from however little
_LAYERS = 3  # of one compression in another
_MEMBERS = 1000  # of a gzip file
_WINDOW = 32 * 1024 * 1024  # of zstd

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_OTHERS = {
    b"\xff\x06\x00\x00sNaPpY": "snappy",
    b"\x04\x22\x4d\x18": "lz4",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "a zip archive",
    b"Obj\x01": "Avro",
    b"PAR1": "Parquet",
    b"<": "XML",
}
_UTF_16 = re.compile(rb"\xff\xfe|\xfe\xff|[\[{\"\s]\0|\0[\[{\"\s]|\0\0\xfe\xff|\0\0\0[\[{\"\s]")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{8,}={0,2}")


def unpack(data: bytes) -> bytes:
    """The text in a record, without compression and byte order mark. Raises DecodeError."""
    limit = min(MAX_UNPACKED, max(_ALWAYS, MAX_RATIO * len(data)))
    for _ in range(_LAYERS):
        if data.startswith(_GZIP):
            data = _inflate(data, limit, "gzip")
        elif data.startswith(_ZLIB):
            data = _inflate(data, limit, "zlib")
        elif data.startswith(_ZSTD):
            data = _unpack_zstd(data, limit)
        else:
            break
    return data.removeprefix(b"\xef\xbb\xbf")


def looks_like(data: bytes) -> str:
    """What bytes that are no JSON seem to be, for a message; empty if they look like nothing."""
    if data.startswith((_GZIP, *_ZLIB, _ZSTD)):
        return f"compressed more than {_LAYERS} times"
    if _UTF_16.match(data):
        return "UTF-16 or UTF-32 text; send UTF-8"
    if name := next((name for magic, name in _OTHERS.items() if data.startswith(magic)), ""):
        return name
    if inside := _inside_base64(b"".join(data[:4096].split())):
        return f"Base64 of {inside}, so it may have been encoded twice"
    return ""


def _inside_base64(text: bytes) -> str:
    """What the beginning of a Base64 text holds; empty if it is none, or of nothing known."""
    text = text.strip(b'"')
    if not _BASE64.fullmatch(text):
        return ""
    text = text.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        inside = binascii.a2b_base64(text[: len(text) // 4 * 4])
    except binascii.Error:
        return ""
    if inside.startswith((_GZIP, _ZSTD)):
        return "compressed bytes"
    return "JSON" if inside.lstrip()[:1] in (b"{", b"[") else ""


def _inflate(data: bytes, limit: int, name: str) -> bytes:
    """By zlib; a gzip file may have several members."""
    parts, size = [], 0
    for _ in range(_MEMBERS):
        unpacker = zlib.decompressobj(31 if name == "gzip" else 15)
        try:
            parts.append(unpacker.decompress(data, limit - size + 1))
        except zlib.error as error:
            raise DecodeError("not_json", f"looks like {name}, but cannot be unpacked: {error}") from None
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        if not unpacker.eof:
            raise DecodeError("not_json", f"looks like {name}, but is cut off")
        data = unpacker.unused_data.lstrip(b"\0")
        if not data:
            return b"".join(parts)
        if name != "gzip" or not data.startswith(_GZIP):
            raise DecodeError("not_json", f"looks like {name}, but {len(data)} other bytes follow")
    raise DecodeError("too_large", f"a gzip file of more than {_MEMBERS} members")


def _unpack_zstd(data: bytes, limit: int) -> bytes:
    try:
        unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        with unpacker.stream_reader(data, read_across_frames=True) as reader:
            unpacked = reader.read(limit + 1)
    except zstandard.ZstdError as error:
        raise DecodeError("not_json", f"looks like zstd, but cannot be unpacked: {error}") from None
    if len(unpacked) > limit:
        raise _too_large(limit)
    return bytes(unpacked)


def _too_large(limit: int) -> DecodeError:
    return DecodeError("too_large", f"it unpacks to more than {limit} bytes, a hundred times its size or 10 MiB")
