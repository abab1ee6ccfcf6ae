"""Should someone be told? Of what is new, once: an alert opens an incident.

While an incident is open, pauses of ``PAUSE`` readings included, only what is ``ESCALATION_MARGIN`` more severe than
all of it so far is an alert, or what is never the same: a stuck value, a silence. What goes on for two days is alerted
again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.alerting.change_detectors import (
    ALERTED,
    NORMAL_AFTER,
    PAUSE,
    QUIET,
    STATISTIC_KINDS,
    STATISTICS,
    STUCK_RUN,
)
from detector.alerting.episode_kind import is_slow
from detector.alerting.features import HOUR, MEAN
from detector.alerting.silence import DAY, WARM
from detector.alerting.state import SUPPRESSION
from detector.jit import jit_entry
from detector.types import LEVEL_SHIFT, NONE, PATTERN_CHANGE, SILENT, SPIKE, STUCK

REFRACTORY = 30  # readings after an alert before the next, and without an anomaly before an episode ends
_ALERT = 3.2  # score of an alert, at a reading in five minutes or more
_RATE_PENALTY = 0.5  # more for each doubling of the values a day: they are as many chances of a false alarm
_SLOWEST, _FASTEST = 300_000.0, 10_000.0  # milliseconds between readings, between which that holds
# Values; of a sensor that has n times as many, a statistic must lie n times as far beyond its limit. Spikes are left to
# the features: of many values some are constant, and any change of a constant lies infinitely far beyond its limit.
_NARROW_SENSOR = 4.0
_COLD_START_MARGIN = 2.0  # more for the features until a day is known: before, what is new may be the season
_COLD_START_MARGIN_OF_JUMP = 1.0  # instead, and less and less, after a jump: no season comes so suddenly
ESCALATION_MARGIN = 1.0  # as much as _RATE_PENALTY asks for four times the chances
_OUTLIER_DAMPING = 1.0  # as ``novelty.REPEAT_DAMPING``, for gross outliers, which nothing else makes familiar
ALERT_GRADE = 0.75  # of an alert, at least: a monitor on grades above 0.7 catches every alert


@jit_entry
def alert_threshold(sensor: Any, dimensions: int) -> float:
    """The score above which a reading is an alert."""
    interval = max(sensor.interval, _FASTEST)
    return float(_ALERT + _RATE_PENALTY * (max(0.0, np.log2(_SLOWEST / interval)) + np.log2(dimensions)))


@jit_entry
def cold_start_margin(sensor: Any) -> float:
    """How far beyond that the features' sum must be, of a sensor whose day is not known yet."""
    age = sensor.readings_seen * sensor.interval / DAY
    if age >= 1.0:
        return 0.0
    jumped = sensor.readings_seen - sensor.jumped <= MEAN
    return _COLD_START_MARGIN_OF_JUMP * (1.0 - age) if jumped else _COLD_START_MARGIN


@jit_entry
def is_open(sensor: Any, time: int) -> bool:
    """Whether the incident of the last alert goes on."""
    recent = sensor.readings_seen - sensor.incident_last_active <= PAUSE
    return bool(recent and time - sensor.incident_started < NORMAL_AFTER * HOUR)


@jit_entry
def is_active(sensor: Any, time: int) -> bool:
    """Whether the incident of the last alert goes on and showed within ``REFRACTORY`` readings."""
    return is_open(sensor, time) and bool(sensor.readings_seen - sensor.incident_last_active <= REFRACTORY)


@jit_entry
def strongest(sensor: Any, statistics: Any, ratios: Any, time: int) -> tuple[float, int, int, bool]:
    """The statistic farthest beyond its limit that was not alerted yet, or 0 and NONE: how far, and its kind.

    Besides, the kind of the farthest one, alerted or not, and whether any is in alarm.
    """
    evidence, condition, farthest, found, alarming = 0.0, NONE, 1.0, NONE, False
    width = len(ratios) / _NARROW_SENSOR
    for j in range(len(ratios)):
        stuck = statistics[j, STUCK_RUN].alarm == ALERTED  # that a stuck value leaves its season is the same incident
        for k in range(STATISTICS):
            kind = STATISTIC_KINDS[k]
            if width > 1.0 and (kind == SPIKE or ratios[j, k] < width):
                continue
            if ratios[j, k] > 1.0 and (stuck or (is_slow(kind) and time - sensor.slow_fault_time < DAY)):
                statistics[j, k].alarm = ALERTED
                if is_slow(kind):
                    sensor.slow_fault_time = time
            if ratios[j, k] > max(1.0, evidence) and statistics[j, k].alarm < ALERTED:
                evidence, condition = ratios[j, k], kind
            if ratios[j, k] > farthest:
                farthest, found = ratios[j, k], kind
            alarming |= QUIET < statistics[j, k].alarm <= ALERTED
    return evidence, condition, found, alarming


@jit_entry
def mark_alerted(sensor: Any, statistics: Any, ratios: Any, time: int, condition: int) -> None:
    """Count all that a reading shows as alerted."""
    if is_slow(condition):
        sensor.slow_fault_time = time
    for j in range(len(ratios)):
        for k in range(STATISTICS):
            if ratios[j, k] > 1.0:
                statistics[j, k].alarm = ALERTED


@jit_entry
def start_episode(sensor: Any, time: int) -> None:
    """Begin an episode at this reading."""
    s = sensor
    s.episode_start, s.episode_first, s.episode_readings, s.episode_peak = time, s.readings_seen, 0, 0.0


@jit_entry
def escalates(sensor: Any, time: int, condition: int, severity: float, is_another: bool) -> bool:
    """Whether what is above the threshold is more than the open incident, if there is one; then it is the incident.

    It begins an episode unless it is more of the same. ``is_another`` says that it is not, as a stuck value and a
    silence are not.
    """
    s, was_open, unlike = sensor, is_open(sensor, time), is_another or condition in (SILENT, STUCK)
    if was_open and not unlike and severity <= s.max_severity + ESCALATION_MARGIN:
        return False
    s.max_severity = max(severity, s.max_severity if was_open else 0.0)
    s.incident_started, s.incident_last_active = time, s.readings_seen
    if unlike or not was_open:
        start_episode(s, time)
    return True


@jit_entry
def decide_alert(
    sensor: Any,
    statistics: Any,
    ratios: Any,
    time: int,
    silence: float,
    new: float,
    looks_like: int,
    new_shape: float,
    displaced: float,
) -> tuple[bool, float, int, int]:
    """Whether a reading is an alert: new, above the threshold, not just after an alert, not the open incident.

    Args:
        sensor, statistics: of the state.
        ratios: [d, STATISTICS] how far each change detector is beyond its limit (1: at it).
        time: of the reading, in ms.
        silence: how far the gap before it is beyond the sensor's own (1: at the limit).
        new: the novelty of its features, and what they look like (``looks_like``).
        new_shape: how far the novelty of its shape is beyond its limit (1: at it).
        displaced: how much evidence it is where its values have been lately (1: at the limit).

    Returns besides the alert score, the kind of the alert and the kind of fault that the reading shows, alerted or not.
    """
    s = sensor
    seen, was_open = s.readings_seen, is_open(s, time)
    evidence, condition, found, alarming = strongest(s, statistics, ratios, time)
    if silence > max(1.0, evidence):
        evidence, condition, found = silence, SILENT, SILENT
    threshold = alert_threshold(s, len(ratios))
    if time - s.slow_fault_time < DAY:  # that has new shapes, at its end too
        new_shape = 0.0
    is_another = max(new_shape, displaced) > max(1.0, evidence)
    if is_another:
        if new <= threshold:  # nothing in the features gives it a name
            looks_like = LEVEL_SHIFT if displaced > new_shape else PATTERN_CHANGE
        if condition == NONE:
            found = looks_like
        evidence = max(new_shape, displaced)
    proof = threshold * (1.0 + 0.25 * np.log2(evidence)) if evidence > 1.0 else 0.0
    severity = max(proof, new)
    alert_score = 0.0
    if seen - s.last_alert > REFRACTORY or condition == SILENT:
        alert_score = severity
    elif was_open:
        s.max_severity = max(s.max_severity, severity)
    if was_open and (alarming or alert_score > threshold):
        s.incident_last_active = seen
    alert, kind = False, NONE
    if alert_score > threshold + (0.0 if proof > 0.0 else cold_start_margin(s)):
        mark_alerted(s, statistics, ratios, time, condition)
        if escalates(s, time, condition, severity, is_another):
            s.last_alert = seen
            alert, kind = True, condition if condition != NONE else looks_like
    return alert, alert_score, kind, found


@jit_entry
def decide_outlier_alert(sensor: Any, time: int, score: float, threshold: float) -> tuple[bool, float]:
    """Whether a gross outlier whose features have this score is an alert, and its alert score.

    They are an incident of their own, so that what is ordinary otherwise is judged as if they had not been.
    """
    s, seen = sensor, sensor.readings_seen
    if seen < WARM:
        return False, 0.0
    since = seen - s.outlier_last
    recent = s.outlier_peak if since <= SUPPRESSION else 0.0
    severity = score - _OUTLIER_DAMPING * np.log2(1.0 + s.outliers) if score > recent else 0.0
    severity = max(severity, 0.0)
    was_open = since <= PAUSE and time - s.outlier_alert_time < NORMAL_AFTER * HOUR
    s.outlier_last, s.outlier_peak = seen, max(score, recent)
    s.outliers += 1
    alert = severity > threshold and (not was_open or severity > s.outlier_severity + ESCALATION_MARGIN)
    if alert:
        s.outlier_alert, s.outlier_alert_time, s.outlier_severity = seen, time, severity
        if s.episode_start == 0:
            start_episode(s, time)
    return alert, severity


@jit_entry
def adopt_outliers(sensor: Any) -> None:
    """What was a gross outlier is ordinary from now on: what it alerted goes on as the incident of the sensor."""
    s, seen = sensor, sensor.readings_seen
    if seen - s.outlier_alert <= PAUSE and s.outlier_alert > s.last_alert:
        s.last_alert, s.incident_started, s.incident_last_active = s.outlier_alert, s.outlier_alert_time, seen
        s.max_severity = s.outlier_severity


@jit_entry
def alert_grade(alert_score: float, threshold: float) -> float:
    """The grade of an alert: the farther its score lies beyond the threshold of alerts, the nearer to 1."""
    return ALERT_GRADE + (1.0 - ALERT_GRADE) * (1.0 - threshold / alert_score)
