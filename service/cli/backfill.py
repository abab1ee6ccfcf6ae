"""``cutwater backfill``."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from service import logs
from service.assembly import model_fingerprint
from service.cli import EXIT_OK
from service.cli.options import UsageError, add_settings, columns, give_up, load_settings, moment, positive, span
from service.cli.terminal import progress, tell
from service.offline import backfill
from service.retry import give_up_after
from service.sinks.query import Filter
from service.state.templates import TemplateStore
from service.stores import make_blobs, make_index, opened

EXAMPLE = (
    "cutwater backfill history/ --stream RawStreamData\n"
    "  cutwater backfill pump-1.csv pump-2.csv --others pump-1\n"
    "  cutwater backfill --from-index --since 2026-01-01T00:00:00Z"
)


def define(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="CSV files, or folders of them")
    parser.add_argument(
        "--from-index",
        dest="index_history",
        action="store_true",
        help="learn from the documents in the index instead of files",
    )
    parser.add_argument("--since", type=moment, metavar="TIME", help="with --from-index: only from this event time on")
    parser.add_argument("--until", type=moment, metavar="TIME", help="with --from-index: only before this event time")
    parser.add_argument("--others", metavar="SENSOR", help="sensor whose history also serves sensors that have none")
    parser.add_argument("--workers", type=positive, help="number of processes [one for each core]")
    give_up(parser)
    add_settings(parser)


async def run(options: argparse.Namespace) -> int:
    """The command."""
    give_up_after.set(options.wait)
    settings = load_settings(options)
    logs.configure("warning")
    configuration, features = settings.configuration(), tuple(settings.value_fields)
    if options.index_history:
        if options.paths:
            raise UsageError("learn either from files or from the index (--from-index), not from both")
        async with opened(make_index(settings)) as index:
            with progress("reading", None) as done:
                past = await backfill.from_index(index, Filter(None, *span(options)), features, done)
    elif options.paths:
        past = backfill.from_files(options.paths, columns(settings), tell)
    else:
        raise UsageError("name the CSV files or folders to learn from, or say --from-index")
    with progress("learning", sum(len(one.times) for one in past)) as done:
        learnt = await asyncio.to_thread(backfill.learn, past, configuration, options.others, done, options.workers)
    async with opened(make_blobs(settings)) as blobs:
        store = TemplateStore(blobs, settings.stream, model_fingerprint(settings))
        await store.add({one.sensor: one.model for one in learnt}, configuration)
    tell(backfill.summary(learnt))
    return EXIT_OK
