"""The API's description: OpenAPI as the settings make it, and docs/reference/api.md from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson

from service.api.access import Role, needed
from service.api.params import TIME_SCHEMA
from service.settings.model import Settings, load


def describe(openapi: dict[str, Any], settings: Settings, columns: Sequence[str]) -> dict[str, Any]:
    """The description with the names that the settings give: of fields, labels and values; and whether it asks for a
    token.
    """
    labels, values = list(settings.label_fields), list(settings.value_fields)
    if settings.api_token.get_secret_value() or settings.api_read_token.get_secret_value():
        _describe_tokens(openapi)
    for methods in openapi["paths"].values():
        for operation in methods.values():
            for each in operation.get("parameters", []):
                if each["name"] == "fields":
                    each["schema"]["items"] = {"type": "string", "enum": list(columns)}
                elif each["name"] == "label":
                    each["schema"]["items"]["pattern"] = f"^({'|'.join(labels)}):" if labels else "^$"
                    each["schema"] |= {} if labels else {"maxItems": 0}
    reading = openapi["components"]["schemas"]["Reading"]["properties"]
    number = reading["values"].pop("additionalProperties")
    reading["values"] |= {
        "properties": dict.fromkeys(values, number),
        "required": values,
        "additionalProperties": False,
        "examples": [dict.fromkeys(values, 117.0)],
    }
    reading["time"]["anyOf"] = [*TIME_SCHEMA["anyOf"], {"type": "null"}]
    for name in ("Acknowledge", "Normal", "Missed", "Mute"):
        properties = openapi["components"]["schemas"][name]["properties"]
        for moment in {"since", "until"} & properties.keys():
            properties[moment]["anyOf"] = [*TIME_SCHEMA["anyOf"], *([{"type": "null"}] if name == "Mute" else [])]
    return openapi


def _describe_tokens(openapi: dict[str, Any]) -> None:
    """Say which operations need a token, and how it is refused."""
    openapi["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            least = needed(method.upper(), path)
            if least is Role.NOBODY:
                continue
            operation["security"] = [{"token": []}]
            operation["responses"]["401"] = {"description": "The token is missing or wrong.", "content": error}
            if least is Role.OPERATE:
                operation["responses"]["403"] = {"description": "The token may only read.", "content": error}


def markdown(openapi: Mapping[str, Any]) -> str:
    """docs/reference/api.md, from the OpenAPI description that the service serves."""
    lines = [
        "# HTTP API",
        "",
        "Made from the OpenAPI description by `python -m service.api.docs`; don't edit. A running service serves it at",
        "`/openapi.json`, and at `/docs` as a page to try things on, without anything from outside. A client made from",
        "it works, for instance by `openapi-python-client generate --url http://127.0.0.1:8080/openapi.json`.",
        "",
        "Names in answers are those of the [documents](documents.md). Large answers are made off the event loop, and",
        "compressed for clients that accept gzip.",
        "",
        "With `api_token` or `api_read_token` set, all but `/health` and `/ready` need one of them, as the header",
        "`Authorization: Bearer TOKEN`; what changes something, and what is in dead letters, needs `api_token`. See",
        "[who may see the page](../how-to/access.md).",
        "",
        'Every error is `{"detail": "…"}`, with one sentence for each thing that is wrong:',
        "",
        "| Status | When |",
        "|---|---|",
        "| 401 | a token is needed, or this one is wrong |",
        "| 403 | the token may only read; or, without tokens, another site's page asks |",
        "| 404 | there is no such path, or no such sensor |",
        "| 405 | the path has no such method |",
        "| 422 | a parameter is unknown (the nearest name is suggested), given twice, or has no such value |",
        "| 500 | a fault of the service; its log has more |",
        "| 503 | the index or the store of dead letters is away |",
    ]
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            lines += ["", f"## {method.upper()} {path}", "", *operation["description"].splitlines()]
            lines += _parameters(operation.get("parameters", []))
            for status, answer in sorted(operation["responses"].items()):
                example = answer.get("content", {}).get("application/json", {}).get("example")
                if example is not None:
                    shown = orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()
                    lines += ["", "```json", *shown.splitlines(), "```"]
                elif status not in ("200", "422"):
                    lines += ["", f"{status}: {answer['description']}"]
    return "\n".join(lines) + "\n"


def _parameters(parameters: Sequence[Mapping[str, Any]]) -> list[str]:
    if not parameters:
        return []
    lines = ["", "| Parameter | Type | Default | |", "|---|---|---|---|"]
    for each in parameters:
        schema = next((part for part in each["schema"].get("anyOf", []) if part != {"type": "null"}), each["schema"])
        kind = " \\| ".join(schema["enum"]) if "enum" in schema else schema["type"]
        kind = "time" if schema.get("format") == "date-time" else "text, repeatable" if kind == "array" else kind
        limits = ((sign, schema.get(name)) for name, sign in (("minimum", "≥"), ("maximum", "≤")))
        kind += "".join(f" {sign} {limit:g}" for sign, limit in limits if limit is not None)
        usual = each["schema"].get("default", "")
        usual = str(usual).lower() if isinstance(usual, bool) else "" if usual == [] else usual
        lines.append(f"| `{each['name']}` | {kind} | {usual} | {each.get('description', '')} |")
    return lines


def documentation() -> str:
    """docs/reference/api.md: what a service of the default settings would say of itself, without one."""
    from service.api.app import build

    nobody: Any = SimpleNamespace(settings=load({}, {}), index=None)
    return markdown(build(nobody).openapi())


if __name__ == "__main__":
    Path("docs/reference/api.md").write_text(documentation(), encoding="utf-8")
