"""``cutwater groups``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import orjson

from service import UserError, logs
from service.cli import EXIT_OK, add_command
from service.cli.options import ACCESS, UsageError, add_settings, give_up, load_settings, moment, span
from service.cli.terminal import progress, say, tell
from service.operate.groups.account import EC2Account, Network, of_files
from service.operate.groups.documents import FlowLogFiles
from service.operate.groups.text import as_json, lines
from service.operate.groups.usage import GroupUsage
from service.pipeline.enrich.security_groups import InterfaceTable
from service.pipeline.times import parse_time
from service.retry import give_up_after
from service.settings.model import Settings
from service.sinks.query import Find
from service.stores import make_index, opened, require_data

_PAGE = 1000

EXAMPLE = "cutwater groups report flow-logs.gz --rules rules.json --interfaces interfaces.json"


def define(parser: argparse.ArgumentParser) -> None:
    """Its actions, and their arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    report = add_command(
        actions, "report", "which rules of security groups are used, by whom, and which are not", EXAMPLE
    )
    report.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="flow logs, or exported events as NDJSON [default: the events in the index]",
    )
    report.add_argument(
        "--rules",
        dest="rules_file",
        type=Path,
        metavar="FILE",
        help="file with the answer of aws ec2 describe-security-group-rules [default: asks EC2]",
    )
    report.add_argument(
        "--interfaces",
        type=Path,
        metavar="FILE",
        help="file with the answer of aws ec2 describe-network-interfaces [default: asks EC2]",
    )
    report.add_argument("--since", type=moment, metavar="TIME", help="only lines from this event time on, ISO 8601")
    report.add_argument("--until", type=moment, metavar="TIME", help="only lines before this event time")
    report.add_argument("--json", action="store_true", help="print JSON")
    give_up(report)
    add_settings(report, only=(*ACCESS, "index_prefix", "region", "flow_log_format", "event_format", "data_dir"))


async def run(options: argparse.Namespace) -> int:
    """The command."""
    give_up_after.set(options.wait)
    settings = load_settings(options)
    logs.configure("warning")
    if options.interfaces and not options.rules_file:
        raise UsageError("--interfaces: give --rules, too; or neither, and EC2 is asked for both")
    for path in options.files:
        if not path.exists():
            raise UserError(f"{path}: no such file")
    network = of_files(options.rules_file, options.interfaces) if options.rules_file else await _asked(settings.region)
    found = GroupUsage(network.rules, network.names, network.interfaces)
    if options.files:
        _read_files(options, settings, InterfaceTable(network.interfaces), found)
    else:
        await _read_index(options, settings, found)
    if options.json:
        sys.stdout.buffer.write(orjson.dumps(as_json(found), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        for line in lines(found):
            say(line)
    return EXIT_OK


def _read_files(options: argparse.Namespace, settings: Settings, interfaces: InterfaceTable, found: GroupUsage) -> None:
    files = FlowLogFiles(settings.flow_log_format, interfaces)
    since, until = span(options)
    with progress("reading", None) as done:
        for path in options.files:
            for document in files.documents(path):
                time = parse_time(document["@timestamp"])
                if (since is None or time >= since) and (until is None or time < until):
                    found.add(document)
                done(1)
    if files.refused:
        tell(f"{files.refused} lines are none of a flow log and were passed over; the first: {files.reason}")
    if files.refused and not found.coverage.flows:
        raise UserError("no line could be read")


async def _read_index(options: argparse.Namespace, settings: Settings, found: GroupUsage) -> None:
    """The events that the service has indexed: their groups are those of their time."""
    if settings.event_format != "flow-log":
        raise UsageError(f"event_format = {settings.event_format!r}: the index has no flow logs; name FILEs of them")
    require_data(settings, settings.opensearch_url)
    wanted = Find("event", *span(options))
    async with opened(make_index(settings)) as index:
        with progress("reading", None) as done:
            cursor = None
            while True:
                page = await index.find(wanted, _PAGE, cursor)
                for document in page.documents:
                    found.add(document)
                done(len(page.documents))
                if (cursor := page.cursor) is None:
                    return


async def _asked(region: str) -> Network:
    async with opened(EC2Account(region)) as account:
        return await account.network()
