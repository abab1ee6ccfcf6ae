"""A stream that was deleted and made anew under its name, while the service has a checkpoint of the old one."""

import asyncio

import pytest

from service.metrics import Metrics
from service.pipeline.records import Position
from service.settings.model import Settings, load
from service.source.budget import ByteBudget
from service.source.client import StreamError, connect
from service.source.kinesis import Stream
from service.worker.service import Service
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


async def until(look, task) -> None:
    async with asyncio.timeout(60):
        while not look():
            if task.done():
                await task
            await asyncio.sleep(0.05)


async def test_of_a_stream_made_anew_with_more_shards_the_others_are_read_and_ready_says_what_to_do(tmp_path):
    given = {"data_dir": tmp_path, "stream": "S", "checkpoint_seconds": "0.1", "profile": "small"}
    async with LocalStream(streams={"S": 1}) as local:
        await put(local)
        async with Service.open(load({**given, "endpoint_url": local.endpoint_url}, {})) as service:
            running = asyncio.create_task(service.run())
            await until(lambda: any(each.committed for each in service.consumer.pipelines.values()), running)
            service.stop()
            await running
    async with LocalStream(streams={"S": 2}) as local:
        async with connect(Settings(stream="S", endpoint_url=local.endpoint_url)) as client:
            for key in "abcdefgh":
                await client.put_record(StreamName="S", Data=b"{}", PartitionKey=key)
        async with Service.open(load({**given, "endpoint_url": local.endpoint_url}, {})) as service:
            running = asyncio.create_task(service.run())
            await until(lambda: any(each.committed for each in service.consumer.pipelines.values()), running)
            await until(lambda: service.consumer.faults.current, running)
            (reason,) = [each for each in await service.unready() if "made anew" in each]
            assert reason.startswith("shard shardId-000000000000: ")
            assert "another data_dir" in reason
            assert "only those of its shards are read that the old one did not have" in reason
            service.stop()
            await running
