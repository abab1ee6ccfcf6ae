"""The scoring of the Numenta Anomaly Benchmark (Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms",
ICMLA 2015): early detections inside a labelled window earn, detections outside cost, and one threshold holds for all.

100 is perfect, 0 is what a detector earns that never says anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.types import Floats, Integers
from service.offline.tables import Window

_PROBATION, _MOST_PROBATION = 0.15, 750  # part of a file, and rows, in which nothing counts


@dataclass(frozen=True, slots=True)
class Profile:
    """What a false alarm and a missed window cost, against 1 for a window found at its very beginning."""

    name: str
    false_alarm: float
    missed: float


PROFILES = (Profile("standard", 0.11, 1.0), Profile("low FP", 0.22, 1.0), Profile("low FN", 0.11, 2.0))


@dataclass(frozen=True, slots=True)
class Marks:
    """What a detection at each row that counts would bring.

    Attributes:
        windows: labelled windows in the file.
        window: [n] the window that a row lies in, -1 outside of all.
        worth: [n] 0 to 1 inside a window; outside -1 to 0, to be multiplied by the profile's cost.
        scores: [n] of the rows.
    """

    windows: int
    window: Integers
    worth: Floats
    scores: Floats


def mark(times: Integers, scores: Floats, windows: Sequence[Window]) -> Marks:
    """Marks of one file; ``times`` [n] and ``windows`` in ms, ``scores`` [n]."""
    n = len(times)
    window, worth = np.full(n, -1, dtype=np.int64), np.full(n, -1.0)
    for number, (start, end) in enumerate(sorted(windows)):
        inside = np.flatnonzero((times >= start) & (times <= end))
        if len(inside) == 0:
            continue
        left, right, width = int(inside[0]), int(inside[-1]), int(inside[-1] - inside[0] + 1)
        rows = np.arange(left, right + 1)
        window[rows] = number
        worth[rows] = _fall((rows - right - 1) / width) / _fall(np.array(-1.0))
        after = np.arange(right + 1, n)  # up to the next window, which overwrites the rest
        worth[after] = _fall((after - right) / max(width - 1, 1))
    first = int(np.ceil(min(np.floor(_PROBATION * n), _MOST_PROBATION)))
    return Marks(len(windows), window[first:], worth[first:], np.nan_to_num(scores[first:]))


def score(files: Sequence[Marks], profile: Profile, threshold: float | None = None) -> tuple[float, float]:
    """(score, threshold): the best over all thresholds, or that of a given one (detections are scores >= threshold)."""
    offsets = np.cumsum([0, *(file.windows for file in files)])
    total = int(offsets[-1])
    if total == 0:
        return float("nan"), float("nan")
    window = np.concatenate([np.where(f.window < 0, -1, f.window + at) for f, at in zip(files, offsets, strict=False)])
    worth = np.concatenate([file.worth for file in files])
    scores = np.concatenate([file.scores for file in files])
    order = np.argsort(-scores, kind="stable")
    window, worth, scores = window[order], worth[order], scores[order]
    gain = np.where(window < 0, profile.false_alarm * worth, 0.0)
    for number in np.unique(window[window >= 0]):  # a window earns its best detection; before the first it costs
        rows = np.flatnonzero(window == number)
        best = np.maximum.accumulate(worth[rows])
        gain[rows] = np.diff(best, prepend=-profile.missed)
    missed = len(np.unique(window[window >= 0]))
    values = np.append(0.0, np.cumsum(gain)) - profile.missed * missed
    ends = np.append(0, np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) + 1)  # equal scores go together
    thresholds = np.append(np.inf, scores[ends[1:] - 1])
    chosen = int(np.argmax(values[ends])) if threshold is None else int(np.flatnonzero(thresholds >= threshold)[-1])
    null = -profile.missed * total
    return float(100 * (values[ends[chosen]] - null) / (total - null)), float(thresholds[chosen])


def _fall(position: Floats) -> Floats:
    """The benchmark's sigmoid: near 1 at the left of a window (-1), 0 at its right edge, to -1 beyond."""
    return np.where(position > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, 3.0))) - 1.0)
