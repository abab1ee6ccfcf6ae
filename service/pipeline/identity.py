"""Ids of documents and episodes: the same whenever the same program reads the same records."""

from __future__ import annotations

import hashlib

from service.pipeline.records import Position


def document_id(stream: str, shard: str, position: Position, ordinal: int | str, detector: str, version: str) -> str:
    """A document's id: 32 hexadecimal digits.

    Args:
        stream, shard, position: of the record.
        ordinal: the reading's number inside its record; a silence's has a text.
        detector, version: what made the document. Another version may score the same record differently, so it writes
            another document rather than none.
    """
    parts = (stream, shard, str(position.sequence), str(position.subsequence), str(ordinal), detector, version)
    return _digest(*parts)


def episode_id(stream: str, shard: str, detector: str, sensor: str, start: int) -> str:
    """An episode's id, by its sensor and beginning (ms). An upgrade in the midst of an episode does not change it."""
    return _digest(stream, shard, detector, sensor, str(start))


def event_id(stream: str, shard: str, position: Position, ordinal: int, dataset: str, identity: str) -> str:
    """The id of an event's document: by what its maker calls it, or else by its place in the stream.

    It does not change with what is read of the event: another version, or other tables, writes no second document.
    """
    if identity:
        return _digest("event", dataset, identity)
    return _digest("event", dataset, stream, shard, str(position.sequence), str(position.subsequence), str(ordinal))


def window_id(stream: str, shard: str, program: str, key: str, start: int) -> str:
    """The id of a window's document, by its program's digest, its key's text and its beginning (ms)."""
    return _digest("window", stream, shard, program, key, str(start))


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
