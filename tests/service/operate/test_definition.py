"""Dashboards that are defined as data: what they may say, and how a wrong one is told."""

import orjson
import pytest

from service import recipes
from service.operate.dashboards import DefinitionError, lint, ndjson, read_definition, recipe_objects

PANEL = """
title = "Flows"
[[panels]]
name = "ports"
title = "Ports"
chart = "horizontal_bar"
measure = "sum network.bytes"
label = "Bytes"
over = "auto"
by = ["destination.port 5"]
only = 'event.action:"ACCEPT" and flow.role:"server"'
size = [16, 12]
"""
CHARTED = [name for name in recipes.names() if (recipes.folder(name) / recipes.DASHBOARD).exists()]
TYPES = {
    "events": {
        "@timestamp": "date",
        "network.bytes": "long",
        "destination.port": "integer",
        "event.action": "keyword",
        "flow.role": "keyword",
    }
}


def test_a_panel_becomes_a_chart_and_a_search():
    (panel,) = read_definition(PANEL).panels
    assert (panel.title, panel.size, panel.index) == ("Ports", (16, 12), "events")
    assert panel.search() == {
        "query": {"bool": {"filter": [{"term": {"event.action": "ACCEPT"}}, {"term": {"flow.role": "server"}}]}},
        "size": 0,
        "track_total_hits": True,
        "aggs": {
            "m0": {"sum": {"field": "network.bytes"}},
            "b": {
                "date_histogram": {"field": "@timestamp", "fixed_interval": "1h", "min_doc_count": 1},
                "aggs": {
                    "m0": {"sum": {"field": "network.bytes"}},
                    "b": {
                        "terms": {"field": "destination.port", "size": 5, "order": {"m0": "desc"}},
                        "aggs": {"m0": {"sum": {"field": "network.bytes"}}},
                    },
                },
            },
        },
    }


def test_its_objects_have_names_of_their_own_and_no_fault():
    objects = recipe_objects("cutwater", "flows", read_definition(PANEL), ("value",), TYPES)
    assert lint(ndjson(objects)) == []
    names = [(each["type"], each["id"]) for each in objects]
    assert names[-2:] == [("visualization", "cutwater-flows-ports"), ("dashboard", "cutwater-flows")]
    assert ("index-pattern", "cutwater-events") in names
    assert objects[-1]["attributes"]["title"] == "Flows (cutwater)"


def test_the_linter_sees_a_field_that_events_do_not_have():
    objects = recipe_objects("cutwater", "flows", read_definition(PANEL.replace("destination.port", "port")), (), TYPES)
    assert lint(ndjson(objects)) == ["visualization cutwater-flows-ports: charts port, which the mapping lacks"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("title = \"Flows\"", "", "needs a title"),
        ("[[panels]]", "[panels]", "panels"),
        ("[[panels]]", "[[panels", "no TOML"),
        ('chart = "horizontal_bar"', 'chart = "donut"', "chart = 'donut': must be line"),
        ('chart = "horizontal_bar"', "", "either a chart, or columns"),
        ('measure = "sum network.bytes"', 'measure = "sum"', "measure = 'sum'"),
        ('measure = "sum network.bytes"', 'measure = "median x"', "measure = 'median x'"),
        ('over = "auto"', 'over = "d"', "over = 'd'"),
        ('by = ["destination.port 5"]', 'by = ["destination.port x"]', "how many of its values"),
        ("size = [16, 12]", "size = [49, 12]", "up to 48"),
        ("size = [16, 12]", 'index = "logs"', "index = 'logs': must be scores"),
        ("size = [16, 12]", "height = 1", "it needs a name, and has only"),
        ("size = [16, 12]", '[[panels]]\nname = "ports"\nchart = "pie"\nby = ["x"]', "two panels have one name"),
    ],
)  # fmt: skip
def test_a_wrong_definition_is_told(old, new, words):
    with pytest.raises(DefinitionError, match=words):
        read_definition(PANEL.replace(old, new, 1))


@pytest.mark.parametrize("name", CHARTED)
def test_a_recipes_panels_fill_their_rows(name):
    definition = read_definition((recipes.folder(name) / recipes.DASHBOARD).read_text())
    width = 0
    for panel in definition.panels:
        width = width + panel.size[0] if width + panel.size[0] <= 48 else panel.size[0]
        assert panel.title
        assert "anomalies" in {each.name for each in definition.panels}
    assert width == 48


@pytest.mark.parametrize("name", CHARTED)
def test_a_recipes_objects_name_each_other(name):
    definition = read_definition((recipes.folder(name) / recipes.DASHBOARD).read_text())
    objects = recipe_objects("cutwater", name, definition, ("value",), {"events": {}, "windows": {}})
    problems = [each for each in lint(ndjson(objects)) if "which the mapping lacks" not in each]
    assert problems == []
    assert orjson.loads(objects[-1]["attributes"]["panelsJSON"])
