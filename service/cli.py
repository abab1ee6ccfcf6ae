"""The command ``cutwater``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import logging
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, track

from detector.rules import Rules
from service import __version__, backfill, export, logs
from service.app import Service, decoder, serve
from service.dashboards import lint, ndjson, saved_objects
from service.evaluate import evaluate
from service.history import Columns, HistoryError
from service.identity import making
from service.index import IndexSetupError
from service.index.access import Access
from service.index.fields import FIELDS, names
from service.index.opensearch import OpenSearchIndex
from service.kinesis import StreamError, connect
from service.leases import StateError
from service.recent import Filter
from service.replay import Replay
from service.settings import SECRETS, Settings, SettingsError, allowed, default, load
from service.setup import set_up
from service.stores import StartError, state, stores
from service.templates import TemplateStore
from simulator.faults import KINDS, record
from simulator.reading import Reading
from simulator.recording import Recording, RecordingError
from simulator.sensors import Sensors
from simulator.stream import LocalStream
from simulator.writer import WriteError, Writer

log = logging.getLogger("cutwater")

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
STREAM_PORT = 4567
DEMO_RATE = 200.0
# The settings that a score or a decision depends on.
DETECTION = (
    *("sensor_field", "value_fields", "time_field", "engine", "profile", "trees", "samples", "shingle", "time_decay"),
    *("seed", *(rule.name for rule in dataclasses.fields(Rules)), "rules"),
)

_REFUSALS = (StartError, StreamError, StateError, IndexSetupError, RecordingError, WriteError, HistoryError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], Coroutine[Any, Any, int]] = options.command
    try:
        return asyncio.run(command(options))
    except SettingsError as error:
        return _complain(error, EXIT_USAGE)
    except _REFUSALS as error:
        return _complain(error, EXIT_FAILED)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return EXIT_INTERRUPTED


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _complain(error: Exception, code: int) -> int:
    for line in str(error).splitlines():
        sys.stderr.write(f"cutwater: {line}\n")
    return code


async def _run(options: argparse.Namespace) -> int:
    """``cutwater run``."""
    settings = _settings(options)
    logs.configure(settings.log_level, settings.log_format)
    stop = _on_signals()
    async with _serving(settings, stop) as (service, address):
        log.info("reading stream %s; page and API at %s", settings.stream, address)
        finished = await service.run()
    if finished:
        log.info("stopped: all that was fetched is indexed and committed")
    return EXIT_OK


async def _set_up(options: argparse.Namespace) -> int:
    """``cutwater setup``."""
    settings = _settings(options)
    if not settings.opensearch_url:
        raise SettingsError("opensearch_url is not set; the SQLite file that is used without it needs no setup")
    logs.configure("warning")
    index = OpenSearchIndex.of(settings)
    try:
        await set_up(
            index, dry_run=options.dry_run, tell=_say, dashboards_url=options.dashboards_url, access=Access.of(settings)
        )
    finally:
        await index.close()
    return EXIT_OK


async def _lint_dashboards(options: argparse.Namespace) -> int:
    """``cutwater dashboards lint``."""
    problems = 0
    for path in options.files:
        try:
            found = lint(path.read_bytes())
        except OSError as error:
            raise StartError(f"{path}: {error.strerror}") from None
        for problem in found:
            _say(f"{path}: {problem}")
        problems += len(found)
    return EXIT_FAILED if problems else EXIT_OK


async def _write_dashboards(options: argparse.Namespace) -> int:
    """``cutwater dashboards write``."""
    settings = _settings(options)
    try:
        options.file.write_bytes(ndjson(saved_objects(settings.index_prefix, tuple(settings.value_fields))))
    except OSError as error:
        raise StartError(f"{options.file}: {error.strerror}") from None
    return EXIT_OK


async def _replay(options: argparse.Namespace) -> int:
    """``cutwater replay``."""
    settings = _settings(options)
    logs.configure("warning")
    async with stores(settings) as (index, letters), connect(settings) as client:
        replay = Replay(letters, index, client, settings.stream, decoder(settings))
        with _progress("replaying", await letters.count()) as done:
            outcome = await replay.run(again=options.again, done=done)
    _say(f"{outcome.indexed} documents indexed, {outcome.put} records put into stream {settings.stream} again")
    if outcome.doubtful:
        _say(
            f"{outcome.doubtful} records were on their way when a replay was killed: they may be in the stream already;"
            " --again puts them in"
        )
    if kept := outcome.kept.total():
        _say(f"{kept} stay: " + ", ".join(f"{number} {code}" for code, number in outcome.kept.most_common()))
    return EXIT_FAILED if kept or outcome.doubtful else EXIT_OK


async def _export(options: argparse.Namespace) -> int:
    """``cutwater export``."""
    settings = _settings(options)
    logs.configure("warning")
    since, until = (
        None if moment is None else round(moment.timestamp() * 1000) for moment in (options.since, options.until)
    )
    wanted = Filter(options.sensor, since, until, options.min_score, options.anomalies)
    async with stores(settings) as (index, letters):
        pages = letters.pages(export.PAGE) if options.dead_letters else export.documents(index, wanted)
        columns = (
            export.letter_columns()
            if options.dead_letters
            else list(names(FIELDS, tuple(settings.value_fields), tuple(settings.label_fields)))
        )
        written, first = 0, True
        with _output(options.output) as file, _progress("exporting", None) as done:
            async for page in pages:
                if options.format == "csv":
                    file.write(export.table(page, columns, header=first))
                else:
                    file.write(export.ndjson(page))
                written, first = written + len(page), False
                done(len(page))
    sys.stderr.write(f"{written} {'dead letters' if options.dead_letters else 'documents'}\n")
    return EXIT_OK


async def _backfill(options: argparse.Namespace) -> int:
    """``cutwater backfill``."""
    settings = _settings(options)
    logs.configure("warning")
    configuration, features = settings.configuration(), tuple(settings.value_fields)
    if options.index_history:
        if options.paths:
            raise HistoryError("learn either from files or from the index (--from-index), not from both")
        since, until = (
            None if when is None else round(when.timestamp() * 1000) for when in (options.since, options.until)
        )
        async with stores(settings) as (index, _):
            with _progress("reading", None) as done:
                past = await backfill.from_index(index, Filter(None, since, until), features, done)
    elif options.paths:
        past = backfill.from_files(options.paths, _columns(settings), features)
    else:
        raise HistoryError("name the CSV files or folders to learn from, or say --from-index")
    with _progress("learning", sum(len(one.times) for one in past)) as done:
        learnt = await asyncio.to_thread(backfill.learn, past, configuration, options.others, done, options.workers)
    async with state(settings, "backfill") as (_, blobs):
        store = TemplateStore(blobs, settings.stream, making(settings))
        await store.add({one.sensor: one.model for one in learnt}, configuration)
    sys.stderr.write(backfill.summary(learnt) + "\n")
    return EXIT_OK


def _columns(settings: Settings) -> Columns:
    """Where the tables of this stream's sensors say who, when and what."""
    return Columns(settings.sensor_field, settings.time_field, tuple(settings.value_fields.values()))


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
        raise StartError(f"{path}: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; call what this yields with the number of things done since."""
    console = Console(stderr=True)
    columns = TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda number: bar.advance(task, number)


async def _stream(options: argparse.Namespace) -> int:
    """``cutwater stream``."""
    stop = _on_signals()
    try:
        streams = {options.create: options.shards} if options.create else {}
        async with LocalStream(options.host, options.port, streams=streams) as local:
            stop.graceful = True
            print(f"Kinesis API at {local.endpoint_url}", flush=True)  # noqa: T201 - what the command is asked for
            await stop.wait()
    except OSError as error:
        raise StartError(f"cannot listen on {options.host}:{options.port}: {error.strerror}; set --port") from None
    return EXIT_OK


async def _simulate(options: argparse.Namespace) -> int:
    """``cutwater simulate``."""
    if options.faults:
        return _write_faults(options)
    settings = _settings(options)
    if options.create:
        await _create(settings, options.shards)
    readings, speed = _readings(options, options.rate)
    async with connect(settings) as client:
        totals = await Writer(client, settings.stream).write(readings, speed=speed, progress=True)
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"{totals.records} readings written to stream {settings.stream} in {totals.seconds:.1f} s"
    )
    return EXIT_OK


def _write_faults(options: argparse.Namespace) -> int:
    """Recordings with labelled faults, as CSV files."""
    jobs = [(kind, seed) for kind in options.faults for seed in range(options.sensors)]
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    options.output.mkdir(parents=True, exist_ok=True)
    for kind, seed in track(jobs, "Writing", console=console, transient=True):
        name = f"{kind.replace(' ', '-')}-{seed + 1}.csv"
        record(kind, options.random_seed + seed, options.days).save(options.output / name)
    console.print(f"{len(jobs)} recordings of {options.days:g} days in {options.output}")
    return EXIT_OK


async def _demo(options: argparse.Namespace) -> int:
    """``cutwater demo``."""
    console = Console(highlight=False, soft_wrap=True)
    stop = _on_signals()
    readings, speed = _readings(options, options.rate or DEMO_RATE)
    more: dict[str, Any] = {"poll_seconds": 0.2}
    if options.csv and len(columns := Recording(options.csv).value_columns) > 1:
        more["value_fields"] = columns
    with tempfile.TemporaryDirectory(prefix="cutwater-demo-") as folder:
        more |= {} if hasattr(options, "data_dir") else {"data_dir": folder}
        async with LocalStream(streams={"demo": options.shards}) as local:
            settings = _settings(options, stream="demo", endpoint_url=local.endpoint_url, **more)
            logs.configure("warning")
            console.print(f"[bold]Local Kinesis stream[/] at {local.endpoint_url}, {options.shards} shard(s)")
            async with _serving(settings, stop) as (service, address):
                console.print(f"[bold]Page[/] at {address}   [bold]API[/] at {address}/docs   (Ctrl-C stops)")
                console.print(f"Learning from the first {settings.samples} readings of each sensor …")
                running = asyncio.create_task(service.run())
                showing = asyncio.create_task(_show_anomalies(service, console))
                async with connect(settings) as client:
                    writing = asyncio.create_task(Writer(client, settings.stream).write(readings, speed=speed))
                    await asyncio.wait(
                        {running, writing, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED
                    )
                    if writing.done():
                        await _report_end(service, writing.result().records, console, stop)
                    writing.cancel()
                service.stop()
                await running
                showing.cancel()
    return EXIT_OK


async def _evaluate(options: argparse.Namespace) -> int:
    """``cutwater evaluate``."""
    settings = _settings(options)
    evaluate(
        options.paths,
        options.output,
        options.labels,
        options.nab,
        options.workers,
        settings.configuration(),
        _columns(settings),
    )
    return EXIT_OK


async def _report_end(service: Service, written: int, console: Console, stop: _Stop) -> None:
    """Once all readings are through, say what became of them; then go on serving."""
    readings: dict[str, int] = {}
    while readings.get("received", 0) < written and not stop.is_set():
        await asyncio.sleep(0.1)
        readings = (await service.status())["readings"]
    if not stop.is_set():
        console.print(
            f"[bold]All {written} readings are through[/]: {readings['scored']} scored, {readings['learning']} while "
            f"learning, {readings['dead']} dead letters, {readings['anomalies']} anomalies. Ctrl-C stops."
        )
    await stop.wait()


async def _show_anomalies(service: Service, console: Console) -> None:
    """Print each anomaly and alert as it comes."""
    row = -1
    while True:
        await service.recent.wait(row)
        found, row = service.recent.following(Filter(anomalies=True), row, 1000)
        for document in found:
            if since := document.get("silent_since"):
                console.print(
                    f"[red]silent[/]   {document['@timestamp']}  ", document["sensor"], f"  since {since}", sep=""
                )
                continue
            values = "  ".join(f"{name} {document[f'feature_data_{name}']:g}" for name in service.settings.value_fields)
            word = "[red]anomaly[/]" if document["is_anomaly"] else "[red]alert[/]  "
            console.print(
                f"{word}  {document['@timestamp']}  ", document["sensor"], f"  [bold]{values}[/]"
                f"  score {document['anomaly_score']:.2f} ({document['anomaly_kind']})", sep="",
            )  # fmt: skip


# What commands share


@contextlib.asynccontextmanager
async def _serving(settings: Settings, stop: _Stop) -> Any:
    """A service whose API is up, and its address; ``stop`` stops it."""
    from service.api import build  # FastAPI is slow to import, and --help needs none

    async with Service.open(settings) as service, serve(build(service), settings.host, settings.port) as address:

        async def obey() -> None:
            await stop.wait()
            service.stop()

        obeying = asyncio.create_task(obey())
        stop.graceful = True
        try:
            yield service, address
        finally:
            obeying.cancel()


def _readings(options: argparse.Namespace, rate: float | None) -> tuple[Iterable[Reading], float | None]:
    """What to write, and how many times faster than it is due; None for as fast as the stream takes it."""
    if options.csv:
        recording = Recording(options.csv)
        if options.speed or rate is None:
            return recording, options.speed
        return (reading._replace(offset=number / rate) for number, reading in enumerate(recording)), 1.0
    sensors = Sensors(
        options.sensors, rate or 1.0, options.outliers, options.random_seed, options.count, options.start_time
    )
    return sensors, 1.0 if rate else None


async def _create(settings: Settings, shards: int) -> None:
    """Make the stream unless it is there."""
    async with connect(settings) as client:
        try:
            await client.create_stream(StreamName=settings.stream, ShardCount=shards)
            await client.get_waiter("stream_exists").wait(StreamName=settings.stream)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceInUseException":
                raise StreamError(f"cannot create stream {settings.stream!r}: {error}") from None
        except BotoCoreError as error:
            raise StreamError(f"cannot create stream {settings.stream!r}: {error}") from None


class _Stop(asyncio.Event):
    """Set by SIGTERM or SIGINT. Whoever has something to finish first says so; else, and at the second signal, all ends
    at once.
    """

    graceful = False

    def listen(self) -> None:
        """Take over the signals of this process."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def handle() -> None:
            if task is not None and (self.is_set() or not self.graceful):
                task.cancel()
            self.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, handle)


def _on_signals() -> _Stop:
    stop = _Stop()
    stop.listen()
    return stop


def _settings(options: argparse.Namespace, **more: Any) -> Settings:
    names = (*Settings.model_fields, *(f"{name}_file" for name in SECRETS))
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    return load(given | more, file=options.config)


# Options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cutwater",
        description="Anomaly detection on live streams: Kinesis in, Random Cut Forest, anomalies in OpenSearch out.",
        epilog="example: cutwater demo",
    )
    parser.add_argument("--version", action="version", version=f"cutwater {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = _command(
        commands,
        "run",
        _run,
        "read the stream, serve the scores, index the anomalies",
        "cutwater run --stream RawStreamData --region eu-west-1 --opensearch-url https://search.example:443",
    )
    _add_settings(run)

    demo = _command(
        commands,
        "demo",
        _demo,
        "local stream, simulated sensors and the service in one",
        "cutwater demo --sensors 20\n  cutwater demo --csv temperatures.csv --rate 500",
    )
    _add_sensors(demo)
    _add_settings(demo, without=("stream", "region", "endpoint_url"))

    test = _command(
        commands,
        "evaluate",
        _evaluate,
        "run the detector over recordings and report what it finds",
        "cutwater evaluate recordings/ --output report\n"
        "  cutwater evaluate pump.csv --labels faults.json --output report --always-above 90\n"
        "  cutwater evaluate recordings/ --nab --output scores",
    )
    test.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="CSV files, or folders of them")
    test.add_argument("--output", type=Path, metavar="FOLDER", help="write a CSV a file and report.html here")
    test.add_argument(
        "--labels", type=Path, metavar="JSON", help="the true anomalies: file to [[start, end], …] [a column label]"
    )
    test.add_argument("--nab", action="store_true", help="write timestamp,anomaly_score as NAB wants it")
    test.add_argument("--workers", type=_positive, help="processes [one a core]")
    _add_settings(test, only=DETECTION)

    past = _command(
        commands,
        "backfill",
        _backfill,
        "learn sensors from their history, so that they are ready at their first live reading",
        "cutwater backfill history/ --stream RawStreamData\n"
        "  cutwater backfill pump-1.csv pump-2.csv --others pump-1\n"
        "  cutwater backfill --from-index --since 2026-01-01T00:00:00Z",
    )
    past.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="CSV files, or folders of them")
    past.add_argument("--from-index", dest="index_history", action="store_true", help="learn from the index instead")
    past.add_argument("--since", type=_moment, metavar="TIME", help="with --from-index: from this event time on")
    past.add_argument("--until", type=_moment, metavar="TIME", help="with --from-index: before this event time")
    past.add_argument("--others", metavar="SENSOR", help="sensors without a history begin as this one")
    past.add_argument("--workers", type=_positive, help="processes [one a core]")
    _add_settings(past)

    simulate = _command(
        commands,
        "simulate",
        _simulate,
        "write simulated readings or a recording to a stream",
        "cutwater simulate --endpoint-url http://127.0.0.1:4567 --create --count 10000\n"
        "  cutwater simulate --faults drift,stuck --days 14 --output faults",
    )
    _add_sensors(simulate)
    faults = simulate.add_argument_group("faults", "recordings with labelled faults, to files and not to a stream")
    faults.add_argument(
        "--faults", type=_kinds, metavar="KIND,…", help=f"all, or some of {', '.join(KINDS)}; --sensors of each"
    )
    faults.add_argument("--days", type=_fraction, default=14.0, help="length, a reading a minute [%(default)g]")
    faults.add_argument("--output", type=Path, default=Path("faults"), metavar="FOLDER", help="[%(default)s]")
    simulate.add_argument("--create", action="store_true", help="make the stream if it is not there")
    _add_settings(simulate, only=("stream", "region", "endpoint_url"))

    setup = _command(
        commands,
        "setup",
        _set_up,
        "prepare OpenSearch or Elasticsearch: index templates, retention, dashboards",
        "cutwater setup --opensearch-url https://search.example:443 --retention-days 90 --dry-run",
    )
    setup.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
    setup.add_argument(
        "--dashboards-url", default="", metavar="URL", help="import the charts into this Dashboards or Kibana, too"
    )
    access = tuple(name for name in Settings.model_fields if name.startswith("opensearch_"))
    layout = ("index_prefix", "index_rotation", "retention_days", "value_fields", "label_fields")
    _add_settings(setup, only=(*access, *layout, "region"))

    replay = _command(
        commands,
        "replay",
        _replay,
        "send the dead letter again, after its cause was mended",
        "cutwater replay --stream RawStreamData --opensearch-url https://search.example:443",
    )
    replay.add_argument(
        "--again",
        action="store_true",
        help="also put the records of which a killed replay left it open if they were put",
    )
    fields = tuple(name for name in Settings.model_fields if name.endswith(("_field", "_fields")))
    source = ("stream", "region", "endpoint_url", "max_future_seconds")
    _add_settings(replay, only=(*source, *fields, *access, *layout, "data_dir", "dead_letter_url"))

    writing = _command(
        commands,
        "export",
        _export,
        "write the index, or the dead letter, to a file",
        "cutwater export --format csv --since 2026-01-01 --output anomalies.csv",
    )
    writing.add_argument("--output", type=Path, metavar="FILE", help="file to write [standard output]")
    writing.add_argument("--format", choices=("ndjson", "csv"), default="ndjson", help="[%(default)s]")
    writing.add_argument("--dead-letters", action="store_true", help="the dead letter instead of the index")
    writing.add_argument("--sensor", help="only this sensor")
    writing.add_argument("--since", type=_moment, metavar="TIME", help="from this event time on, ISO 8601")
    writing.add_argument("--until", type=_moment, metavar="TIME", help="before this event time")
    writing.add_argument("--min-score", type=float, metavar="NUMBER", help="at least this score")
    writing.add_argument("--anomalies", action="store_true", help="anomalies only")
    _add_settings(writing, only=(*access, *layout, "region", "data_dir", "dead_letter_url"))

    dashboards = _command(
        commands,
        "dashboards",
        None,
        "charts for OpenSearch Dashboards and Kibana as a file, and a linter of such files",
        "cutwater dashboards lint deploy/dashboards.ndjson",
    )
    actions = dashboards.add_subparsers(metavar="ACTION", required=True)
    check = _command(
        actions,
        "lint",
        _lint_dashboards,
        "find what an import or a chart would fail on, in any file of saved objects",
        "cutwater dashboards lint deploy/dashboards.ndjson",
    )
    check.add_argument("files", nargs="+", type=Path, metavar="FILE", help="NDJSON, as Dashboards and Kibana export it")
    write = _command(
        actions,
        "write",
        _write_dashboards,
        "write the charts to a file, to import by hand",
        "cutwater dashboards write cutwater.ndjson --value-fields temperature,humidity",
    )
    write.add_argument("file", type=Path, metavar="FILE", help="to import under Stack or Dashboards Management")
    _add_settings(write, only=("index_prefix", "value_fields"))

    stream = _command(
        commands,
        "stream",
        _stream,
        "a local stream that speaks the Kinesis API, for development",
        "cutwater stream --create RawStreamData --shards 2",
    )
    stream.add_argument("--host", default="127.0.0.1", help="address to listen on [%(default)s]")
    stream.add_argument("--port", type=int, default=STREAM_PORT, help="port to listen on [%(default)s]")
    stream.add_argument("--create", metavar="NAME", help="make a stream of this name")
    stream.add_argument("--shards", type=_positive, default=1, help="shards of that stream [%(default)s]")
    return parser


def _command(commands: Any, name: str, function: Any, text: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(command=function)
    return parser


def _add_sensors(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("readings")
    group.add_argument("--csv", type=Path, metavar="FILE", help="play this recording: a time column, and values")
    group.add_argument("--speed", type=_fraction, help="play it so many times faster than it was recorded")
    group.add_argument("--rate", type=_fraction, help="readings a second [demo: 200; else as fast as possible]")
    group.add_argument("--count", type=_positive, help="readings in all [no end]")
    group.add_argument("--sensors", type=_positive, default=1, help="simulated sensors [%(default)s]")
    group.add_argument("--outliers", type=_share, default=0.01, help="share of outliers, 0 to 1 [%(default)s]")
    group.add_argument("--random-seed", type=_natural, default=0, help="of the simulated readings [%(default)s]")
    group.add_argument(
        "--start-time", type=_moment, metavar="TIME", help="event time of the first, ISO 8601 [none: arrival time]"
    )
    group.add_argument("--shards", type=_positive, default=1, help="shards of a stream that is made [%(default)s]")


def _add_settings(parser: argparse.ArgumentParser, only: Sequence[str] = (), without: Sequence[str] = ()) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="read settings from FILE, not from cutwater.toml")
    group = parser.add_argument_group("settings", "also in cutwater.toml, or as CUTWATER_<NAME> in the environment")
    for name, field in Settings.model_fields.items():
        if name in without or (only and name not in only):
            continue
        text = " ".join((field.description or "").split()).replace("%", "%%")
        if name in SECRETS:  # everybody on the machine sees a command line
            group.add_argument(
                f"--{name.replace('_', '-')}-file", default=argparse.SUPPRESS, metavar="PATH", help=f"File with: {text}"
            )
            continue
        usual = f" [{default(field)}]" if default(field) else ""
        word = allowed(field).split()[0].upper() if "|" not in allowed(field) else allowed(field).replace(" ", "")
        group.add_argument("--" + name.replace("_", "-"), default=argparse.SUPPRESS, metavar=word, help=text + usual)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO 8601 time such as 2026-01-31T12:00:00Z") from None


def _kinds(text: str) -> list[str]:
    kinds = [kind.strip().replace("-", " ") for kind in text.split(",")]
    if kinds == ["all"]:
        return list(KINDS)
    for kind in kinds:
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f"{kind!r} is not a kind of fault; there are all, {', '.join(KINDS)}")
    return kinds


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _fraction(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
