"""Decides on one reading after the other, from its values and a forest's score of them.

Two questions, two paths. *Is this reading anomalous?* The forest of the readings answers (``baseline``): it learns
everything, and its score is compared with the sensor's usual scores. *Should someone be told?* Features, change
detectors and shapes answer (``novelty``): only what the last ``SUPPRESSION`` readings did not have is new, and less so
the more often it came before. An alert opens an incident (``incident``), and an episode that lasts while it shows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from detector.alerting.baseline import grade_reading, split_score
from detector.alerting.change_detectors import CORRELATION, STATISTICS
from detector.alerting.episode_kind import begin_course, follow_course, likely_kind
from detector.alerting.fault_state import AWAY, displacement, is_alarmed, update_fault
from detector.alerting.features import FEATURES
from detector.alerting.forecast import interval_at, learn_interval
from detector.alerting.incident import (
    REFRACTORY,
    adopt_outliers,
    alert_grade,
    alert_threshold,
    cold_start_margin,
    decide_alert,
    decide_outlier_alert,
    is_open,
)
from detector.alerting.novelty import is_noise, learn_reading, new_shapes, novelty
from detector.alerting.outliers import START, bounded
from detector.alerting.roughness import roughness
from detector.alerting.shapes import WINDOW
from detector.alerting.silence import gap_ratio, silence_timeout
from detector.alerting.state import State
from detector.jit import jit_entry
from detector.types import NONE, SPIKE, Flags, Floats, Integers, Scores


class Columns(NamedTuple):
    """The columns of ``detector.types.Scores`` that decisions are made of (``score``) and written to (the others)."""

    score: Floats
    grade: Floats
    threshold: Floats
    is_anomaly: Flags
    expected: Floats
    expected_lower: Floats
    expected_upper: Floats
    attribution: Floats
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

    @staticmethod
    def of(scores: Scores) -> Columns:
        """Those of ``scores``."""
        return Columns(*(getattr(scores, name) for name in Columns._fields))


@jit_entry
def continue_episode(sensor: Any, time: int, score: float, is_anomaly: bool) -> bool:
    """Go on with the episode, if there is one, while its incident or anomalies do; whether this reading is of it.

    Readings in a pause are of no episode.
    """
    s, seen = sensor, sensor.readings_seen
    if s.episode_start == 0:
        return False
    if is_anomaly:
        s.episode_readings += 1
        s.episode_peak = max(s.episode_peak, score)
    if is_anomaly or s.incident_last_active == seen:
        s.episode_last = seen
    shows = bool(seen - s.episode_last <= REFRACTORY)
    if not shows and not is_open(s, time):
        s.episode_start = 0
    return shows


@jit_entry
def name_episode(sensor: Any, course: Any, memory: Any, ratios: Any, values: Any, expected: Any, kind: int) -> bool:
    """Follow an episode from its alert, which is of ``kind``; whether it turns out at this reading to be of another."""
    number = sensor.readings_seen - sensor.episode_first + 1
    if number == 1:
        sensor.episode_kind = kind
        begin_course(course, memory)
    follow_course(course, memory, values, expected, number)
    before = sensor.episode_kind
    sensor.episode_kind = likely_kind(course, number, before, ratios[:, CORRELATION].max() > 1.0)
    return bool(sensor.episode_kind != before)


@jit_entry
def forecast_reading(state: State, time: int, guesses: Any, lower: Any, upper: Any) -> None:
    """Write the interval of each value [d] at ``time``, and what its predictors expect into ``guesses`` [d, 3]."""
    for j in range(len(lower)):
        _, lower[j], upper[j] = interval_at(
            time, 1, state.memory[j], state.profile[j], state.profile_visits[j], state.band[j], guesses[j]
        )


@jit_entry
def learn_intervals(state: State, values: Any, missing: Any, learnt: Any, guesses: Any) -> None:
    """Learn the values [d] that came where ``guesses`` were expected, but for what is missing or a gross outlier."""
    if state.sensor[0].readings_seen > START:  # of what came before, gross outliers are not known
        for j in range(len(values)):
            if not missing[j] and learnt[j] == bounded(values[j]):
                learn_interval(learnt[j], state.band[j], guesses[j])


@jit_entry
def decide(
    state: State, times: Any, values: Any, missing: Any, warmup_readings: int, alone: bool, columns: Columns
) -> None:
    """Decide on each reading in turn and learn it: from the column ``score`` to the others, all zero before.

    ``alone``: no other sensors say whether this one was silent, so its own return does.
    """
    s, fault, c, d = state.sensor[0], state.fault[0], columns, values.shape[1]
    features, scores = np.empty(FEATURES), np.empty(FEATURES)
    ratios, learnt, guesses = np.zeros((d, STATISTICS)), np.empty(d), np.empty((d, 3))
    window, sums = np.empty(WINDOW, np.float32), np.empty(state.shape_windows.shape[2], np.float32)
    for i in range(len(times)):
        time = max(times[i], s.time)  # a late reading counts as now
        silence = gap_ratio(s, time)
        if not alone:
            silence = 0.0
        gap = np.float64(time) - np.float64(s.time)
        s.time, s.late = time, times[i] < time
        forecast_reading(state, time, guesses, c.expected_lower[i], c.expected_upper[i])
        found = learn_reading(
            state, time, values[i], missing[i], c.expected[i], c.attribution[i], features, scores, ratios, learnt
        )
        learn_intervals(state, values[i], missing[i], learnt, guesses)
        new_shape = new_shapes(state, learnt, window, sums)
        if s.readings_seen >= START:
            rough = roughness(
                s.interval,
                gap,
                values[i],
                missing[i],
                learnt,
                state.autocorrelations,
                state.curves,
                state.curve_tails,
            )
            new_shape = max(new_shape, rough)
        if fault.open == 1:  # one fault, one alert
            new_shape = 0.0
        farthest = displaced = 0.0
        if s.readings_seen >= START:  # gross outliers are known
            farthest, displaced = displacement(
                fault,
                state.displacement_tail[0],
                state.normal,
                time,
                learnt,
                state.memory,
                state.profile,
                state.profile_visits,
            )
        if found.adopted:
            adopt_outliers(s)
        new = novelty(s, state.sums, state.peaks, found.total)
        limit = alert_threshold(s, d)
        if is_noise(s, state.sum_tail[0], found.total, found.by_chance):
            new = min(new, limit)
        c.alert[i], c.alert_score[i], c.kind[i], shown = decide_alert(
            s,
            state.statistics,
            ratios,
            time,
            silence,
            0.0 if found.known_stuck else new,
            found.kind,
            new_shape,
            displaced,
        )
        if found.outlier_score > 0.0:
            limit = alert_threshold(s, d) + cold_start_margin(s)
            alert, alert_score = decide_outlier_alert(s, time, found.outlier_score, limit)
            if alert and not c.alert[i]:
                c.alert[i], c.kind[i] = True, SPIKE
            c.alert_score[i] = max(c.alert_score[i], alert_score)
        c.threshold[i], c.grade[i] = grade_reading(s, c.score[i], warmup_readings)
        if c.alert[i]:
            c.grade[i] = max(c.grade[i], alert_grade(c.alert_score[i], alert_threshold(s, d)))
        c.is_anomaly[i] = c.grade[i] > 0.0
        if c.is_anomaly[i] and c.kind[i] == NONE:
            c.kind[i] = shown if shown != NONE else SPIKE
        away = farthest > AWAY or is_alarmed(state.statistics)
        begins = c.alert[i] or displaced > 1.0
        c.in_anomaly[i] = update_fault(fault, state.normal, s.readings_seen, time, begins, away)
        split_score(c.score[i], c.attribution[i])
        of_episode = continue_episode(s, time, c.score[i], c.is_anomaly[i])
        if s.episode_start != 0:
            c.renamed[i] = name_episode(s, state.course, state.memory, ratios, learnt, c.expected[i], c.kind[i])
        if of_episode or c.renamed[i]:
            c.episode_start[i] = s.episode_start
            c.episode_kind[i] = s.episode_kind
            c.episode_peak[i] = s.episode_peak
            c.episode_readings[i] = s.episode_readings
        s.readings_seen += 1
        c.silence_timeout[i] = silence_timeout(s)
