"""Readings to write to a stream: of simulated sensors, or of a recording."""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.options import UsageError, add_columns, columns, fraction, moment, natural, positive, share
from service.cli.terminal import tell
from simulator.reading import Reading
from simulator.scenarios import SCENARIOS

_HISTORY = timedelta(weeks=26)  # before now, where readings begin whose event time runs ahead of the clock

if TYPE_CHECKING:
    from service.settings.model import Settings
    from simulator.recording import Playback

# What a recording says itself, with what is usual for simulated sensors
_SIMULATED = {"scenario": None, "sensors": None, "outliers": 0.01, "random_seed": 0, "start_time": None}


def define_readings(parser: argparse.ArgumentParser, scenario: str) -> None:
    """The arguments that say which; ``scenario`` is that of no other choice."""
    group = parser.add_argument_group("readings")
    summaries = "; ".join(f"{name}: {each.summary}" for name, each in SCENARIOS.items())
    group.add_argument("--scenario", choices=SCENARIOS, help=f"{summaries} [{scenario}]")
    group.add_argument("--csv", type=Path, metavar="FILE", help="play this CSV file, with times and values")
    group.add_argument("--speed", type=fraction, help="with --csv: how many times faster than it was recorded")
    group.add_argument("--rate", type=fraction, help="readings per second [demo: 200; else as fast as possible]")
    group.add_argument(
        "--count", type=positive, help="stop after this many readings [never, or at the end of the file]"
    )
    group.add_argument("--sensors", type=positive, help="number of simulated sensors [classic: 1, plant: 7]")
    group.add_argument("--outliers", type=share, help="with --scenario classic: share of outliers, 0 to 1 [0.01]")
    group.add_argument("--random-seed", type=natural, help="seed of the simulated readings [0]")
    group.add_argument(
        "--start-time", type=moment, metavar="TIME", help="event time of the first reading, ISO 8601 [arrival time]"
    )
    group.add_argument("--shards", type=positive, default=1, help="shards, if the stream is made [%(default)s]")
    add_columns(parser)


def check_readings(options: argparse.Namespace, scenario: str) -> None:
    """Fill in what is usual. Raises UsageError for options that do not go together."""
    given = [name for name in _SIMULATED if getattr(options, name) is not None]
    if options.csv and given:
        flags = ", ".join("--" + name.replace("_", "-") for name in given)
        raise UsageError(f"{flags}: for simulated sensors only; with --csv the recording says so itself")
    if options.speed and not options.csv:
        raise UsageError("--speed: for a recording (--csv) only; simulated sensors have a --rate")
    if options.speed and options.rate:
        raise UsageError("--speed and --rate: either so many times faster, or so many readings a second")
    for name, usual in _SIMULATED.items():
        if getattr(options, name) is None:
            setattr(options, name, usual)
    options.scenario = options.scenario or scenario


def simulated(options: argparse.Namespace, rate: float | None) -> tuple[Iterable[Reading], float | None]:
    """Readings of simulated sensors, and how many times faster than they are due; None: as fast as the stream takes."""
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


def recorded(options: argparse.Namespace, settings: Settings) -> Playback:
    """The recording that ``--csv`` names; says how it was read. Raises HistoryError."""
    import numpy as np

    from service.offline.tables import read, say_once
    from simulator.recording import Playback

    table = read(options.csv, columns(settings, options))
    for line in say_once([(options.csv.name, table)]):
        tell(line)
    histories = table.histories
    times = np.concatenate([one.times for one in histories])
    order = np.argsort(times, kind="stable")
    values = np.concatenate([one.values for one in histories])[order]
    names = [one.sensor for one in histories for _ in range(len(one.times))]
    playback = Playback([names[row] for row in order.tolist()], times[order], values, histories[0].features)
    if without := len(times) - len(playback):
        tell(f"{without} rows without a value are left out")
    return playback


def paced(
    playback: Playback, options: argparse.Namespace, rate: float | None
) -> tuple[Iterable[Reading], float | None]:
    """The recording's readings, and how many times faster than they are due; None: as fast as the stream takes."""
    readings = itertools.islice(playback, options.count)
    if options.speed or rate is None:
        return readings, options.speed
    return (reading._replace(offset=number / rate) for number, reading in enumerate(readings)), 1.0


def fields_of(playback: Playback) -> dict[str, dict[str, str] | str]:
    """The settings with which a service reads the recording's records."""
    fields: dict[str, dict[str, str] | str] = {"sensor_field": "iotName", "time_field": "iotTime"}
    if len(playback.names) == 1:
        return fields | {"value_fields": {"iotValue": "iotValue"}}
    values: dict[str, str] = {}
    for name in playback.names:
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "value"
        plain = plain if not plain[0].isdigit() else f"value_{plain}"
        while plain in values:
            plain += "_"
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        values[plain] = name if plain == name else f'"{escaped}"'
    return fields | {"value_fields": values}
