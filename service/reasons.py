"""Says what is wrong with a value, in the words of Cutwater and not of the library that checks it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from service.nearest import nearest

# By the kind of problem that pydantic names; the braces are filled from its context.
_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_parsing_size": "must be an integer of fewer digits",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_attributes_type": "must be an object",
    "path_type": "must be a path",
    "literal_error": "must be {expected}",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} elements",
    "too_long": "must have at most {max_length} elements",
    "json_invalid": "is not JSON: {error}",
}


def reason(problem: Mapping[str, Any]) -> str:
    """One of the ``errors()`` of pydantic's ValidationError as the end of a sentence that begins with the value."""
    if known := _REASONS.get(problem["type"]):
        if problem.get("ctx", {}).get("min_length") == 1:
            return "must not be empty"
        text = known.format(**problem.get("ctx", {}))
        if problem["type"] == "literal_error" and isinstance(problem.get("input"), str):
            text += nearest(problem["input"], re.findall(r"'([^']*)'", text))
        return text
    message: str = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return message[:1].lower() + message[1:]
