"""``cutwater demo``."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Iterable
from typing import Any

from rich.console import Console

from service import logs, recipes
from service.cli import EXIT_OK, demo_events
from service.cli.options import COLUMNS, add_settings, fraction, load_settings
from service.cli.readings import check_readings, define_readings, fields_of, paced, recorded, simulated
from service.cli.serving import serving
from service.cli.stopping import Stop, on_signals
from service.sinks.query import Filter
from service.source.client import connect
from service.worker.service import Service
from simulator.events import Fault
from simulator.reading import Reading
from simulator.scenarios import SCENARIOS
from simulator.stream import LocalStream
from simulator.writer import Writer

DEMO_RATE = 200.0  # readings a second
READINGS = "iot-temperature"  # the recipe whose records are readings
EXAMPLE = (
    "cutwater demo --sensors 20\n  cutwater demo --csv temperatures.csv --rate 500\n"
    "  cutwater demo --recipe vpc-flow-logs"
)


def define(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    define_readings(parser, "plant")
    group = parser.add_argument_group("events", "instead of sensors")
    group.add_argument(
        "--recipe",
        choices=recipes.names(),
        metavar="NAME",
        help="simulate the events of this recipe (`cutwater recipes` lists them)",
    )
    group.add_argument("--hours", type=fraction, default=12.0, help="how many hours of events before now [%(default)g]")
    add_settings(parser, without=("stream", "region", "endpoint_url", *COLUMNS))


async def run(options: argparse.Namespace) -> int:
    """The command."""
    console = Console(highlight=False, soft_wrap=True)
    stop = on_signals()
    more: dict[str, Any] = {"poll_seconds": 0.2}
    faults: tuple[Fault, ...] = ()
    if options.recipe and options.recipe != READINGS:
        more |= demo_events.settings_of(options)
        readings: Iterable[Reading]
        (readings, faults), speed = demo_events.events(options), None
    check_readings(options, "classic" if options.recipe else "plant")
    if faults:
        pass
    elif options.csv:
        playback = recorded(options, load_settings(options, stream="demo"))
        readings, speed = paced(playback, options, None if options.speed else options.rate or DEMO_RATE)
        more |= fields_of(playback)
    else:
        readings, speed = simulated(options, options.rate or DEMO_RATE)
        more |= SCENARIOS[options.scenario].settings
    with tempfile.TemporaryDirectory(prefix="cutwater-demo-") as folder:
        more |= {} if hasattr(options, "data_dir") else {"data_dir": folder}
        async with LocalStream(streams={"demo": options.shards}) as local:
            settings = load_settings(options, stream="demo", endpoint_url=local.endpoint_url, **more)
            logs.configure("warning")
            console.print(f"[bold]Local Kinesis stream[/] at {local.endpoint_url}, {options.shards} shard(s)")
            async with serving(settings, stop) as (service, address):
                console.print(f"[bold]Page[/] at {address}   [bold]API[/] at {address}/docs   (Ctrl-C stops)")
                what = "windows of each key" if faults else "readings of each sensor"
                console.print(f"Learning from the first {settings.samples} {what} …")
                running = asyncio.create_task(service.run())
                showing = asyncio.create_task(_show_anomalies(service, console))
                async with connect(settings) as client:
                    writing = asyncio.create_task(Writer(client, settings.stream).write(readings, speed=speed))
                    await asyncio.wait(
                        {running, writing, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED
                    )
                    if writing.done() and faults:
                        await demo_events.report(service, writing.result().records, faults, console, stop)
                    elif writing.done():
                        await _report_end(service, writing.result().records, console, stop)
                    writing.cancel()
                service.stop()
                await running
                showing.cancel()
    return EXIT_OK


async def _report_end(service: Service, written: int, console: Console, stop: Stop) -> None:
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
            word = "[bold red]ALERT[/]  " if document["alert"] else "[red]anomaly[/]"
            severity = document.get("severity", round(100 * document["anomaly_grade"]))
            console.print(f"{word}  {document['@timestamp'][:16]}Z  severity {severity:3}  ", end="")
            name = f"{document['sensor']:12}  {document['anomaly_kind']:17}  "
            console.print(name, _values(service, document), sep="", markup=False)


def _values(service: Service, document: dict[str, Any]) -> str:
    """What a document says of its values, with their units."""
    if since := document.get("silent_since"):
        return f"no reading since {since[:16]}Z"
    parts = []
    for name in service.settings.value_fields:
        value, expected = document[f"feature_data_{name}"], document[f"expected_values_{name}"]
        unit = f" {service.settings.value_units[name]}" if name in service.settings.value_units else ""
        parts.append(f"{name} {value:.4g}{unit}" + ("" if expected == value else f", expected {expected:.4g}{unit}"))
    return "; ".join(parts)
