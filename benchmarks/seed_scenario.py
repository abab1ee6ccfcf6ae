"""The classic scenario at default settings: python -m benchmarks.seed_scenario [--first-seed 0] [--json]

Integers from 10-20, 1 % from 100-120. Every outlier after learning should be an anomaly, and nothing else.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks import print_rows
from detector.detector import Configuration
from detector.fleet import Fleet
from detector.types import Readings


def run(sensors: int, seed: int, n: int) -> dict[str, int]:
    """One row."""
    random = np.random.default_rng(seed)
    outlier = random.random(n) < 0.01
    values = np.where(outlier, random.integers(100, 121, n), random.integers(10, 21, n)).astype(np.float64)
    codes = random.integers(0, sensors, n)
    fleet = Fleet(Configuration(seed=seed))
    times = 1_767_571_200_000 + 1000 * np.arange(n, dtype=np.int64)
    scores = fleet.process(Readings(tuple(f"sensor-{k}" for k in range(sensors)), codes, times, values[:, None]))
    judged = scores.ready
    return {
        "sensors": sensors,
        "seed": seed,
        "readings": n,
        "outliers": int((outlier & judged).sum()),
        "found": int((outlier & judged & scores.is_anomaly).sum()),
        "false_alarms": int((~outlier & scores.is_anomaly).sum()),
    }


def main() -> None:
    """Print one row a number of sensors and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readings", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    rows = [run(sensors, seed, arguments.readings) for sensors in (1, 50) for seed in seeds]
    print_rows("seed_scenario", rows, arguments.json)


if __name__ == "__main__":
    main()
