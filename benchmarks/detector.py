"""Accuracy against bytes and time, by profile: python -m benchmarks.detector [--json]

Time is of the thread, not of the clock, and the median over the recordings, each of which is one batch.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from benchmarks import print_rows
from benchmarks.nab import nab, root, scorer
from detector.detector import POINTS, Configuration, Detector
from service.offline.tables import read


def main() -> None:
    """Print one row a profile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    files = scorer().load(root())
    recordings = {file[0]: read(root() / "data" / file[0]).histories[0] for file in files}
    rows = []
    for profile in POINTS:
        configuration = Configuration(profile=profile)  # type: ignore[arg-type]
        first = recordings[files[0][0]]
        Detector(configuration, 0).process(first.times, first.values)  # compiles
        scores, cost = {}, []
        for name, recording in recordings.items():
            detector = Detector(configuration, 0)
            began = time.thread_time()
            scores[name] = detector.process(recording.times, recording.values).alert_score
            cost.append((time.thread_time() - began) / len(recording.times) * 1e6)
        rows.append(
            {
                "profile": profile,
                "us_per_reading": float(np.median(cost)),
                "bytes_per_sensor": len(Detector(configuration, 0).snapshot()),
                "nab_standard": float(nab(files, scores)[0]),
            }
        )
    print_rows("detector", rows, arguments.json)


if __name__ == "__main__":
    main()
