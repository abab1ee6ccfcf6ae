"""Our scores beside those the managed function gave: python -m benchmarks.parity [--seeds 6] [--json]

The folder that CUTWATER_NAB names holds recordings in data/, what RANDOM_CUT_FOREST(100, 256, 100000, 1) of
Kinesis Data Analytics said of them in kinesis_analytics_scores/, and NAB's scoring program. For each seed: the rank
correlation (Spearman) of our scores with the recorded ones, as median and lowest over the recordings, and as median
over those rows only that the function had learnt enough to score; NAB's scores of ours; and, as what can be reached at
all, the median correlation with our forest of the next seed. The function's own NAB scores come first.

Known differences: recorded scores are an eighth of ours. Where many readings are equal they are up to twice ours
(rogue_agent_key_updown, art_increase_spike_density): the function did not damp the scores of points that the sample
holds, 1 - mass / (2 * points), as AWS's library does today, and we with it.
"""

from __future__ import annotations

import argparse
import csv
from functools import cache
from statistics import median
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks import print_rows
from benchmarks.nab import nab, root, scorer
from detector.forest.cut_forest import CutForest
from detector.kinesis_analytics import kinesis_analytics

LEARNT = 256  # rows that the function scored 0


@cache
def column(folder: str, name: str, field: str) -> np.ndarray:
    """A column of a CSV file."""
    with (root() / folder / name).open() as lines:
        return np.array([float(row[field]) for row in csv.DictReader(lines)])


def managed_scores(name: str) -> np.ndarray:
    """What the managed function said of each row."""
    return column("kinesis_analytics_scores", name, "anomaly_score")


@cache
def our_scores(name: str, seed: int) -> np.ndarray:
    """What our forest with its parameters says of each row."""
    values = column("data", name, "value")
    return CutForest(kinesis_analytics(seed=seed)).process(values[:, None])


def correlation(some: np.ndarray, others: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return float(spearmanr(some, others).statistic)


def measure(seeds: int) -> list[dict[str, Any]]:
    """One row for the managed function, one a seed, and the medians over the seeds."""
    files = scorer().load(root())
    names = [file[0] for file in files]
    standard, low_fp, low_fn = nab(files, {name: managed_scores(name) for name in names})
    rows: list[dict[str, Any]] = [{"forest": "managed", "standard": standard, "low_fp": low_fp, "low_fn": low_fn}]
    for seed in range(seeds):
        scores = {name: our_scores(name, seed) for name in names}
        alike = {name: correlation(scores[name], managed_scores(name)) for name in names}
        late = [correlation(scores[name][LEARNT:], managed_scores(name)[LEARNT:]) for name in names]
        ours = [correlation(scores[name], our_scores(name, seed + 1)) for name in names]
        standard, low_fp, low_fn = nab(files, scores)
        lowest = min(alike, key=alike.__getitem__)
        rows.append({"forest": "cutwater", "seed": seed, "recordings": len(names), "spearman": median(alike.values()),
                     "spearman_lowest": alike[lowest], "lowest_of": lowest, "spearman_scored_rows": median(late),
                     "spearman_next_seed": median(ours), "standard": standard, "low_fp": low_fp,
                     "low_fn": low_fn})  # fmt: skip
    figures = ("spearman", "spearman_scored_rows", "spearman_next_seed", "standard", "low_fp", "low_fn")
    return [*rows, {"forest": "cutwater, median"} | {name: median(row[name] for row in rows[1:]) for name in figures}]


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measure(arguments.seeds)
    print_rows("parity", rows, arguments.json)


if __name__ == "__main__":
    main()
