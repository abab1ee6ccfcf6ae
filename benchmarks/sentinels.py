"""Whether one huge or impossible value blinds a sensor: python -m benchmarks.sentinels [--json]

A sensor (normally distributed around 50, a reading a minute) gives one such value, or several, and later a spike of 40
standard deviations. A row has the spike's alert score beside that of a ``control`` without the value: within 20 %.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from benchmarks import print_rows
from detector.detector import Configuration, Detector

MINUTE = 60_000
START = 1_767_571_200_000
VALUES = (1e200, -1e300, sys.float_info.max, -9999.0, 65535.0, -127.0, 32767.0, -32768.0, 1e9)
PLACES = (0, 3, 10, 127, 500, 3000)
LATER = (1.0, 9.0, 24.0, 33.0)
TOLERANCE = 0.2


def spike_score(
    rows: list[int], value: float, at: int, hours: float, minutes: int, dimensions: int, shingle: int, sign: int
) -> tuple[float, bool]:
    """Alert score of a spike ``hours`` after reading ``at``, with ``value`` at the given rows; whether it alerts."""
    spike = max(at + round(60 * hours / minutes), 160)
    values = np.random.default_rng(at + 1).normal(50, 1, (spike + 1, dimensions))
    values[spike, 0] = 50 + 40 * sign
    values[rows, 0] = value
    configuration = Configuration(dimensions, shingle=shingle, profile="small", trees=10)
    times = START + MINUTE * minutes * np.arange(spike + 1, dtype=np.int64)
    scores = Detector(configuration, 1).process(times, values)
    return float(scores.alert_score[spike]), bool(scores.alert[spike])


def row(value: float, at: int, hours: float, minutes: int = 1, dimensions: int = 1, shingle: int = 1,
        share: float = 0.0, run: int = 1, sign: int = 1) -> dict[str, Any]:  # fmt: skip
    """One case: one value at a place or, from there, a run of it or a share of the readings, until the spike."""
    end = max(at + round(60 * hours / minutes), 160)
    rows = list(range(at, at + run))
    if share:
        rows += [at + r for r in np.flatnonzero(np.random.default_rng(7).random(end - at) < share).tolist()]
    rows = [r for r in rows if r < end]
    score, alert = spike_score(rows, value, at, hours, minutes, dimensions, shingle, sign)
    control, expected = spike_score([], value, at, hours, minutes, dimensions, shingle, sign)
    return {
        "value": value,
        "at": at,
        "hours_later": hours,
        "alert_score": score,
        "control": control,
        "minutes": minutes,
        "dimensions": dimensions,
        "shingle": shingle,
        "share": share,
        "run": run,
        "sign": sign,
        "alert": alert,
        "control_alert": expected,
        "within": abs(score - control) <= TOLERANCE * control and alert >= expected,
    }


def main() -> None:
    """Print one row a case. Exit code 1 if one lies outside."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [row(value, at, hours) for value in VALUES for at in PLACES for hours in LATER]
    for value in VALUES:
        rows += [row(value, 500, 9.0, sign=-1), row(value, 500, 33.0, share=0.01), row(value, 500, 33.0, run=90)]
        rows += [row(value, 500, 24.0, minutes=5), row(value, 500, 1.0, minutes=5)]
        rows += [row(value, 10, 9.0, dimensions=3), row(value, 10, 9.0, shingle=4), row(value, 500, 1.0, dimensions=2)]
    print_rows("sentinels", rows, arguments.json)
    sys.exit(not all(each["within"] for each in rows))


if __name__ == "__main__":
    main()
