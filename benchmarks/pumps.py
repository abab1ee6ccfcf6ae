"""Faults that go on, by row: python -m benchmarks.pumps [--pumps 5] [--json]

Simulated pumps of eight values a second for twenty minutes (``simulator/pump.py``). The first 400 readings are for
learning; then a fault goes on for five minutes or more. A row of the result is a kind of fault and a detector: recall,
precision and F1 of the readings that lie in an anomaly, the share of healthy readings that are said to, and of alerts
those in a fault and those outside. ``alert`` and ``in_anomaly`` are two of our columns, so that it shows what the state
adds. The kind "none" is of pumps with which nothing is wrong. Examples:

    python -m benchmarks.pumps
    python -m benchmarks.pumps --pumps 2 --kinds leak imbalance --json
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks import print_rows
from detector.detector import Configuration, Detector
from simulator.pump import COLUMNS, KINDS, pump

LEARNING = 400  # readings


@dataclass(frozen=True)
class Rows:
    """Readings after learning: in a fault and said so, in a fault, said so, all; and alerts in faults and outside."""

    both: int = 0
    labelled: int = 0
    said: int = 0
    rows: int = 0
    alerts_within: int = 0
    alerts_outside: int = 0

    def __add__(self, other: Rows) -> Rows:
        return Rows(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(Rows)))

    def measures(self) -> dict[str, Any]:
        """The figures of a row of the result."""
        return {
            "recall": self.both / self.labelled if self.labelled else None,
            "precision": self.both / self.said if self.said else None,
            "f1": 2 * self.both / (self.labelled + self.said) if self.labelled else None,
            "false_rows": (self.said - self.both) / max(1, self.rows - self.labelled),
            "alerts_within": self.alerts_within,
            "alerts_outside": self.alerts_outside,
        }


def count(labels: np.ndarray, said: np.ndarray, alerts: np.ndarray) -> Rows:
    """Count a recording's rows after learning."""
    labels, said, alerts = labels[LEARNING:], said[LEARNING:], alerts[LEARNING:]
    within = int((alerts & labels).sum())
    return Rows(
        int((labels & said).sum()), int(labels.sum()), int(said.sum()), len(labels), within, int(alerts.sum()) - within
    )


def main() -> None:
    """Print one row a column and kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pumps", type=int, default=5, help="of each kind")
    parser.add_argument("--kinds", nargs="+", default=[*KINDS, "none"], choices=[*KINDS, "none"])
    parser.add_argument("--seed", type=int, default=0, help="of the first pump")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found: dict[tuple[str, str], Rows] = {}
    jobs = [(kind, arguments.seed + k) for kind in arguments.kinds for k in range(arguments.pumps)]
    for kind, seed in track(jobs, "pumps", console=Console(stderr=True), transient=True):
        recording = pump(None if kind == "none" else kind, seed)
        scores = Detector(Configuration(dimensions=len(COLUMNS)), seed).process(recording.times, recording.values)
        for column in ("alert", "in_anomaly"):
            if hasattr(scores, column):
                counted = count(recording.labels(), getattr(scores, column), scores.alert)
                found[column, kind] = found.get((column, kind), Rows()) + counted
                found[column, "all"] = found.get((column, "all"), Rows()) + counted
    rows = [{"column": column, "kind": kind, **counted.measures()} for (column, kind), counted in found.items()]
    print_rows("pumps", rows, arguments.json)


if __name__ == "__main__":
    main()
