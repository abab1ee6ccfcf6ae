"""``cutwater flink``: the same detector as a job of Apache Flink, beyond a few workers."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from service import UserError
from service.cli import EXIT_OK, add_command
from service.cli.options import UsageError, add_settings, load_settings
from service.cli.terminal import say
from service.flink.group import GROUPS
from service.flink.package import NO_FLINK, make_package
from service.settings.model import Settings

EXAMPLE = "cutwater flink run --input readings/ --output scored/ --parallelism 2"


def define(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    run = add_command(actions, "run", "run the job: on the cluster that runs this command, or in this process", EXAMPLE)
    run.add_argument("--input", default="", metavar="PLACE", help="file or folder of lines, instead of the stream")
    run.add_argument(
        "--follow", type=float, default=0.0, metavar="SECONDS", help="look for new files that often [end with the last]"
    )
    run.add_argument("--output", default="flink-output", metavar="PLACE", help="folder or URL [%(default)s]")
    run.add_argument("--jar", action="append", default=[], type=Path, metavar="FILE", help="the source's connector")
    run.add_argument("--parallelism", type=int, metavar="NUMBER", help="slots to use [as the cluster has it]")
    run.add_argument("--checkpoints", default="", metavar="URL", help="folder of checkpoints [as the cluster has it]")
    run.add_argument("--checkpoint-every", type=float, default=10.0, metavar="SECONDS", help="[%(default)g]")
    run.add_argument("--groups", type=int, default=GROUPS, help="of sensors, fixed for the job's life [%(default)s]")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of Flink's own")
    add_settings(run)
    package = add_command(
        actions,
        "package",
        "make the zip file that Managed Service for Apache Flink runs",
        "cutwater flink package --jar flink-sql-connector-aws-kinesis-streams.jar",
    )
    package.add_argument(
        "--output", type=Path, default=Path("cutwater-flink.zip"), metavar="FILE", help="[%(default)s]"
    )
    package.add_argument("--jar", type=Path, required=True, metavar="FILE", help="the Kinesis connector (SQL jar)")
    package.add_argument("--config", type=Path, metavar="FILE", help="settings to pack [cutwater.toml]")


async def run(options: argparse.Namespace) -> int:
    """The command."""
    if options.action == "package":
        for line in make_package(options.output, options.jar, options.config):
            say(line)
        return EXIT_OK
    settings = load_settings(options)
    if "silent_after" not in settings.model_fields_set:  # shards that are read at different paces look like silences
        settings = load_settings(options, silent_after=0.0)
    if settings.event_reader() and not settings.windows:
        raise UsageError("windows: the Flink job counts events; it writes no document for each, as the service does")
    try:
        from service.flink import job
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyflink":
            raise
        raise UserError(NO_FLINK) from None
    pairs = [each.partition("=") for each in options.set]
    plan = job.Plan(
        input=options.input,
        follow=options.follow,
        output=options.output,
        jars=tuple(jar.resolve().as_uri() for jar in options.jar),
        parallelism=options.parallelism,
        checkpoints=options.checkpoints,
        checkpoint_seconds=options.checkpoint_every,
        groups=options.groups,
        options={key: value for key, _, value in pairs},
    )
    environment = job.environment_of(plan)
    job.build(environment, settings, given(settings), plan)
    await asyncio.to_thread(environment.execute, "cutwater")
    return EXIT_OK


def given(settings: Settings) -> dict[str, Any]:
    """Settings as ``load`` takes them, to be carried to the workers; those that are not the default."""
    chosen = settings.model_dump(exclude_defaults=True)
    return {name: _plain(value) for name, value in chosen.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value) if isinstance(value, Path) else value
