"""The charts show true numbers, and the linter finds what an import or a chart would fail on."""

from collections import Counter, defaultdict
from pathlib import Path

import orjson
import pytest

from service.operate.dashboards import VERSIONS, Panel, lint, ndjson, panels, saved_objects
from service.sinks.dead_letters.format import describe_letter
from service.sinks.index.fields import DEAD_LETTER_FIELDS, FIELDS, mapping
from service.sinks.index.prepare import flat
from tests.service.stores import FEATURES, entry, letter

COMMITTED = Path(__file__).parents[3] / "deploy" / "dashboards.ndjson"
KNOWN = {
    "cutwater": flat(mapping(FIELDS, ["iotValue"])),
    "cutwater-deadletter": flat(mapping(DEAD_LETTER_FIELDS, [])),
}


# Every panel on every server: the numbers of its query are those that a plain loop finds


def of_minute(document):
    return document["@timestamp"][:16]


def of_hour(document):
    return document["@timestamp"][:13]


def expected(name, documents, letters):
    """What a panel must show, computed from the documents by themselves: {path of keys: number}."""
    anomalies = [each for each in documents if each["is_anomaly"] or each["alert"]]
    highest, count = defaultdict(float), Counter()
    if name in ("score", "heat"):
        period, field = (of_minute, "anomaly_score") if name == "score" else (of_hour, "severity")
        for each in documents:
            key = (period(each), each["sensor"])
            highest[key] = max(highest[key], each[field])
        return dict(highest)
    if name == "worst":
        for each in anomalies:
            highest[each["sensor"],] = max(highest[each["sensor"],], each["severity"])
        return dict(highest)
    if name == "anomalies":
        count.update((of_hour(each), each["sensor"]) for each in anomalies)
    elif name == "severities":
        count.update((each["severity"] // 10 * 10.0,) for each in anomalies)
    elif name == "kinds":
        count.update((each["anomaly_kind"],) for each in anomalies)
    elif name == "arrivals":
        for each in documents:
            highest[each["shard"],] = max(highest[each["shard"],], float(each["event.created"]))
        return dict(highest)
    elif name == "letters":
        count.update((of_hour(each), each["errorCode"]) for each in letters)
    return dict(count)


def shown(panel: Panel, aggregations, path=()):
    """The numbers in an answer: {path of keys: number}."""
    numbers = {}
    for bucket in aggregations["b"]["buckets"]:
        text = bucket.get("key_as_string", bucket["key"])
        if isinstance(text, str) and "T" in text and "key_as_string" in bucket:
            text = text[:16] if panel.name == "score" else text[:13]
        here = (*path, text)
        if "b" in bucket:
            numbers |= shown(panel, bucket, here)
        else:
            numbers[here] = bucket["m0"]["value"] if "m0" in bucket else bucket["doc_count"]
    return numbers


@pytest.mark.compatibility("Charts")
async def test_every_panels_query_returns_the_true_numbers(remote, remote_index):
    entries = [
        entry(
            number,
            sensor=f"sensor-{number * number % 5}",
            anomaly_score=(number * 37 % 101) / 10,
            anomaly_grade=(number % 4) / 4,
            is_anomaly=number % 6 == 0,
            shard=f"shardId-{number % 2:012d}",
        )
        for number in range(300)
    ]
    for number, each in enumerate(entries):
        each.document["event.kind"] = "alert" if each.document["is_anomaly"] else "metric"
        each.document["event.created"] = 1_700_000_000_000 + number
    letters = [letter(number * 1_000_000) for number in range(20)]
    await remote_index.write(entries)
    dead_letters = [describe_letter(each) for each in letters]
    await remote_index.index_dead_letters(dead_letters)
    remote.server.count(f"{remote.prefix}-*")  # refreshes
    documents = [each.document for each in entries]
    for panel in panels(FEATURES):
        body = panel.search()
        target = f"{remote.prefix}-{panel.index}" if panel.index else remote.prefix
        answer = remote.server.request("POST", f"/{target}/_search", body)
        if panel.columns:
            times = [hit["sort"][0] for hit in answer["hits"]["hits"]]
            assert times == sorted(times, reverse=True)
            anomalies = sum(each["is_anomaly"] or each["alert"] for each in documents)
            assert len(times) == (len(letters) if panel.index else anomalies)
            continue
        numbers = shown(panel, answer["aggregations"])
        assert numbers == expected(panel.name, documents, dead_letters), panel.name


# The committed file


def test_the_committed_dashboards_are_those_that_the_code_makes():
    assert COMMITTED.read_bytes() == ndjson(saved_objects("cutwater", ("iotValue",)))


def test_the_committed_dashboards_have_no_fault():
    assert lint(COMMITTED.read_bytes()) == []
    assert lint(COMMITTED.read_bytes(), KNOWN) == []


def test_every_panel_is_on_the_dashboard_and_none_overlaps():
    *_, dashboard = map(orjson.loads, COMMITTED.read_bytes().splitlines())
    placed = [panel["gridData"] for panel in orjson.loads(dashboard["attributes"]["panelsJSON"])]
    assert len(placed) == len(panels(["iotValue"]))
    cells = [
        (x, y) for grid in placed for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]  # fmt: skip
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 48


# The linter


def broken(change) -> list[str]:
    """The complaints after ``change`` of one object, by (type, id)."""
    objects = {(each["type"], each["id"]): each for each in saved_objects("cutwater", ("iotValue",))}
    change(objects)
    return lint(ndjson(objects.values()), KNOWN)


def visualization(objects):
    return objects["visualization", "cutwater-score"]


def edit_state(objects, change):
    attributes = visualization(objects)["attributes"]
    state = orjson.loads(attributes["visState"])
    change(state)
    attributes["visState"] = orjson.dumps(state).decode()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda o: visualization(o)["attributes"].update(visState="{"), "visState is no JSON text"),
        (
            lambda o: visualization(o)["migrationVersion"].update(visualization="8.1.0"),
            f"version 8.1.0 is above {VERSIONS['visualization']}, which older servers refuse",
        ),
        (
            lambda o: o.pop(("index-pattern", "cutwater-deadletter")),
            "points to index-pattern cutwater-deadletter, which is not here",
        ),
        (lambda o: visualization(o)["references"].append(visualization(o)["references"][0]), "is there twice"),
        (lambda o: visualization(o).update(references=[]), "is not declared"),
        (
            lambda o: edit_state(o, lambda state: state["aggs"][0]["params"].update(field="iotScore")),
            "charts iotScore, which the mapping lacks",
        ),
        (
            lambda o: o["search", "cutwater-latest"]["attributes"].update(columns=["sensor", "colour"]),
            "shows colour, which the mapping lacks",
        ),
        (
            lambda o: o["visualization", "cutwater-letters"]["attributes"].update(
                visState=orjson.dumps({"aggs": [{"params": {"field": "errorMessage"}}]}).decode()
            ),
            "charts errorMessage, which cannot be aggregated (text)",
        ),
        (
            lambda o: visualization(o)["attributes"]["kibanaSavedObjectMeta"].update(
                searchSourceJSON='{"query":{"query":"urgency:3"}}'
            ),
            "filters urgency, which the mapping lacks",
        ),
    ],
)
def test_a_fault_is_found(change, complaint):
    problems = broken(change)
    assert any(complaint in problem for problem in problems), problems


def test_lines_that_are_no_saved_objects_and_doubles_are_named():
    content = b'{"type":"search","id":"a"}\n{"type":"search","id":"a"}\nnot JSON\n{"id":"b"}\n'
    problems = lint(content)
    assert "search a: defined twice" in problems
    assert "line 3: no saved object (JSON with type and id)" in problems
    assert "line 4: no saved object (JSON with type and id)" in problems
