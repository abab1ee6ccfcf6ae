"""docs/reference/settings.md, made from the table of settings: ``python -m service.settings.docs``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_origin

from pydantic.fields import FieldInfo

from service.settings.fields import allowed, default
from service.settings.model import Settings
from service.settings.table import Table, sections, tables

_PAGE = re.compile(r"docs/([\w/-]*/)([\w-]+)\.md")
HEAD = ("| Setting | Default | Allowed | What it does |", "|---|---|---|---|")


def markdown(settings: type[Table] = Settings) -> str:
    """The page: each setting, and a section for each table."""
    lines = [
        "# Settings",
        "",
        "Made from `service/settings` by `python -m service.settings.docs`; don't edit.",
        "",
        "A setting is read from `cutwater.toml` in the working folder (or `--config FILE`), then from the environment,",
        "then from the command line; the last one wins. `trees` is `trees = 50` in the file, `CUTWATER_TREES` in the",
        "environment and `--trees` on the command line.",
        "",
        "A secret is never given on the command line, where other users see it: put it into the environment, or name a",
        "file that holds it (`CUTWATER_OPENSEARCH_PASSWORD_FILE`, `--opensearch-password-file`).",
        "",
        *_groups(settings),
        *_sections(settings),
    ]
    return "\n".join(lines) + "\n"


def _groups(settings: type[Table]) -> Iterator[str]:
    """A table of settings for each group."""
    for number, (title, fields) in enumerate(sections(settings)):
        yield from ("",) * (number > 0)
        yield from (f"## {title}", "") if title else ()
        yield from (*HEAD, *_rows(fields))


def _rows(fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    for name, field in fields.items():
        shown = f"`{default(field)}`" if default(field) else ""
        text = " ".join((field.description or "").split()).replace("|", "&#124;")
        text = _PAGE.sub(r"[\2](../\1\2.md)", text)
        yield f"| `{name}` | {shown} | {allowed(field).replace('|', '&#124;')} | {text} |"


def _sections(table: type[Table], above: str = "") -> Iterator[str]:
    """A section for each table within this one."""
    for name, field in table.model_fields.items():
        path = f"{above}{name}"
        many = get_origin(field.annotation) in (list, tuple)
        for inner in tables(field.annotation):
            yield from (
                "",
                f"## `[[{path}]]`" if many else f"## `[{path}]`",
                "",
                inspect.getdoc(inner) or "",
                "",
                *HEAD,
            )
            yield from (*_rows(inner.model_fields), *_sections(inner, f"{path}."))


if __name__ == "__main__":
    Path("docs/reference/settings.md").write_text(markdown(), encoding="utf-8")
