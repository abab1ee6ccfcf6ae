"""The command ``cutwater``: one module here for each of its commands.

Only the command that is given is imported: a service that starts again need not wait for what only reports need.
A module offers ``EXAMPLE``, ``define`` (its arguments) and ``run``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import sys
from collections.abc import Callable, Coroutine, Sequence
from types import ModuleType
from typing import Any

from service import UserError, __version__
from simulator import SimulatorError

EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130
COMMANDS = {
    "run": "read the stream, serve the scores, index the anomalies",
    "demo": "local stream, simulated sensors and the service in one",
    "evaluate": "run the detector over recordings and report what it finds",
    "backfill": "learn sensors from their history, so that they are ready at their first live reading",
    "simulate": "write simulated readings or a recording to a stream",
    "setup": "prepare OpenSearch or Elasticsearch: index templates, retention, dashboards",
    "replay": "send the dead letter again, after its cause was mended",
    "export": "write the index, or the dead letter, to a file",
    "dashboards": "charts for OpenSearch Dashboards and Kibana as a file, and a linter of such files",
    "stream": "a local stream that speaks the Kinesis API, for development",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    options = _parser(words).parse_args(words)
    command: Callable[[argparse.Namespace], Coroutine[Any, Any, int]] = options.command
    try:
        return asyncio.run(command(options))
    except UserError as error:
        return _complain(error, error.exit_code)
    except SimulatorError as error:
        return _complain(error, EXIT_FAILED)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return EXIT_INTERRUPTED


def _complain(error: Exception, code: int) -> int:
    for line in str(error).splitlines():
        sys.stderr.write(f"cutwater: {line}\n")
    return code


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Knows all commands by name, and the arguments of the one that the words begin with."""
    parser = argparse.ArgumentParser(
        prog="cutwater",
        description="Anomaly detection on live streams: Kinesis in, Random Cut Forest, anomalies in OpenSearch out.",
        epilog="example: cutwater demo",
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
    return parser
