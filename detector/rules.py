"""What users know about their sensor and the detector cannot: applied after scoring, it changes no score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from detector.batch import LIMIT, Floats, Integers, Scores

_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Rules:
    """Conditions under which a reading is, or is not, an anomaly. The default changes nothing.

    Attributes:
        ignore_near: a reading whose values all lie within this distance of the expected ones is none.
        ignore_near_ratio: the same, as a part of the expected value's size.
        direction: only readings above ("high") or below ("low") what was expected are anomalies.
        always_below, always_above: hard limits; a value beyond one is an anomaly of grade 1, also while learning.
        never_between: (low, high): a reading with all values inside is none.
        minimum_grade: anomalies of a lower grade are none.
        quiet: spans of the UTC day, as (from, to) in minutes since midnight, in which no alert is raised; a span may
            pass midnight.
    """

    ignore_near: float = 0.0
    ignore_near_ratio: float = 0.0
    direction: Literal["both", "high", "low"] = "both"
    always_below: float | None = None
    always_above: float | None = None
    never_between: tuple[float, float] | None = None
    minimum_grade: float = 0.0
    quiet: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        for name in ("ignore_near", "ignore_near_ratio"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} = {value}: must be a finite number, 0 or more")
        if not 0 <= self.minimum_grade <= 1:
            raise ValueError(f"minimum_grade = {self.minimum_grade}: must lie between 0 and 1")
        if self.direction not in ("both", "high", "low"):
            raise ValueError(f"direction = {self.direction!r}: must be both, high or low")
        low, high = self.always_below, self.always_above
        if low is not None and high is not None and low >= high:
            raise ValueError(f"always_below = {low} must be less than always_above = {high}")
        if self.never_between is not None and self.never_between[0] > self.never_between[1]:
            raise ValueError(f"never_between = {self.never_between}: the lower bound comes first")
        for span in self.quiet:
            if len(span) != 2 or not all(0 <= minute <= 1440 for minute in span):
                raise ValueError(f"quiet = {span}: minutes of the day from 0 to 1440, such as (1320, 360)")

    def apply(self, times: Integers, values: Floats, scores: Scores) -> None:
        """Correct ``is_anomaly``, ``grade``, ``alert`` and ``kind`` in place. NaN values are missing."""
        distance = np.where(np.isnan(values), 0.0, values - scores.expected)
        dropped = np.zeros(len(values), dtype=bool)
        near = np.maximum(self.ignore_near, self.ignore_near_ratio * np.abs(scores.expected))
        if self.ignore_near > 0 or self.ignore_near_ratio > 0:
            dropped |= (np.abs(distance) <= near).all(axis=1)
        if self.direction != "both":
            dropped |= ~(distance > 0 if self.direction == "high" else distance < 0).any(axis=1)
        if self.never_between is not None:
            low, high = self.never_between
            dropped |= (np.isnan(values) | ((values >= low) & (values <= high))).all(axis=1)
        dropped |= scores.grade < self.minimum_grade
        scores.is_anomaly[dropped] = False
        scores.alert[dropped] = False
        broken = np.zeros(len(values), dtype=bool)
        if self.always_below is not None:
            broken |= (values < self.always_below).any(axis=1)
        if self.always_above is not None:
            broken |= (values > self.always_above).any(axis=1)
        scores.is_anomaly[broken] = True
        scores.grade[broken] = 1.0
        scores.kind[broken] = LIMIT
        minutes = times % _DAY // 60_000
        for start, end in self.quiet:
            inside = (minutes >= start) & (minutes < end)
            if start > end:
                inside = (minutes >= start) | (minutes < end)
            scores.alert[inside] = False
        scores.grade[~scores.is_anomaly] = 0.0
        scores.kind[~(scores.is_anomaly | scores.alert)] = 0
