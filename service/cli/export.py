"""``cutwater export``."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from service import UserError, logs
from service.cli import EXIT_OK
from service.cli.options import ACCESS, LAYOUT, add_settings, give_up, load_settings, moment, span
from service.cli.terminal import progress
from service.nearest import nearest
from service.offline import export
from service.retry import give_up_after
from service.settings.model import Settings
from service.sinks.index.event_fields import EventLayout
from service.sinks.index.fields import FIELDS, names
from service.sinks.query import Filter, Find
from service.state.feedback import Feedback, labels
from service.stores import make_blobs, make_dead_letters, make_index, opened, require_data

EXAMPLE = (
    "cutwater export --format csv --since 2026-01-01 --output anomalies.csv\n"
    "  cutwater export --events --field source.ip:10.0.0.7 --output flows.ndjson\n"
    "  cutwater export --labels --output labels.json"
)


def define(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("--output", type=Path, metavar="FILE", help="file to write [standard output]")
    parser.add_argument(
        "--format", choices=("ndjson", "csv"), default="ndjson", help="format of the output [%(default)s]"
    )
    parser.add_argument(
        "--events", action="store_true", help="export the events of a stream of events, instead of scores"
    )
    parser.add_argument(
        "--windows", dest="of_windows", action="store_true", help="export the windows that count events"
    )
    parser.add_argument("--dead-letters", action="store_true", help="export dead letters instead of documents")
    parser.add_argument(
        "--labels", action="store_true", help="export what people marked as faults, for evaluate --labels"
    )
    parser.add_argument("--sensor", help="only this sensor")
    parser.add_argument(
        "--field", action="append", default=[], metavar="NAME:VALUE", help="only events or windows that have this value"
    )
    parser.add_argument("--since", type=moment, metavar="TIME", help="only from this event time on, ISO 8601")
    parser.add_argument("--until", type=moment, metavar="TIME", help="only before this event time")
    parser.add_argument("--min-score", type=float, metavar="NUMBER", help="only with at least this anomaly_score")
    parser.add_argument("--anomalies", action="store_true", help="only anomalies")
    give_up(parser)
    places = ("region", "state_region", "data_dir", "dead_letter_url", "stream", "snapshot_url")
    add_settings(parser, only=(*ACCESS, *LAYOUT, *places))


async def run(options: argparse.Namespace) -> int:
    """The command."""
    give_up_after.set(options.wait)
    settings = load_settings(options)
    logs.configure("warning")
    if options.labels:
        return await _labels(settings, options.output)
    require_data(settings, settings.dead_letter_url if options.dead_letters else settings.opensearch_url)
    wanted, columns = _wanted(settings, options)
    async with opened(make_index(settings)) as index, opened(make_dead_letters(settings)) as letters:
        pages = letters.pages(export.PAGE) if options.dead_letters else export.documents(index, wanted)
        written, first = 0, True
        with _output(options.output) as file, progress("exporting", None) as done:
            async for page in pages:
                if options.format == "csv":
                    file.write(export.table(page, columns, header=first))
                else:
                    file.write(export.ndjson(page))
                written, first = written + len(page), False
                done(len(page))
    sys.stderr.write(f"{written} {'dead letters' if options.dead_letters else 'documents'}\n")
    return EXIT_OK


def _wanted(settings: Settings, options: argparse.Namespace) -> tuple[Filter | Find, list[str]]:
    """Which documents, and their columns. Raises UserError for flags that do not go together."""
    if sum((options.events, options.of_windows, options.dead_letters, options.labels)) > 1:
        raise UserError("one of --events, --windows, --dead-letters and --labels")
    if not options.events and not options.of_windows:
        if options.field:
            raise UserError("--field: needs --events or --windows")
        columns = list(names(FIELDS, tuple(settings.value_fields), tuple(settings.label_fields)))
        wanted = Filter(options.sensor, *span(options), options.min_score, options.anomalies)
        return wanted, export.letter_columns() if options.dead_letters else columns
    layout = EventLayout.of(settings)
    if layout is None:
        raise UserError("--events and --windows: event_format is not set, so the stream holds readings")
    if options.sensor or options.min_score is not None or options.anomalies:
        raise UserError("--sensor, --min-score and --anomalies: are for scores; use --field NAME:VALUE")
    kind: Literal["event", "window"] = "event" if options.events else "window"
    terms = [each.partition(":")[::2] for each in options.field]
    if wrong := [each for each in options.field if not all(each.partition(":"))]:
        raise UserError(f"--field: {wrong[0]!r} is not NAME:VALUE")
    columns = layout.columns(kind)
    for name, _ in terms:
        if layout.field(name) not in columns:
            raise UserError(f"--field: there is no field {name!r}{nearest(name, [*columns, *layout.aliases])}")
    return Find(kind, *span(options), tuple(terms)), columns


async def _labels(settings: Settings, output: Path | None) -> int:
    """What people said, as labels."""
    require_data(settings, settings.snapshot_url)
    async with opened(make_blobs(settings)) as blobs:
        said = Feedback(blobs, settings.stream)
        said.opened.set()
        await said.refresh()
    found = labels(said.words())
    with _output(output) as file:
        file.write(json.dumps(found, indent=2, ensure_ascii=False).encode() + b"\n")
    sys.stderr.write(f"{sum(map(len, found.values()))} labels of {len(found)} sensors\n")
    return EXIT_OK


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[IO[bytes]]:
    """The file to write, or standard output. A file appears under its name only when it is whole."""
    if path is None:
        yield sys.stdout.buffer
        return
    draft = path.with_name(path.name + ".part")
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
