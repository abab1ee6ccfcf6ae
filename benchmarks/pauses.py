"""Alerts that a pause of the whole stream raises: python -m benchmarks.pauses [--json]

Sensors give a reading a minute, each at its own second, in one or several shards; then nothing comes for a while, and
all return. A row has the alerts and silences from the last reading before to two hours after: at most one.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from benchmarks import print_rows
from detector.detector import Configuration
from detector.fleet import Fleet
from detector.types import Readings

MINUTE = 60_000
START = 1_767_571_200_000
BEFORE, AFTER = 400, 120  # minutes
GAPS = (6, 11, 30, 60, 360, 1440, 10_080, 43_200)


def alerts(sensors: int, gap: int, seed: int) -> int:
    """Alerts of one shard."""
    random = np.random.default_rng(seed)
    minutes = np.arange(BEFORE + AFTER, dtype=np.int64)
    minutes = np.where(minutes < BEFORE, minutes, minutes + gap)
    offsets = random.integers(0, MINUTE, sensors)
    times = (minutes[:, None] * MINUTE + offsets).ravel()
    order = np.argsort(times, kind="stable")
    codes = np.tile(np.arange(sensors), len(minutes))[order]
    times = START + times[order]
    values = random.uniform(47, 53, (len(times), 1))
    fleet, found = Fleet(Configuration(profile="small")), 0
    names = tuple(f"s{k}" for k in range(sensors))
    from_here = START + MINUTE * (BEFORE + gap)
    for part in np.array_split(np.arange(len(times)), 40):
        scores = fleet.process(Readings(names, codes[part], times[part], values[part]))
        found += int((scores.alert & (times[part] >= from_here)).sum()) + len(fleet.silences)
    return found


def main() -> None:
    """Print one row a case. Exit code 1 if a pause raises more than one alert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for sensors, shards in ((1, 1), (2, 1), (4, 4), (10, 1), (50, 2), (200, 1), (200, 4)):
        for gap in GAPS:
            each = [len(part) for part in np.array_split(np.arange(sensors), shards)]
            found = sum(alerts(count, gap, shard) for shard, count in enumerate(each))
            rows.append({"sensors": sensors, "shards": shards, "gap_minutes": gap, "alerts": found})
    print_rows("pauses", rows, arguments.json)
    sys.exit(any(row["alerts"] > 1 for row in rows))


if __name__ == "__main__":
    main()
