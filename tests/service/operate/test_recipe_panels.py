"""Each panel of a recipe shows on real servers what a plain loop over its stream's documents finds."""

import asyncio
import operator
from collections import defaultdict

import orjson
import pytest

from service import recipes
from service.assembly import make_core
from service.metrics import Metrics
from service.operate.dashboards import read_definition
from service.pipeline.records import Position, Record
from service.pipeline.times import parse_time
from service.settings.model import load
from service.sinks.index.event_fields import EventLayout
from service.sinks.index.opensearch import OpenSearchIndex
from service.source.tables import Tables
from service.state.blobs.sqlite import SQLiteBlobs
from service.stores import opened
from simulator.events import NAMES, generator
from tests.servers.opensearch import ELASTICSEARCH_9, OPENSEARCH_3
from tests.service.stores import ServerStore

START, SECONDS = 1_767_571_200_000, 2400
NOTHING = {"b": {"buckets": []}}  # what is found where nothing has been written
FULL = 10_000  # values of a field that a panel is asked for, so that none is cut off


def settings_of(name):
    return load({"enrich": recipes.tables(name)}, {}, recipes.folder(name) / recipes.SETTINGS)


def definition_of(name):
    return read_definition((recipes.folder(name) / recipes.DASHBOARD).read_text())


async def documents_of(name, folder):
    """All documents of some minutes of the recipe's stream, with each of its faults, and the dead letters."""
    settings = settings_of(name)
    async with opened(SQLiteBlobs(folder / "cutwater.db")) as blobs:
        tables = Tables(settings.tables, blobs, "stream", "us-east-1", Metrics())
        async with opened(tables):
            core = make_core(settings, "shard", enrichment=tables.current)
            records = [
                Record(Position(number), each.partition_key, each.time + 500, each.data)
                for number, each in enumerate(generator(name).generate(START, 1.5, SECONDS, 1, None))
            ]
            records.append(Record(Position(len(records)), "x", START, b"\xff bad"))
            output = await asyncio.to_thread(core.process, records)
            return list(output.documents), output.dead_letters


def buckets(aggregations, steps):
    """The numbers in an answer: {path of keys: number}."""
    found = {}
    for bucket in aggregations["b"]["buckets"]:
        key = bucket.get("key_as_string", bucket["key"]) if steps[0] == "date_histogram" else bucket["key"]
        if steps[1:]:
            found |= {(key, *rest): number for rest, number in buckets(bucket, steps[1:]).items()}
        else:
            found[key,] = bucket["m0"]["value"] if "m0" in bucket else bucket["doc_count"]
    return found


MEASURES = {"sum": sum, "max": max, "cardinality": lambda values: len(set(values))}


def holds(document, only):
    if not only:
        return True
    pairs = [part.rpartition(":") for part in only.replace(" and ", "\0").replace(" or ", "\0").split("\0")]

    def fits(field, value):
        found = document.get(field)
        if value == "*":
            return found not in (None, [])
        return orjson.loads(value) in (found if isinstance(found, list) else [found])

    return (all if " and " in only else any)(fits(field, value) for field, _, value in pairs)


def expected(panel, documents):
    """What a panel must show, by a loop."""
    metric, *steps = panel.aggregations
    groups = defaultdict(list)
    for document in documents:
        if not holds(document, panel.only):
            continue
        paths = [()]
        for step in steps:
            if step.kind == "date_histogram":
                width = {"m": 60_000}.get(step.params["interval"], 3_600_000)
                keys = [parse_time(document["@timestamp"]) // width * width]
            else:
                keys = document.get(step.params["field"])
                keys = [] if keys is None else keys if isinstance(keys, list) else [keys]
            paths = [(*path, key) for path in paths for key in dict.fromkeys(keys)]
        for path in paths:
            groups[path].append(document)
    if metric.kind == "count":
        return {path: len(found) for path, found in groups.items()}
    values = {
        path: [each[metric.params["field"]] for each in found if each.get(metric.params["field"]) is not None]
        for path, found in groups.items()
    }
    return {path: MEASURES[metric.kind](found) for path, found in values.items()}


def normal(numbers):
    """Times as numbers, booleans and numbers alike, so that what servers answer compares."""
    plain = {}
    for path, number in numbers.items():
        keys = []
        for key in path:
            if isinstance(key, str) and key.endswith("Z") and "T" in key:
                key = parse_time(key)
            keys.append(int(key) if isinstance(key, bool | float) and float(key).is_integer() else key)
        plain[tuple(keys)] = number
    return plain


@pytest.mark.parametrize("spec", [OPENSEARCH_3, ELASTICSEARCH_9], ids=operator.attrgetter("name"))
@pytest.mark.parametrize("name", NAMES)
async def test_every_panel_shows_the_true_numbers(name, spec, tmp_path):
    remote, settings = ServerStore(spec), settings_of(name)
    made, letters = await documents_of(name, tmp_path)
    index = OpenSearchIndex(remote.server.url, remote.prefix, ("value",), events=EventLayout.of(settings))
    async with opened(index):
        assert await index.write(made) == []
    remote.server.request("POST", f"/{remote.prefix}*/_refresh")
    ends = {"event": "events", "window": "windows", "score": ""}
    documents = defaultdict(list)
    for each in made:
        documents[ends[each.kind]].append(each.document)
    assert len(letters) == 1
    shown = 0
    for panel in definition_of(name).panels:
        if panel.index == "deadletter":
            continue  # proved with the dashboard of readings
        body = panel.search()
        _ask_for_all(body.get("aggs", {}))
        target = f"{remote.prefix}-{panel.index}" if panel.index else remote.prefix
        answer = remote.server.request("POST", f"/{target}/_search", body)
        if panel.columns:
            fitting = sum(holds(each, panel.only) for each in documents[panel.index])
            assert len(answer.get("hits", {}).get("hits", ())) == min(fitting, 500), panel.name
            shown += fitting > 0
            continue
        steps = [each.kind for each in panel.aggregations[1:]]
        numbers, wanted = (
            normal(buckets(answer.get("aggregations", NOTHING), steps)),
            expected(panel, documents[panel.index]),
        )
        assert numbers == {path: pytest.approx(number) for path, number in normal(wanted).items()}, panel.name
        shown += bool(numbers)
    assert shown >= len(definition_of(name).panels) // 2


def _ask_for_all(aggregations):
    for each in aggregations.values():
        if "terms" in each:
            each["terms"]["size"] = FULL
        _ask_for_all(each.get("aggs", {}))
