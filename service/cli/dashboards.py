"""``cutwater dashboards``."""

from __future__ import annotations

import argparse
from pathlib import Path

from service import UserError
from service.cli import EXIT_FAILED, EXIT_OK, add_command
from service.cli.options import add_settings, load_settings
from service.cli.terminal import say
from service.operate.dashboards import lint, ndjson, saved_objects

EXAMPLE = "cutwater dashboards lint deploy/dashboards.ndjson"


def define(parser: argparse.ArgumentParser) -> None:
    """Its actions, and their arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    check = add_command(
        actions, "lint", "find what an import or a chart would fail on, in any file of saved objects", EXAMPLE
    )
    check.add_argument("files", nargs="+", type=Path, metavar="FILE", help="NDJSON, as Dashboards and Kibana export it")
    write = add_command(
        actions,
        "write",
        "write the charts to a file, to import by hand",
        "cutwater dashboards write cutwater.ndjson --value-fields temperature,humidity",
    )
    write.add_argument("file", type=Path, metavar="FILE", help="to import under Stack or Dashboards Management")
    add_settings(write, only=("index_prefix", "value_fields"))


async def run(options: argparse.Namespace) -> int:
    """The command."""
    return _lint(options) if options.action == "lint" else _write(options)


def _lint(options: argparse.Namespace) -> int:
    """``cutwater dashboards lint``."""
    problems = 0
    for path in options.files:
        try:
            found = lint(path.read_bytes())
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
        for problem in found:
            say(f"{path}: {problem}")
        problems += len(found)
    return EXIT_FAILED if problems else EXIT_OK


def _write(options: argparse.Namespace) -> int:
    """``cutwater dashboards write``."""
    settings = load_settings(options)
    try:
        options.file.write_bytes(ndjson(saved_objects(settings.index_prefix, tuple(settings.value_fields))))
    except OSError as error:
        raise UserError(f"{options.file}: {error.strerror}") from None
    return EXIT_OK
