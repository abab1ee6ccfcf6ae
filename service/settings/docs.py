"""docs/reference/settings.md, made from the table of settings: ``python -m service.settings.docs``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import get_origin

from service.settings.fields import allowed, default
from service.settings.model import Settings
from service.settings.table import Table, tables

HEAD = ("| Setting | Default | Allowed | What it does |", "|---|---|---|---|")


def markdown(settings: type[Table] = Settings) -> str:
    """The page: each setting, and a section for each table."""
    lines = [
        "# Configuration",
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
        *HEAD,
        *_rows(settings),
        *_sections(settings),
    ]
    return "\n".join(lines) + "\n"


def _rows(table: type[Table]) -> Iterator[str]:
    for name, field in table.model_fields.items():
        shown = f"`{default(field)}`" if default(field) else ""
        text = " ".join((field.description or "").split())
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
            yield from (*_rows(inner), *_sections(inner, f"{path}."))


if __name__ == "__main__":
    Path("docs/reference/settings.md").write_text(markdown(), encoding="utf-8")
