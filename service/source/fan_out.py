"""Enhanced fan-out: a consumer of its own on the stream, to which Kinesis pushes each shard's records.

Source: API reference of Kinesis Data Streams, SubscribeToShard. A subscription lasts five minutes, the next one may
begin five seconds after it, and silence is interrupted by an empty event every few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

CREATION_SECONDS = 1.0  # between looks at a consumer that is being made


class StreamConsumer:
    """The stream's consumer of this name; all workers share it, each for its own shards.

    Args:
        client: of Kinesis.
        stream: the parameter that names the stream.
        name: the consumer's name; if it is an ARN, it is there already.
    """

    def __init__(self, client: Any, stream: Mapping[str, str], name: str) -> None:
        self._client = client
        self._stream = stream
        self._name = name
        self._arn = name if name.startswith("arn:") else ""
        self._registering = asyncio.Lock()

    async def arn(self) -> str:
        """Its ARN; it is registered if it is not there. Raises ClientError."""
        async with self._registering:
            while not self._arn:
                summary = await self._client.describe_stream_summary(**self._stream)
                stream = summary["StreamDescriptionSummary"]["StreamARN"]
                known = await self._described(stream)
                if known.get("ConsumerStatus") == "ACTIVE":
                    self._arn = known["ConsumerARN"]
                else:
                    await asyncio.sleep(CREATION_SECONDS)
            return self._arn

    async def _described(self, stream: str) -> dict[str, Any]:
        try:
            answer = await self._client.describe_stream_consumer(StreamARN=stream, ConsumerName=self._name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            answer = await self._client.register_stream_consumer(StreamARN=stream, ConsumerName=self._name)
            return dict(answer["Consumer"])
        return dict(answer["ConsumerDescription"])


class Subscription:
    """What is pushed of one shard, through as many subscriptions as it takes."""

    def __init__(self, client: Any, consumer: StreamConsumer, shard: str) -> None:
        self._client = client
        self._consumer = consumer
        self._shard = shard
        self._stream: Any = None
        self._events: AsyncIterator[Any] | None = None

    @property
    def lasts(self) -> bool:
        """Whether there is a subscription; if not, ``next`` needs a place to begin a new one."""
        return self._events is not None

    async def begin(self, place: dict[str, Any]) -> None:
        """Subscribe from a StartingPosition on. Raises ClientError."""
        answer = await self._client.subscribe_to_shard(
            ConsumerARN=await self._consumer.arn(), ShardId=self._shard, StartingPosition=place
        )
        self._stream = answer["EventStream"]
        self._events = aiter(self._stream)

    async def next(self) -> dict[str, Any] | None:
        """The next event, much like an answer to GetRecords; None if the subscription is over.

        Raises ClientError, or what a connection may raise; then it is over, too.
        """
        assert self._events is not None
        try:
            async for event in self._events:
                if "SubscribeToShardEvent" in event:
                    return dict(event["SubscribeToShardEvent"])
        except BaseException:
            self.close()
            raise
        self.close()
        return None

    def close(self) -> None:
        """Let go of the connection."""
        if self._stream is not None:
            self._stream.close()
        self._stream = self._events = None
