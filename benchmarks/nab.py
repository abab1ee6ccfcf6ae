"""The alert score on a folder of NAB recordings: python -m benchmarks.nab [--seeds 3] [--json]

The folder (CUTWATER_NAB, or ../shared/nab) holds data/, windows.json, profiles.json and the benchmark's score.py.
Beside the detector: its raw score (the forest alone) and krcf's. Cross-validation: the threshold chosen on all but one
category (or on every other file) is applied to the rest; figures are of the files left out, together.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks import print_json
from detector.detector import Configuration, Detector
from service.history import read

ROOT = Path(os.environ.get("CUTWATER_NAB", Path(__file__).parents[2] / "shared" / "nab"))


def scorer() -> ModuleType:
    """The benchmark's own scoring program."""
    spec = importlib.util.spec_from_file_location("nab_score", ROOT / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def alert_scores(name: str, seed: int, profile: str = "default") -> np.ndarray:
    """The detector's alert score of each row of a recording."""
    (history,) = read(ROOT / "data" / name)
    return Detector(Configuration(profile=profile), seed).process(history.times, history.values).alert_score  # type: ignore[arg-type]


def raw_scores(name: str, seed: int) -> np.ndarray:
    """The score of a reading without views, gate and suppression: the compatibility profile."""
    (history,) = read(ROOT / "data" / name)
    return Detector(Configuration(), seed).process(history.times, history.values).score


def krcf_scores(name: str, seed: int) -> np.ndarray:
    """krcf's score, 50 trees of 256."""
    from krcf import RandomCutForest, RandomCutForestOptions

    (history,) = read(ROOT / "data" / name)
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
    "krcf raw": krcf_scores,
}


def nab(files: list[Any], scores: dict[str, np.ndarray]) -> list[float]:
    """Standard, low-FP and low-FN scores."""
    profiles = json.loads((ROOT / "profiles.json").read_text())
    return [scorer().nab(files, scores, profile)[0] for profile in profiles.values()]


def cross_validate(files: list[Any], scores: dict[str, np.ndarray], groups: list[list[Any]]) -> float:
    """Standard score of all groups, each at the threshold that was best on the others."""
    module = scorer()
    profile = next(iter(json.loads((ROOT / "profiles.json").read_text()).values()))
    judged: dict[str, np.ndarray] = {}
    for group in groups:
        names = {file[0] for file in group}
        threshold = module.nab([file for file in files if file[0] not in names], scores, profile)[1]
        judged |= {name: (scores[name] >= threshold).astype(float) for name in names}
    return float(module.nab(files, judged, profile, 1.0)[0])


def main() -> None:
    """Print one row a detector and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    files, _ = scorer().load(ROOT), None
    names = [file[0] for file in files]
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor() as pool:
        for detector, function in DETECTORS.items():
            for seed in range(arguments.seeds if detector == "cutwater" else 1):
                scores = dict(zip(names, pool.map(function, names, [seed] * len(names)), strict=True))
                standard, low_fp, low_fn = nab(files, scores)
                row: dict[str, Any] = {"detector": detector, "seed": seed, "standard": standard, "low_fp": low_fp,
                                       "low_fn": low_fn}  # fmt: skip
                if detector == "cutwater":
                    categories = sorted({name.split("/")[0] for name in names})
                    row["leave_one_category_out"] = cross_validate(
                        files, scores, [[f for f in files if f[0].startswith(c + "/")] for c in categories]
                    )
                    row["half_split"] = cross_validate(files, scores, [files[::2], files[1::2]])
                rows.append(row)
                if not arguments.json:
                    print(row, flush=True)
    if arguments.json:
        print_json("nab", rows)


if __name__ == "__main__":
    main()
