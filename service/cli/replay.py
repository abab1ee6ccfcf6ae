"""``cutwater replay``."""

from __future__ import annotations

import argparse

from service import logs
from service.assembly import make_decoder, make_event_decoder
from service.cli import EXIT_FAILED, EXIT_OK
from service.cli.options import ACCESS, LAYOUT, add_settings, give_up, load_settings
from service.cli.terminal import progress, say
from service.offline.replay import Replay
from service.retry import give_up_after
from service.settings.model import Settings
from service.source.client import connect
from service.stores import make_dead_letters, make_index, opened, require_data

EXAMPLE = "cutwater replay --stream RawStreamData --opensearch-url https://search.example:443"


def define(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "--again",
        action="store_true",
        help="also send records that a killed replay may have sent already",
    )
    fields = tuple(name for name in Settings.model_fields if name.endswith(("_field", "_fields")))
    source = ("stream", "region", "role_arn", "state_region", "endpoint_url", "max_future_seconds")
    give_up(parser)
    add_settings(parser, only=(*source, *fields, *ACCESS, *LAYOUT, "data_dir", "dead_letter_url"))


async def run(options: argparse.Namespace) -> int:
    """The command."""
    give_up_after.set(options.wait)
    settings = load_settings(options)
    logs.configure("warning")
    require_data(settings, settings.dead_letter_url)
    async with (
        opened(make_index(settings)) as index,
        opened(make_dead_letters(settings)) as letters,
        connect(settings) as client,
    ):
        replay = Replay(
            letters,
            index,
            client,
            settings.stream,
            make_event_decoder(settings) or make_decoder(settings),
            settings.stream_arn,
        )
        with progress("replaying", await letters.count()) as done:
            outcome = await replay.run(again=options.again, done=done)
    say(f"{outcome.indexed} documents indexed, {outcome.put} records put into stream {settings.stream} again")
    if outcome.gaps:
        say(f"{outcome.gaps} gaps were logged and deleted: what left the stream unread cannot be sent")
    if outcome.doubtful:
        say(
            f"{outcome.doubtful} records were on their way when a replay was killed: they may be in the stream already;"
            " --again puts them in"
        )
    if kept := outcome.kept.total():
        say(f"{kept} stay: " + ", ".join(f"{number} {code}" for code, number in outcome.kept.most_common()))
    return EXIT_FAILED if kept or outcome.doubtful else EXIT_OK
