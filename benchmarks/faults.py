"""How well each kind of fault is found: python -m benchmarks.faults [--sensors 200] [--days 30] [--json]

Alerts of the default detector beside a windowed Gaussian and krcf with a 3-sigma threshold on its scores (an alert is
then a crossing after 30 quiet readings). A fault is found if an alert falls between its start and an hour after its
end; every other alert after the first week is false.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from benchmarks import print_json
from detector.detector import Configuration, Detector
from simulator.faults import DAY, KINDS, Recording, record

HOUR = 3_600_000


def ours(recording: Recording) -> np.ndarray:
    """Times of alerts."""
    detector = Detector(Configuration(dimensions=recording.values.shape[1]), 0)
    return recording.times[detector.process(recording.times, recording.values).alert]


def crossings(times: np.ndarray, unusual: np.ndarray) -> np.ndarray:
    """Times at which a condition begins after 30 readings without."""
    rows = np.flatnonzero(unusual)
    return times[rows[np.diff(rows, prepend=-100) > 30]]


def gaussian(recording: Recording, window: int = 1440) -> np.ndarray:
    """Alerts of a windowed Gaussian at 4.5 deviations."""
    x = recording.values[:, 0]
    sums, squares = (np.concatenate([[0], np.cumsum(y - 0.0)]) for y in (x - x[0], (x - x[0]) ** 2))
    unusual = np.zeros(len(x), dtype=bool)
    i = np.arange(window, len(x))
    mean = (sums[i] - sums[i - window]) / window
    deviation = np.sqrt(np.maximum((squares[i] - squares[i - window]) / window - mean**2, 1e-12))
    unusual[i] = np.abs(x[i] - x[0] - mean) > 4.5 * deviation
    return crossings(recording.times, unusual)


def krcf(recording: Recording) -> np.ndarray:
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


DETECTORS = {"cutwater": ours, "gaussian": gaussian, "krcf": krcf}


def measure(job: tuple[str, str, int, float]) -> tuple[int, int, list[float], int, float]:
    """Found, faults, delays in minutes, false alerts, days of one sensor."""
    name, kind, seed, days = job
    recording = record(kind, seed, days)
    alerts = DETECTORS[name](recording)
    alerts = alerts[alerts > recording.times[0] + 7 * DAY]
    found, delays, true = 0, [], np.zeros(len(alerts), dtype=bool)
    for fault in recording.faults:
        inside = (alerts >= fault.start) & (alerts <= fault.end + HOUR)
        after = (alerts >= fault.start) & (alerts <= fault.end + DAY)  # the way back is no false alarm
        true |= after
        if inside.any():
            found += 1
            delays.append((alerts[inside][0] - fault.start) / 60_000)
    return found, len(recording.faults), delays, int((~true).sum()), days - 7


def main() -> None:
    """Print one row a detector and kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sensors", type=int, default=200)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS), choices=list(DETECTORS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    each = max(1, arguments.sensors // len(KINDS))
    with ProcessPoolExecutor() as pool:
        for name in arguments.detectors:
            for kind in KINDS:
                jobs = [(name, kind, 1000 + seed, arguments.days) for seed in range(each)]
                results = list(pool.map(measure, jobs))
                delays = [delay for result in results for delay in result[2]]
                row = {
                    "detector": name,
                    "kind": kind,
                    "recall": sum(r[0] for r in results) / sum(r[1] for r in results),
                    "delay_minutes": float(np.median(delays)) if delays else None,
                    "false_alarms_per_sensor_day": sum(r[3] for r in results) / sum(r[4] for r in results),
                }
                rows.append(row)
                if not arguments.json:
                    print(row, flush=True)
    if arguments.json:
        print_json("faults", rows)


if __name__ == "__main__":
    main()
