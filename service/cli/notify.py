"""``cutwater notify``."""

from __future__ import annotations

import argparse
import asyncio

from service.cli import EXIT_FAILED, EXIT_OK, add_command
from service.cli.options import UsageError, add_settings, load_settings
from service.cli.terminal import tell
from service.sinks.notify.trial import try_route

EXAMPLE = "cutwater notify test\n  cutwater notify test --route pager"


def define(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    command = add_command(
        commands, "test", "send each route a made-up alert and its end, and say what became of it", EXAMPLE
    )
    command.add_argument("--route", metavar="NAME", help="only this route")
    add_settings(command, only=("stream", "region", "page_url"))


async def run(options: argparse.Namespace) -> int:
    """The command."""
    settings = load_settings(options)
    routes = [each for each in settings.notify if options.route in (None, each.name)]
    if not routes:
        known = ", ".join(each.name for each in settings.notify)
        raise UsageError(
            f"--route {options.route!r}: there is none of this name; known are {known}"
            if known
            else "there is no [[notify]] table in the settings, so nobody is told"
        )
    outcomes = await asyncio.gather(*(try_route(each, settings) for each in routes))
    for route, problem in zip(routes, outcomes, strict=True):
        tell(f"{route.name} ({route.to}): {problem or 'taken'}")
    return EXIT_FAILED if any(outcomes) else EXIT_OK
