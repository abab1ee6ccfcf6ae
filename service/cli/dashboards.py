"""``cutwater dashboards``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from service import UserError
from service.cli import EXIT_FAILED, EXIT_OK, add_command
from service.cli.options import ACCESS, UsageError, add_settings, load_settings, port
from service.cli.stopping import on_signals
from service.cli.terminal import say, tell
from service.operate.dashboards import event_types, lint, ndjson, read_definition, recipe_objects, saved_objects
from service.operate.dashboards.proxy import serving
from service.settings.model import Settings, SettingsError
from service.sinks.index.auth import Auth
from service.sinks.index.event_fields import EventLayout

EXAMPLE = "cutwater dashboards lint deploy/dashboards.ndjson"


def define(parser: argparse.ArgumentParser) -> None:
    """Its actions, and their arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    check = add_command(
        actions, "lint", "find what an import or a chart would fail on, in any file of saved objects", EXAMPLE
    )
    check.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="file of saved objects (NDJSON), as Dashboards and Kibana export it",
    )
    write = add_command(
        actions,
        "write",
        "write the charts to a file, to import by hand",
        "cutwater dashboards write cutwater.ndjson --value-fields temperature,humidity",
    )
    write.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="file to write; import it under Stack (or Dashboards) Management, Saved objects",
    )
    write.add_argument(
        "--definition",
        type=Path,
        metavar="FILE",
        help="charts of events and windows, as in a recipe's dashboard.toml",
    )
    add_settings(write, only=("index_prefix", "value_fields"))
    relay = add_command(
        actions,
        "proxy",
        "open OpenSearch Dashboards in a VPC: serve this machine's browser, and sign what it asks",
        "cutwater dashboards proxy --dashboards-url https://vpc-search.eu-west-1.es.amazonaws.com/_dashboards"
        " --through 127.0.0.1:8443 --opensearch-aws es",
    )
    relay.add_argument(
        "--through", default="", metavar="HOST:PORT", help="connect by this address, such as a forwarded port"
    )
    relay.add_argument(
        "--listen-port", type=port, default=5601, metavar="PORT", help="port of 127.0.0.1 to listen on [%(default)s]"
    )
    add_settings(relay, only=(*ACCESS, "dashboards_url", "region"))


async def run(options: argparse.Namespace) -> int:
    """The command."""
    if options.action == "proxy":
        return await _proxy(options)
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


async def _proxy(options: argparse.Namespace) -> int:
    """``cutwater dashboards proxy``."""
    stop = on_signals()
    settings = load_settings(options)
    if not settings.dashboards_url:
        raise SettingsError("dashboards_url is not set; on AWS it is the domain's address with /_dashboards")
    url, auth = settings.dashboards_url, Auth.of(settings)
    async with serving(url, auth, through=options.through, port=options.listen_port) as address:
        stop.graceful = True
        tell(f"{address}   (Ctrl-C stops)")
        await stop.wait()
    return EXIT_OK


def _write(options: argparse.Namespace) -> int:
    """``cutwater dashboards write``."""
    settings = load_settings(options)
    features = tuple(settings.value_fields)
    if options.definition is None:
        objects = saved_objects(settings.index_prefix, features)
    else:
        objects = _defined(options.definition, settings)
    try:
        options.file.write_bytes(ndjson(objects))
    except OSError as error:
        raise UserError(f"{options.file}: {error.strerror}") from None
    return EXIT_OK


def _defined(path: Path, settings: Settings) -> list[dict[str, Any]]:
    layout = EventLayout.of(settings)
    if layout is None:
        raise UsageError("--definition: needs event_format; run this where the recipe's cutwater.toml is")
    try:
        definition = read_definition(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    features = tuple(settings.value_fields)
    objects = recipe_objects(settings.index_prefix, "recipe", definition, features, event_types(layout))
    if problems := lint(ndjson(objects)):
        raise UserError("\n".join(f"{path}: {problem}" for problem in problems))
    return objects
