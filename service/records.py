"""What the stream delivers, and where it lies in the stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Position(NamedTuple):
    """A place in a shard; positions compare in the shard's order.

    ``subsequence`` counts user records inside a KPL aggregate and is 0 for a plain record.
    """

    sequence: int
    subsequence: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a shard as Kinesis delivered it. ``arrival`` is in milliseconds since 1970."""

    position: Position
    partition_key: str
    arrival: int
    data: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record, or one document made from it, that can never be scored or indexed, and why.

    ``code`` is a short stable name for counting (``not_json``, ``bad_value``, …), ``reason`` a sentence for people.
    """

    stream: str
    shard: str
    record: Record
    code: str
    reason: str

    @property
    def id(self) -> str:
        """The same for the same record, so that a replay writes no second letter."""
        sequence, subsequence = self.record.position
        return f"{self.stream}:{self.shard}:{sequence}:{subsequence}"
