"""Is this reading anomalous? Its score against the sensor's usual scores.

An anomaly counts for little among the usual scores, so the thousandth outlier is as anomalous as the first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.alerting.state import State
from detector.forest.closed_form import FARTHEST, HELD, line_insert, line_score
from detector.jit import jit_entry
from detector.types import LEAST_GRADE

PROVISIONAL = 32  # readings before the first score
_THRESHOLD_STEPS = 5.5  # from the usual score to the threshold; a step leads from the usual score to the high one
HIGH = 0.95  # of the scores lie below the high one
_NORMAL = 1.2533  # a normal distribution's standard deviation over its mean absolute deviation


@jit_entry
def score_samples(state: State, values: Any, decay: float, learn: bool, out: Any) -> None:
    """Score each one-dimensional reading against all random cut trees of samples of all readings, then learn it."""
    samples, count, s = len(state.sample_counts), len(values), state.sensor[0]
    if count == 0:
        return
    for sample in range(samples):
        points, keys, squares = state.sample_points[sample], state.sample_keys[sample], state.sample_squares[sample]
        counts, sampled = state.sample_counts[sample], s.sampled
        for i in range(count):
            v = min(max(values[i, 0], -FARTHEST), FARTHEST)
            if sampled >= PROVISIONAL:
                out[i] += line_score(points, squares, counts[HELD], v) / samples
            if learn:
                random = state.sample_random[sample : sample + 1]
                line_insert(points, keys, squares, counts, v, decay * sampled, random)
                sampled += 1
    if learn:
        s.sampled += count


@jit_entry
def score_threshold(sensor: Any, confidence: float) -> float:
    """The score above which a reading is an anomaly: the tail of the sensor's scores, drawn out."""
    if sensor.scored < PROVISIONAL:
        return np.inf
    usual = sensor.usual_score
    step = max(sensor.high_score - usual, 0.1 * usual)
    return float((usual + _THRESHOLD_STEPS * step) * (2.0 - confidence))


@jit_entry
def update_score_baseline(sensor: Any, score: float, is_anomaly: bool) -> None:
    """Count a score among the usual ones; one far above them (at first: above what forests usually say) as less.

    The high score is tracked by steps up at a score above it and down at one below, which balance at HIGH.
    """
    s, scored = sensor, sensor.scored
    spread = max(_NORMAL * s.score_deviation, 0.05 * s.usual_score)
    bounded = min(score, s.usual_score + 3.0 * spread if scored >= PROVISIONAL else 1.5)
    rate = max(1.0 / (scored + 1.0), 1.0 / 512.0)
    s.score_deviation += rate * (abs(bounded - s.usual_score) - s.score_deviation)
    s.usual_score += rate * (bounded - s.usual_score)
    if scored < PROVISIONAL:
        s.high_score = s.usual_score + s.score_deviation
    else:
        step = max(5.0 / (scored + 1.0), 0.005) * (0.25 if is_anomaly else 1.0)
        s.high_score = max(s.high_score, s.usual_score) + step * (HIGH if score > s.high_score else HIGH - 1.0)
    s.scored += 1


@jit_entry
def grade_reading(sensor: Any, score: float, warmup_readings: int) -> tuple[float, float]:
    """The threshold of a reading's score, and the grade of the anomaly that it is (0: none); learns the score."""
    threshold = score_threshold(sensor, min(sensor.readings_seen / warmup_readings, 1.0))
    if score > 0.0:
        update_score_baseline(sensor, score, score > threshold)
    return threshold, max(1.0 - threshold / score, LEAST_GRADE) if score > threshold else 0.0


@jit_entry
def split_score(score: float, attribution: Any) -> None:
    """Divide a score among the values in the ratio of their distances, which it replaces in ``attribution`` [d]."""
    d = len(attribution)
    whole = 0.0
    for j in range(d):
        whole += attribution[j]
    for j in range(d):
        attribution[j] = score * (attribution[j] / whole if whole > 0.0 else 1.0 / d)
