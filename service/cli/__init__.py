"""The command ``cutwater``: one module here for each of its commands.

Only the command that is given is imported: a service that starts again need not wait for what only reports need.
A module offers ``EXAMPLE``, ``define`` (its arguments) and ``run``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import logging
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Coroutine, Sequence
from types import ModuleType
from typing import Any

from service import UserError, __version__, logs
from service.cli.parsing import Parser
from service.cli.stopping import Stop
from simulator import SimulatorError

log = logging.getLogger("cutwater")

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_BUG = 0, 1, 2, 130, 70
COMMANDS = {
    "run": "read a Kinesis stream, score its readings, index the anomalies, serve the page",
    "demo": "try it: a local stream, simulated sensors and the service in one process",
    "recipes": "list ready-made settings: clicks, API calls, flow logs, intrusion alerts, thermometers",
    "init": "copy a recipe's settings into a folder, to start from",
    "evaluate": "run the detector over CSV files and report what it finds",
    "backfill": "learn sensors from their history, so that they need not learn when the service starts",
    "simulate": "write simulated readings, or a CSV file, to a stream",
    "setup": "prepare OpenSearch or Elasticsearch: index templates, retention, dashboards",
    "replay": "send dead letters again, once their cause is removed",
    "export": "write documents or dead letters to a file",
    "notify": "send a test message to those who are told of alerts",
    "dashboards": "charts for OpenSearch Dashboards and Kibana: write them to a file, check a file, open them in a VPC",
    "alarms": "CloudWatch alarms of OpenSearch Service domains, and of Cutwater itself: check, plan, apply, remove",
    "plan": "size and cost of a service for so many sensors; subnets for a domain in a VPC",
    "groups": "report which rules of security groups are used, by flow logs",
    "flink": "the detector as an Apache Flink job: run it, or package it for Amazon's managed service",
    "stream": "start a local stream with the Kinesis API, for development",
    "completion": "print a script that lets bash, zsh or fish complete commands and arguments",
}
EXIT_CODES = (
    "exit codes: 0 done, or stopped by SIGTERM; 1 failed, or something is left; 2 wrong argument or setting; "
    "3 a server does not answer; 130 interrupted; 70 an error in Cutwater, please report it"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] in (["run"], ["demo"], ["stream"]):
        before = signal.signal(signal.SIGTERM, _stop_early)
        try:
            return _run(words)
        finally:
            signal.signal(signal.SIGTERM, before)
    return _run(words)


def _run(words: Sequence[str]) -> int:
    """One command."""
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    parser = _parser(words)
    if not words:
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    options = parser.parse(words)
    command: Callable[[argparse.Namespace], Coroutine[Any, Any, int]] = options.command
    if getattr(options, "log_format", os.environ.get("CUTWATER_LOG_FORMAT")) == "json":
        logs.configure("info", "json")
    try:
        return asyncio.run(command(options))
    except UserError as error:
        return _complain(error, error.exit_code)
    except SimulatorError as error:
        return _complain(error, EXIT_FAILED)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return EXIT_OK if Stop.early else EXIT_INTERRUPTED
    except Exception:
        log.critical("this is an error in Cutwater %s; please report it", __version__, exc_info=True)
        return EXIT_BUG


def _stop_early(*_: object) -> None:
    """SIGTERM before a command listens to signals: there is nothing to finish."""
    raise SystemExit(EXIT_OK)


def _complain(error: Exception, code: int) -> int:
    for line in str(error).splitlines():
        if logs.in_json():
            log.error(line)
        else:
            sys.stderr.write(f"cutwater: {line}\n")
    return code


def _complete() -> None:
    """Answer a shell that asks what may follow, and end."""
    import argcomplete

    words = os.environ.get("COMP_LINE", "").split()[1:]
    argcomplete.autocomplete(_parser(words))


def _parser(words: Sequence[str]) -> Parser:
    """Knows all commands by name, and the arguments of the one that the words begin with."""
    parser = Parser(
        prog="cutwater",
        description="Finds anomalies in a Kinesis stream with random cut forests, and writes them to OpenSearch.",
        epilog="Start with: cutwater demo. `cutwater COMMAND --help` shows a command's options.\n\n"
        + textwrap.fill(EXIT_CODES, 100),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cutwater {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        if [name] != list(words[:1]):
            commands.add_parser(name, help=text)
            continue
        module = _imported(name)
        command = add_command(commands, name, text, module.EXAMPLE)
        command.set_defaults(command=module.run)
        module.define(command)
    return parser


def _imported(name: str) -> ModuleType:
    """A command's module. Garbage is not looked for while it is imported: there is none, and the search takes long."""
    gc.disable()
    try:
        return importlib.import_module(f"{__name__}.{name}")
    finally:
        gc.freeze()
        gc.enable()


def add_command(commands: Any, name: str, text: str, example: str) -> argparse.ArgumentParser:
    """A parser for one command, whose help ends with an example."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(parser=parser)
    return parser
