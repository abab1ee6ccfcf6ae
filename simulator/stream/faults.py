"""Faults on demand: throttling, failures, expired iterators, lag and broken connections, for tests of clients."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

from simulator.stream.errors import KinesisError

DATA_OPERATIONS = ("PutRecord", "PutRecords", "GetRecords", "GetShardIterator")  # those that concern a shard
Kind = Literal["throttle", "fail", "expire", "lag", "break"]

_OPERATIONS: dict[Kind, tuple[str, ...]] = {  # of the kinds that do not concern all
    "expire": ("GetRecords",),
    "lag": ("GetRecords", "SubscribeToShardEvent"),
    "break": ("SubscribeToShardEvent",),
}


@dataclass
class Fault:
    """Something that goes wrong with calls from now on.

    Attributes:
        kind: ``throttle`` answers ProvisionedThroughputExceededException (PutRecords: entry by entry), or
            LimitExceededException where no records are read or written;
            ``fail`` answers InternalFailureException, HTTP 500, and does nothing; a subscription that stands gets it
            in place of its next event, and ends;
            ``expire`` answers ExpiredIteratorException to GetRecords;
            ``lag`` hides records from GetRecords and SubscribeToShardEvent until they are ``seconds`` old;
            ``break`` drops the connection of a subscription in the middle of its next event.
        operation: matches this operation only, such as ``PutRecords``; None matches all. ``SubscribeToShard`` is the
            call, ``SubscribeToShardEvent`` what follows it.
        shard: matches this shard only, such as ``shardId-000000000001``; None matches all.
        share: of the calls (or entries) that match, 0 to 1.
        times: ends after so many matches; None never ends.
        seconds: how long ``lag`` hides a record.

    Raises:
        ValueError: a field is out of its range.
    """

    kind: Kind
    operation: str | None = None
    shard: str | None = None
    share: float = 1.0
    times: int | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind = {self.kind!r}: must be one of {', '.join(get_args(Kind))}")
        reach = _OPERATIONS.get(self.kind, ())
        if reach and self.operation not in (None, *reach):
            raise ValueError(f"operation = {self.operation!r}: {self.kind} hits {' and '.join(reach)}, or leave it out")
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"share = {self.share}: must lie between 0 and 1")
        if self.seconds < 0.0:
            raise ValueError(f"seconds = {self.seconds}: must not be negative")

    def matches(self, operation: str, shard: str | None) -> bool:
        """Whether a call is in reach of this fault."""
        return (
            self.times != 0
            and self.operation in (None, operation)
            and self.shard in (None, shard)
            and operation in _OPERATIONS.get(self.kind, (operation,))
        )


class Faults:
    """The faults in force. Which calls a share matches comes from a seed."""

    def __init__(self, seed: int = 0) -> None:
        self.active: list[Fault] = []
        self._random = random.Random(seed)

    def add(self, fault: Fault) -> None:
        """From now on."""
        self.active.append(fault)

    def clear(self) -> None:
        """Everything works again."""
        self.active.clear()

    def inject(
        self, operation: str, shard: str | None, subject: str, kinds: tuple[Kind, ...] = ("throttle", "fail", "expire")
    ) -> KinesisError | None:
        """The error of the fault that matches a call on ``subject`` (words for the message), if one does."""
        fault = self._match(operation, shard, kinds)
        return _error(fault.kind, operation, subject) if fault else None

    def drops(self, shard: str) -> bool:
        """Whether the connection of a subscription is dropped at this event."""
        return self._match("SubscribeToShardEvent", shard, ("break",)) is not None

    def lag(self, operation: str, shard: str) -> int:
        """For how many milliseconds records of a shard are hidden."""
        seconds = (fault.seconds for fault in self.active if fault.kind == "lag" and fault.matches(operation, shard))
        return round(1000 * max(seconds, default=0.0))

    def _match(self, operation: str, shard: str | None, kinds: tuple[Kind, ...]) -> Fault | None:
        """The fault that matches, if one does; it has been counted."""
        for fault in self.active:
            if fault.kind not in kinds or not fault.matches(operation, shard) or self._random.random() >= fault.share:
                continue
            if fault.times is not None:
                fault.times -= 1
            return fault
        return None


def _error(kind: Kind, operation: str, subject: str) -> KinesisError:
    if kind == "throttle" and operation in DATA_OPERATIONS:
        return KinesisError("ProvisionedThroughputExceededException", f"Rate exceeded for {subject}.")
    if kind == "throttle":
        return KinesisError("LimitExceededException", f"Rate exceeded for {subject}.")
    if kind == "expire":
        return KinesisError("ExpiredIteratorException", f"Iterator expired for {subject}.")
    return KinesisError("InternalFailureException", "Internal Service Failure", status=500)
