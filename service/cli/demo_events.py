"""``cutwater demo --recipe``: a recipe's stream of events, with labelled faults."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console

from service import recipes
from service.cli.options import UsageError
from service.cli.stopping import Stop
from service.worker.service import Service
from simulator.events import NAMES, Fault, generator
from simulator.reading import Reading

_HOUR = 3600.0


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """What the recipe sets besides its file, which ``options.config`` names from now on. Raises UsageError."""
    if options.recipe not in NAMES:
        raise UsageError(f"--recipe {options.recipe}: has readings, not events; leave it out")
    if options.csv or options.scenario:
        raise UsageError("--recipe: has a stream of its own; leave out --csv and --scenario")
    options.config = options.config or recipes.folder(options.recipe) / recipes.SETTINGS
    return {"enrich": recipes.tables(options.recipe)}


def events(options: argparse.Namespace) -> tuple[Iterator[Reading], tuple[Fault, ...]]:
    """Records of some hours of the recipe's stream, which end now, and the faults in them."""
    made = generator(options.recipe)
    start = round(time.time() - options.hours * _HOUR) // 60 * 60_000
    seconds = options.hours * _HOUR
    faults = made.plan(start, seconds)
    records = made.generate(start, options.rate or made.rate, seconds, options.random_seed or 0, faults)
    return (Reading(each.partition_key, 0.0, each.data) for each in records), faults


async def report(service: Service, written: int, faults: tuple[Fault, ...], console: Console, stop: Stop) -> None:
    """Once all records are through, say what became of them and which faults were in them; then go on serving."""
    while not stop.is_set():
        await asyncio.sleep(0.2)
        status = await service.status()
        if status["records"] >= written and not any(shard["in_flight_bytes"] for shard in status["shards"]):
            break
    if not stop.is_set():
        counts, readings = status["events"], status["readings"]
        console.print(
            f"[bold]All {written} records are through[/]: {counts['events']} events, {counts['windows']} windows, "
            f"{readings['dead']} dead letters, {readings['anomalies']} anomalies. The faults in them were:"
        )
        for fault in faults:
            begin, end = (time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(each / 1000)) for each in fault[1:3])
            console.print(f"  {begin} to {end}  {fault.kind}: {fault.about}", markup=False)
        console.print("Ctrl-C stops.")
    await stop.wait()
