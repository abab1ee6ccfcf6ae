"""False alerts of sensors with which nothing is wrong: python -m benchmarks.noise [--sensors 20] [--json]

Each sensor is noise around a level, without season or fault, and every alert of it is false, from its first reading on.
Four kinds: normal; heavy-tailed (Student's t with three degrees of freedom); autocorrelated (each reading keeps nine
tenths of the last one's distance); counts (Poisson, four at a time). Examples:

    python -m benchmarks.noise --intervals 300            only sensors that report every five minutes
    python -m benchmarks.noise --sensors 5 --json         a first impression in a minute
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks import print_rows
from detector.detector import Configuration, Detector

START = 1_767_571_200_000
DAYS = {1: 2, 60: 21, 300: 42, 3600: 180}  # of a recording, by the seconds between its readings


def normal(random: np.random.Generator, n: int) -> np.ndarray:
    """Of deviation 1."""
    return random.normal(0, 1, n)


def heavy_tailed(random: np.random.Generator, n: int) -> np.ndarray:
    """Of infinite fourth moment."""
    return random.standard_t(3, n)


def autocorrelated(random: np.random.Generator, n: int, keep: float = 0.9) -> np.ndarray:
    """Of deviation 1, each reading ``keep`` times the last one's distance and new noise."""
    noise = random.normal(0, 1, n) * np.sqrt(1 - keep * keep)
    for step in range(8):  # (1 + k z)(1 + k^2 z^2)... = 1 / (1 - k z), up to k^256
        lag = 2**step
        noise[lag:] = noise[lag:] + keep**lag * noise[:-lag]
    return noise


def counts(random: np.random.Generator, n: int) -> np.ndarray:
    """Whole numbers, four in the mean."""
    return random.poisson(4, n).astype(float) - 4


NOISES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": normal,
    "heavy-tailed": heavy_tailed,
    "autocorrelated": autocorrelated,
    "counts": counts,
}


def alerts(job: tuple[str, int, float, int]) -> int:
    """Alerts of one sensor."""
    noise, interval, days, seed = job
    random = np.random.default_rng((seed, interval, list(NOISES).index(noise)))
    n = round(days * 86_400 / interval)
    times = START + 1000 * interval * np.arange(n, dtype=np.int64)
    values = 50 + NOISES[noise](random, n)
    return int(Detector(Configuration(), seed).process(times, values[:, None]).alert.sum())


def main() -> None:
    """Print one row a noise and interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sensors", type=int, default=20, help="of each noise and interval")
    parser.add_argument("--intervals", type=int, nargs="+", default=list(DAYS), choices=list(DAYS), metavar="SECONDS",
                        help=f"between readings, of {', '.join(map(str, DAYS))} (default: all)")  # fmt: skip
    parser.add_argument("--noises", nargs="+", default=list(NOISES), choices=list(NOISES))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0, help="of the first sensor")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    jobs = [
        (noise, interval, float(DAYS[interval]), arguments.seed + k)
        for noise in arguments.noises
        for interval in arguments.intervals
        for k in range(arguments.sensors)
    ]
    with ProcessPoolExecutor(arguments.processes) as pool:
        done = track(pool.map(alerts, jobs), "sensors", len(jobs), console=Console(stderr=True), transient=True)
        found = dict(zip(jobs, done, strict=True))
    rows: list[dict[str, Any]] = []
    for noise in arguments.noises:
        for interval in arguments.intervals:
            each = [found[job] for job in jobs if job[:2] == (noise, interval)]
            rate = sum(each) / (len(each) * DAYS[interval])
            rows.append({"noise": noise, "interval_seconds": interval, "alerts_per_sensor_day": rate})
    print_rows("noise", rows, arguments.json)


if __name__ == "__main__":
    main()
