"""Settings that are JMESPath expressions, alone or in lists."""

from __future__ import annotations

import re

import jmespath

from service.pipeline.decode import find_field

_TOKEN = re.compile(r"""
    "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `(?:[^`\\]|\\.)*` | .  # text in quotes, or one character
""", re.VERBOSE | re.DOTALL)  # fmt: skip
_PLAIN_NAME = re.compile(r"""[^"'`()\[\]{}|&=]+""")


def check_expression(expression: str) -> None:
    """Raises ValueError if this is no JMESPath expression."""
    try:
        find_field(expression)
    except jmespath.exceptions.JMESPathError as error:
        if _PLAIN_NAME.fullmatch(expression):
            quoted = ".".join(part if part.isidentifier() else f'"{part}"' for part in expression.split("."))
            remedy = f"a name with other characters than letters, digits and _ needs quotes: write '{quoted}'"
        else:
            remedy = str(error).splitlines()[0]
        raise ValueError(f"{expression!r} is not a JMESPath expression: {remedy}") from None


def split_commas(text: str) -> list[str]:
    """The parts between commas that are neither in quotes nor in brackets."""
    parts, depth = [""], 0
    for token in _TOKEN.findall(text):
        depth += (token in "([{") - (token in ")]}")
        if token == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += token
    return parts
