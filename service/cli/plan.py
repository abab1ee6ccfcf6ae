"""``cutwater plan``."""

from __future__ import annotations

import argparse

import orjson

from service.cli import EXIT_OK, add_command
from service.cli.options import natural, positive
from service.cli.terminal import say, tell
from service.operate.network import plan

EXAMPLE = "cutwater plan network --cidr 10.20.0.0/24 --zones 3 --data-nodes 6"


def define(parser: argparse.ArgumentParser) -> None:
    """Its actions, and their arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    network = add_command(
        actions, "network", "divide addresses into subnets for a domain in a VPC; fails if they are not enough", EXAMPLE
    )
    network.add_argument("--cidr", required=True, metavar="BLOCK", help="addresses to divide, such as 10.20.0.0/24")
    network.add_argument("--zones", type=int, choices=(1, 2, 3), default=2, help="availability zones [%(default)s]")
    network.add_argument(
        "--data-nodes", type=positive, default=2, metavar="NUMBER", help="data nodes of the domain [%(default)s]"
    )
    network.add_argument(
        "--tasks", type=positive, default=1, metavar="NUMBER", help="tasks that run Cutwater [%(default)s]"
    )
    network.add_argument(
        "--endpoints", type=natural, default=8, metavar="NUMBER", help="interface endpoints in each zone [%(default)s]"
    )
    network.add_argument(
        "--taken", action="append", default=[], metavar="BLOCK", help="block that a peered network has; may be repeated"
    )
    network.add_argument("--json", action="store_true", help="print JSON")


async def run(options: argparse.Namespace) -> int:
    """The command."""
    found = plan(
        options.cidr,
        zones=options.zones,
        data_nodes=options.data_nodes,
        tasks=options.tasks,
        endpoints=options.endpoints,
        taken=options.taken,
    )
    for warning in found.warnings:
        tell(f"cutwater: {warning}")
    if options.json:
        say(orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2).decode())
        return EXIT_OK
    say("zone  for     subnet              needed  usable")
    for subnet in found.subnets:
        say(f"{subnet.zone:<5} {subnet.what:<7} {subnet.block!s:<19} {subnet.needed:>6}  {subnet.usable:>6}")
    say("left: " + (", ".join(map(str, found.left)) or "nothing"))
    return EXIT_OK
