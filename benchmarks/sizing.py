"""What a sensor and a reading take, which ``cutwater plan`` computes with: python -m benchmarks.sizing [--json]

A fleet reads batches of one reading a sensor, as a busy stream brings them. Bytes are those of a model in memory; time
is CPU time of the detector a reading, the mean over the batches after the models are full.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from benchmarks import print_rows
from detector.detector import POINTS, Configuration, Detector, warm_up
from detector.fleet import Fleet
from detector.types import Readings

SENSORS, LEARNING, MEASURED = 20, 600, 100  # LEARNING and MEASURED: batches


def measure(profile: Any, values: int) -> dict[str, Any]:
    """A row."""
    configuration = Configuration(profile=profile, dimensions=values)
    warm_up(configuration)
    fleet, random, began = Fleet(configuration), np.random.default_rng(0), 0.0
    names, codes = tuple(f"s{number}" for number in range(SENSORS)), np.arange(SENSORS)
    for batch in range(LEARNING + MEASURED):
        if batch == LEARNING:
            began = time.process_time()
        times = np.full(SENSORS, 60_000 * batch)
        fleet.process(Readings(names, codes, times, random.normal(20.0, 1.0, (SENSORS, values))))
    spent = (time.process_time() - began) / (MEASURED * SENSORS)
    size = len(Detector(configuration, 0).snapshot(compress=False))
    return {"profile": profile, "values": values, "bytes_per_sensor": size, "us_per_reading": round(1e6 * spent, 1)}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--profiles", nargs="+", choices=tuple(POINTS), default=tuple(POINTS), metavar="PROFILE")
    parser.add_argument("--values", nargs="+", type=int, default=[1, 2, 4, 8], metavar="NUMBER", help="of a reading")
    options = parser.parse_args()
    print_rows(
        "sizing", [measure(profile, values) for profile in options.profiles for values in options.values], options.json
    )


if __name__ == "__main__":
    main()
