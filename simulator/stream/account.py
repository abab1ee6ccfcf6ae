"""The streams of one account in one region: which one a request means, its state, limits and faults."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from simulator.stream.consumers import Consumer
from simulator.stream.errors import KinesisError, in_use, invalid, not_found, over_limit
from simulator.stream.faults import DATA_OPERATIONS, Faults, Kind
from simulator.stream.shards import Shard, Stream, oldest_first

Request = dict[str, Any]  # its members, checked

INJECTED: tuple[Kind, ...] = ("throttle", "fail", "expire")


class Account:
    """The streams, and what time it is for them.

    Args:
        clock: seconds since 1970.
        region: part of the streams' ARNs.
        number: part of the streams' ARNs, 12 digits.
        transition: seconds for which a stream or a consumer stays CREATING, UPDATING or DELETING; with 0 it is ACTIVE,
            or gone, at once.
        subscription: seconds after which a subscription to a shard ends.
        shard_limit: open shards that the account may have.
        memory: bytes that records may take, about; then the oldest are dropped before their time.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        region: str = "us-east-1",
        number: str = "000000000000",
        transition: float = 0.0,
        subscription: float = 300.0,
        shard_limit: int = 500,
        memory: int = 1024**3,
    ) -> None:
        self.streams: dict[str, Stream] = {}  # by name, those that are being deleted included
        self.faults = Faults()
        self.now = 0  # ms since 1970; the same throughout a call
        self.number = number
        self.transition = round(1000 * transition)  # ms
        self.subscription = round(1000 * subscription)
        self._clock = clock
        self._region = region
        self.shard_limit = shard_limit
        self._memory = memory
        self._swept = 0
        self._last_created = 0

    def tick(self) -> None:
        """See what time it is, and do all that has come with it."""
        self.now = max(self.now, round(1000 * self._clock()))  # the clock may be set back, arrivals must not be
        for stream in list(self.streams.values()):
            if stream.state == "DELETING" and self.now >= stream.busy_until:
                del self.streams[stream.name]
            stream.consumers.remove_expired(self.now)
        if self.now - self._swept >= 1000:
            self._swept = self.now
            for stream in self.streams.values():
                stream.expire(self.now)

    # Which stream or consumer is meant, and whether it is in the right state

    def stream(self, operation: str, request: Request) -> Stream:
        """The stream that is meant by its name, its ARN, or both. Raises KinesisError: none, or a fault matches."""
        name: Any = request.get("StreamName")
        arn: str | None = request.get("StreamARN")
        if name is None and arn is None:
            raise invalid("Either StreamARN or StreamName should be provided.")
        named: str = arn.partition(":stream/")[2] if arn is not None else name
        if name not in (None, named):
            raise invalid(f"StreamName {name} and StreamARN {arn} must refer to the same stream.")
        stream = self.streams.get(named)
        if stream is None or arn not in (None, stream.arn):
            raise _no_stream(named, arn.split(":")[4] if arn is not None else self.number)
        if operation not in DATA_OPERATIONS:  # faults are injected when the shard is known
            self.inject_on_stream(operation, stream)
        return stream

    def readable(self, operation: str, request: Request) -> Stream:
        """As ``stream``, but one that is being created is not there."""
        stream = self.stream(operation, request)
        if stream.status(self.now) == "CREATING":
            raise _no_stream(stream.name, self.number)
        return stream

    def active(self, operation: str, request: Request) -> Stream:
        """As ``stream``, but it must be ACTIVE."""
        stream = self.stream(operation, request)
        if stream.status(self.now) != "ACTIVE":
            raise self.not_active(stream)
        return stream

    def not_active(self, stream: Stream) -> KinesisError:
        """The error that says in what state a stream is instead."""
        status = stream.status(self.now)
        return in_use(f"Stream {stream.name} under account {self.number} not ACTIVE, instead in state {status}")

    def enter(self, stream: Stream, state: str) -> None:
        """It is in this state for as long as a transition takes."""
        stream.state, stream.busy_until = state, self.now + self.transition

    def require_creation(self, stream: Stream, created: int) -> None:
        """Raises KinesisError if a stream of this name was created at another moment (ms) than this one."""
        if created != stream.created:
            raise _no_stream(stream.name, self.number)

    def consumer(self, arn: str) -> tuple[Stream, Consumer]:
        """The consumer with this ARN, and its stream. Raises KinesisError if there is none."""
        stream_arn, _, rest = arn.partition("/consumer/")
        stream = self.streams.get(stream_arn.partition(":stream/")[2])
        name = rest.rpartition(":")[0]
        if stream is not None and stream.arn == stream_arn:
            consumer = stream.consumers.named(name)
            if consumer.arn == arn:
                return stream, consumer
        raise not_found(f"Consumer {name}, account {arn.split(':')[4]} not found.")

    # Faults

    def inject(
        self, operation: str, subject: str, shard: Shard | None = None, kinds: tuple[Kind, ...] = INJECTED
    ) -> None:
        """Raises KinesisError if a fault matches a call on ``subject`` (words for the message)."""
        error = self.faults.inject(operation, shard.id if shard else None, subject, kinds)
        if error:
            raise error

    def inject_on_stream(self, operation: str, stream: Stream) -> None:
        """Raises KinesisError if a fault matches a call on a stream."""
        self.inject(operation, f"stream {stream.name} under account {self.number}")

    def inject_on_shard(self, operation: str, stream: Stream, shard: Shard, kinds: tuple[Kind, ...] = INJECTED) -> None:
        """Raises KinesisError if a fault matches a call on a shard."""
        self.inject(operation, f"shard {shard.id} in stream {stream.name} under account {self.number}", shard, kinds)

    # Limits

    def add(self, name: str, shards: int, *, on_demand: bool, max_record_bytes: int) -> None:
        """A new stream, CREATING for as long as a transition takes."""
        self._last_created = max(self.now, self._last_created + 1)  # tells two streams of one name apart
        arn = f"arn:aws:kinesis:{self._region}:{self.number}:stream/{name}"
        stream = Stream(name, arn, self._last_created, shards, on_demand=on_demand, max_record_bytes=max_record_bytes)
        self.enter(stream, "CREATING")
        self.streams[name] = stream

    def require_shards(self, more: int) -> None:
        """Raises KinesisError if so many more open shards are too many."""
        present = sum(len(stream.open_shards) for stream in self.streams.values())
        if present + more > self.shard_limit:
            raise over_limit(
                f"This request would exceed the shard limit for the account {self.number} in {self._region}. Current "
                f"shard count for the account: {present}. Limit: {self.shard_limit}. Number of additional shards that "
                f"would have resulted from this request: {more}."
            )

    def make_room(self) -> None:
        """Drop the oldest records if all together take more memory than is allowed."""
        shards = [shard for stream in self.streams.values() for shard in stream.shards.values()]
        size = sum(shard.size for shard in shards)
        while size > self._memory:
            oldest = next(oldest_first(shards))
            size -= oldest.drop(1 + (oldest.end - oldest.first) // 16)  # in bulk: dropping moves all that stays


def _no_stream(name: str, account: str) -> KinesisError:
    return not_found(f"Stream {name} under account {account} not found.")
