"""Streams of records of the project's own making, the same on every machine and in every version of Python."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from aws_kinesis_agg.aggregator import RecordAggregator

START = datetime(2026, 3, 2, tzinfo=UTC)
COLD_ROOM = Path(__file__).parents[1] / "recordings" / "cold_room.csv"
RECORDINGS = (
    "artificialWithAnomaly/art_daily_flatmiddle.csv",
    "artificialWithAnomaly/art_daily_jumpsup.csv",
    "artificialWithAnomaly/art_increase_spike_density.csv",
    "realAWSCloudwatch/ec2_cpu_utilization_24ae8d.csv",
    "realAWSCloudwatch/iio_us-east-1_i-a2eb1cd9_NetworkIn.csv",
    "realAdExchange/exchange-2_cpc_results.csv",
    "realKnownCause/ambient_temperature_system_failure.csv",
    "realKnownCause/rogue_agent_key_updown.csv",
    "realTraffic/TravelTime_387.csv",
    "realTweets/Twitter_volume_AAPL.csv",
)


@dataclass(frozen=True)
class Case:
    """A stream: its records, as partition keys and bytes, and the settings it is read with."""

    records: Callable[[], Iterator[tuple[str, bytes]]]
    readings: int
    settings: Mapping[str, str] = field(default_factory=dict)


def record(sensor: str, seconds: float, **values: float) -> tuple[str, bytes]:
    """One reading; its time is that many seconds after the start."""
    time = (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return sensor, json.dumps({"iotName": sensor, "iotTime": time, **values}).encode()


def classic() -> Iterator[tuple[str, bytes]]:
    """Even noise from 10 to 20, and a value far above about once in 500 readings: the simulated sensor of old."""
    random = Random(1)
    for row in range(20_000):
        far = random.random() < 0.002
        value = round(100 + 20 * random.random() if far else 10 + 10 * random.random(), 4)
        yield record(f"Sensor {row % 4}", row / 4, iotValue=value)


def several() -> Iterator[tuple[str, bytes]]:
    """Two values that follow each other, and for a while do not."""
    random = Random(2)
    for row in range(3_000):
        temperature = 20 + 5 * math.sin(row / 40) + random.random()
        humidity = (60 if 2_300 <= row < 2_500 else 100 - 2 * temperature) + random.random()
        yield record(f"Room {row % 2}", 60 * row, temperature=round(temperature, 3), humidity=round(humidity, 3))


def shingled() -> Iterator[tuple[str, bytes]]:
    """A wave that stands still for twelve readings."""
    random = Random(3)
    for row in range(3_000):
        phase = 2_400 if 2_400 <= row < 2_412 else row
        yield record("Pump", 10 * row, iotValue=round(5 * math.sin(phase / 8) + 0.2 * random.random(), 3))


def aggregates() -> Iterator[tuple[str, bytes]]:
    """Whole numbers, twenty readings in each record of the Kinesis Producer Library."""
    random = Random(4)
    aggregator = RecordAggregator()
    for row in range(2_000):
        sensor, data = record(f"Meter {row % 3}", row, iotValue=int(random.random() * 6) + 40 * (row % 700 == 699))
        aggregator.add_user_record(sensor, data)
        if row % 20 == 19:
            key, _, data = aggregator.clear_and_get().get_contents()
            yield key, data


def cold_room() -> Iterator[tuple[datetime, float]]:
    """Three weeks of a cold room, a value in five minutes: days, a door left open, and a compressor that gives up."""
    random = Random(5)
    for row in range(6_048):
        noise = sum(random.random() for _ in range(6)) - 3
        door = 6 * math.exp(-(row - 3_900) / 8) if row >= 3_900 else 0
        failing = 0.006 * max(row - 5_400, 0)
        value = -20 + 1.5 * math.sin(2 * math.pi * row / 288) + 0.3 * noise + door + failing
        yield START + timedelta(minutes=5 * row), round(value, 2)


def recording() -> Iterator[tuple[str, bytes]]:
    """The file that the project ships."""
    with COLD_ROOM.open(newline="") as file:
        for row in csv.DictReader(file):
            seconds = (datetime.fromisoformat(row["timestamp"]) - START).total_seconds()
            yield record("Cold room", seconds, iotValue=float(row["value"]))


def recordings() -> Iterator[tuple[str, bytes]]:
    """Ten files of the Numenta Anomaly Benchmark side by side, the first 3 000 rows of each, a row in five minutes."""
    columns = {}
    for name in RECORDINGS:
        with (Path(os.environ["CUTWATER_NAB"]) / "data" / name).open(newline="") as file:
            columns[Path(name).stem] = [float(row["value"]) for row in csv.DictReader(file)][:3_000]
    for row in range(3_000):
        for sensor, values in columns.items():
            if row < len(values):
                yield record(sensor, 300 * row, iotValue=values[row])


CASES = {
    "classic": Case(classic, 20_000),
    "several": Case(several, 3_000, {"value-fields": "temperature,humidity"}),
    "shingled": Case(shingled, 3_000, {"shingle": "8"}),
    "aggregates": Case(aggregates, 2_000),
    "recording": Case(recording, 6_048),
    "recordings": Case(recordings, 26_367),
}
