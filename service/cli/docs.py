"""docs/reference/cli.md, made from the commands' own parsers: ``python -m service.cli.docs``."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from pathlib import Path

from service.cli import COMMANDS
from service.cli.parsing import SETTINGS

_PAGE = Path("docs/reference/cli.md")


def markdown() -> str:
    """The page: each command with its arguments."""
    lines = [
        "# Commands",
        "",
        "Made from the commands by `python -m service.cli.docs`; don't edit. `cutwater COMMAND --help` says the same.",
        "",
        "Most commands also take [settings](settings.md) as options. Exit codes are in",
        "[operate](../how-to/operations.md#exit-codes).",
    ]
    for name, text in COMMANDS.items():
        module = importlib.import_module(f"service.cli.{name}")
        parser = argparse.ArgumentParser(prog=f"cutwater {name}", add_help=False)
        module.define(parser)
        lines += ["", f"## cutwater {name}", "", f"{text[0].upper()}{text[1:]}."]
        rows = list(_rows(parser))
        lines += ["", "| Argument | What it does |", "|---|---|", *rows] if rows else []
        lines += ["", "```", *(line.strip() for line in module.EXAMPLE.splitlines()), "```"]
    return "\n".join(lines) + "\n"


def _rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    for group in parser._action_groups:
        if str(group.title).startswith(SETTINGS):
            continue
        for action in group._group_actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, sub in action.choices.items():
                    yield f"| `{name}` | {sub.description or ''} |"
                continue
            shown = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
            shown = "" if action.choices or isinstance(shown, tuple) else shown
            shown = "\\|".join(map(str, action.choices)) if action.choices else shown
            name = f"{action.option_strings[-1]} {shown}".strip() if action.option_strings else shown or action.dest
            text = (action.help or "") % {**vars(action), "prog": parser.prog}
            yield f"| `{name}` | {' '.join(text.split()).replace('|', '&#124;')} |"


if __name__ == "__main__":
    _PAGE.write_text(markdown(), encoding="utf-8")
