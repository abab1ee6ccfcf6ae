"""Finds in a file of saved objects what an import or a chart would fail on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import orjson

from service.operate.dashboards.charts import Object
from service.operate.dashboards.saved_objects import VERSIONS


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
