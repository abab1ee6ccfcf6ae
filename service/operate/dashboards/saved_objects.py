"""Charts as saved objects, which OpenSearch Dashboards and Kibana import.

Their versions fit OpenSearch Dashboards 1 to 3 and Kibana 7.10; newer ones migrate them when they are imported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import orjson

from service.operate.dashboards.charts import Object, Panel, panels
from service.operate.dashboards.definition import DashboardDefinition
from service.sinks.index.event_fields import EventLayout
from service.sinks.index.fields import DEAD_LETTER_FIELDS, FIELDS, mapping
from service.sinks.index.prepare import flat

VERSIONS = {"index-pattern": "7.6.0", "visualization": "7.10.0", "search": "7.9.3", "dashboard": "7.9.3"}
_INDEX_REFERENCE = "kibanaSavedObjectMeta.searchSourceJSON.index"
MARK = "Anomalies of a stream, by Cutwater."  # begins the description of a dashboard that is ours; a digest follows
_WIDTH = 48  # columns of a dashboard's grid


def saved_objects(prefix: str, features: Sequence[str]) -> list[Object]:
    """Everything to import: two index patterns, the charts and the dashboard that shows them."""
    shown = panels(features)
    objects = [
        *_patterns(prefix, features),
        *(_saved_panel(prefix, panel) for panel in shown),
        _dashboard(prefix, f"Cutwater ({prefix})", shown),
    ]
    return _marked(objects)


def event_types(layout: EventLayout) -> dict[str, dict[str, str]]:
    """The types of all fields of events and of windows, by what their indices end with."""
    found = {}
    for end, properties in (
        ("events", layout.of_events("object")["properties"]),
        ("windows", layout.of_windows("object")["properties"]),
    ):
        kinds = {name: str(each["type"]) for name, each in properties.items()}
        found[end] = {
            name: kinds[properties[name]["path"]] if kind == "alias" else kind for name, kind in kinds.items()
        }
    return found


def recipe_objects(
    prefix: str, name: str, recipe: DashboardDefinition, features: Sequence[str], types: Mapping[str, Mapping[str, str]]
) -> list[Object]:
    """A recipe's dashboard, its charts, and the index patterns of all four kinds of documents.

    ``types``: see ``event_types``.
    """
    own = f"{prefix}-{name}"
    return _marked(
        [
            *_patterns(prefix, features),
            *(_index_pattern(f"{prefix}-{end}", f"{prefix}-{end}", fields) for end, fields in types.items()),
            *(_saved_panel(prefix, panel, own) for panel in recipe.panels),
            _dashboard(own, f"{recipe.title} ({prefix})", recipe.panels),
        ]
    )


def _marked(objects: list[Object]) -> list[Object]:
    """With a mark of ours on the dashboard, the last one, that changes when any of them does."""
    digest = hashlib.sha256(ndjson(objects)).hexdigest()[:16]
    objects[-1]["attributes"]["description"] = f"{MARK} {digest}"
    return objects


def _patterns(prefix: str, features: Sequence[str]) -> list[Object]:
    letters = f"{prefix}-deadletter"
    return [
        _index_pattern(prefix, prefix, flat(mapping(dict(FIELDS), features))),
        _index_pattern(letters, letters, flat(mapping(dict(DEAD_LETTER_FIELDS), ()))),
    ]


def ndjson(objects: Iterable[Object]) -> bytes:
    """One object a line, as ``_import`` takes them."""
    return b"".join(orjson.dumps(each) + b"\n" for each in objects)


def _saved(kind: str, name: str, attributes: Object, references: Sequence[Object]) -> Object:
    return {
        "type": kind,
        "id": name,
        "attributes": attributes,
        "references": list(references),
        "migrationVersion": {kind: VERSIONS[kind]},
    }


def _index_pattern(name: str, title: str, kinds: Mapping[str, str]) -> Object:
    types = {"keyword": "string", "text": "string", "double": "number", "long": "number", "integer": "number"}
    listed = [
        {
            "name": field,
            "type": types.get(kind, kind),
            "esTypes": [kind],
            "count": 0,
            "scripted": False,
            "searchable": True,
            "aggregatable": kind != "text",
            "readFromDocValues": kind != "text",
        }
        for field, kind in kinds.items()
        if kind not in ("object", "flat_object", "flattened")  # its type is the server's, and nothing is charted by it
    ]
    attributes = {"title": title, "timeFieldName": "@timestamp", "fields": orjson.dumps(listed).decode()}
    return _saved("index-pattern", name, attributes, ())


def _saved_panel(prefix: str, panel: Panel, own: str = "") -> Object:
    """``own``: what the names of its objects begin with, if not with the prefix."""
    name = f"{own or prefix}-{panel.name}"
    source = {
        "query": {"query": panel.only, "language": "kuery"},
        "filter": [],
        "indexRefName": _INDEX_REFERENCE,
    }
    common = {
        "title": f"{panel.title} ({prefix})",
        "description": "",
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": orjson.dumps(source).decode()},
    }
    pattern = f"{prefix}-{panel.index}" if panel.index else prefix
    references = [{"name": _INDEX_REFERENCE, "type": "index-pattern", "id": pattern}]
    if panel.chart is None:
        attributes = {**common, "hits": 0, "columns": list(panel.columns), "sort": [["@timestamp", "desc"]]}
        return _saved("search", name, attributes, references)
    state = {
        "title": common["title"],
        "type": panel.chart,
        "params": _parameters(panel),
        "aggs": [each.saved(number) for number, each in enumerate(panel.aggregations, 1)],
    }
    attributes = {**common, "visState": orjson.dumps(state).decode(), "uiStateJSON": "{}"}
    return _saved("visualization", name, attributes, references)


def _parameters(panel: Panel) -> Object:
    """How a chart looks."""
    legend = {"addTooltip": True, "addLegend": True, "legendPosition": "right"}
    if panel.chart == "table":
        return {"perPage": 15, "showPartialRows": False, "showMetricsAtAllLevels": False, "showTotal": False}
    if panel.chart == "pie":
        return {"type": "pie", "isDonut": True, "labels": {"show": True, "values": True, "truncate": 100}, **legend}
    hidden = {"show": False, "rotate": 0, "overwriteColor": False, "color": "black"}
    value_axis = {"id": "ValueAxis-1", "type": "value", "scale": {"type": "linear", "defaultYExtents": False}}
    if panel.chart == "heatmap":
        return {
            "type": "heatmap",
            **legend,
            "enableHover": False,
            "colorsNumber": 6,
            "colorSchema": "Reds",
            "setColorRange": False,
            "colorsRange": [],
            "invertColors": False,
            "percentageMode": False,
            "times": [],
            "valueAxes": [value_axis | {"show": False, "labels": hidden}],
        }
    across = panel.chart == "horizontal_bar"
    label = panel.aggregations[0].params.get("customLabel", "Count")
    series = {
        "show": True,
        "type": "line" if panel.chart == "line" else "histogram",
        "mode": "normal" if panel.chart == "line" else "stacked",
        "data": {"label": label, "id": "1"},
        "valueAxis": "ValueAxis-1",
        "drawLinesBetweenPoints": True,
        "showCircles": True,
        "interpolate": "linear",
    }
    shown = {"show": True, "rotate": 0, "filter": True, "truncate": 100}
    return {
        "type": "histogram" if across else panel.chart,
        **legend,
        "grid": {"categoryLines": False},
        "categoryAxes": [
            {
                "id": "CategoryAxis-1",
                "type": "category",
                "position": "left" if across else "bottom",
                "show": True,
                "scale": {"type": "linear"},
                "labels": shown,
                "title": {},
            }
        ],
        "valueAxes": [
            value_axis
            | {
                "name": "LeftAxis-1",
                "position": "bottom" if across else "left",
                "show": True,
                "scale": {"type": "linear", "mode": "normal"},
                "labels": shown,
                "title": {"text": label},
            }
        ],
        "seriesParams": [series],
        "times": [],
        "addTimeMarker": False,
    }


def _dashboard(name: str, title: str, shown: Sequence[Panel]) -> Object:
    placed, references = [], []
    x = y = row = 0
    for number, panel in enumerate(shown):
        width, height = panel.size
        if x + width > _WIDTH:
            x, y, row = 0, y + row, 0
        grid = {"x": x, "y": y, "w": width, "h": height, "i": str(number)}
        x, row = x + width, max(row, height)
        reference = f"panel_{number}"
        placed.append(
            {
                "gridData": grid,
                "panelIndex": str(number),
                "version": "7.9.3",
                "embeddableConfig": {},
                "panelRefName": reference,
            }
        )
        kind = "visualization" if panel.chart else "search"
        references.append({"name": reference, "type": kind, "id": f"{name}-{panel.name}"})
    source = {"query": {"query": "", "language": "kuery"}, "filter": []}
    attributes = {
        "title": title,
        "hits": 0,
        "description": "",
        "panelsJSON": orjson.dumps(placed).decode(),
        "optionsJSON": '{"useMargins":true,"hidePanelTitles":false}',
        "version": 1,
        "timeRestore": True,
        "timeFrom": "now-24h",
        "timeTo": "now",
        "refreshInterval": {"pause": False, "value": 10_000},
        "kibanaSavedObjectMeta": {"searchSourceJSON": orjson.dumps(source).decode()},
    }
    return _saved("dashboard", name, attributes, references)
