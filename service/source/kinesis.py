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
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from botocore.exceptions import ClientError

from service.metrics import Metrics
from service.pipeline.records import ALL_HASH_KEYS, Gap, HashKeys, Position
from service.settings.model import Settings
from service.source.budget import ByteBudget
from service.source.client import MissingError, RetryingCaller, stream_name
from service.source.fan_out import StreamConsumer, Subscription
from service.source.reader import BATCH_BYTES, RecordBatch, ShardReader
from service.source.shards import Shard, hash_range_gaps

log = logging.getLogger("cutwater.kinesis")

READ_INTERVAL = 0.2  # s; a shard allows five reads a second
READ_RECORDS = 10_000
FRESH_SECONDS = 60.0  # for which a subscription may go on where the last one ended


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
        self._consumer = StreamConsumer(client, stream_name(settings), settings.fan_out) if settings.fan_out else None
        self._name = stream_name(settings)
        self._by_arn = self._name if settings.stream_arn else {}  # for calls that a token names the stream to
        self._hash_keys: dict[str, HashKeys] = {}
        self._range_gaps: list[HashKeys] = []
        self._caller = RetryingCaller(settings, metrics)

    @property
    def last_error(self) -> str | None:
        """Why the stream cannot be read at the moment, in one line; None if it can."""
        return self._caller.last_error

    async def shards(self) -> list[Shard]:
        """All shards, closed ones included, parents before children. Raises StreamError."""
        found: list[Shard] = []
        request: dict[str, Any] = dict(self._name)
        while request:
            answer = await self._caller.call("ListShards", lambda: self._client.list_shards(**request))  # noqa: B023
            for shard in answer["Shards"]:
                parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
                keys = shard["HashKeyRange"]
                hash_keys = int(keys["StartingHashKey"]), int(keys["EndingHashKey"])
                found.append(Shard(shard["ShardId"], tuple(parent for parent in parents if parent), hash_keys))
            token = answer.get("NextToken")
            request = {"NextToken": token} | self._by_arn if token else {}
        self._hash_keys = {shard.id: shard.hash_keys for shard in found}
        self._audit(found)
        return sorted(found, key=lambda shard: shard.id)

    def _audit(self, shards: Sequence[Shard]) -> None:
        """Tell of hash keys that no shard covers: their records would be read by nobody."""
        found = hash_range_gaps(shards)
        self._metrics.hash_range_gaps.set(len(found))
        if found and found != self._range_gaps:
            log.warning("stream %s: its list of shards leaves out the hash keys %s", self._settings.stream, found)
        self._range_gaps = found

    async def read(
        self, shard: str, after: Position | None, budget: ByteBudget, since: int | None = None
    ) -> AsyncGenerator[RecordBatch]:
        """The shard's records after a position. Takes of the budget what it fetches.

        Without a position it begins with what came ``since`` (milliseconds since 1970), or with the oldest record.
        Raises StreamError if waiting will not help.
        """
        reader = ShardReader(shard, self._hash_keys.get(shard, ALL_HASH_KEYS), self._metrics)
        reader.after = after
        source = self._pushed if self._consumer else self._polled
        async with aclosing(source(reader, budget, since)) as answers:
            ended = False
            while not ended:
                try:
                    batch = await anext(answers)
                except MissingError:
                    if shard in {other.id for other in await self.shards()}:
                        raise
                    batch = reader.gone()
                if batch.gap:
                    self._report(shard, batch.gap)
                ended = batch.ended
                yield batch

    async def _polled(self, reader: ShardReader, budget: ByteBudget, since: int | None) -> AsyncGenerator[RecordBatch]:
        """By GetRecords, as often as a shard allows, or every ``poll_seconds`` where there is nothing new."""
        clock = asyncio.get_running_loop().time
        iterator: str | None = None

        async def fetch() -> Any:
            """Read once; the bytes of the answer stay reserved."""
            await budget.reserve(BATCH_BYTES)
            try:
                return await self._client.get_records(ShardIterator=iterator, Limit=READ_RECORDS, **self._by_arn)
            except BaseException:
                await budget.release(BATCH_BYTES)
                raise

        while True:
            earliest = clock() + READ_INTERVAL
            if iterator is None:
                iterator = await self._iterator(reader.shard, starting_position(reader.after, since))
                reader.resumed = reader.after
            try:
                answer = await self._caller.call("GetRecords", fetch)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ExpiredIteratorException":
                    raise
                self._metrics.expired.inc()
                iterator = None
                continue
            iterator = answer.get("NextShardIterator")
            waits, reserved = True, BATCH_BYTES
            try:
                async with aclosing(reader.batches(answer, ended=not iterator)) as batches:
                    async for batch in batches:
                        if reserved:
                            await budget.release(reserved - batch.size)
                        else:
                            await budget.reserve(batch.size)
                        waits, reserved = not batch.records and not batch.behind, 0
                        yield batch
            finally:
                await budget.release(reserved)
            if not iterator:
                return
            await asyncio.sleep(max(earliest - clock(), self._settings.poll_seconds if waits else 0.0))

    async def _pushed(self, reader: ShardReader, budget: ByteBudget, since: int | None) -> AsyncGenerator[RecordBatch]:
        """By subscriptions of our consumer. One event waits for the budget; then nothing more is read."""
        assert self._consumer is not None
        clock = asyncio.get_running_loop().time
        subscription = Subscription(self._client, self._consumer, reader.shard)
        heard, following = -math.inf, ""

        async def receive() -> dict[str, Any] | None:
            if not subscription.lasts:
                if following and clock() - heard < FRESH_SECONDS:
                    place: dict[str, Any] = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": following}
                else:  # what came next may have left the stream meanwhile
                    place = starting_position(reader.after, since)
                    reader.resumed = reader.after
                await subscription.begin(place)
            return await subscription.next()

        try:
            while True:
                if (event := await self._caller.call("SubscribeToShard", receive)) is None:
                    continue
                heard, following = clock(), event.get("ContinuationSequenceNumber") or ""
                async with aclosing(reader.batches(event, ended=not following)) as batches:
                    async for batch in batches:
                        await budget.reserve(batch.size)
                        yield batch
                if not following:
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
        answer = await self._caller.call(
            "GetShardIterator",
            lambda: self._client.get_shard_iterator(ShardId=shard, **self._name, **request),
        )
        return str(answer["ShardIterator"])


def starting_position(after: Position | None, since: int | None) -> dict[str, Any]:
    """A StartingPosition: at a position, else at a time (ms), else at the oldest record."""
    if after is not None:
        # At the position, not after it: it may lie within an aggregate, and its record's absence tells of a gap.
        return {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": str(after.sequence)}
    return {"Type": "TRIM_HORIZON"} if since is None else {"Type": "AT_TIMESTAMP", "Timestamp": since / 1000}
