"""What is said of a wrong setting: its name as the user wrote it, its value, what is wrong, and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from service.nearest import nearest
from service.reasons import reason
from service.settings.fields import allowed
from service.settings.table import Table, holds_secrets, holds_tables, tables

_USER_INFO = re.compile(r"[^'\"]*(?=@)")


def complaints(error: ValidationError, settings: type[Table], origins: Mapping[str, str]) -> Iterator[str]:
    """A line for each problem. ``origins`` has the names of settings as the user wrote them."""
    for problem in error.errors():
        if not problem["loc"]:  # of several settings together: the message names them
            yield reason(problem)
            continue
        name, *place = problem["loc"]
        shown, field = origins.get(str(name), str(name)), settings.model_fields[str(name)]
        for part in place:
            inner = list(tables(field.annotation))
            if not inner:
                break
            known = {key: value for table in inner for key, value in table.model_fields.items()}
            shown += f"[{part}]" if isinstance(part, int) else f".{part}"
            field = known.get(str(part), field)
        if problem["type"] == "extra_forbidden":
            yield f"{shown}: no such setting{no_such(str(part), known)}"
        elif place and holds_tables(field.annotation):  # of several settings of one table
            yield f"{shown}: {reason(problem)}"
        else:
            value = repr(problem["input"])
            value = _USER_INFO.sub("***", value) if shown.lower().endswith("url") else value
            hidden = problem["type"] == "missing" or holds_secrets(field.annotation)
            shown += "" if hidden else f" = {value}"
            values = "" if allowed(field) in ("text", "path") else f" (allowed: {allowed(field)})"
            yield f"{shown}: {_reason(problem, field)}{values}"


def _reason(problem: Mapping[str, Any], field: FieldInfo) -> str:
    """What is wrong with a value; an example instead of a pattern."""
    if problem["type"] == "string_pattern_mismatch" and field.examples:
        return f"must be such as {field.examples[0]}"
    return reason(problem)


def no_such(name: str, names: Iterable[str]) -> str:
    """The end of the message about an unknown name: which one was meant, or where all are listed."""
    return nearest(name, names) or "; docs/reference/settings.md lists them all"
