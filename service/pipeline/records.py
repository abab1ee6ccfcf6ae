"""What the stream delivers, and where it lies in the stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

from detector.types import Integers

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


class Positions(Sequence[Position]):
    """Positions of plain records, kept as their sequence numbers are delivered: as text."""

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = sequences

    def __len__(self) -> int:
        return len(self._sequences)

    @overload
    def __getitem__(self, index: int) -> Position: ...
    @overload
    def __getitem__(self, index: slice) -> Positions: ...
    def __getitem__(self, index: int | slice) -> Position | Positions:
        if isinstance(index, slice):
            return Positions(self._sequences[index])
        return Position(int(self._sequences[index]))


class PlainRecords(Sequence[Record]):
    """n records, none of them of an aggregate, as columns: a ``Record`` is made of one when it is asked for.

    Attributes:
        positions: [n] in the shard.
        partition_keys: [n].
        arrivals: [n] in milliseconds since 1970.
        data: [n] their bytes.
    """

    def __init__(
        self, sequences: Sequence[str], partition_keys: Sequence[str], arrivals: Integers, data: Sequence[bytes]
    ) -> None:
        """``sequences``: [n] numbers in decimal digits."""
        self._sequences = sequences
        self.positions = Positions(sequences)
        self.partition_keys, self.arrivals, self.data = partition_keys, arrivals, data

    def __len__(self) -> int:
        return len(self.data)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> PlainRecords: ...
    def __getitem__(self, index: int | slice) -> Record | PlainRecords:
        if isinstance(index, slice):
            columns = self._sequences[index], self.partition_keys[index], self.arrivals[index], self.data[index]
            return PlainRecords(*columns)
        return Record(self.positions[index], self.partition_keys[index], int(self.arrivals[index]), self.data[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def take(self, rows: Sequence[int]) -> PlainRecords:
        """The records with these numbers."""
        return PlainRecords(
            [self._sequences[row] for row in rows],
            [self.partition_keys[row] for row in rows],
            self.arrivals[rows],
            [self.data[row] for row in rows],
        )


def take(records: Sequence[Record], rows: Sequence[int]) -> Sequence[Record]:
    """The records with these numbers."""
    if rows == range(len(records)):
        return records
    return records.take(rows) if isinstance(records, PlainRecords) else [records[row] for row in rows]


def positions_of(records: Sequence[Record]) -> Sequence[Position]:
    """[n] each record's position."""
    return records.positions if isinstance(records, PlainRecords) else [record.position for record in records]


def partition_keys_of(records: Sequence[Record]) -> Sequence[str]:
    """[n] each record's partition key."""
    return records.partition_keys if isinstance(records, PlainRecords) else [record.partition_key for record in records]


def arrivals_of(records: Sequence[Record]) -> Sequence[int] | Integers:
    """[n] when each record arrived, in milliseconds since 1970."""
    return records.arrivals if isinstance(records, PlainRecords) else [record.arrival for record in records]


def data_of(records: Sequence[Record]) -> Sequence[bytes]:
    """[n] each record's bytes."""
    return records.data if isinstance(records, PlainRecords) else [record.data for record in records]


def of_other_shards(records: Sequence[Record]) -> Sequence[int]:
    """The numbers of the records that belong into another shard."""
    if isinstance(records, PlainRecords):
        return ()
    return [number for number, record in enumerate(records) if record.other_shard]


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
