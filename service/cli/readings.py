"""Readings to write to a stream: of simulated sensors, or of a recording."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service.cli.options import fraction, moment, natural, positive, share
from simulator.reading import Reading
from simulator.recording import Recording
from simulator.scenarios import SCENARIOS

_HISTORY = timedelta(weeks=26)  # before now, where readings begin whose event time runs ahead of the clock


def define_readings(parser: argparse.ArgumentParser, scenario: str) -> None:
    """The arguments that say which; ``scenario`` is that of no other choice."""
    group = parser.add_argument_group("readings")
    summaries = "; ".join(f"{name}: {each.summary}" for name, each in SCENARIOS.items())
    group.add_argument("--scenario", choices=SCENARIOS, default=scenario, help=f"{summaries} [%(default)s]")
    group.add_argument("--csv", type=Path, metavar="FILE", help="play this recording: a time column, and values")
    group.add_argument("--speed", type=fraction, help="play it so many times faster than it was recorded")
    group.add_argument("--rate", type=fraction, help="readings a second [demo: 200; else as fast as possible]")
    group.add_argument("--count", type=positive, help="readings in all [no end]")
    group.add_argument("--sensors", type=positive, help="simulated sensors [classic: 1, plant: 7]")
    group.add_argument("--outliers", type=share, default=0.01, help="classic: share of outliers, 0 to 1 [%(default)s]")
    group.add_argument("--random-seed", type=natural, default=0, help="of the simulated readings [%(default)s]")
    group.add_argument(
        "--start-time", type=moment, metavar="TIME", help="event time of the first, ISO 8601 [none: arrival time]"
    )
    group.add_argument("--shards", type=positive, default=1, help="shards of a stream that is made [%(default)s]")


def readings_of(options: argparse.Namespace, rate: float | None) -> tuple[Iterable[Reading], float | None]:
    """What to write, and how many times faster than it is due; None for as fast as the stream takes it."""
    if options.csv:
        recording = Recording(options.csv)
        if options.speed or rate is None:
            return recording, options.speed
        return (reading._replace(offset=number / rate) for number, reading in enumerate(recording)), 1.0
    scenario = SCENARIOS[options.scenario]
    start = _long_ago() if scenario.ahead else None
    if options.start_time is not None:
        start = datetime.fromtimestamp(options.start_time / 1000, UTC)
    number = options.sensors or scenario.sensors
    readings = scenario.make(number, rate or 1.0, options.outliers, options.random_seed, options.count, start)
    return readings, 1.0 if rate else None


def _long_ago() -> datetime:
    """A Monday's midnight so long ago that event time has room to run ahead."""
    then = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - _HISTORY
    return then - timedelta(days=then.weekday())
