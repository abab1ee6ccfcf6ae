"""The alert score on a folder of NAB recordings: python -m benchmarks.nab [--seeds 3] [--json]

The folder that CUTWATER_NAB names holds data/, windows.json, profiles.json and the benchmark's score.py.
Beside the detector's alert score, its alerts themselves (``alert_flag``), with no threshold chosen; the score of its
forest alone; that of a forest with the managed function's parameters; what the managed function itself said, where
the folder holds it; krcf's; and the reference forest's, a small one and one seed, since it takes longer than all
others together. Cross-validation: the threshold chosen on all but one category (or on every other file) is applied to
the rest; figures are of the files left out, together.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks import print_rows
from detector.detector import Configuration, Detector
from detector.forest.backends import make_forest
from detector.kinesis_analytics import kinesis_analytics
from service.offline.tables import read


def root() -> Path:
    """The folder of recordings. Ends the program if CUTWATER_NAB does not name one."""
    folder = os.environ.get("CUTWATER_NAB", "")
    if not (Path(folder) / "windows.json").is_file():
        raise SystemExit(f"CUTWATER_NAB = {folder!r}: must name a folder with data/, windows.json and profiles.json")
    return Path(folder)


def scorer() -> ModuleType:
    """The benchmark's own scoring program."""
    spec = importlib.util.spec_from_file_location("nab_score", root() / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def alert_scores(name: str, seed: int, profile: str = "default") -> np.ndarray:
    """The detector's alert score of each row of a recording."""
    (history,) = read(root() / "data" / name).histories
    return Detector(Configuration(profile=profile), seed).process(history.times, history.values).alert_score  # type: ignore[arg-type]


def alert_flags(name: str, seed: int) -> np.ndarray:
    """1 where the detector alerts, else 0."""
    (history,) = read(root() / "data" / name).histories
    return Detector(Configuration(), seed).process(history.times, history.values).alert.astype(float)


def raw_scores(name: str, seed: int) -> np.ndarray:
    """The score of a reading, without views, gate and suppression."""
    (history,) = read(root() / "data" / name).histories
    return Detector(Configuration(), seed).process(history.times, history.values).score


def compatible_scores(name: str, seed: int) -> np.ndarray:
    """The score of a forest with the managed function's parameters."""
    (history,) = read(root() / "data" / name).histories
    return make_forest(kinesis_analytics(seed=seed)).process(history.values)


def reference_scores(name: str, seed: int) -> np.ndarray:
    """The score of the reference forest, 10 trees of 64: as many as go through all recordings in minutes."""
    (history,) = read(root() / "data" / name).histories
    detector = Detector(Configuration(engine="rrcf", trees=10, samples=64), seed)
    return detector.process(history.times, history.values).score


def managed_scores(name: str, _seed: int) -> np.ndarray:
    """What the managed function said."""
    with (root() / "kinesis_analytics_scores" / name).open(newline="") as file:
        return np.array([float(row["anomaly_score"]) for row in csv.DictReader(file)])


def krcf_scores(name: str, seed: int) -> np.ndarray:
    """krcf's score, 50 trees of 256."""
    from krcf import RandomCutForest, RandomCutForestOptions

    (history,) = read(root() / "data" / name).histories
    options: RandomCutForestOptions = {"dimensions": 1, "shingle_size": 1, "num_trees": 50, "sample_size": 256,
                                       "output_after": 256, "random_seed": seed + 1}  # fmt: skip
    forest, scores = RandomCutForest(options), np.zeros(len(history.values))
    for i, row in enumerate(history.values.tolist()):
        scores[i] = forest.score(row)
        forest.update(row)
    return scores


DETECTORS: dict[str, Callable[[str, int], np.ndarray]] = {
    "cutwater": alert_scores,
    "cutwater raw": raw_scores,
    "kinesis_analytics": compatible_scores,
    "managed": managed_scores,
    "krcf raw": krcf_scores,
    "reference": reference_scores,
}
MEASURES = ("standard", "low_fp", "low_fn")


def nab(files: list[Any], scores: dict[str, np.ndarray]) -> list[float]:
    """Standard, low-FP and low-FN scores."""
    profiles = json.loads((root() / "profiles.json").read_text())
    return [scorer().nab(files, scores, profile)[0] for profile in profiles.values()]


def cross_validate(files: list[Any], scores: dict[str, np.ndarray], groups: list[list[Any]]) -> float:
    """Standard score of all groups, each at the threshold that was best on the others."""
    module = scorer()
    profile = next(iter(json.loads((root() / "profiles.json").read_text()).values()))
    judged: dict[str, np.ndarray] = {}
    for group in groups:
        names = {file[0] for file in group}
        threshold = module.nab([file for file in files if file[0] not in names], scores, profile)[1]
        judged |= {name: (scores[name] >= threshold).astype(float) for name in names}
    return float(module.nab(files, judged, profile, 1.0)[0])


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of a detector's rows, and how far the standard score lies apart."""
    made = {name: float(np.median([row[name] for row in rows])) for name in rows[0] if name not in ("detector", "seed")}
    return {
        "detector": rows[0]["detector"],
        "seed": "median",
        **made,
        "spread": float(np.ptp([row["standard"] for row in rows])),
    }


def main() -> None:
    """Print one row a detector and seed, and one for the median of the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS), choices=list(DETECTORS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    files = scorer().load(root())
    names = [file[0] for file in files]
    categories = sorted({name.split("/")[0] for name in names})
    jobs = [
        (detector, seed)
        for detector in arguments.detectors
        if detector != "managed" or (root() / "kinesis_analytics_scores").exists()
        for seed in range(1 if detector in ("managed", "reference") else arguments.seeds)
    ]
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor() as pool:
        for detector, seed in track(jobs, "detectors", console=Console(stderr=True), transient=True):
            found = pool.map(DETECTORS[detector], names, [seed] * len(names))
            scores = dict(zip(names, found, strict=True))
            row: dict[str, Any] = {"detector": detector, "seed": seed}
            row |= {measure: float(value) for measure, value in zip(MEASURES, nab(files, scores), strict=True)}
            if detector == "cutwater":
                left_out = [[file for file in files if file[0].startswith(c + "/")] for c in categories]
                flags = dict(zip(names, pool.map(alert_flags, names, [seed] * len(names)), strict=True))
                profile = next(iter(json.loads((root() / "profiles.json").read_text()).values()))
                row["alert_flag"] = float(scorer().nab(files, flags, profile, 1.0)[0])
                row["leave_one_category_out"] = cross_validate(files, scores, left_out)
                row["half_split"] = cross_validate(files, scores, [files[::2], files[1::2]])
            rows.append(row)
    for detector in dict.fromkeys(row["detector"] for row in rows):
        rows.append(summary([row for row in rows if row["detector"] == detector]))
    print_rows("nab", rows, arguments.json)


if __name__ == "__main__":
    main()
