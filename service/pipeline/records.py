"""What the stream delivers, and where it lies in the stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

HashKeys = tuple[int, int]
"""First and last of a shard's hash keys."""
ALL_HASH_KEYS: HashKeys = (0, 2**128 - 1)


class Position(NamedTuple):
    """A place in a shard; positions compare in the shard's order.

    ``subsequence`` counts user records inside a KPL aggregate and is 0 for a plain record.
    """

    sequence: int
    subsequence: int = 0


class Record(NamedTuple):
    """One record of a shard as Kinesis delivered it.

    ``arrival`` is in milliseconds since 1970; ``other_shard`` says that it is a user record of a KPL aggregate whose
    partition key hashes into another shard.
    """

    position: Position
    partition_key: str
    arrival: int
    data: bytes
    other_shard: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Records of a shard that may have left the stream before they were read: it no longer holds the one at ``after``.

    ``until`` is the first one that was still there, and ``resumed`` its arrival in milliseconds since 1970; both are
    None if the whole shard is gone. A shard that was silent for the stream's retention period looks the same.
    """

    after: Position
    until: Position | None = None
    resumed: int | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record, or one document made from it, that can never be scored or indexed, and why.

    Attributes:
        stream, shard, record: what it is about.
        code: a short stable name for counting (``not_json``, ``bad_value``, …).
        reason: a sentence for people.
        ordinal: of the reading in its record that this is about; ``record`` then holds this reading alone. None for a
            whole record, and for a document.
        attempts: how often it was tried.
        document_id, index, document: of a document that the index refuses: its id, its index and its bytes.
        ended: when it was given up, in milliseconds since 1970. Whoever stores the letter fills it in; it is the only
            thing here that a replay may change.
    """

    stream: str
    shard: str
    record: Record
    code: str
    reason: str
    attempts: int = 1
    document_id: str = ""
    index: str = ""
    document: bytes = b""
    ended: int | None = None
    ordinal: int | None = None

    @property
    def id(self) -> str:
        """The same for the same record, reading or document, so that a replay writes no second letter."""
        sequence, subsequence = self.record.position
        part = self.document_id or ("" if self.ordinal is None else f"reading-{self.ordinal}")
        return ":".join(filter(None, (self.stream, self.shard, str(sequence), str(subsequence), part)))
