"""Which charts there are of a stream's documents, and the search that each makes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

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
    """A chart, or with ``columns`` a list of documents.

    Attributes:
        size: width, of 48 columns, and height.
        only: a filter in the query language of both products: ``field:value`` pairs, with values as in JSON, joined
            by ``or`` or by ``and``.
        index: what the name of its index ends with: nothing for scores, else deadletter, events or windows.
    """

    name: str
    title: str
    size: tuple[int, int]
    chart: Chart | None = None
    aggregations: tuple[Aggregation, ...] = ()
    columns: tuple[str, ...] = ()
    only: str = ""
    index: str = ""

    def search(self) -> Object:
        """The body of the search that this panel makes, for tests: nested buckets, the metrics in the innermost."""
        metrics = [each for each in self.aggregations if each.schema == "metric" and each.kind != "count"]
        buckets = [each for each in self.aggregations if each.schema != "metric"]
        measured: Object = {f"m{number}": _clause(each, "") for number, each in enumerate(metrics)}
        order = "m0" if metrics else "_count"
        inner = measured
        for bucket in reversed(buckets):  # each level has the metrics, to be ordered by them
            inner = measured | {"b": _clause(bucket, order) | ({"aggs": inner} if inner else {})}
        query = _query(self.only)
        if self.columns:
            return {"query": query, "size": 500, "sort": [{"@timestamp": "desc"}], "_source": list(self.columns)}
        return {"query": query, "size": 0, "track_total_hits": True, "aggs": inner}


def panels(features: Sequence[str]) -> list[Panel]:
    """All charts of a stream with these values."""
    count = Aggregation("count", "metric", {})
    highest = Aggregation("max", "metric", {"field": "anomaly_score", "customLabel": "Highest score"})
    severest = Aggregation("max", "metric", {"field": "severity", "customLabel": "Highest severity"})
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
        Panel("worst", "Severest sensors", (24, 12), "horizontal_bar",
              (severest, by("sensor", "segment", 15)), only=anomalies),
        Panel("heat", "Severity by sensor and time", (48, 16), "heatmap",
              (severest, over_time("auto"), by("sensor", "group", 25))),
        Panel("severities", "Severities", (16, 12), "histogram",
              (count, Aggregation("histogram", "segment",
                                  {"field": "severity", "interval": 10, "min_doc_count": 1})), only=anomalies),
        Panel("kinds", "Kinds", (16, 12), "pie", (count, by("anomaly_kind", "segment", 10)), only=anomalies),
        Panel("arrivals", "Latest arrival by shard", (16, 12), "table",
              (Aggregation("max", "metric", {"field": "event.created", "customLabel": "Latest arrival"}),
               by("shard", "bucket", 100))),
        Panel("latest", "Latest anomalies", (48, 16),
              columns=("sensor", *values, "anomaly_score", "severity", "anomaly_kind"), only=anomalies),
        Panel("letters", "Dead letters", (24, 12), "histogram",
              (count, over_time("auto"), by("errorCode", "group", 10)), index="deadletter"),
        Panel("reasons", "Latest dead letters", (24, 12), index="deadletter",
              columns=("shard", "sequenceNumber", "errorCode", "errorMessage")),
    ]  # fmt: skip


def _query(only: str) -> Object:
    """A filter in the servers' own language."""
    if not only:
        return {"match_all": {}}
    joint = "filter" if " and " in only else "should"
    pairs = [part.rpartition(":") for part in re.split(" and | or ", only)]
    terms = [
        {"exists": {"field": field}} if value == "*" else {"term": {field: orjson.loads(value)}}
        for field, _, value in pairs
    ]
    return {"bool": {joint: terms} | ({"minimum_should_match": 1} if joint == "should" else {})}


def _clause(each: Aggregation, order: str) -> Object:
    """An aggregation in the servers' own language, which both products speak the same way."""
    params = each.params
    if each.kind == "date_histogram":
        interval = {"m": "1m", "auto": "1h", "h": "1h"}[params["interval"]]
        return {"date_histogram": {"field": params["field"], "fixed_interval": interval, "min_doc_count": 1}}
    if each.kind == "histogram":
        return {"histogram": {key: params[key] for key in ("field", "interval", "min_doc_count")}}
    if each.kind == "terms":
        return {"terms": {"field": params["field"], "size": params["size"], "order": {order: "desc"}}}
    return {each.kind: {"field": params["field"]}}
