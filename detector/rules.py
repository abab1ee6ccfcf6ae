"""What users know about their sensor and the detector cannot: applied after scoring, it changes no score."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Literal

import numpy as np

from detector.types import (
    LEVEL_SHIFT,
    LIMIT,
    NONE,
    PATTERN_CHANGE,
    SILENT,
    SPIKE,
    STUCK,
    Flags,
    Floats,
    Integers,
    Scores,
    own_grade,
)

_DAY = 1440  # minutes
_SPAN = re.compile(r"(\d\d?):([0-5]\d)-(\d\d?):([0-5]\d)")
# Alerts of other kinds come from many readings, so the last one's distance from the expected value says nothing.
_OF_ONE_VALUE = np.array([SPIKE, LEVEL_SHIFT, PATTERN_CHANGE])
_OF_NO_VALUE = np.array([STUCK, SILENT])


@dataclass(frozen=True, slots=True)
class Rules:
    """Conditions under which a reading is, or is not, an anomaly. The default changes nothing.

    A reading of several values is near, or between, only if all of its values are.

    Attributes:
        ignore_near_above, ignore_near_below: a reading is no anomaly if it lies this far or less above or below the
            expected value.
        ignore_near_above_ratio, ignore_near_below_ratio: the same, as a part of the expected value's size.
        direction: only readings above ("high") or below ("low") what was expected are anomalies.
        never_between: (low, high): readings from low to high are none.
        always_below, always_above: hard limits: a reading beyond is an anomaly of grade 1, also while learning, and an
            alert if it is the first for some time.
        minimum_grade: anomalies of a lower grade are none; alerts have grades above 0.7.
        quiet: spans of the UTC day in which no alert is raised, such as "22:00-06:00".
        silent_after: seconds without a reading, while others go on, after which a sensor counts as silent; 0: never.
            None: what is unusual for the sensor.

    Raises:
        ValueError: a value is out of its range; the message names it.
    """

    ignore_near_above: float = 0.0
    ignore_near_below: float = 0.0
    ignore_near_above_ratio: float = 0.0
    ignore_near_below_ratio: float = 0.0
    direction: Literal["both", "high", "low"] = "both"
    never_between: tuple[float, float] | None = None
    always_below: float | None = None
    always_above: float | None = None
    minimum_grade: float = 0.0
    quiet: tuple[str, ...] = ()
    silent_after: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.startswith("ignore_near") and not 0 <= value < np.inf:
                raise ValueError(f"{field.name} = {value}: must be a finite number, 0 or more")
        if not 0 <= self.minimum_grade <= 1:
            raise ValueError(f"minimum_grade = {self.minimum_grade}: must lie between 0 and 1")
        if self.direction not in ("both", "high", "low"):
            raise ValueError(f"direction = {self.direction!r}: must be both, high or low")
        low, high = self.always_below, self.always_above
        if low is not None and high is not None and not low < high:
            raise ValueError(f"always_below = {low}: must be less than always_above = {high}")
        if self.never_between is not None and not self.never_between[0] <= self.never_between[1]:
            raise ValueError(f"never_between = {self.never_between}: the lower bound comes first")
        for span in self.quiet:
            _minutes(span)
        if self.silent_after is not None and not 0 <= self.silent_after < np.inf:
            raise ValueError(f"silent_after = {self.silent_after}: must be a finite number of seconds, or 0 for never")

    def apply(self, times: Integers, values: Floats, scores: Scores) -> None:
        """Correct ``is_anomaly``, ``grade``, ``alert`` and ``kind`` in place. NaN values are missing."""
        if self == _NONE:
            return
        distance = np.where(np.isnan(values), 0.0, values - scores.expected)
        size = np.abs(scores.expected)
        above = np.maximum(self.ignore_near_above, self.ignore_near_above_ratio * size)
        below = np.maximum(self.ignore_near_below, self.ignore_near_below_ratio * size)
        dropped = np.zeros(len(values), dtype=bool)
        if above.any() or below.any():
            dropped |= ((distance <= above) & (distance >= -below)).all(axis=1)
        if self.direction != "both":
            dropped |= ~(distance > 0 if self.direction == "high" else distance < 0).any(axis=1)
        _drop(scores, dropped, np.isin(scores.kind, _OF_ONE_VALUE))
        if self.never_between is not None:
            low, high = self.never_between
            inside = np.asarray((np.isnan(values) | ((values >= low) & (values <= high))).all(axis=1))
            _drop(scores, inside, np.isin(scores.kind, _OF_NO_VALUE, invert=True))
            scores.in_anomaly[inside & ~scores.alert] = False
        weak = np.logical_and(scores.is_anomaly, scores.grade < self.minimum_grade)
        _drop(scores, weak, weak)
        broken = self.broken(values)
        scores.is_anomaly[broken] = True
        scores.in_anomaly[broken] = True
        scores.grade[broken] = 1.0
        scores.kind[broken] = LIMIT
        scores.alert[self.is_quiet(times)] = False
        scores.grade[~scores.is_anomaly] = 0.0
        scores.kind[~scores.is_anomaly] = NONE

    def withdraw_alerts(self, rows: Integers, times: Integers, values: Floats, scores: Scores) -> None:
        """Make the alerts of these rows what their readings are by themselves: an anomaly, or none. In place."""
        part = scores.take(rows)
        part.alert[:] = False
        part.grade[:] = own_grade(part.score, part.threshold)
        part.is_anomaly[:] = part.grade > 0.0
        part.in_anomaly[:] = np.logical_and(part.in_anomaly, part.is_anomaly)
        part.kind[:] = np.where(part.is_anomaly, SPIKE, NONE)
        self.apply(times[rows], values[rows], part)
        scores.put(rows, part)

    def silence_timeout(self, learnt: Floats) -> Floats:
        """Milliseconds after which a silence is reported, given what is unusual for the sensor."""
        return learnt if self.silent_after is None else np.full_like(learnt, self.silent_after * 1000 or np.inf)

    def broken(self, values: Floats) -> Flags:
        """[n] whether a value of [n, d] lies beyond a hard limit."""
        if self.always_below is None and self.always_above is None:
            return np.zeros(len(values), dtype=bool)
        low = -np.inf if self.always_below is None else self.always_below
        high = np.inf if self.always_above is None else self.always_above
        return np.asarray(((values < low) | (values > high)).any(axis=1))

    def is_quiet(self, times: Integers) -> Flags:
        """[n] whether no alert may be raised at these event times (ms)."""
        minutes = times // 60_000 % _DAY
        quiet = np.zeros(len(times), dtype=bool)
        for span in self.quiet:
            start, end = _minutes(span)
            after, before = minutes >= start, minutes < end
            quiet |= (after & before) if start <= end else (after | before)
        return quiet


_NONE = Rules()


def _drop(scores: Scores, rows: Flags, alerts: Flags) -> None:
    """Anomalies of these rows are none, nor do they rename their episode; but alerts not among ``alerts`` stand."""
    dropped = rows & (alerts | ~scores.alert)
    scores.is_anomaly[dropped] = False
    scores.alert[dropped] = False
    scores.renamed[rows] = False


@lru_cache
def _minutes(span: str) -> tuple[int, int]:
    """Beginning and end of a span, in minutes of the day; it passes midnight if the end comes first."""
    match = _SPAN.fullmatch(span)
    hour, minute, until_hour, until_minute = map(int, match.groups()) if match else (_DAY, 0, 0, 0)
    start, end = 60 * hour + minute, 60 * until_hour + until_minute
    if start > _DAY or end > _DAY:
        raise ValueError(f"quiet = {span!r}: must be spans of the UTC day such as 22:00-06:00")
    return start, end
