"""What a record costs from Kinesis's answer to its score and document: python -m benchmarks.pipeline [--json]

Answers to GetRecords, 10 000 classic readings each, are made beforehand and go through all that the service does with
them: its parser, reader, core, recent scores, and the documents of what is unusual. Beside it works what a user would
write with async-kinesis, json and krcf, on the same answers. CPU time of the process counts, garbage collection is a
stage of its own, and records per second are by the clock, one core at work. Means over the second half of the answers,
when sensors are known.

With few records a sensor its samples are not full, and scoring is cheaper than it will be: ``--records 2000000`` for
the full run, which takes minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import hashlib
import importlib.util
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from aiobotocore.parsers import AioJSONParser
from aiobotocore.session import get_session

from benchmarks import print_rows
from detector.detector import warm_up
from detector.fleet import Fleet
from detector.types import Readings, Scores
from service.assembly import core_configuration, make_core
from service.metrics import Metrics
from service.pipeline.core import Core, CoreConfiguration
from service.pipeline.decode import Decoder
from service.pipeline.decode.decoded import Decoded
from service.pipeline.records import ALL_HASH_KEYS, Record
from service.settings.model import Settings, load
from service.sinks.recent_scores import RecentScores
from service.source.reader import ShardReader
from service.source.response_parser import ParserFactory
from simulator.sensors import Sensors

PER_ANSWER = 10_000
SHARDS = 4
ARRIVAL = 1_767_225_600.123  # seconds since 1970
FIRST = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898
Answer = tuple[str, bytes]
"""A shard's id and the body that Kinesis would send."""


def answers(sensors: int, records: int) -> Iterator[Answer]:
    """So many records of as many sensors, in answers of one shard each."""
    waiting: dict[int, list[dict[str, Any]]] = defaultdict(list)
    made = 0
    for number, reading in enumerate(Sensors(sensors=sensors)):
        shard = int.from_bytes(hashlib.md5(reading.sensor.encode()).digest()) * SHARDS >> 128
        waiting[shard].append(
            {
                "SequenceNumber": str(FIRST + 7919 * number),
                "ApproximateArrivalTimestamp": round(ARRIVAL + 0.001 * number, 3),
                "Data": base64.b64encode(reading.data).decode(),
                "PartitionKey": reading.sensor,
            }
        )
        if len(waiting[shard]) == PER_ANSWER:
            body = {"Records": waiting.pop(shard), "NextShardIterator": "A" * 200, "MillisBehindLatest": 0}
            yield f"shardId-{shard:012d}", orjson.dumps(body)
            made += PER_ANSWER
            if made >= records:
                return


class StageClock:
    """CPU seconds by stage; a stage inside another one is not counted there, nor is garbage collection."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._running = [""]
        self._since = time.process_time()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What runs meanwhile is this stage."""
        self._change()
        self._running.append(name)
        try:
            yield
        finally:
            self._change()
            self._running.pop()

    def garbage(self, phase: str, _: dict[str, int]) -> None:
        """For ``gc.callbacks``."""
        self._change()
        if phase == "start":
            self._running.append("collector")
        else:
            self._running.pop()

    def _change(self) -> None:
        now = time.process_time()
        self.spent[self._running[-1]] += now - self._since
        self._since = now


class TimedDecoder:
    """A decoder and how long it takes."""

    def __init__(self, decoder: Decoder, clock: StageClock) -> None:
        self._decoder, self._clock = decoder, clock
        self.element = decoder.element

    def decode(self, records: Sequence[Record], *, bounded: bool = False) -> Decoded:
        """Its readings and refusals."""
        with self._clock.stage("decode"):
            return self._decoder.decode(records, bounded=bounded)


class TimedFleet(Fleet):
    """A fleet that notes how long it takes."""

    clock: StageClock

    def process(self, readings: Readings) -> Scores:
        """Its scores."""
        with self.clock.stage("detector"):
            return super().process(readings)


def timed_core(settings: Settings, shard: str, clock: StageClock) -> Core:
    """A core as the service makes it, of which decoder and detector are timed."""
    made_for = core_configuration(settings)
    assert made_for.decoder is not None
    fleet = TimedFleet(settings.configuration())
    fleet.clock = clock
    configuration = CoreConfiguration(
        made_for.stream,
        made_for.detector,
        made_for.features,
        TimedDecoder(made_for.decoder, clock),
        made_for.index_all,
        made_for.index_record,
        made_for.labels,
    )
    return Core(configuration, shard, fleet)


async def response_shape() -> Any:
    """botocore's model of the answer."""
    async with get_session().create_client(
        "kinesis", region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    ) as client:
        return client.meta.service_model.operation_model("GetRecords").output_shape


def response(body: bytes) -> dict[str, Any]:
    """An answer as the parsers take it."""
    return {"status_code": 200, "headers": {}, "body": body, "context": {}}


class Service:
    """Our way of an answer."""

    name = "cutwater"

    def __init__(self, profile: str, shape: Any, clock: StageClock) -> None:
        self._settings = load({"profile": profile}, {})
        warm_up(self._settings.configuration())
        make_core(self._settings)
        self._shape, self._clock = shape, clock
        self._parser = ParserFactory().create_parser("json")
        self._recent = RecentScores(self._settings.recent_scores)
        self._metrics = Metrics()
        self._shards: dict[str, tuple[ShardReader, Core]] = {}

    async def take(self, shard: str, body: bytes) -> None:
        """An answer's records to scores and documents."""
        stage = self._clock.stage
        if shard not in self._shards:
            reader = ShardReader(shard, ALL_HASH_KEYS, self._metrics)
            self._shards[shard] = reader, timed_core(self._settings, shard, self._clock)
        reader, core = self._shards[shard]
        with stage("answer"):
            parsed = await self._parser.parse(response(body), self._shape)
        with stage("records"):
            batches = [batch async for batch in reader.batches(parsed, ended=False)]
        del parsed
        for batch in batches:
            with stage("core"):
                output = core.process(batch.records, bounded=True)
            with stage("recent"):
                self._recent.append(output.scored)
            with stage("documents"):
                for document in output.documents:
                    orjson.dumps(document.document)


class Peer:
    """What a user would write: async-kinesis's parser, processor and queue, and a forest of krcf a sensor."""

    name = "async-kinesis + krcf"

    def __init__(self, shape: Any, clock: StageClock) -> None:
        from kinesis import JsonProcessor
        from krcf import RandomCutForest, RandomCutForestOptions

        self._shape, self._clock = shape, clock
        self._processor, self._parser = JsonProcessor(), AioJSONParser()
        options = RandomCutForestOptions(dimensions=1, shingle_size=1, num_trees=50, sample_size=256)
        self._forests: dict[str, Any] = defaultdict(lambda: RandomCutForest(options))

    async def take(self, shard: str, body: bytes) -> None:
        """An answer's records to scores."""
        stage = self._clock.stage
        queue: asyncio.Queue[Any] = asyncio.Queue()
        with stage("answer"):
            parsed = await self._parser.parse(response(body), self._shape)
        with stage("decode"):
            for record in parsed["Records"]:
                for reading in self._processor.parse(record["Data"]):
                    await queue.put(reading)
        with stage("detector"):
            while not queue.empty():
                reading = await queue.get()
                forest, value = self._forests[reading["iotName"]], [float(reading["iotValue"])]
                forest.score(value)
                forest.update(value)


async def measure(engine: Any, clock: StageClock, sensors: int, records: int, profile: str) -> list[dict[str, Any]]:
    """A row for each stage of an engine, and one for all of them."""
    clock.spent.clear()
    counted, seconds = 0, 0.0
    for number, (shard, body) in enumerate(answers(sensors, records)):
        if number == records // PER_ANSWER // 2:
            counted, seconds = 0, 0.0
            clock.spent.clear()
        began = time.perf_counter()
        with clock.stage("rest"):
            await engine.take(shard, body)
        seconds += time.perf_counter() - began
        counted += PER_ANSWER
    clock.spent.pop("", None)
    costs = {name: 1e6 * spent / counted for name, spent in clock.spent.items()}
    costs["all"] = sum(costs.values())
    return [
        {
            "engine": engine.name, "profile": profile, "sensors": sensors, "shards": SHARDS, "stage": name,
            "cpu_us_per_record": round(cost, 2),
            "records_per_second": round(counted / seconds) if name == "all" else None,
        }
        for name, cost in costs.items()
    ]  # fmt: skip


def main() -> None:
    """Print a row for each engine, profile, number of sensors and stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--records", type=int, default=200_000, help="of each run [%(default)s]")
    parser.add_argument("--profiles", nargs="+", default=["default", "small"], help="[default small]")
    parser.add_argument("--sensors", nargs="+", type=int, default=[1000, 10_000], help="[1000 10000]")
    parser.add_argument("--no-peer", action="store_true", help="ours only")
    arguments = parser.parse_args()
    clock, shape = StageClock(), asyncio.run(response_shape())
    gc.callbacks.append(clock.garbage)
    rows: list[dict[str, Any]] = []
    for sensors in arguments.sensors:
        for profile in arguments.profiles:
            gc.collect()
            ours = Service(profile, shape, clock)
            rows += asyncio.run(measure(ours, clock, sensors, arguments.records, profile))
            del ours
    if not arguments.no_peer and importlib.util.find_spec("krcf") and importlib.util.find_spec("kinesis"):
        for sensors in arguments.sensors:
            gc.collect()
            rows += asyncio.run(measure(Peer(shape, clock), clock, sensors, arguments.records, "50 trees"))
    elif not arguments.no_peer:
        print("no peer: it needs krcf and async-kinesis, which pip install -e '.[bench]' brings")
    print_rows("pipeline", rows, arguments.json)


if __name__ == "__main__":
    main()
