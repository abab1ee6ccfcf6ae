"""A table changes its rows while workers die: an event has one document, and windows count what the documents say."""

import asyncio
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from random import Random

import pytest

from service.assembly import make_core
from service.metrics import Metrics
from service.pipeline.records import Position, Record
from service.settings.model import load
from service.source.reader import RecordBatch
from service.source.tables import Tables
from service.state.blobs.sqlite import SQLiteBlobs
from service.state.leases import Lease
from service.state.leases.sqlite import SQLiteLeaseStore
from service.stores import opened
from service.worker.shard import ShardPipeline
from tests.service.worker.test_shard import SHARD, World

COUNT, SENSORS, START = 400, 4, 1_795_746_600_000
SETTINGS = {
    "event_format": "json",
    "event_fields": {"sensor": "keyword"},
    "windows": [{"name": "places", "key": ["place"], "every": 5, "measures": {"n": "count"}, "detect": []}],
}
TABLE = {
    "type": "reference",
    "join": {"sensor": "name"},
    "columns": {"name": "text", "place": "text"},
    "refresh": 1,
}


def rows(edition):
    """Where each sensor is; in each edition somewhere else."""
    return "".join(f"s{number},place-{(number + edition) % 3}\n" for number in range(SENSORS)) + f"nobody,{edition}\n"


def script():
    return [
        Record(Position(number + 1), "a", START + 500 * number, json.dumps({"sensor": f"s{number % SENSORS}"}).encode())
        for number in range(COUNT)
    ]


class Growing:
    """A stream that goes on growing, whoever reads it; now and then the table is replaced meanwhile."""

    def __init__(self, random):
        self.random, self.records, self.size, self.change = random, script(), 0, None

    async def read(self, shard, after, budget, since=None):
        at = after.sequence if after else 0
        while at < COUNT:
            if at >= self.size:
                self.size = min(self.size + self.random.randint(1, 60), COUNT)
            chunk = self.records[at : min(at + self.random.randint(3, 30), self.size)]
            at += len(chunk)
            size = sum(len(record.data) for record in chunk)
            await budget.reserve(size)
            if self.random.random() < 0.3:
                await self.change()
            yield RecordBatch(chunk, size, self.size - at, ended=False)
            await asyncio.sleep(self.random.uniform(0, 0.01))
        await asyncio.Event().wait()


@pytest.mark.parametrize("seed", range(4))
async def test_an_event_keeps_its_document_and_windows_count_what_documents_say(tmp_path, seed):
    random, path, editions = Random(seed), tmp_path / "places.csv", {}
    edition, deaths, stream = 0, 0, Growing(random)
    path.write_text(rows(0))
    settings = load({**SETTINGS, "enrich": {"places": TABLE | {"url": str(path)}}}, {})
    with ThreadPoolExecutor(1) as executor:
        table, blobs = SQLiteLeaseStore(tmp_path / "db", "stream", "worker"), SQLiteBlobs(tmp_path / "db")
        async with opened(table), opened(blobs):
            await table.insert(Lease(SHARD))
            world = World(table, blobs, executor)
            while (await world.lease()).position != Position(COUNT):
                assert deaths < 200
                async with opened(Tables(settings.tables, blobs, "stream", "us-east-1", Metrics())) as tables:
                    editions[tables.current.version] = edition

                    async def change(tables=tables):
                        nonlocal edition
                        edition += 1
                        path.with_suffix(".new").write_text(rows(edition))
                        path.with_suffix(".new").replace(path)
                        await tables.refresh("places")
                        editions[tables.current.version] = edition

                    stream.change = change
                    _, context = await world.pipeline(stream, checkpoint_seconds=random.choice([0.0, 0.05, 3600.0]))
                    core = make_core(settings, SHARD, enrichment=tables.current)
                    pipeline = ShardPipeline(await world.hold(), replace(context, tables=tables), core)
                    running = asyncio.create_task(pipeline.run())
                    await asyncio.wait((running,), timeout=random.uniform(0.02, 0.3))
                    if random.random() < 0.2:
                        pipeline.stop()
                        await asyncio.wait((running,), timeout=5)
                    running.cancel()  # an index that gets another document under an id refuses it: see RememberingIndex
                    await asyncio.wait((running,))
                    if not running.cancelled() and running.exception():
                        raise running.exception()
                    deaths += 1
    documents = world.index.documents.values()
    events = [each for each in documents if "window.program" not in each]
    assert world.index.letters == {}
    assert len(events) == COUNT
    found = Counter()
    for each in events:
        moved = editions[each["enrichment.version"]]
        assert each["place"] == f"place-{(int(each['sensor'][1:]) + moved) % 3}"
        found[datetime.fromisoformat(each["@timestamp"]).timestamp() // 5 * 5, each["place"]] += 1
    counted = Counter()
    for each in documents:
        if "window.program" in each:
            counted[datetime.fromisoformat(each["window.start"]).timestamp(), each["place"]] += each["window.events"]
    last = max(start for start, _ in found)
    assert +counted == Counter({key: count for key, count in found.items() if key[0] < last})
    assert len({each["enrichment.version"] for each in events}) > 2
