"""Reading a Kinesis stream, one shard at a time.

Guarantee: a shard's records come in order from the given position on, each once, until the shard is closed and read to
its end; aggregates of the Kinesis Producer Library come as their user records. Throttling, expired iterators and lost
connections are waited out. What left the stream before it was read is reported as a ``Gap``.

Shards are polled, or pushed to a consumer with enhanced fan-out (``fan_out``).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from service import UserError
from service.aws import INCOMPLETE, REMEDIES, UNREACHABLE
from service.metrics import Metrics
from service.pipeline.records import ALL_HASH_KEYS, Gap, HashKeys, Position, Record
from service.retry import Patience
from service.settings.model import Settings
from service.source.aggregates import user_records
from service.source.fan_out import StreamConsumer, Subscription
from service.source.response_parser import ParserFactory

log = logging.getLogger("cutwater.kinesis")
T = TypeVar("T")

READ_INTERVAL = 0.2  # s; a shard allows five reads a second
READ_RECORDS = 10_000
READ_BYTES = 10 * 1024 * 1024  # the most that one read returns
FRESH_SECONDS = 60.0  # for which a subscription may go on where the last one ended
RECORD_MEMORY = 500  # bytes that a record takes besides its data, scored and all
USUAL_THROTTLES = 5  # in a row, that are not worth a word where others read the stream, too

_THROTTLES = (
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "ThrottlingException",
    "KMSThrottlingException",
    "ResourceInUseException",  # a subscription soon after the last one, or a consumer that somebody else registers
)
_REMEDIES = REMEDIES | {
    "ResourceNotFoundException": "create the stream, or check the settings stream, region and endpoint_url",
    "AccessDeniedException": "allow what deploy/iam-policy.json lists for Kinesis",
    "InvalidClientTokenId": "check the AWS credentials",
}


class StreamError(UserError):
    """The stream cannot be read and waiting will not help; the message names the remedy."""


class MissingError(StreamError):
    """The stream does not exist, or the shard no longer does."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard as ListShards tells of it. ``hash_keys`` are its first and last."""

    id: str
    parents: tuple[str, ...] = ()
    hash_keys: HashKeys = ALL_HASH_KEYS


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one read returned. ``size`` is what it takes in memory, in bytes, ``behind`` is in milliseconds."""

    records: list[Record]
    size: int
    behind: int
    ended: bool
    gap: Gap | None = None


def connect(settings: Settings) -> AbstractAsyncContextManager[Any]:
    """A Kinesis client; it leaves retries to its callers. A local stream needs no credentials."""
    config = AioConfig(
        retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30, max_pool_connections=1000
    )
    session = get_session()
    session.register_component("response_parser_factory", ParserFactory())
    local = urlsplit(settings.endpoint_url).hostname in ("127.0.0.1", "localhost", "::1")
    made_up = {"aws_access_key_id": "local", "aws_secret_access_key": "local"} if local else {}
    return session.create_client(  # type: ignore[no-any-return]
        "kinesis", region_name=settings.region, endpoint_url=settings.endpoint_url or None, config=config, **made_up
    )


class Stream:
    """The stream that the settings name.

    Args:
        client: as ``connect`` makes it.
        settings: which stream.
        metrics: where throttled calls, expired iterators, gaps and such are counted.
    """

    def __init__(self, client: Any, settings: Settings, metrics: Metrics) -> None:
        self._client = client
        self._settings = settings
        self._metrics = metrics
        self._consumer = StreamConsumer(client, settings.stream, settings.fan_out) if settings.fan_out else None
        self._hash_keys: dict[str, HashKeys] = {}
        self._holes: list[HashKeys] = []
        self._patience = Patience(f"stream {settings.stream!r}")

    @property
    def trouble(self) -> str | None:
        """Why the stream cannot be read at the moment, in one line; None if it can."""
        return self._patience.trouble

    async def shards(self) -> list[Shard]:
        """All shards, closed ones included, parents before children. Raises StreamError."""
        found: list[Shard] = []
        request: dict[str, Any] = {"StreamName": self._settings.stream}
        while request:
            answer = await self._patiently("ListShards", lambda: self._client.list_shards(**request))  # noqa: B023
            for shard in answer["Shards"]:
                parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
                keys = shard["HashKeyRange"]
                hash_keys = int(keys["StartingHashKey"]), int(keys["EndingHashKey"])
                found.append(Shard(shard["ShardId"], tuple(parent for parent in parents if parent), hash_keys))
            token = answer.get("NextToken")
            request = {"NextToken": token} if token else {}
        self._hash_keys = {shard.id: shard.hash_keys for shard in found}
        self._audit(found)
        return sorted(found, key=lambda shard: shard.id)

    def _audit(self, shards: Sequence[Shard]) -> None:
        """Tell of hash keys that no shard covers: their records would be read by nobody."""
        found = holes(shards)
        self._metrics.hash_range_gaps.set(len(found))
        if found and found != self._holes:
            log.warning("stream %s: its list of shards leaves out the hash keys %s", self._settings.stream, found)
        self._holes = found

    async def read(
        self, shard: str, after: Position | None, room: Room, since: int | None = None
    ) -> AsyncGenerator[Fetched]:
        """The shard's records after a position. Takes room for what it fetches.

        Without a position it begins with what came ``since`` (milliseconds since 1970), or with the oldest record.
        Raises StreamError if waiting will not help.
        """
        reader = _ShardReader(shard, self._hash_keys.get(shard, ALL_HASH_KEYS), self._metrics)
        reader.after = after
        source = self._pushed if self._consumer else self._polled
        async with aclosing(source(reader, room, since)) as answers:
            ended = False
            while not ended:
                try:
                    fetched = await anext(answers)
                except MissingError:
                    if shard in {other.id for other in await self.shards()}:
                        raise
                    fetched = reader.gone()
                if fetched.gap:
                    self._report(shard, fetched.gap)
                ended = fetched.ended
                yield fetched

    async def _polled(self, reader: _ShardReader, room: Room, since: int | None) -> AsyncGenerator[Fetched]:
        """By GetRecords, as often as a shard allows, or every ``poll_seconds`` where there is nothing new."""
        clock = asyncio.get_running_loop().time
        iterator: str | None = None

        async def fetch() -> Fetched:
            """Read once. Room is held only while the answer is on its way."""
            nonlocal iterator
            await room.reserve(READ_BYTES)
            size = 0
            try:
                answer = await self._client.get_records(ShardIterator=iterator, Limit=READ_RECORDS)
                iterator = answer.get("NextShardIterator")
                fetched = await reader.take(answer, ended=not iterator)
                size = fetched.size
            finally:
                await room.release(READ_BYTES - size)
            return fetched

        while True:
            earliest = clock() + READ_INTERVAL
            if iterator is None:
                iterator = await self._iterator(reader.shard, _place(reader.after, since))
                reader.resumed = reader.after
            try:
                fetched = await self._patiently("GetRecords", fetch)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ExpiredIteratorException":
                    raise
                self._metrics.expired.inc()
                iterator = None
                continue
            yield fetched
            if fetched.ended:
                return
            waits = not fetched.records and not fetched.behind
            await asyncio.sleep(max(earliest - clock(), self._settings.poll_seconds if waits else 0.0))

    async def _pushed(self, reader: _ShardReader, room: Room, since: int | None) -> AsyncGenerator[Fetched]:
        """By subscriptions of our consumer. One event waits for room, and then the connection is not read further."""
        assert self._consumer is not None
        clock = asyncio.get_running_loop().time
        subscription = Subscription(self._client, self._consumer, reader.shard)
        heard, following = -math.inf, ""

        async def receive() -> dict[str, Any] | None:
            if not subscription.lasts:
                if following and clock() - heard < FRESH_SECONDS:
                    place: dict[str, Any] = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": following}
                else:  # what came next may have left the stream meanwhile
                    place = _place(reader.after, since)
                    reader.resumed = reader.after
                await subscription.begin(place)
            return await subscription.next()

        try:
            while True:
                if (event := await self._patiently("SubscribeToShard", receive)) is None:
                    continue
                heard, following = clock(), event.get("ContinuationSequenceNumber") or ""
                fetched = await reader.take(event, ended=not following)
                if fetched.size:
                    reserved = min(fetched.size, READ_BYTES)
                    await room.reserve(reserved)
                    await room.release(reserved - fetched.size)
                yield fetched
                if fetched.ended:
                    return
        finally:
            subscription.close()

    def _report(self, shard: str, gap: Gap) -> None:
        self._metrics.gaps.labels(shard).inc()
        log.error(
            "%s of stream %s: the record at the checkpoint (%d) has left the stream; those after it up to %s may be "
            "lost. Let the stream keep records longer than the service may stand still",
            shard, self._settings.stream, gap.after.sequence, gap.until.sequence if gap.until else "the shard's end",
        )  # fmt: skip

    async def _iterator(self, shard: str, place: dict[str, Any]) -> str:
        names = {"Type": "ShardIteratorType", "SequenceNumber": "StartingSequenceNumber", "Timestamp": "Timestamp"}
        request = {names[name]: value for name, value in place.items()}
        answer = await self._patiently(
            "GetShardIterator",
            lambda: self._client.get_shard_iterator(StreamName=self._settings.stream, ShardId=shard, **request),
        )
        return str(answer["ShardIterator"])

    async def _patiently(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it works. Raises StreamError, or ClientError if an iterator has expired."""
        throttled = 0

        def passing(error: Exception) -> str:
            nonlocal throttled
            if isinstance(error, ClientError):
                code = error.response["Error"]["Code"]
                if code == "ExpiredIteratorException":
                    raise error
                if code in _THROTTLES:
                    self._metrics.throttled.labels(name).inc()
                    throttled += 1
                    return f"{name}: {code}" if throttled > USUAL_THROTTLES else ""
                if not self._early(name, error):
                    self._raise_if_hopeless(name, error)
                return f"{name}: {error.response['Error'].get('Message') or code}"
            if isinstance(error, INCOMPLETE):
                raise StreamError(f"{name}: {error}; set AWS credentials, or endpoint_url for a local stream") from None
            if isinstance(error, UNREACHABLE):
                doubt = "" if self._settings.endpoint_url else f"; region is {self._settings.region!r}"
                return f"{name}: {str(error) or type(error).__name__}{doubt}"
            raise error

        return await self._patience.insist(call, passing)

    def _early(self, name: str, error: ClientError) -> bool:
        """Whether a start time lies ahead of the stream's clock, as after a first start on a machine that is fast."""
        return (
            name in ("GetShardIterator", "SubscribeToShard")
            and error.response["Error"]["Code"] == "InvalidArgumentException"
            and "timestamp" in error.response["Error"].get("Message", "").lower()
        )

    def _raise_if_hopeless(self, name: str, error: ClientError) -> None:
        problem = error.response["Error"]
        code = problem["Code"].removesuffix("Exception") + "Exception"
        if code == "ResourceNotFoundException":
            raise MissingError(self._complaint(name, problem, _REMEDIES[code])) from None
        if name != "GetRecords" and "StartingSequenceNumber" in problem.get("Message", ""):
            raise StreamError(
                f"stream {self._settings.stream!r} was deleted and made anew since its checkpoint, which is of the old "
                f"one ({problem['Message'].removesuffix('.')}); to read the new one from its start, use another "
                "data_dir, or another lease_table"
            ) from None
        if remedy := _REMEDIES.get(code) or _REMEDIES.get(problem["Code"]):
            raise StreamError(self._complaint(name, problem, remedy)) from None

    def _complaint(self, name: str, problem: dict[str, Any], remedy: str) -> str:
        message = problem.get("Message") or problem["Code"]
        return f"{name} on stream {self._settings.stream!r}: {message}; {remedy}"


class _ShardReader:
    """Makes records of what Kinesis says of one shard, and knows how far they have come."""

    def __init__(self, shard: str, hash_keys: HashKeys, metrics: Metrics) -> None:
        self.shard = shard
        self.after: Position | None = None  # of the last record fetched
        self.resumed: Position | None = None  # where reading was to go on, until a record shows that it could
        self._hash_keys = hash_keys
        self._metrics = metrics

    async def take(self, answer: Mapping[str, Any], *, ended: bool) -> Fetched:
        """An answer to GetRecords, or an event of a subscription; ``ended`` if nothing can follow it."""
        raw, records, size = answer["Records"], list[Record](), 0
        gap = self._gap(raw[0] if raw else None, ended=ended)
        if raw:
            records = await asyncio.to_thread(_records, raw, self.after, self._hash_keys)
            self._metrics.other_shard_records.inc(sum(record.other_shard for record in records))
            last = records[-1].position if records else Position(int(raw[-1]["SequenceNumber"]))
            self.after = max(last, self.after) if self.after else last
            taken = sum(len(record.data) for record in records)
            self._metrics.records.inc(len(records))
            self._metrics.bytes.inc(taken)
            size = taken + RECORD_MEMORY * len(records)
        return Fetched(records, size, answer.get("MillisBehindLatest") or 0, ended=ended, gap=gap)

    def gone(self) -> Fetched:
        """What there is to say when the shard itself has left the stream."""
        return Fetched([], 0, 0, ended=True, gap=Gap(self.after) if self.after else None)

    def _gap(self, first: dict[str, Any] | None, *, ended: bool) -> Gap | None:
        """Whether the first record since the iterator was made is a later one than the iterator was made for."""
        resumed = self.resumed
        if resumed is None or (first is None and not ended):
            return None
        self.resumed = None
        if first is None:
            return Gap(resumed)
        sequence = int(first["SequenceNumber"])
        return Gap(resumed, Position(sequence), _milliseconds(first)) if sequence > resumed.sequence else None


class Room:
    """Memory for what is in flight, bounded: ``reserve`` waits until there is room for so many bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._freed = asyncio.Event()

    async def reserve(self, amount: int) -> None:
        """Take ``amount`` bytes, waiting for others to release theirs."""
        while self.taken + amount > self.size:
            self._freed.clear()
            await self._freed.wait()
        self.taken += amount

    async def release(self, amount: int) -> None:
        """Give bytes back, even while being cancelled."""
        self.taken -= amount
        self._freed.set()


def holes(shards: Sequence[Shard]) -> list[HashKeys]:
    """The ranges of hash keys that no shard covers which is not a parent of another one in the list."""
    parents = {parent for shard in shards for parent in shard.parents}
    found: list[HashKeys] = []
    expected = ALL_HASH_KEYS[0]
    for first, last in sorted(shard.hash_keys for shard in shards if shard.id not in parents):
        if first > expected:
            found.append((expected, first - 1))
        expected = max(expected, last + 1)
    return [*found, (expected, ALL_HASH_KEYS[1])] if expected <= ALL_HASH_KEYS[1] else found


def _place(after: Position | None, since: int | None) -> dict[str, Any]:
    """A StartingPosition: at a position, else at a time (ms), else at the oldest record."""
    if after is not None:
        # At the position, not after it: it may lie within an aggregate, and its record's absence tells of a gap.
        return {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": str(after.sequence)}
    return {"Type": "TRIM_HORIZON"} if since is None else {"Type": "AT_TIMESTAMP", "Timestamp": since / 1000}


def _records(raw: Iterable[dict[str, Any]], after: Position | None, hash_keys: HashKeys) -> list[Record]:
    """What follows a position, aggregates taken apart."""
    found: list[Record] = []
    for one in raw:
        record = Record(Position(int(one["SequenceNumber"])), one["PartitionKey"], _milliseconds(one), one["Data"])
        users = user_records(record, hash_keys)
        found += users if after is None else [user for user in users if user.position > after]
    return found


def _milliseconds(raw: dict[str, Any]) -> int:
    """When a record arrived."""
    return round(1000 * float(raw.get("ApproximateArrivalTimestamp", 0)))
