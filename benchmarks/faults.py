"""How well each kind of fault is found: python -m benchmarks.faults [--sensors 200] [--days 30] [--json]

Alerts of the default detector beside a windowed Gaussian and krcf with a 3-sigma threshold on its scores (an alert is
then a crossing after 30 quiet readings). Each sensor is another one, with two faults of one kind. A fault is found if
an alert falls between its start and an hour after its end; an alert on the way back, within a day after the end,
counts for nothing; every other one after the first week, in which all detectors may learn the week, is false. Besides:
how many alerts a fault that is found raises; how many false ones come in the hours of the week after in which it was
(or within the day after them), where it may have spoilt the pattern; and those of the first week, when nothing is wrong
yet. Kinds are what we call a fault: in its first alert, and in the last reading of the episode that began with it.

    python -m benchmarks.faults --sensors 16 --detectors cutwater     a first impression in a minute
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks import print_rows
from detector.detector import Configuration, Detector
from detector.types import KINDS as NAMES
from simulator.faults import DAY, KINDS, Recording, record

HOUR = 3_600_000
WEEK = 7 * DAY
LEARNING = WEEK
FIRST_SEED = 1000

Alerts = tuple[np.ndarray, np.ndarray, np.ndarray]  # times; kinds, and those of their episodes at the end, if named


class Found(NamedTuple):
    """What became of one sensor's faults."""

    faults: int
    delays: list[float]  # minutes, of those found
    told: int  # alerts within the faults
    false: int
    echoes: int  # of these, a week after a fault
    early: int  # alerts of the first week
    days: float
    named: list[tuple[str, str]]  # kinds of a fault's first alert, and of its episode at the end


def ours(recording: Recording) -> Alerts:
    """Alerts of the default detector."""
    detector = Detector(Configuration(dimensions=recording.values.shape[1]), 0)
    scores = detector.process(recording.times, recording.values)
    return recording.times[scores.alert], scores.kind[scores.alert], scores.settled()[scores.alert]


def crossings(times: np.ndarray, unusual: np.ndarray) -> Alerts:
    """Times at which a condition begins after 30 readings without."""
    rows = np.flatnonzero(unusual)
    rows = rows[np.diff(rows, prepend=-100) > 30]
    unnamed = np.zeros(len(rows), dtype=np.int64)
    return times[rows], unnamed, unnamed


def gaussian(recording: Recording, window: int = 1440) -> Alerts:
    """Alerts of a windowed Gaussian at 4.5 deviations."""
    x = recording.values[:, 0] - recording.values[0, 0]
    sums, squares = (np.concatenate([[0.0], np.cumsum(y)]) for y in (x, x**2))
    unusual = np.zeros(len(x), dtype=bool)
    i = np.arange(window, len(x))
    mean = (sums[i] - sums[i - window]) / window
    deviation = np.sqrt(np.maximum((squares[i] - squares[i - window]) / window - mean**2, 1e-12))
    unusual[i] = np.abs(x[i] - mean) > 4.5 * deviation
    return crossings(recording.times, unusual)


def krcf(recording: Recording) -> Alerts:
    """Alerts of krcf's score above its running mean plus three deviations."""
    from krcf import RandomCutForest, RandomCutForestOptions

    d = recording.values.shape[1]
    options: RandomCutForestOptions = {"dimensions": d, "shingle_size": 1, "num_trees": 30, "sample_size": 256,
                                       "output_after": 256, "random_seed": 1}  # fmt: skip
    forest = RandomCutForest(options)
    mean, square, unusual = 1.0, 1.0, np.zeros(len(recording.times), dtype=bool)
    for i, row in enumerate(recording.values.tolist()):
        score = forest.score(row)
        forest.update(row)
        if i > 512:
            unusual[i] = score > mean + 3 * np.sqrt(max(square - mean * mean, 1e-9))
        if i > 256:
            rate = max(1 / (i - 255), 1e-4)
            mean += rate * (score - mean)
            square += rate * (score * score - square)
    return crossings(recording.times, unusual)


DETECTORS: dict[str, Callable[[Recording], Alerts]] = {"cutwater": ours, "gaussian": gaussian, "krcf": krcf}


def measure(job: tuple[str, str, int, float]) -> Found:
    """One detector on one sensor."""
    name, kind, seed, days = job
    recording = record(kind, seed, days)
    times, kinds, ends = DETECTORS[name](recording)
    late = times > recording.times[0] + LEARNING
    early = int((~late).sum())
    times, kinds, ends = times[late], kinds[late], ends[late]
    delays, named, told = [], [], 0
    true, after = np.zeros((2, len(times)), dtype=bool)
    for fault in recording.faults:
        inside = np.flatnonzero((times >= fault.start) & (times <= fault.end + HOUR))
        true |= (times >= fault.start) & (times <= fault.end + DAY)
        after |= (times >= fault.start + WEEK) & (times <= fault.end + WEEK + DAY)
        told += len(inside)
        if len(inside):
            delays.append((times[inside[0]] - fault.start) / 60_000)
            named.append((NAMES[kinds[inside[0]]], NAMES[ends[inside[0]]]))
    false, echoes = int((~true).sum()), int((after & ~true).sum())
    return Found(len(recording.faults), delays, told, false, echoes, early, days - LEARNING / DAY, named)


def row(name: str, kind: str, results: list[Found]) -> dict[str, Any]:
    """A row of the result."""
    delays = [delay for result in results for delay in result.delays]
    made: dict[str, Any] = {
        "detector": name,
        "kind": kind,
        "sensors": len(results),
        "recall": len(delays) / sum(result.faults for result in results),
        "delay_minutes": float(np.median(delays)) if delays else None,
        "false_alarms_per_sensor_day": sum(result.false for result in results) / sum(result.days for result in results),
        "alerts_per_fault": sum(result.told for result in results) / len(delays) if delays else None,
        "echoes_per_fault": sum(result.echoes for result in results) / sum(result.faults for result in results),
        "first_week_alerts_per_sensor_day": sum(result.early for result in results) * DAY / (LEARNING * len(results)),
    }
    if name == "cutwater":
        for which, key in enumerate(("named_first", "named_at_the_end")):
            made[key] = dict(Counter(pair[which] for result in results for pair in result.named).most_common())
    return made


def main() -> None:
    """Print one row a detector and kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sensors", type=int, default=200, help="of all kinds together, at least 8")
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS), choices=list(DETECTORS))
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="of the first sensor")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.days <= LEARNING / DAY:
        parser.error(f"--days {arguments.days}: the first seven are for learning, so give more")
    each = max(1, arguments.sensors // len(KINDS))
    jobs = [
        (name, kind, arguments.seed + each * number + k, arguments.days)
        for name in arguments.detectors
        for number, kind in enumerate(KINDS)
        for k in range(each)
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        done = track(pool.map(measure, jobs), "sensors", len(jobs), console=Console(stderr=True), transient=True)
        results = dict(zip(jobs, done, strict=True))
    rows = []
    for name in arguments.detectors:
        by_kind = {kind: [found for job, found in results.items() if job[:2] == (name, kind)] for kind in KINDS}
        rows += [row(name, kind, found) for kind, found in by_kind.items()]
        rows.append(row(name, "all", [found for group in by_kind.values() for found in group]))
    print_rows("faults", rows, arguments.json)


if __name__ == "__main__":
    main()
