"""How new a reading is: what its features, change detectors and shapes say, each against the sensor's past.

Features are scored against samples with **score-proportional acceptance**: a point is learnt with probability
(score / _ACCEPTED_SCORE)^2, so that a sample keeps what was rare and thins what is common, and the rare becomes
familiar after a few repeats.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from detector.alerting.autocorrelation import is_independent
from detector.alerting.change_detectors import ALERTED, STUCK_RUN, update_correlation, update_run, update_statistics
from detector.alerting.extremes import chance_of, extremity
from detector.alerting.features import FEATURES, HOUR, WEIGHTS, classify, extract_features
from detector.alerting.incident import is_active
from detector.alerting.outliers import ADOPTED, GROSS, START, bounded, classify_first, classify_value
from detector.alerting.shapes import shape_novelty, tail_exceedance
from detector.alerting.silence import WARM
from detector.alerting.state import REMEMBERED, SUPPRESSION, State, forget_value
from detector.forest.closed_form import HELD, line_insert, line_score, uniform
from detector.jit import jit_entry
from detector.types import NONE

_ACCEPTED_SCORE = 2.0  # of a point that is learnt for certain
_DECAY = 0.1  # per sample size, of the samples of features
REPEAT_DAMPING = 0.3  # less for each doubling of the earlier sums that were new and as high
NOTED = 2.5  # a sum from which it is remembered
_JUMP = 5.0  # deviations from the fast mean
_NEW_REACH = 4.5  # mean excesses of what is new in the shapes; see ``shapes.tail_exceedance``
_NEW_REACH_OF_RATE = 0.5  # more for each doubling of the readings a day, which are as many chances
_SLOWEST, _FASTEST = 300_000.0, 1_000.0  # milliseconds between readings, between which that holds
_EXTREME = 0.01  # readings a day that lie so far from the mean by chance
_NOISE_REACH = 10.0  # mean excesses of a sum of features that is more than noise
_NOISE_REACH_OF_RATE = 1.0  # more for each doubling of the readings a day
_NEW_WARM, _NEW_WARM_OF_SEVERAL = 600.0, 1500.0  # readings before the first alert by shape


class Novelty(NamedTuple):
    """What was found in a reading.

    Attributes:
        total: the greatest sum of the scores of a value's features.
        outlier_score: that of a gross outlier, 0 if there is none.
        kind: what the value of ``total`` looks like.
        known_stuck: whether that value is known to be stuck.
        by_chance: whether that value's readings are independent of each other, and this one no farther away than chance
            would bring it.
        adopted: whether a gross outlier has become ordinary.
    """

    total: float
    outlier_score: float
    kind: int
    known_stuck: bool
    by_chance: bool
    adopted: bool


@jit_entry
def accept_probability(score: float) -> float:
    """With which probability a point of this score is learnt."""
    return (score / _ACCEPTED_SCORE) ** 2


@jit_entry
def score_and_learn(
    random: Any, seen: int, offered: Any, counts: Any, points: Any, keys: Any, squares: Any, features: Any, scores: Any
) -> float:
    """Score the features of one value against their samples, learn what is accepted; returns the weighted sum."""
    decay = _DECAY / points.shape[1]
    total = 0.0
    for k in range(FEATURES):
        score = line_score(points[k], squares[k], counts[k, HELD], features[k]) if counts[k, HELD] > 0 else 0.0
        scores[k] = score
        total += WEIGHTS[k] * score
        if seen < WARM or uniform(random) <= accept_probability(score):
            line_insert(points[k], keys[k], squares[k], counts[k], features[k], decay * offered[k], random)
            offered[k] += 1
    return total


@jit_entry
def score_features(counts: Any, points: Any, squares: Any, features: Any) -> float:
    """The weighted sum of the features' scores; nothing is learnt."""
    total = 0.0
    for k in range(FEATURES):
        if counts[k, HELD] > 0:
            total += WEIGHTS[k] * line_score(points[k], squares[k], counts[k, HELD], features[k])
    return total


@jit_entry
def novelty(sensor: Any, sums: Any, peaks: Any, total: float) -> float:
    """What is new in a sum of the features' scores: 0 if the recent past had as much, else less for each repeat."""
    s, seen = sensor, sensor.readings_seen
    fresh = seen >= WARM
    for k in range(SUPPRESSION):
        if sums[k] >= total:
            fresh = False
            break
    sums[seen % SUPPRESSION] = total
    if not fresh or total < NOTED:
        return total if fresh else 0.0
    before = 0
    for k in range(min(s.peaks, REMEMBERED)):
        if peaks[k] >= total:
            before += 1
    peaks[s.peaks % REMEMBERED] = total
    s.peaks += 1
    return float(total - REPEAT_DAMPING * np.log2(1.0 + before))


@jit_entry
def expected_value(x: float, mean: float, variance: float) -> tuple[float, float]:
    """What a value was expected to be, and how many standard deviations it lies away from that."""
    expected = mean if mean == mean else x
    return expected, abs(x - expected) / np.sqrt(variance) if variance > 0.0 else 0.0


@jit_entry
def spread_floor(x: float, expected: float, variance: float, seen: int) -> float:
    """The spread below which a feature sees none, so that a constant has one."""
    if seen == 0:
        return float(1e-9 + 1e-6 * abs(x))
    return float(1e-3 * np.sqrt(variance) + 1e-6 * abs(expected) + 1e-12)


@jit_entry
def score_outlier(state: State, j: int, x: float, time: int, scale: float, features: Any) -> float:
    """The sum of the features' scores of a gross outlier ``x`` of value j, of which nothing is learnt."""
    extract_features(
        x,
        time,
        state.sensor[0].readings_seen,
        state.window[j].copy(),
        state.means[j].copy(),
        state.visits[j].copy(),
        state.levels[j].copy(),
        state.errors[j].copy(),
        scale,
        False,
        features,
    )
    return float(score_features(state.feature_counts[j], state.feature_points[j], state.feature_squares[j], features))


@jit_entry
def learn_value(
    state: State,
    j: int,
    x: float,
    time: int,
    seen: int,
    missing: bool,
    in_incident: bool,
    features: Any,
    scores: Any,
    out: Any,
) -> float:
    """Score value j by all features, update its change detectors (``out``), learn it; the sum of the scores."""
    memory = state.memory[j]
    expected, _ = expected_value(x, memory.fast_mean, memory.variance)
    extract_features(
        x,
        time + np.int64(memory.clock_shift) * HOUR,
        seen,
        state.window[j],
        state.means[j],
        state.visits[j],
        state.levels[j],
        state.errors[j],
        spread_floor(x, expected, memory.variance, seen),
        in_incident,
        features,
    )
    total = score_and_learn(
        state.random,
        seen,
        state.feature_offered[j],
        state.feature_counts[j],
        state.feature_points[j],
        state.feature_keys[j],
        state.feature_squares[j],
        features,
        scores,
    )
    profile, visits = state.profile[j], state.profile_visits[j]
    update_statistics(x, time, missing, memory, profile, visits, state.statistics[j], in_incident, out)
    return float(total)


@jit_entry
def learn_anew(state: State, j: int, time: int, features: Any, scores: Any, out: Any) -> None:
    """Forget value j and learn its first readings again, from which gross outliers have been taken."""
    forget_value(state, j)
    for k in range(START):
        learn_value(state, j, state.outliers[j].first[k], time, k, False, False, features, scores, out)


@jit_entry
def learn_reading(
    state: State,
    time: int,
    values: Any,
    missing: Any,
    expected: Any,
    distance: Any,
    features: Any,
    scores: Any,
    ratios: Any,
    learnt: Any,
) -> Novelty:
    """Score a reading's values [d] by all features and change detectors, and learn them.

    Writes what each was ``expected`` to be, its ``distance`` from that, how far each change detector is beyond its
    limit (``ratios``, 1: at it), and what was ``learnt`` of it; ``features`` and ``scores`` [FEATURES] are room to work
    in.
    """
    s = state.sensor[0]
    seen, in_incident = s.readings_seen, is_active(s, time)
    most, outlier_score, kind, known_stuck, by_chance, adopted = 0.0, 0.0, NONE, False, False, False
    for j in range(len(values)):
        x, memory, statistics, outliers = bounded(values[j]), state.memory[j], state.statistics[j], state.outliers[j]
        if seen == START and classify_first(outliers):
            learn_anew(state, j, time, features, scores, ratios[j])
        sort = classify_value(x, seen, missing[j], outliers)
        adopted |= sort == ADOPTED
        expected[j], distance[j] = expected_value(x, memory.fast_mean, memory.variance)
        if distance[j] > _JUMP:
            s.jumped = seen
        aside, actual = sort == GROSS, x
        if aside:
            if not missing[j]:
                scale = spread_floor(x, expected[j], memory.variance, seen)
                shifted = time + np.int64(memory.clock_shift) * HOUR
                outlier_score = max(outlier_score, score_outlier(state, j, x, shifted, scale, features))
            x = outliers.ordinary
        learnt[j] = x
        chance = False
        if seen >= START:
            correlation = state.autocorrelations[j]
            away = abs(x - correlation.mean)
            extreme = extremity(away, correlation.deviation, chance_of(_EXTREME, s.interval), state.extremes[j]) > 1.0
            chance = is_independent(x, correlation) and not extreme
        total = learn_value(state, j, x, time, seen, missing[j] or aside, in_incident, features, scores, ratios[j])
        if aside and not missing[j]:
            update_run(actual, memory, statistics, ratios[j])
        if total > most:
            most, kind, known_stuck = total, classify(scores), statistics[STUCK_RUN].alarm == ALERTED
            by_chance = chance
    if len(values) > 1:
        update_correlation(state.memory, state.products, state.relation_errors, state.statistics, ratios)
    return Novelty(most, outlier_score, kind, known_stuck, by_chance, adopted)


@jit_entry
def doublings(sensor: Any) -> float:
    """By how many powers of two the readings are faster than one in five minutes: so many more are extreme in a day."""
    return float(max(0.0, np.log2(_SLOWEST / max(sensor.interval, _FASTEST))))


@jit_entry
def is_noise(sensor: Any, tail: Any, total: float, by_chance: bool) -> bool:
    """Whether a sum of features that may be there ``by_chance`` is no more than noise would bring; learns the sum."""
    if sensor.readings_seen < START:
        return False
    reach = _NOISE_REACH + _NOISE_REACH_OF_RATE * doublings(sensor)
    return bool(tail_exceedance(tail, total, reach, float(WARM)) <= 1.0) and by_chance


@jit_entry
def new_shapes(state: State, values: Any, window: Any, sums: Any) -> float:
    """How far the novelty of the shapes lies beyond its own past (1: at the limit); learns a reading's ``values`` [d].

    ``window`` [WINDOW] and ``sums`` [w] are room to work in.
    """
    d = len(values)
    if state.sensor[0].readings_seen < START:  # gross outliers are not known yet
        return 0.0
    total = 0.0
    for j in range(d):
        total += shape_novelty(values[j], state.shapes[j], state.shape_windows[j], state.shape_random, window, sums)
    # a sum of many varies less beside its excesses
    reach = (_NEW_REACH + _NEW_REACH_OF_RATE * doublings(state.sensor[0])) * d**-0.25
    warm = _NEW_WARM if d == 1 else _NEW_WARM_OF_SEVERAL
    return float(tail_exceedance(state.shape_tail[0], total, reach, warm))
