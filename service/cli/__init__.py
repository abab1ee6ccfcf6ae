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

EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_BUG = 0, 1, 130, 70
COMMANDS = {
    "run": "read the stream, serve the scores, index the anomalies",
    "demo": "local stream, simulated sensors and the service in one",
    "recipes": "list what is ready to run: clicks, API calls, flow logs, intrusion alerts, thermometers",
    "init": "copy a recipe's settings to start from",
    "evaluate": "run the detector over recordings and report what it finds",
    "backfill": "learn sensors from their history, so that they are ready at their first live reading",
    "simulate": "write simulated readings or a recording to a stream",
    "setup": "prepare OpenSearch or Elasticsearch: index templates, retention, dashboards",
    "replay": "send the dead letter again, after its cause was mended",
    "export": "write the index, or the dead letter, to a file",
    "notify": "try the ways by which people are told of episodes",
    "dashboards": "charts for OpenSearch Dashboards and Kibana as a file, and a linter of such files",
    "alarms": "CloudWatch alarms for OpenSearch Service domains, and for Cutwater itself: check, plan, apply, remove",
    "plan": "divide a network's addresses into subnets for a domain in a VPC",
    "groups": "what the rules of security groups are used for, told by flow logs",
    "flink": "the same detector as a job of Apache Flink: run it, or package it for Amazon's managed service",
    "stream": "a local stream that speaks the Kinesis API, for development",
    "completion": "print what makes a shell complete commands and their arguments",
}
EXIT_CODES = (
    "exit codes: 0 done, or stopped by SIGTERM; 1 something failed, or is left over; 2 a wrong argument or setting; "
    "3 what is needed does not answer; 130 interrupted; 70 an error in Cutwater, please report it"
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
    options = _parser(words).parse(words)
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
        description="Anomaly detection on live streams: Kinesis in, Random Cut Forest, anomalies in OpenSearch out.",
        epilog="example: cutwater demo\n\n" + textwrap.fill(EXIT_CODES, 100),
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
