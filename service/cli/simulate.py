"""``cutwater simulate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import track

from service import regions
from service.cli import EXIT_OK
from service.cli.options import add_settings, fraction, load_settings
from service.cli.readings import check_readings, define_readings, paced, recorded, simulated
from service.settings.model import Settings
from service.source.client import StreamError, connect
from simulator.faults import KINDS, record
from simulator.writer import Writer

EXAMPLE = (
    "cutwater simulate --endpoint-url http://127.0.0.1:4567 --create --count 10000\n"
    "  cutwater simulate --faults drift,stuck --days 14 --output faults"
)


def define(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    define_readings(parser, "classic")
    faults = parser.add_argument_group("faults", "write CSV files with labelled faults, instead of a stream")
    faults.add_argument(
        "--faults",
        type=_kinds,
        metavar="KIND,…",
        help=f"all, or some of {', '.join(KINDS)}; as many sensors of each as --sensors says",
    )
    faults.add_argument("--days", type=fraction, default=14.0, help="days of readings, one per minute [%(default)g]")
    faults.add_argument(
        "--output", type=Path, default=Path("faults"), metavar="FOLDER", help="folder for the files [%(default)s]"
    )
    parser.add_argument("--create", action="store_true", help="make the stream if it is not there")
    add_settings(parser, only=("stream", "region", "role_arn", "endpoint_url"))


async def run(options: argparse.Namespace) -> int:
    """The command."""
    check_readings(options, "classic")
    if options.faults:
        return _write_faults(options)
    settings = load_settings(options)
    if options.csv:
        readings, speed = paced(recorded(options, settings), options, options.rate)
    else:
        readings, speed = simulated(options, options.rate)
    if options.create:
        await _create(settings, options.shards)
    async with connect(settings) as client:
        totals = await Writer(client, settings.stream_arn or settings.stream).write(
            readings, speed=speed, progress=True
        )
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"{totals.records} readings written to stream {settings.stream} in {totals.seconds:.1f} s"
    )
    return EXIT_OK


def _write_faults(options: argparse.Namespace) -> int:
    """Recordings with labelled faults, as CSV files."""
    jobs = [(kind, seed) for kind in options.faults for seed in range(options.sensors or 1)]
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    options.output.mkdir(parents=True, exist_ok=True)
    for kind, seed in track(jobs, "Writing", console=console, transient=True):
        name = f"{kind.replace(' ', '-')}-{seed + 1}.csv"
        record(kind, options.random_seed + seed, options.days).save(options.output / name)
    console.print(f"{len(jobs)} recordings of {options.days:g} days in {options.output}")
    return EXIT_OK


async def _create(settings: Settings, shards: int) -> None:
    """Make the stream unless it is there."""
    if settings.stream_arn:
        raise StreamError(f"stream = {settings.stream_arn!r}: a stream that is to be made has a name, not an ARN")
    async with connect(settings) as client:
        try:
            await client.create_stream(StreamName=settings.stream, ShardCount=shards)
            await client.get_waiter("stream_exists").wait(StreamName=settings.stream)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceInUseException":
                raise StreamError(f"cannot create stream {settings.stream!r}: {error}") from None
        except BotoCoreError as error:
            doubt = regions.doubt(settings.region, error, answered=False)
            raise StreamError(f"cannot create stream {settings.stream!r}: {error}{doubt}") from None


def _kinds(text: str) -> list[str]:
    kinds = [kind.strip().replace("-", " ") for kind in text.split(",")]
    if kinds == ["all"]:
        return list(KINDS)
    for kind in kinds:
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f"{kind!r} is not a kind of fault; there are all, {', '.join(KINDS)}")
    return kinds
