"""Charts for OpenSearch Dashboards and Kibana, made from the table of fields, and a linter for such files.

``cutwater dashboards write deploy/dashboards.ndjson`` writes the committed file. The versions of the saved objects fit
OpenSearch Dashboards 1 to 3 and Kibana 7.10; newer ones migrate them when they are imported.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from service.sinks.index.fields import DEAD_LETTER_FIELDS, FIELDS, mapping
from service.sinks.index.prepare import flat

VERSIONS = {"index-pattern": "7.6.0", "visualization": "7.10.0", "search": "7.9.3", "dashboard": "7.9.3"}
_INDEX_REFERENCE = "kibanaSavedObjectMeta.searchSourceJSON.index"
MARK = "Anomalies of a stream, by Cutwater."  # begins the description of a dashboard that is ours; a digest follows
_WIDTH = 48  # columns of a dashboard's grid

Object = dict[str, Any]
Chart = Literal["line", "histogram", "horizontal_bar", "heatmap", "pie", "table"]


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One step of a chart: a bucket, or the metric in it."""

    kind: str
    schema: str
    params: Mapping[str, Any]

    def saved(self, number: int) -> Object:
        """As a saved object's ``visState`` lists it."""
        return {
            "id": str(number),
            "enabled": True,
            "type": self.kind,
            "schema": self.schema,
            "params": dict(self.params),
        }


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart, or with ``columns`` a list of documents. ``only`` filters in the query language of both products."""

    name: str
    title: str
    size: tuple[int, int]
    chart: Chart | None = None
    aggregations: tuple[Aggregation, ...] = ()
    columns: tuple[str, ...] = ()
    only: str = ""
    letters: bool = False

    def search(self) -> Object:
        """The body of the search that this panel makes, for tests: nested buckets, the metrics in the innermost."""
        metrics = [each for each in self.aggregations if each.schema == "metric" and each.kind != "count"]
        buckets = [each for each in self.aggregations if each.schema != "metric"]
        inner: Object = {f"m{number}": _clause(each, "") for number, each in enumerate(metrics)}
        order = "m0" if metrics else "_count"
        for bucket in reversed(buckets):
            inner = {"b": _clause(bucket, order) | ({"aggs": inner} if inner else {})}
        only = [word.split(":") for word in self.only.split(" or ")] if self.only else []
        terms = [{"term": {field: orjson.loads(value)}} for field, value in only]
        query: Object = {"bool": {"should": terms, "minimum_should_match": 1}} if terms else {"match_all": {}}
        if self.columns:
            return {"query": query, "size": 500, "sort": [{"@timestamp": "desc"}], "_source": list(self.columns)}
        return {"query": query, "size": 0, "track_total_hits": True, "aggs": inner}


def panels(features: Sequence[str]) -> list[Panel]:
    """All charts of a stream with these values."""
    count = Aggregation("count", "metric", {})
    highest = Aggregation("max", "metric", {"field": "anomaly_score", "customLabel": "Highest score"})
    values = [f"{kind}_{feature}" for feature in features for kind in ("feature_data", "expected_values")]

    def over_time(interval: str) -> Aggregation:
        return Aggregation(
            "date_histogram", "segment", {"field": "@timestamp", "interval": interval, "min_doc_count": 1}
        )

    def by(field: str, schema: str, size: int) -> Aggregation:
        return Aggregation(
            "terms", schema, {"field": field, "size": size, "order": "desc", "orderBy": "1", "otherBucket": False}
        )

    anomalies = "is_anomaly:true or alert:true"
    return [
        Panel("score", "Score per minute", (48, 14), "line", (highest, over_time("m"), by("sensor", "group", 10))),
        Panel("anomalies", "Anomalies over time", (24, 12), "histogram",
              (count, over_time("auto"), by("sensor", "group", 10)), only=anomalies),
        Panel("worst", "Worst sensors", (24, 12), "horizontal_bar",
              (count, by("sensor", "segment", 15)), only=anomalies),
        Panel("heat", "Score by sensor and time", (48, 16), "heatmap",
              (highest, over_time("auto"), by("sensor", "group", 25))),
        Panel("grades", "Grades", (16, 12), "histogram",
              (count, Aggregation("histogram", "segment",
                                  {"field": "anomaly_grade", "interval": 0.1, "min_doc_count": 1})), only=anomalies),
        Panel("kinds", "Kinds", (16, 12), "pie", (count, by("anomaly_kind", "segment", 10)), only=anomalies),
        Panel("arrivals", "Latest arrival by shard", (16, 12), "table",
              (Aggregation("max", "metric", {"field": "event.created", "customLabel": "Latest arrival"}),
               by("shard", "bucket", 100))),
        Panel("latest", "Latest anomalies", (48, 16),
              columns=("sensor", *values, "anomaly_score", "severity", "anomaly_kind"), only=anomalies),
        Panel("letters", "Dead letters", (24, 12), "histogram",
              (count, over_time("auto"), by("errorCode", "group", 10)), letters=True),
        Panel("reasons", "Latest dead letters", (24, 12), letters=True,
              columns=("shard", "sequenceNumber", "errorCode", "errorMessage")),
    ]  # fmt: skip


def saved_objects(prefix: str, features: Sequence[str]) -> list[Object]:
    """Everything to import: two index patterns, the charts and the dashboard that shows them."""
    shown = panels(features)
    objects = [
        _index_pattern(prefix, prefix, FIELDS, features),
        _index_pattern(f"{prefix}-deadletter", f"{prefix}-deadletter", DEAD_LETTER_FIELDS, ()),
        *(_saved_panel(prefix, panel) for panel in shown),
        _dashboard(prefix, shown),
    ]
    digest = hashlib.sha256(ndjson(objects)).hexdigest()[:16]
    objects[-1]["attributes"]["description"] = f"{MARK} {digest}"
    return objects


def ndjson(objects: Iterable[Object]) -> bytes:
    """One object a line, as ``_import`` takes them."""
    return b"".join(orjson.dumps(each) + b"\n" for each in objects)


# The linter


def lint(content: bytes, fields: Mapping[str, Mapping[str, str]] | None = None) -> list[str]:
    """What is wrong with a file of saved objects, a line a problem; empty if nothing is.

    Args:
        content: NDJSON.
        fields: the type of every field by name, for each index pattern's title; without it patterns bring their own.
    """
    problems: list[str] = []
    objects: dict[tuple[str, str], Object] = {}
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            each = orjson.loads(line)
            kind, name = each["type"], each["id"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            problems.append(f"line {number}: no saved object (JSON with type and id)")
            continue
        if (kind, name) in objects:
            problems.append(f"{kind} {name}: defined twice")
        objects[kind, name] = each
    for each in objects.values():
        problems += [f"{each['type']} {each['id']}: {problem}" for problem in _lint_object(each, objects, fields)]
    return problems


def _lint_object(
    each: Object, objects: Mapping[tuple[str, str], Object], fields: Mapping[str, Mapping[str, str]] | None
) -> Iterator[str]:
    yield from _lint_version(each)
    attributes = each.get("attributes") or {}
    parsed = {}
    for path in ("visState", "panelsJSON", "optionsJSON", "uiStateJSON", "fields"):
        if path in attributes:
            try:
                parsed[path] = orjson.loads(attributes[path])
            except (orjson.JSONDecodeError, TypeError):
                yield f"{path} is no JSON text"
    source = (attributes.get("kibanaSavedObjectMeta") or {}).get("searchSourceJSON", "{}")
    try:
        parsed["source"] = orjson.loads(source)
    except (orjson.JSONDecodeError, TypeError):
        yield "searchSourceJSON is no JSON text"
    references = each.get("references") or []
    names = [reference["name"] for reference in references]
    yield from (
        f"reference {name} is there twice" for name in sorted({name for name in names if names.count(name) > 1})
    )
    for reference in references:
        if (reference["type"], reference["id"]) not in objects:
            yield f"reference {reference['name']} points to {reference['type']} {reference['id']}, which is not here"
    used = [panel.get("panelRefName") for panel in parsed.get("panelsJSON") or []]
    used.append((parsed.get("source") or {}).get("indexRefName"))
    yield from (f"uses reference {name}, which is not declared" for name in used if name and name not in names)
    known = _known_fields(references, objects, fields)
    if known is not None:
        yield from _lint_fields(attributes, parsed, known)


def _lint_version(each: Object) -> Iterator[str]:
    version = (each.get("migrationVersion") or {}).get(each["type"])
    ceiling = VERSIONS.get(each["type"])
    if version and ceiling and _number(version) > _number(ceiling):
        yield f"version {version} is above {ceiling}, which older servers refuse"


def _known_fields(
    references: Sequence[Object],
    objects: Mapping[tuple[str, str], Object],
    fields: Mapping[str, Mapping[str, str]] | None,
) -> Mapping[str, str] | None:
    """The fields that an object may name, if its index pattern says so."""
    patterns = [objects.get(("index-pattern", reference["id"])) for reference in references]
    for pattern in patterns:
        if pattern is None:
            continue
        if fields is not None and pattern["attributes"].get("title") in fields:
            return fields[pattern["attributes"]["title"]]
        try:
            listed = orjson.loads(pattern["attributes"]["fields"])
        except (KeyError, orjson.JSONDecodeError):
            return None
        return {field["name"]: field["type"] if field.get("aggregatable") else "text" for field in listed}
    return None


def _lint_fields(attributes: Object, parsed: Object, known: Mapping[str, str]) -> Iterator[str]:
    for aggregation in (parsed.get("visState") or {}).get("aggs", []):
        field = aggregation.get("params", {}).get("field")
        if field is None:
            continue
        if field not in known:
            yield f"charts {field}, which the mapping lacks"
        elif known[field] in ("text", "binary"):
            yield f"charts {field}, which cannot be aggregated ({known[field]})"
    for column in attributes.get("columns") or []:
        if column not in known and column != "_source":
            yield f"shows {column}, which the mapping lacks"
    query = (parsed.get("source") or {}).get("query", {}).get("query", "")
    for field in re.findall(r"([\w.@]+)\s*:", query if isinstance(query, str) else ""):
        if field not in known:
            yield f"filters {field}, which the mapping lacks"


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


# Saved objects


def _saved(kind: str, name: str, attributes: Object, references: Sequence[Object]) -> Object:
    return {
        "type": kind,
        "id": name,
        "attributes": attributes,
        "references": list(references),
        "migrationVersion": {kind: VERSIONS[kind]},
    }


def _index_pattern(name: str, title: str, table: Mapping[str, Any], features: Sequence[str]) -> Object:
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
        for field, kind in flat(mapping(dict(table), features)).items()
        if kind != "object"  # its type is the server's, and nothing is charted by it
    ]
    attributes = {"title": title, "timeFieldName": "@timestamp", "fields": orjson.dumps(listed).decode()}
    return _saved("index-pattern", name, attributes, ())


def _saved_panel(prefix: str, panel: Panel) -> Object:
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
    pattern = f"{prefix}-deadletter" if panel.letters else prefix
    references = [{"name": _INDEX_REFERENCE, "type": "index-pattern", "id": pattern}]
    if panel.chart is None:
        attributes = {**common, "hits": 0, "columns": list(panel.columns), "sort": [["@timestamp", "desc"]]}
        return _saved("search", f"{prefix}-{panel.name}", attributes, references)
    state = {
        "title": common["title"],
        "type": panel.chart,
        "params": _parameters(panel),
        "aggs": [each.saved(number) for number, each in enumerate(panel.aggregations, 1)],
    }
    attributes = {**common, "visState": orjson.dumps(state).decode(), "uiStateJSON": "{}"}
    return _saved("visualization", f"{prefix}-{panel.name}", attributes, references)


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
    label = "Highest score" if panel.aggregations[0].kind == "max" else "Count"
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


def _dashboard(prefix: str, shown: Sequence[Panel]) -> Object:
    placed, references = [], []
    x = y = row = 0
    for number, panel in enumerate(shown):
        width, height = panel.size
        if x + width > _WIDTH:
            x, y, row = 0, y + row, 0
        grid = {"x": x, "y": y, "w": width, "h": height, "i": str(number)}
        x, row = x + width, max(row, height)
        name = f"panel_{number}"
        placed.append(
            {
                "gridData": grid,
                "panelIndex": str(number),
                "version": "7.9.3",
                "embeddableConfig": {},
                "panelRefName": name,
            }
        )
        kind = "visualization" if panel.chart else "search"
        references.append({"name": name, "type": kind, "id": f"{prefix}-{panel.name}"})
    source = {"query": {"query": "", "language": "kuery"}, "filter": []}
    attributes = {
        "title": f"Cutwater ({prefix})",
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
    return _saved("dashboard", prefix, attributes, references)


def _clause(each: Aggregation, order: str) -> Object:
    """An aggregation in the servers' own language, which both products speak the same way."""
    params = each.params
    if each.kind == "date_histogram":
        interval = {"m": "1m", "auto": "1h"}[params["interval"]]
        return {"date_histogram": {"field": params["field"], "fixed_interval": interval, "min_doc_count": 1}}
    if each.kind == "histogram":
        return {"histogram": {key: params[key] for key in ("field", "interval", "min_doc_count")}}
    if each.kind == "terms":
        return {"terms": {"field": params["field"], "size": params["size"], "order": {order: "desc"}}}
    return {each.kind: {"field": params["field"]}}
