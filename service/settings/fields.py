"""A setting in words: which values it takes, and its default."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from service.settings.table import holds_tables


def allowed(field: FieldInfo) -> str:
    """The values that a setting takes, in words."""
    kind = field.annotation
    if holds_tables(kind):
        return "tables" if typing.get_origin(kind) in (dict, list, tuple) else "table"
    if typing.get_origin(kind) is Literal:
        return " | ".join(map(str, typing.get_args(kind)))
    if kind == tuple[str, ...]:
        return f"{field.examples[0] if field.examples else 'text'}, …"
    names = {int: "integer", float: "number", str: "text", Path: "path", dict[str, str]: "NAME=EXPRESSION, …"}
    names |= {tuple[float, float]: "LOW,HIGH"}
    text = next((names[part] for part in (kind, *typing.get_args(kind)) if part in names), "text")
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits = ((sign, getattr(rule, key, None)) for rule in field.metadata for key, sign in signs.items())
    return " ".join([text, *(f"{sign} {limit}" for sign, limit in limits if limit is not None)])


def default(field: FieldInfo) -> str:
    """A setting's default as one would write it."""
    value = None if field.is_required() else field.default
    if isinstance(value, SecretStr | BaseModel):
        return ""
    if isinstance(value, dict):
        return ",".join(name if name == expression else f"{name}={expression}" for name, expression in value.items())
    return "" if value is None or value == () else str(value)
