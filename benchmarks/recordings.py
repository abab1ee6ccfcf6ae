"""Alerts on labelled recordings, by the detector's own flag: python -m benchmarks.recordings [--folder F] [--json]

The folder (--folder, or CUTWATER_RECORDINGS) holds data/SET/FILE.csv.gz (or .csv), labels.json, where each file has the
stretches [from, to] of its faults, and judged_from.json, the time from which each counts. Flags at least 30 rows apart
are one event each. Recall is by stretch: one is found if an event's rows have a flag in it. Precision is the share of
events that begin within a stretch. No threshold is chosen afterwards.

Beside our alerts: krcf (50 trees of 256) with a flag at three deviations of its own scores, one reading at a time and
in shingles of eight, and the distance from a rolling median in deviations of a rolling MAD. A row of a set is the
median of the seeds; the set "mean" is the mean of all sets. Examples:

    python -m benchmarks.recordings --folder recordings --seeds 1 --detectors cutwater    a first impression
    python -m benchmarks.recordings --folder recordings --sets ecg pressure --json
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks import print_rows
from detector.detector import Configuration, Detector
from service.offline.tables import read

GAP = 30  # rows within which flags are one event
_ROLLING = 240  # readings of the rolling median
_FAR = 5.0  # deviations from it
_MEASURES = ("recall", "precision", "f1", "false_per_1000", "pr_auc", "row_f1")


class Said(NamedTuple):
    """What a detector says of each row of a recording."""

    flags: np.ndarray
    scores: np.ndarray
    inside: np.ndarray | None = None  # whether it lies in a fault, of a detector that knows states


@dataclass(frozen=True)
class Counts:
    """What became of recordings; those of several are added."""

    stretches: int
    found: int
    events: int
    right: int
    rows: int
    scores: np.ndarray
    labels: np.ndarray
    inside: np.ndarray | None

    def __add__(self, other: Counts) -> Counts:
        both = self.inside is not None and other.inside is not None
        return Counts(
            self.stretches + other.stretches,
            self.found + other.found,
            self.events + other.events,
            self.right + other.right,
            self.rows + other.rows,
            np.concatenate((self.scores, other.scores)),
            np.concatenate((self.labels, other.labels)),
            np.concatenate((self.inside, other.inside)) if both else None,  # type: ignore[arg-type]
        )

    def measures(self) -> dict[str, float | None]:
        """The figures of a row."""
        recall = self.found / max(1, self.stretches)
        precision = self.right / self.events if self.events else 0.0
        return {
            "recall": recall,
            "precision": precision,
            "f1": 2 * recall * precision / (recall + precision) if recall + precision else 0.0,
            "false_per_1000": 1000 * (self.events - self.right) / max(1, self.rows),
            "pr_auc": pr_auc(self.scores, self.labels),
            "row_f1": None if self.inside is None else row_f1(self.inside, self.labels),
        }


def row_f1(inside: np.ndarray, labels: np.ndarray) -> float:
    """F1 of rows that are said to lie in a fault."""
    return float(2 * (inside & labels).sum() / max(1, inside.sum() + labels.sum()))


def pr_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Average precision; equal scores are taken together."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(labels[order])
    if not len(ranked) or not hits[-1]:
        return 0.0
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # the last of each group of equals
    new = np.diff(hits[ends], prepend=0)
    return float((new / hits[-1] * hits[ends] / (ends + 1)).sum())


def count(times: np.ndarray, said: Said, stretches: Sequence[tuple[int, int]], start: int) -> Counts:
    """Compare what is said of a recording's rows from ``start`` on with the labelled stretches."""
    judged = times >= start
    within = np.array([(times >= a) & (times <= b) for a, b in stretches]).reshape(len(stretches), len(times))
    labels = within.any(axis=0)
    found = sum(bool((said.flags & judged & rows).any()) for rows in within)
    events = right = 0
    last = -GAP - 1
    for row in np.flatnonzero(said.flags & judged).tolist():
        if row - last > GAP:
            events, right, last = events + 1, right + bool(labels[row]), row
    return Counts(
        sum(end >= start for _, end in stretches),
        found,
        events,
        right,
        int(judged.sum()),
        said.scores[judged],
        labels[judged],
        None if said.inside is None else said.inside[judged],
    )


def ours(times: np.ndarray, values: np.ndarray, seed: int) -> Said:
    """The default detector's alerts."""
    scores = Detector(Configuration(dimensions=values.shape[1]), seed).process(times, values)
    return Said(scores.alert, scores.score, getattr(scores, "in_anomaly", None))


def ours_by_reading(times: np.ndarray, values: np.ndarray, seed: int) -> Said:
    """The default detector's anomalies."""
    scores = Detector(Configuration(dimensions=values.shape[1]), seed).process(times, values)
    return Said(scores.is_anomaly, scores.score)


def krcf(_times: np.ndarray, values: np.ndarray, seed: int, shingle: int = 1) -> Said:
    """krcf's scores, flagged above their running mean by three of their deviations."""
    from krcf import RandomCutForest, RandomCutForestOptions

    options: RandomCutForestOptions = {"dimensions": values.shape[1], "shingle_size": shingle, "num_trees": 50,
                                       "sample_size": 256, "output_after": 256, "random_seed": seed + 1}  # fmt: skip
    forest = RandomCutForest(options)
    mean = square = 1.0
    flags, scores = np.zeros(len(values), dtype=bool), np.zeros(len(values))
    for i, row in enumerate(_filled(values).tolist()):
        scores[i] = score = forest.score(row)
        forest.update(row)
        if i > 512:
            flags[i] = score > mean + 3 * np.sqrt(max(square - mean * mean, 1e-9))
        if i > 256:
            rate = max(1 / (i - 255), 1e-4)
            mean += rate * (score - mean)
            square += rate * (score * score - square)
    return Said(flags, scores)


def krcf_in_shingles(times: np.ndarray, values: np.ndarray, seed: int) -> Said:
    """The same, of the last eight readings together."""
    return krcf(times, values, seed, shingle=8)


def rolling_median(_times: np.ndarray, values: np.ndarray, _seed: int) -> Said:
    """The farthest of a reading's values from the median of the readings before it, in deviations."""
    scores = np.zeros(len(values))
    for x in _filled(values).T:
        windows = np.lib.stride_tricks.sliding_window_view(x, _ROLLING)[:-1]
        for part in np.array_split(np.arange(len(windows)), max(1, len(windows) // 2000)):
            median = np.median(windows[part], axis=1)
            mad = 1.4826 * np.median(np.abs(windows[part] - median[:, None]), axis=1)
            rows = part + _ROLLING
            far = np.abs(x[rows] - median) / np.maximum(mad, 1e-3 * np.abs(median) + 1e-9)
            scores[rows] = np.maximum(scores[rows], far)
    return Said(scores > _FAR, scores)


def _filled(values: np.ndarray) -> np.ndarray:
    """A missing value is the last one before it, for those that know no missing ones."""
    filled = values.copy()
    filled[0] = np.nan_to_num(filled[0])
    for row in np.flatnonzero(np.isnan(filled).any(axis=1)).tolist():
        filled[row] = np.where(np.isnan(filled[row]), filled[row - 1], filled[row])
    return filled


DETECTORS: dict[str, Callable[[np.ndarray, np.ndarray, int], Said]] = {
    "cutwater": ours,
    "cutwater by reading": ours_by_reading,
    "krcf": krcf,
    "krcf shingle 8": krcf_in_shingles,
    "rolling median": rolling_median,
}


def milliseconds(text: str) -> int:
    """A label's time: ISO 8601, in UTC unless it says otherwise."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def measure(job: tuple[str, str, str, int]) -> Counts:
    """One detector on one recording."""
    detector, folder, name, seed = job
    path = Path(folder) / "data" / name
    (history,) = read(path if path.is_file() else path.with_name(path.name + ".gz")).histories
    labels, start = (json.loads((Path(folder) / f"{key}.json").read_text())[name] for key in ("labels", "judged_from"))
    stretches = [(milliseconds(a), milliseconds(b)) for a, b in labels]
    said = DETECTORS[detector](history.times, history.values, seed)
    return count(history.times, said, stretches, milliseconds(start))


def median_of(rows: list[dict[str, float | None]]) -> dict[str, float | None]:
    """Each measure's median."""
    return {name: _together(np.median, [row[name] for row in rows]) for name in _MEASURES}


def _together(function: Callable[[list[float]], Any], found: list[float | None]) -> float | None:
    known = [value for value in found if value is not None]
    return float(function(known)) if known else None


def folder_of(named: str | None) -> Path:
    """The folder of recordings. Ends the program if there is none."""
    folder = named or os.environ.get("CUTWATER_RECORDINGS", "")
    if not (Path(folder) / "labels.json").is_file():
        raise SystemExit(f"{folder!r} holds no labels.json: name the folder by --folder or CUTWATER_RECORDINGS")
    return Path(folder)


def main() -> None:
    """Print one row a set and detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="default: CUTWATER_RECORDINGS")
    parser.add_argument("--sets", nargs="+", help="some of the folder's sets (default: all)")
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS), choices=list(DETECTORS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    folder = folder_of(arguments.folder)
    names = list(json.loads((folder / "labels.json").read_text()))
    sets = sorted({name.split("/")[0] for name in names})
    if unknown := set(arguments.sets or ()) - set(sets):
        parser.error(f"--sets {' '.join(sorted(unknown))}: the folder has {', '.join(sets)}")
    sets = [each for each in sets if each in (arguments.sets or sets)]
    jobs = [
        (detector, str(folder), name, seed)
        for detector in arguments.detectors
        for name in names
        for seed in range(1 if detector == "rolling median" else arguments.seeds)
        if name.split("/")[0] in sets
    ]
    with ProcessPoolExecutor(arguments.processes) as pool:
        done = track(pool.map(measure, jobs), "recordings", len(jobs), console=Console(stderr=True), transient=True)
        results = dict(zip(jobs, done, strict=True))
    rows: list[dict[str, Any]] = []
    for detector in arguments.detectors:
        of_sets = []
        for each in sets:
            mine = [job for job in jobs if job[0] == detector and job[2].startswith(each + "/")]
            by_seed = [[results[job] for job in mine if job[3] == seed] for seed in {job[3] for job in mine}]
            of_sets.append(median_of([reduce(Counts.__add__, group).measures() for group in by_seed]))
            rows.append({"set": each, "detector": detector, **of_sets[-1]})
        mean = {name: _together(np.mean, [row[name] for row in of_sets]) for name in _MEASURES}
        rows.append({"set": "mean", "detector": detector, **mean})
    print_rows("recordings", rows, arguments.json)


if __name__ == "__main__":
    main()
