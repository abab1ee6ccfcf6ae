"""Accuracy against bytes and time, by profile: python -m benchmarks.detector [--json]"""

from __future__ import annotations

import argparse
import json
import time

from benchmarks.nab import ROOT, nab, scorer
from detector.detector import POINTS, Configuration, Detector
from service.history import read


def main() -> None:
    """Print one row a profile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    files = scorer().load(ROOT)
    recordings = {file[0]: read(ROOT / "data" / file[0])[0] for file in files}
    rows = []
    for profile in POINTS:
        configuration = Configuration(profile=profile)  # type: ignore[arg-type]
        first = recordings[files[0][0]]
        Detector(configuration, 0).process(first.times, first.values)  # compiles
        began, scores, readings = time.perf_counter(), {}, 0
        for name, recording in recordings.items():
            detector = Detector(configuration, 0)
            scores[name] = detector.process(recording.times, recording.values).alert_score
            readings += len(recording.times)
        seconds = time.perf_counter() - began
        rows.append(
            {
                "profile": profile,
                "us_per_reading": seconds / readings * 1e6,
                "bytes_per_sensor": len(Detector(configuration, 0).snapshot()),
                "nab_standard": nab(files, scores)[0],
            }
        )
    print(json.dumps(rows, indent=1) if arguments.json else "\n".join(map(str, rows)))


if __name__ == "__main__":
    main()
