"""What a decoder makes of records: readings as columns, and refusals with their reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from detector.types import Readings
from service.pipeline.records import Record


class DecodeError(Exception):
    """Why a record, or one reading in it, cannot be read: ``code`` for counting, the message for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Refusal(NamedTuple):
    """A record that cannot be read, or one reading in it.

    Attributes:
        record: the record's index in its batch.
        ordinal: of the reading in the record; None for the whole record.
        code: a short stable name for counting.
        reason: a sentence for people.
        data: bytes of a record that holds this reading alone, so that it can be sent again; the record's own bytes if
            ``ordinal`` is None.
    """

    record: int
    ordinal: int | None
    code: str
    reason: str
    data: bytes


BATCH_MEMORY = 10 * 1024 * 1024
"""What a batch's readings, events and refusals take in memory, about, before no further record is decoded."""
READING_MEMORY, EVENT_MEMORY = 500, 1000  # bytes of one, scored and all


@dataclass(frozen=True, slots=True)
class Decoded:
    """n readings of a batch of records, in the records' order, and what was refused.

    Attributes:
        readings: n readings; of several values some may be NaN, but never all.
        records: [n] index in the batch of each reading's record.
        ordinals: [n] number of each reading in its record, from 0.
        labels: [n] what each reading says of its sensor besides; empty if nothing is asked for.
        refusals: in the records' order. Every record that was taken has a reading or a refusal.
        taken: how many records these are of, from the first on.
        size: bytes that they take in memory, about.
    """

    readings: Readings
    records: Sequence[int]
    ordinals: Sequence[int]
    labels: Sequence[Mapping[str, str]]
    refusals: Sequence[Refusal]
    taken: int
    size: int


class Decoder(Protocol):
    """Makes readings of records. Total: whatever a record holds, no exception leaves ``decode``."""

    def decode(self, records: Sequence[Record], *, bounded: bool = False) -> Decoded:
        """Readings and refusals of a batch; the same for the same records, however they are cut into batches.

        ``bounded``: only of so many records, at least one, that they take little more than BATCH_MEMORY.
        """
        ...

    def element(self, record: Record, ordinal: int) -> bytes:
        """The JSON value that a reading was made of."""
        ...
