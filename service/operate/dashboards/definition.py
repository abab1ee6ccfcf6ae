"""Dashboards as data: ``dashboard.toml`` of a recipe.

title = "Security groups"

[[panels]]
name = "ports"
title = "Destination ports"
chart = "horizontal_bar"            # line, histogram, horizontal_bar, heatmap, pie, table; none for a list
measure = "sum network.bytes"       # count, or sum, avg, min, max, cardinality of a field
over = "auto"                       # time as the first bucket: m, h, auto
by = ["destination.port 10"]        # then so many values of these fields
only = 'event.action:"ACCEPT"'      # a filter
size = [16, 12]                     # of 48 columns
index = "events"                    # or windows, scores, deadletter
columns = ["source.ip"]             # of a list
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from service.operate.dashboards.charts import Aggregation, Chart, Panel

INDICES = {"scores": "", "events": "events", "windows": "windows", "deadletter": "deadletter"}
MEASURES = ("count", "sum", "avg", "min", "max", "cardinality")
_ENTRIES = {"name", "title", "chart", "measure", "label", "over", "by", "only", "size", "index", "columns"}


class DefinitionError(ValueError):
    """A definition cannot be read; the message says which panel and why."""


@dataclass(frozen=True, slots=True)
class DashboardDefinition:
    """A dashboard's title and its panels, in reading order."""

    title: str
    panels: tuple[Panel, ...]


def read_definition(text: str) -> DashboardDefinition:
    """The dashboard that a TOML text defines. Raises DefinitionError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(f"no TOML: {error}") from None
    if not isinstance(table.get("title"), str) or not isinstance(table.get("panels"), list):
        raise DefinitionError("it needs a title and [[panels]]")
    panels = tuple(_panel(each) for each in table["panels"])
    names = [panel.name for panel in panels]
    if len(set(names)) < len(names):
        raise DefinitionError("two panels have one name")
    return DashboardDefinition(table["title"], panels)


def _panel(table: Mapping[str, Any]) -> Panel:
    name = str(table.get("name", ""))
    if not name or set(table) - _ENTRIES:
        raise DefinitionError(f"panel {name!r}: it needs a name, and has only {', '.join(sorted(_ENTRIES))}")
    chart, index, size = table.get("chart"), table.get("index", "events"), table.get("size", [24, 12])
    if chart is not None and chart not in get_args(Chart):
        raise DefinitionError(f"panel {name}: chart = {chart!r}: must be {', '.join(get_args(Chart))}")
    if (chart is None) != ("columns" in table):
        raise DefinitionError(f"panel {name}: it needs either a chart, or columns of a list")
    if index not in INDICES:
        raise DefinitionError(f"panel {name}: index = {index!r}: must be {', '.join(INDICES)}")
    if not (isinstance(size, list) and len(size) == 2 and all(type(each) is int and 1 <= each <= 48 for each in size)):
        raise DefinitionError(f"panel {name}: size = {size!r}: must be width and height, up to 48")
    return Panel(
        name=name,
        title=str(table.get("title", name)),
        size=(size[0], size[1]),
        chart=chart,
        aggregations=tuple(_aggregations(name, table, chart)) if chart else (),
        columns=tuple(map(str, table.get("columns", ()))),
        only=str(table.get("only", "")),
        index=INDICES[index],
    )


def _aggregations(name: str, table: Mapping[str, Any], chart: Chart) -> list[Aggregation]:
    words = str(table.get("measure", "count")).split()
    if words[0] not in MEASURES or len(words) != (1 if words[0] == "count" else 2):
        raise DefinitionError(f"panel {name}: measure = {table.get('measure')!r}: count, or sum, avg … of a field")
    label = {"customLabel": str(table["label"])} if "label" in table else {}
    found = [Aggregation(words[0], "metric", {"field": words[1]} | label if len(words) > 1 else label)]
    # Pies and tables nest their buckets; other charts have one along the axis and split it by the others.
    first, other = {"pie": ("segment", "segment"), "table": ("bucket", "bucket")}.get(chart, ("segment", "group"))
    if "over" in table:
        if table["over"] not in ("m", "h", "auto"):
            raise DefinitionError(f"panel {name}: over = {table['over']!r}: must be m, h or auto")
        time = {"field": "@timestamp", "interval": table["over"], "min_doc_count": 1}
        found.append(Aggregation("date_histogram", first, time))
    for text in table.get("by", ()):
        field, _, count = str(text).partition(" ")
        if not (count or "10").isdigit():
            raise DefinitionError(f"panel {name}: by = {text!r}: must be a field and how many of its values")
        params = {"field": field, "size": int(count or 10), "order": "desc", "orderBy": "1", "otherBucket": False}
        found.append(Aggregation("terms", first if len(found) == 1 else other, params))
    if len(found) == 1:
        raise DefinitionError(f"panel {name}: it needs over, by or both")
    return found
