"""What is said to one worker is heard by the worker that reads the sensor's shard, and outlives a restart."""

import asyncio
from contextlib import AsyncExitStack

import numpy as np
import orjson
import pytest

from service.settings.model import load
from service.source.client import connect
from service.state import feedback
from service.worker.service import Service
from simulator.stream import LocalStream
from tests.service.worker.test_service import api_of, until

START, EVERY = 1_700_000_000_000, 1200  # readings between two faults
SPIKES = {1: 20.0, 2: 20.0, 3: 70.0, 4: 20.0}


def reading(number):
    """The boiler's, a minute after the last one."""
    value = np.random.default_rng((7, number)).normal(20.0, 1.0)
    fault, after = divmod(number, EVERY)
    return {"iotName": "boiler", "iotTime": START + 60_000 * number, "iotValue": value + (not after and SPIKES[fault])}


async def put(kinesis, numbers):
    """Onto the stream, 200 in a request."""
    for first in range(numbers.start, numbers.stop, 200):
        part = range(first, min(first + 200, numbers.stop))
        records = [{"Data": orjson.dumps(reading(number)), "PartitionKey": "boiler"} for number in part if number]
        await kinesis.put_records(StreamName="stream", Records=records)


def minute(score) -> int:
    return int((np.datetime64(score["@timestamp"][:-1], "ms").astype(int) - START) // 60_000)


async def newest(client) -> int:
    """The boiler's latest reading that is scored."""
    scores = (await client.get("/scores?sensor=boiler&history=false&limit=1")).json()["scores"]
    return minute(scores[0]) if scores else 0


async def alerted(client) -> set[int]:
    """The faults that were alerted."""
    scores = (await client.get("/scores?alerts=true&sensor=boiler&history=false&limit=1000")).json()["scores"]
    return {minute(each) // EVERY for each in scores if minute(each) % EVERY < 5}


@pytest.mark.parametrize("workers", [1, 2])
async def test_its_like_is_alerted_no_more_until_it_is_taken_back(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(feedback, "REFRESH_SECONDS", 0.1)
    async with AsyncExitStack() as stack:
        local = await stack.enter_async_context(LocalStream(streams={"stream": 2}))
        folder = {"data_dir": tmp_path, "stream": "stream", "endpoint_url": local.endpoint_url}
        settings = load(folder | {"profile": "small", "checkpoint_seconds": "0.1", "poll_seconds": "0.2"}, {})
        kinesis = await stack.enter_async_context(connect(settings))

        async def begin(count):
            services = [await stack.enter_async_context(Service.open(settings)) for _ in range(count)]
            return services, [asyncio.create_task(each.run()) for each in services]

        async def finish(services, running):
            for each in services:
                each.stop()
            assert all(await asyncio.gather(*running))

        services, running = await begin(workers)

        async def shards():
            return sorted(len(each.consumer.pipelines) for each in services)

        await until(shards, [2] if workers == 1 else [1, 1])
        await put(kinesis, range(1, 2 * EVERY - 10))

        async def found():
            return any("boiler" in each.recent.sensors for each in services)

        await until(found, True)
        (owner,) = [each for each in services if "boiler" in each.recent.sensors]
        other = services[0] if services[-1] is owner else services[-1]
        client = await stack.enter_async_context(api_of(owner))
        asked = await stack.enter_async_context(api_of(other))
        await until(lambda: newest(client), 2 * EVERY - 11)
        assert await alerted(client) == {1}
        moment = START + 60_000 * EVERY
        word = {"action": "normal", "sensor": "boiler", "who": "Ann", "since": moment, "until": moment}
        said = (await asked.post("/feedback", json=word)).json()

        async def heard():
            return len(owner.feedback.words())

        await until(heard, 1)
        await put(kinesis, range(2 * EVERY - 10, 3 * EVERY - 10))
        await until(lambda: newest(client), 3 * EVERY - 11)
        assert await alerted(client) == {1}
        await finish(services, running)

        services, running = await begin(1)  # which goes on from the checkpoint
        client = await stack.enter_async_context(api_of(services[0]))
        await put(kinesis, range(3 * EVERY - 10, 4 * EVERY - 10))
        await until(lambda: newest(client), 4 * EVERY - 11)
        assert await alerted(client) == {3}
        assert (await client.delete(f"/feedback/{said['id']}?who=Bob")).json()["withdrawn_by"] == "Bob"
        await put(kinesis, range(4 * EVERY - 10, 4 * EVERY + 10))
        await until(lambda: newest(client), 4 * EVERY + 9)
        assert await alerted(client) == {3, 4}
        await finish(services, running)
