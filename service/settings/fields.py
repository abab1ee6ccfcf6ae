"""A setting in words: which values it takes, and its default."""

from __future__ import annotations

import re
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
        return " | ".join(str(word) for word in typing.get_args(kind) if word)
    if kind is bool:
        return "true | false"
    example = field.examples[0] if field.examples else None
    if typing.get_origin(kind) is dict:
        return f"{example or 'NAME=EXPRESSION'}, …"
    kinds = (kind, *typing.get_args(kind))
    if tuple[float, float] in kinds:
        return "LOW,HIGH"
    if any(typing.get_origin(part) in (list, tuple) for part in kinds):
        return f"{example or 'text'}, …"
    names = {int: "integer", float: "number", str: "text", Path: "path"}
    text = next((names[part] for part in kinds if part in names), "text")
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits = ((sign, getattr(rule, key, None)) for rule in field.metadata for key, sign in signs.items())
    return " ".join([text, ", ".join(f"{sign} {limit}" for sign, limit in limits if limit is not None)]).strip()


def placeholder(field: FieldInfo) -> str:
    """What stands for a setting's value on the command line, such as NUMBER or refuse|accept."""
    text = re.split(r" [≥>≤<]", allowed(field))[0].replace(" ", "")
    return text if "|" in text else text.upper()


def default(field: FieldInfo) -> str:
    """A setting's default as one would write it."""
    value = None if field.is_required() else field.default
    if isinstance(value, SecretStr | BaseModel):
        return ""
    if isinstance(value, dict):
        return ",".join(name if name == expression else f"{name}={expression}" for name, expression in value.items())
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else "" if value is None else str(value)
