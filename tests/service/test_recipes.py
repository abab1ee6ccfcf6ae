"""Each recipe finds the faults of its own stream, and little else."""

import asyncio

import pytest

from service import recipes
from service.assembly import make_core
from service.metrics import Metrics
from service.pipeline.records import Position, Record
from service.settings.model import load
from service.source.tables import Tables
from service.state.blobs.sqlite import SQLiteBlobs
from service.stores import opened
from simulator.events import NAMES, generator

START = 1_700_000_000_000 // 3_600_000 * 3_600_000
HOURS = 8
MINUTE = 60_000
RATES = {"clickstream": 4.0, "ec2-api-events": 1.5, "vpc-flow-logs": 2.0, "ossec-alerts": 2.0}
"""Events a second: less than usual, so that the test is short."""


async def enrichment(settings, folder):
    async with opened(SQLiteBlobs(folder / "cutwater.db")) as blobs:
        tables = Tables(settings.tables, blobs, "stream", "us-east-1", Metrics())
        await tables.open()
        await tables.close()
        return tables.current


@pytest.mark.parametrize("recipe", NAMES)
def test_a_recipe_finds_all_faults_with_at_most_one_false_alarm_an_hour(recipe, tmp_path):
    settings = load({"enrich": recipes.tables(recipe)}, {}, recipes.folder(recipe) / recipes.SETTINGS)
    core = make_core(settings, "shard", enrichment=asyncio.run(enrichment(settings, tmp_path)))
    made = generator(recipe)
    faults = made.plan(START, HOURS * 3600)
    records = [
        Record(Position(number), each.partition_key, each.time + 500, each.data)
        for number, each in enumerate(made.generate(START, RATES[recipe], HOURS * 3600, 1, faults), 1)
    ]
    alerts, events, counted, letters = [], 0, 0, []
    for start in range(0, len(records), 1000):
        output = core.process(records[start : start + 1000])
        events += output.counts.events
        letters += output.dead_letters
        documents = (output.documents[number] for number in range(output.counts.events, len(output.documents)))
        for each in documents:
            if each.kind == "window" and each.document["window.program"] == settings.windows[0].name:
                counted += each.document["window.events"]
            elif each.kind == "score" and each.document["alert"]:
                alerts.append((each.time, each.document["sensor"]))
    assert letters == []
    assert 0 < counted <= events or settings.windows[0].key  # a list in a key counts for each of its elements
    near = {
        fault: [time for time, _ in alerts if fault.start - MINUTE <= time <= fault.end + 10 * MINUTE]
        for fault in faults
    }
    assert [fault.kind for fault, times in near.items() if not times] == []
    false = [(each, sensor) for each, sensor in alerts if not any(each in times for times in near.values())]
    assert len(false) <= HOURS, false
