"""Ten million readings through one forest: python -m benchmarks.endurance [--readings 10000000] [--json]

Does it slow down, does its memory grow, and is everything in its buffer as it must be at the end? The time is CPU time
of batches of 1000, the median over the first and over the last tenth of the readings.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.progress import track

from benchmarks import print_json
from benchmarks.peers import FLEET, Shape, stream
from detector.forest.cut_forest import CutForest
from detector.forest.forest import Parameters
from tests.detector.buffers import read

SHAPES = (FLEET, Shape(30, 256, 1, 8))
BATCH = 1000


def endure(shape: Shape, readings: int) -> dict[str, Any]:
    """The row of a shape."""
    forest = CutForest(Parameters(shape.dimensions, shape.trees, shape.samples, shape.shingle))
    values, times, sizes = stream(shape, 1000 * BATCH), np.ones(readings // BATCH), []
    total, process = 0.0, psutil.Process()
    label = f"{tuple(shape)}"
    for number in track(range(readings // BATCH), label, console=Console(stderr=True), transient=True):
        at = number * BATCH % len(values)
        drift = number * 1e-3  # so that no reading ever comes twice
        batch = values[at : at + BATCH] + drift
        began = time.thread_time()
        scores = forest.process(batch)
        times[number] = (time.thread_time() - began) / BATCH * 1e6
        total += float(scores.sum())
        if number % 100 == 0:
            sizes.append(process.memory_info().rss)
    read(forest)  # AssertionError, if anything is not as it must be
    tenth = max(len(times) // 10, 1)
    return {
        "engine": "cutwater",
        **shape._asdict(),
        "readings": forest.seen,
        "us_per_point_first_tenth": round(float(np.median(times[:tenth])), 3),
        "us_per_point_last_tenth": round(float(np.median(times[-tenth:])), 3),
        "process_growth_bytes": sizes[-1] - sizes[len(sizes) // 10],
        "mean_score": round(total / forest.seen, 4),
        "invariants": "hold",
    }


def main() -> None:
    """Print one row a shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readings", type=int, default=10_000_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for shape in SHAPES:
        rows.append(endure(shape, arguments.readings))
        print(rows[-1], flush=True)
    if arguments.json:
        print_json("endurance", rows)


if __name__ == "__main__":
    main()
