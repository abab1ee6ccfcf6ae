"""What goes into a detector and what comes out: a batch of readings and its scores.

Both are columns, one entry a reading, in the order of the stream.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

AnomalyKind = Literal[
    "spike",
    "level shift",
    "drift",
    "stuck",
    "silent",
    "noise change",
    "pattern change",
    "correlation break",
    "limit",
]
KINDS = ("none", *get_args(AnomalyKind))
NONE, SPIKE, LEVEL_SHIFT, DRIFT, STUCK, SILENT, NOISE_CHANGE, PATTERN_CHANGE, CORRELATION_BREAK, LIMIT = range(10)
LEAST_GRADE = 0.01  # of an anomaly, so that its severity is at least 1
NEVER = -(2**62)  # an event time before all others


def own_grade(score: Floats, threshold: Floats) -> Floats:
    """Grades of scores: 0 up to the threshold, then the nearer to 1 the farther beyond."""
    beyond = score > threshold
    return np.where(beyond, np.maximum(1.0 - threshold / np.where(beyond, score, 1.0), LEAST_GRADE), 0.0)


def severity_of(grade: NDArray[np.float64] | np.float64) -> Any:
    """Grades (0 to 1) in whole percent."""
    return np.rint(100.0 * grade).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Readings:
    """Consecutive readings of one shard: n readings of d values each.

    Attributes:
        sensors: the names of the sensors in this batch, each once.
        codes: [n] index into ``sensors`` of each reading.
        times: [n] event time of each reading in milliseconds since 1970-01-01T00:00:00Z.
        values: [n, d] what the sensors measured, C-contiguous; NaN is a missing value.
    """

    sensors: tuple[str, ...]
    codes: Integers
    times: Integers
    values: Floats

    def __post_init__(self) -> None:
        n = len(self.codes)
        if self.values.ndim != 2 or len(self.values) != n or len(self.times) != n:
            raise ValueError(
                f"columns of different lengths: {n} codes, {len(self.times)} times, values of shape {self.values.shape}"
            )

    def __len__(self) -> int:
        return len(self.codes)

    def names(self) -> list[str]:
        """[n] the name of each reading's sensor."""
        return [self.sensors[code] for code in self.codes.tolist()]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the next k readings of d values are expected to be.

    Attributes:
        times: [k] event times in milliseconds since 1970, at the sensor's usual interval.
        expected: [k, d] values.
        lower, upper: [k, d] the interval that nine of ten such readings fall into; the wider, the farther ahead. NaN
            while it is not known.
    """

    times: Integers
    expected: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True, slots=True)
class Scores:
    """What a detector says of each of n readings of d values.

    Attributes:
        score: [n] how unusual the reading is; 0 while its sensor is learning.
        grade: [n] 0 to 1, above 0 exactly where ``is_anomaly``: how far the score lies beyond its threshold or, above
            0.7, an alert's score beyond the threshold of alerts.
        confidence: [n] 0 to 1, how much of what it needs the sensor's detector had seen.
        threshold: [n] the score above which this reading was an anomaly by itself.
        is_anomaly: [n] whether the reading is one: its score lies above the threshold, or it is an alert.
        seen: [n] how many readings of this sensor came before this one.
        ready: [n] whether the sensor's detector had finished learning.
        attribution: [n, d] the part of the score that each value accounts for; a row sums to the score.
        expected: [n, d] what the detector would have expected; equal to the values where nothing was unusual.
        expected_lower, expected_upper: [n, d] the interval that nine of ten readings fall into, forecast from those
            before; NaN while it is not known.
        alert: [n] whether someone should be notified: something new, once an episode. An alert is an anomaly.
        alert_score: [n] how new it is; 0 where the recent past was as unusual.
        kind: [n] index into ``KINDS``: the likely kind of the anomaly or alert.
        episode_start: [n] event time (ms) of the alert that began the episode this reading belongs to, else 0.
        episode_kind: [n] index into ``KINDS``: what the episode looks like so far, which its first reading cannot tell.
        renamed: [n] whether the episode has turned out, at this reading, to be of another kind.
        episode_peak: [n] the highest score of a reading in the episode so far.
        episode_readings: [n] anomalous readings in the episode so far.
        in_anomaly: [n] whether the reading lies in a fault that goes on: from an alert until what was normal before
            it has come back, or the fault has lasted so long that it is the new normal.
        silence_timeout: [n] milliseconds after this reading from which on its sensor's silence is unusual; infinity
            while that is not known.
    """

    score: Floats
    grade: Floats
    confidence: Floats
    threshold: Floats
    is_anomaly: Flags
    seen: Integers
    ready: Flags
    attribution: Floats
    expected: Floats
    expected_lower: Floats
    expected_upper: Floats
    alert: Flags
    alert_score: Floats
    kind: Integers
    episode_start: Integers
    episode_kind: Integers
    renamed: Flags
    episode_peak: Floats
    episode_readings: Integers
    in_anomaly: Flags
    silence_timeout: Floats

    @classmethod
    def empty(cls, n: int, dimensions: int) -> Self:
        """Scores for n readings, all zero: columns to be filled in."""
        return cls(
            score=np.zeros(n),
            grade=np.zeros(n),
            confidence=np.zeros(n),
            threshold=np.zeros(n),
            is_anomaly=np.zeros(n, dtype=bool),
            seen=np.zeros(n, dtype=np.int64),
            ready=np.zeros(n, dtype=bool),
            attribution=np.zeros((n, dimensions)),
            expected=np.zeros((n, dimensions)),
            expected_lower=np.full((n, dimensions), np.nan),
            expected_upper=np.full((n, dimensions), np.nan),
            alert=np.zeros(n, dtype=bool),
            alert_score=np.zeros(n),
            kind=np.zeros(n, dtype=np.int64),
            episode_start=np.zeros(n, dtype=np.int64),
            episode_kind=np.zeros(n, dtype=np.int64),
            renamed=np.zeros(n, dtype=bool),
            episode_peak=np.zeros(n),
            episode_readings=np.zeros(n, dtype=np.int64),
            in_anomaly=np.zeros(n, dtype=bool),
            silence_timeout=np.full(n, np.inf),
        )

    @property
    def severity(self) -> Integers:
        """[n] 0 to 100: the grade in percent; 0 exactly where there is no anomaly."""
        return np.asarray(severity_of(self.grade))

    def settled(self) -> Integers:
        """[n] index into ``KINDS``: what each reading's episode is called in its last one, if all are of one sensor."""
        _, last, episode = np.unique(self.episode_start[::-1], return_index=True, return_inverse=True)
        return self.episode_kind[::-1][last][episode][::-1]

    def take(self, rows: Integers) -> Self:
        """The given rows of these scores."""
        return type(self)(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def put(self, rows: Integers, part: Scores) -> None:
        """Write ``part``'s rows over the given rows of these scores."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(part, field.name)

    def __len__(self) -> int:
        return len(self.score)
