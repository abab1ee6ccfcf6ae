"""Reading a Kinesis stream, one shard at a time.

Guarantee: a shard's records come in order and without gaps from the given position on, each at least once, until the
shard is closed and read to its end. Throttling, expired iterators and lost connections are waited out.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)

from service.records import Position, Record
from service.settings import Settings

log = logging.getLogger("cutwater.kinesis")

READ_INTERVAL = 0.2  # s; a shard allows five reads a second
READ_RECORDS = 10_000
READ_BYTES = 10 * 1024 * 1024  # the most that one read returns
_PATIENCE = 20.0  # s; the longest pause between two attempts

_HOPELESS = {
    "ResourceNotFoundException": "create the stream, or check the settings stream, region and endpoint_url",
    "AccessDeniedException": "allow kinesis:ListShards, GetShardIterator and GetRecords; see deploy/iam-policy.json",
    "UnrecognizedClientException": "check the AWS credentials",
    "InvalidSignatureException": "check the AWS credentials and this machine's clock",
    "ExpiredTokenException": "renew the AWS credentials",
    "InvalidClientTokenId": "check the AWS credentials",
}


class StreamError(Exception):
    """The stream cannot be read and waiting will not help; the message names the remedy."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard as ListShards tells of it."""

    id: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one read returned. ``size`` is in bytes, ``behind`` in milliseconds."""

    records: list[Record]
    size: int
    behind: int
    ended: bool


def connect(settings: Settings) -> AbstractAsyncContextManager[Any]:
    """A Kinesis client; it leaves retries to its callers. A local stream needs no credentials."""
    config = AioConfig(
        retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30, max_pool_connections=1000
    )
    session = get_session()
    # Time zones of timestamps take two thirds of the time of parsing records; seconds will do.
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=float)
    local = urlsplit(settings.endpoint_url).hostname in ("127.0.0.1", "localhost", "::1")
    made_up = {"aws_access_key_id": "local", "aws_secret_access_key": "local"} if local else {}
    return session.create_client(  # type: ignore[no-any-return]
        "kinesis", region_name=settings.region, endpoint_url=settings.endpoint_url or None, config=config, **made_up
    )


class Stream:
    """The stream that the settings name."""

    def __init__(self, client: Any, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self.throttled = 0
        self.expired = 0

    async def shards(self) -> list[Shard]:
        """All shards, closed ones included, parents before children. Raises StreamError."""
        found: list[Shard] = []
        request: dict[str, Any] = {"StreamName": self._settings.stream}
        while request:
            answer = await self._patiently("ListShards", self._client.list_shards, **request)
            for shard in answer["Shards"]:
                parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
                found.append(Shard(shard["ShardId"], tuple(parent for parent in parents if parent)))
            token = answer.get("NextToken")
            request = {"NextToken": token} if token else {}
        return sorted(found, key=lambda shard: shard.id)

    async def read(self, shard: str, after: Position | None, room: Room) -> AsyncIterator[Fetched]:
        """The shard's records after a position, or from the configured start. Takes room for what it fetches."""
        iterator: str | None = await self._iterator(shard, after)
        clock = asyncio.get_running_loop().time
        while iterator:
            await room.reserve(READ_BYTES)
            size, earliest = 0, clock() + READ_INTERVAL
            try:
                answer = await self._get_records(iterator)
                if answer is None:
                    self.expired += 1
                    iterator = await self._iterator(shard, after)
                    continue
                records = [_record(raw) for raw in answer["Records"]]
                size = sum(len(record.data) for record in records)
            finally:
                await room.release(READ_BYTES - size)
            iterator = answer.get("NextShardIterator")
            if records:
                after = records[-1].position
            yield Fetched(records, size, answer.get("MillisBehindLatest") or 0, ended=not iterator)
            pause = 0.0 if records else self._settings.poll_seconds
            await asyncio.sleep(max(earliest - clock(), pause))

    async def _iterator(self, shard: str, after: Position | None) -> str:
        place: dict[str, str] = {"ShardIteratorType": self._settings.start}
        if after is not None:
            place = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": str(after.sequence)}
        answer = await self._patiently(
            "GetShardIterator",
            self._client.get_shard_iterator,
            StreamName=self._settings.stream,
            ShardId=shard,
            **place,
        )
        return str(answer["ShardIterator"])

    async def _get_records(self, iterator: str) -> dict[str, Any] | None:
        """None if the iterator has expired."""
        try:
            return await self._patiently(
                "GetRecords", self._client.get_records, ShardIterator=iterator, Limit=READ_RECORDS
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExpiredIteratorException":
                return None
            raise

    async def _patiently(self, name: str, call: Any, **request: Any) -> dict[str, Any]:
        """Call until it works, pausing between attempts longer and longer, with jitter."""
        attempt = 0
        while True:
            try:
                return await call(**request)  # type: ignore[no-any-return]
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "ExpiredIteratorException":
                    raise
                self._raise_if_hopeless(name, error)
                throttled = code in ("ProvisionedThroughputExceededException", "LimitExceededException")
                self.throttled += throttled
                reason = code
            except (NoCredentialsError, PartialCredentialsError, NoRegionError) as error:
                raise StreamError(f"{name}: {error}; set AWS credentials, or endpoint_url for a local stream") from None
            except (HTTPClientError, BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
                reason, throttled = str(error) or type(error).__name__, False
            attempt += 1
            pause = min(_PATIENCE, 0.1 * 2**attempt) * random.uniform(0.5, 1.0)
            if (not throttled and attempt in (2, 5, 10)) or attempt % 20 == 0:
                log.warning("%s failed (%s); attempt %d, trying again", name, reason, attempt)
            await asyncio.sleep(pause)

    def _raise_if_hopeless(self, name: str, error: ClientError) -> None:
        problem = error.response["Error"]
        code = problem["Code"].removesuffix("Exception") + "Exception"
        remedy = _HOPELESS.get(code) or _HOPELESS.get(problem["Code"])
        if remedy is None and code in ("ValidationException", "InvalidArgumentException", "UnknownOperationException"):
            remedy = "this is an error in the request; please report it"
        if remedy:
            message = problem.get("Message") or problem["Code"]
            raise StreamError(f"{name} on stream {self._settings.stream!r}: {message}; {remedy}") from None


class Room:
    """Bytes in flight, bounded: ``reserve`` waits until there is room for them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._change = asyncio.Condition()

    async def reserve(self, amount: int) -> None:
        """Take ``amount`` bytes, waiting for others to release theirs."""
        async with self._change:
            await self._change.wait_for(lambda: self.taken + amount <= self.size)
            self.taken += amount

    async def release(self, amount: int) -> None:
        """Give bytes back."""
        async with self._change:
            self.taken -= amount
            self._change.notify_all()


def _record(raw: dict[str, Any]) -> Record:
    return Record(
        position=Position(int(raw["SequenceNumber"])),
        partition_key=raw["PartitionKey"],
        arrival=round(raw.get("ApproximateArrivalTimestamp", 0) * 1000),
        data=raw["Data"],
    )
