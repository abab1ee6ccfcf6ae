"""``cutwater plan``."""

from __future__ import annotations

import argparse
from pathlib import Path

import orjson

from service.cli import EXIT_OK, add_command
from service.cli.options import UsageError, fraction, natural, positive
from service.cli.terminal import say, tell
from service.operate.network import plan
from service.operate.sizing import MODEL_BYTES, Sizing, plan_tasks

EXAMPLE = "cutwater plan --sensors 10000 --rate 8333"
_NETWORK_EXAMPLE = "cutwater plan network --cidr 10.20.0.0/24 --zones 3 --data-nodes 6"


def define(parser: argparse.ArgumentParser) -> None:
    """Its actions, and their arguments."""
    parser.add_argument("--sensors", type=positive, metavar="NUMBER", help="how many there are")
    parser.add_argument("--rate", type=fraction, metavar="NUMBER", help="readings a second, of all of them")
    parser.add_argument("--profile", choices=tuple(MODEL_BYTES), default="default", help="the setting [%(default)s]")
    parser.add_argument("--values", type=positive, default=1, metavar="NUMBER", help="of a reading [%(default)s]")
    parser.add_argument(
        "--record-bytes", type=positive, default=120, metavar="NUMBER", help="of a record on the stream [%(default)s]"
    )
    parser.add_argument(
        "--readings-per-record", type=positive, default=1, metavar="NUMBER", help="on average [%(default)s]"
    )
    parser.add_argument("--prices", type=Path, metavar="FILE", help="other prices than those of US East (N. Virginia)")
    parser.add_argument("--json", action="store_true", help="say it as JSON")
    actions = parser.add_subparsers(metavar="ACTION", dest="action")
    network = add_command(
        actions,
        "network",
        "divide addresses into subnets for a domain in a VPC; fails if they are not enough",
        _NETWORK_EXAMPLE,
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
    return _plan_network(options) if options.action == "network" else _plan_tasks(options)


def _plan_tasks(options: argparse.Namespace) -> int:
    if options.sensors is None or options.rate is None:
        raise UsageError("plan needs --sensors and --rate, or an action: network")
    found = plan_tasks(
        options.sensors,
        options.rate,
        profile=options.profile,
        values=options.values,
        record_bytes=options.record_bytes,
        readings_per_record=options.readings_per_record,
        prices=options.prices,
    )
    say(orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2).decode() if options.json else _described(found))
    return EXIT_OK


def _described(found: Sizing) -> str:
    """For people."""
    each = f"{found.memory_bytes / 2**20:,.0f} MiB of {found.task_memory:,} used" + (
        " in each" if found.tasks > 1 else ""
    )
    costs = [f"  {name:<9} {cost:>12,.2f}" for name, cost in found.monthly.items()]
    return "\n".join(
        [
            f"models    {found.model_bytes / 1000:,.0f} kB a sensor",
            f"CPU       {found.cores:g} cores busy, a worker scores on one",
            f"shards    {found.shards}",
            f"tasks     {found.tasks} of {found.task_cpu / 1024:g} vCPU and {found.task_memory:,} MiB ({each})",
            f"ecs.yaml  Workers={found.tasks} Cpu={found.task_cpu} Memory={found.task_memory}",
            f"settings  profile = {found.profile}, max_sensors = {found.max_sensors}",
            f"US dollars a month, prices of {found.prices_region or 'a file'} {found.prices_as_of}:".rstrip(),
            *costs,
        ]
    )


def _plan_network(options: argparse.Namespace) -> int:
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
