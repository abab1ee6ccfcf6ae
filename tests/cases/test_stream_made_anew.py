"""A stream that was deleted and made anew under its name, while the service has a checkpoint of the old one."""

import pytest

from service.metrics import Metrics
from service.pipeline.records import Position
from service.settings.model import Settings
from service.source.budget import ByteBudget
from service.source.client import StreamError, connect
from service.source.kinesis import Stream
from simulator.stream import LocalStream


async def read_after(local: LocalStream, position: Position) -> None:
    settings = Settings(stream="S", endpoint_url=local.endpoint_url)
    async with connect(settings) as client:
        stream = Stream(client, settings, Metrics())
        (shard,) = await stream.shards()
        async for _ in stream.read(shard.id, position, ByteBudget(11 * 1024 * 1024)):
            break


async def put(local: LocalStream) -> Position:
    async with connect(Settings(stream="S", endpoint_url=local.endpoint_url)) as client:
        answer = await client.put_record(StreamName="S", Data=b"{}", PartitionKey="a")
    return Position(int(answer["SequenceNumber"]))


async def test_the_checkpoint_of_the_old_stream_is_told_from_one_of_the_new():
    async with LocalStream(streams={"S": 1}) as local:
        old = await put(local)
    async with LocalStream(streams={"S": 1}) as local:
        await put(local)
        with pytest.raises(StreamError, match="'S' was deleted and made anew since its checkpoint"):
            await read_after(local, old)
