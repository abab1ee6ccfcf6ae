"""Slow and structural faults that no single reading shows: one small statistic each, calibrated by its own past.

A statistic alarms when it exceeds both ``_SIGMA_LIMIT`` times its own usual size and ``_MAX_RATIO`` times the largest
size that it has had (slowly forgotten): the first is about noise, the second about heavy tails. What alarms teaches
little, so a fault does not hide the next; each alarm raises the limit a little, so what keeps coming becomes the new
normal. A fault whose alarm pauses for less than ``PAUSE`` is still the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.alerting.features import BINS, HOUR
from detector.jit import jit_entry
from detector.types import CORRELATION_BREAK, DRIFT, LEVEL_SHIFT, NOISE_CHANGE, PATTERN_CHANGE, SPIKE, STUCK

STATISTICS = 7  # of each value
STATISTIC_KINDS = np.array([SPIKE, LEVEL_SHIFT, NOISE_CHANGE, PATTERN_CHANGE, DRIFT, CORRELATION_BREAK, STUCK])
_SPIKE, _LEVEL, _NOISE, _PATTERN, _DRIFT, CORRELATION, STUCK_RUN = range(STATISTICS)
STATISTIC = np.dtype(
    [
        ("usual_square", np.float64),
        ("count", np.float64),
        ("largest", np.float64),
        ("alarm", np.float64),  # one of the following; beyond ALERTED: statistics without alarm since, in one fault
    ],
    align=True,
)
QUIET, ALARMING, ALERTED = 0.0, 1.0, 2.0
_SIGMA_LIMIT = np.array([8.0, 6.0, 6.0, 3.5, 4.0, 8.0, 0.0])  # correlation's is farther: it has no sizes below zero
_MAX_RATIO = np.array([2.0, 1.5, 1.5, 1.1, 1.2, 1.2, 1.5])
_WARM = np.array([1024.0, 1024.0, 1024.0, 336.0, 336.0, 1024.0, 0.0])  # statistics seen; hours for pattern and drift
_FORGET = np.array([0.99999, 0.9999, 0.9999, 0.999, 0.999, 0.9999, 0.0])  # part of the largest size that is kept
_GROW = np.array([np.inf, 1.002, 1.002, 1.02, 1.02, 1.002, 1.0])  # at most, at once, so that a slow rise is seen
_RISE = 1.25
PAUSE = 240  # statistics without alarm within one fault
_PAUSE = PAUSE * np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0])

# What the statistics of a value are made of. A sensor never seen has zeros, and NaN as ``fast_mean``.
MEMORY = np.dtype(
    [
        ("fast_mean", np.float64),
        ("variance", np.float64),  # of the distance from it
        ("short_energy", np.float64),
        ("long_energy", np.float64),
        ("hour", np.float64),  # since 1970, of the hour that is not finished
        ("hour_sum", np.float64),
        ("hour_count", np.float64),
        ("level_fast", np.float64),  # without the season
        ("level_slow", np.float64),
        ("profile_error", np.float64),
        ("offset", np.float64),  # from the profile
        ("run", np.float64),  # equal readings in a row
        ("same", np.float64),  # share of readings that equal the one before
        ("longest_run", np.float64),
        ("last", np.float64),
        ("rest", np.float64),  # without season and level
        ("error_earlier", np.float64),  # of the profile read an hour earlier
        ("error_later", np.float64),
        ("error_nearest", np.float64),
        ("hours_alarmed", np.float64),
        ("clock_shift", np.float64),  # hours by which this sensor's clock has moved
    ],
    align=True,
)
LONG = 240.0  # readings of the mean that a level shift is told from, and becomes
NORMAL_AFTER = 48.0  # hours after which what alarms is the pattern


@jit_entry
def exceedance(statistics: Any, which: int, size: float, least: float) -> float:
    """How far ``size`` lies beyond its limit (1: at it), 0 while calibrating; then learns it."""
    s = statistics[which]
    usual = np.sqrt(s.usual_square)
    limit = max(_SIGMA_LIMIT[which] * usual, _MAX_RATIO[which] * s.largest, least)
    ratio = 0.0
    if s.count >= _WARM[which] and limit > 0.0:
        ratio = size / limit
    s.count += 1.0
    bounded = min(size, 3.0 * usual) if s.count > 0.25 * _WARM[which] else size
    if ratio > 1.0:
        if s.alarm == QUIET:
            s.largest = max(s.largest, limit / _MAX_RATIO[which]) * _RISE
        s.alarm = ALERTED if s.alarm >= ALERTED else ALARMING
        s.largest *= 1.002
        return ratio
    paused = ALERTED <= s.alarm < ALERTED + _PAUSE[which]
    s.alarm = s.alarm + 1.0 if paused else QUIET
    s.usual_square += max(1.0 / s.count, 5e-4) * (bounded * bounded - s.usual_square)
    if s.count > 0.5 * _WARM[which]:
        most = s.largest * _GROW[which] if s.count > _WARM[which] else size
        s.largest = max(s.largest * _FORGET[which], min(size, most))
    return ratio


@jit_entry
def seasonal_value(time: int, profile: Any, visits: Any) -> float:
    """The hour-of-week profile between the hours' middles, or the hour of day's mean; NaN if never visited."""
    place = (time - HOUR // 2) / HOUR
    before = np.floor(place)
    part = place - before
    ends = np.empty(2)
    for e in range(2):
        hour = int(before + e) % BINS
        if visits[hour] > 0:
            ends[e] = profile[hour]
        else:
            total = 0.0
            days = 0
            for day in range(7):
                other = (hour + 24 * day) % BINS
                if visits[other] > 0:
                    total += profile[other]
                    days += 1
            ends[e] = total / days if days > 0 else np.nan
    return float((1.0 - part) * ends[0] + part * ends[1])


def forget_hour(memory: NDArray[np.void]) -> None:
    """Drop the unfinished hour of each value, so that the next reading may come at any time."""
    memory["hour"], memory["hour_sum"], memory["hour_count"] = -np.inf, 0.0, 0.0


@jit_entry
def learn_hour(
    mean: float,
    then: int,
    memory: Any,
    profile: Any,
    visits: Any,
    statistics: Any,
    least: float,
    in_incident: bool,
    out: Any,
) -> None:
    """Compare the mean of the hour ``then`` (since 1970) with the profile, then learn it.

    If the profile fits better an hour earlier or later, the clock by which the sensor lives has been changed: nothing
    is wrong with the pattern, and when it lasts the profile is read by the new clock. What alarms is learnt slowly, so
    that a fault does not spoil the next weeks, and after each ``NORMAL_AFTER`` hours of it its offset is the new level.
    """
    m = memory
    slot = then + int(m.clock_shift)
    middle = slot * HOUR + HOUR // 2
    expected = seasonal_value(middle, profile, visits)
    earlier = seasonal_value(middle - HOUR, profile, visits)
    later = seasonal_value(middle + HOUR, profile, visits)
    off = 0.0
    if expected == expected and earlier == earlier and later == later:
        off = mean - expected
        for other in (mean - earlier, mean - later):
            if abs(other) < abs(off):
                off = other
        m.error_nearest += (abs(off) - m.error_nearest) / 6.0
        m.offset += (off - m.offset) / 12.0
        out[_PATTERN] = exceedance(statistics, _PATTERN, m.error_nearest, least)
        out[_DRIFT] = exceedance(statistics, _DRIFT, abs(m.offset), least)
        m.profile_error += (abs(mean - expected) - m.profile_error) / 6.0
        m.error_earlier += (abs(mean - earlier) - m.error_earlier) / 6.0
        m.error_later += (abs(mean - later) - m.error_later) / 6.0
        better = min(m.error_earlier, m.error_later)
        if better < 0.4 * m.profile_error and statistics[_PATTERN].count >= _WARM[_PATTERN]:
            by = -1 if m.error_earlier < m.error_later else 1
            m.clock_shift += by
            slot += by
            m.error_earlier, m.profile_error, m.error_later = m.profile_error, better, m.profile_error
    slot %= BINS
    visits[slot] += 1.0
    alarming = max(out[_PATTERN], out[_DRIFT]) > 1.0
    if not alarming:
        m.hours_alarmed = 0.0
    elif abs(off) > 0.5 * abs(m.offset):  # else what alarms is the memory of a fault that has ended
        m.hours_alarmed += 1.0
        if m.hours_alarmed == NORMAL_AFTER:
            profile += m.offset
            m.offset = 0.0
            m.hours_alarmed = 0.0
    known = visits[slot] > 1.0
    rate = 0.1 if known and (alarming or in_incident) else max(0.3, 1.0 / visits[slot])
    profile[slot] += rate * (mean - profile[slot])


@jit_entry
def _update_noise(x: float, grain: float, memory: Any, statistics: Any, out: Any) -> None:
    """Spike and noise change: the distance from a fast mean, and how its size changes."""
    m = memory
    short = x - m.fast_mean
    sigma = np.sqrt(m.variance)
    out[_SPIKE] = exceedance(statistics, _SPIKE, abs(short), 5.0 * grain)
    count = statistics[_SPIKE].count
    bounded = max(-3.0 * sigma, min(3.0 * sigma, short)) if count > 32.0 else short
    m.fast_mean += 0.1 * (bounded if abs(short) < 5.0 * sigma else short)
    energy = min(short * short, 16.0 * m.variance) if count > 32.0 else short * short
    m.variance += max(1.0 / count, 1e-3) * (energy - m.variance)
    m.short_energy += max(1.0 / count, 1.0 / 60.0) * (energy - m.short_energy)
    m.long_energy += max(1.0 / count, 3e-4) * (energy - m.long_energy)
    floor = grain * grain
    change = abs(np.log((m.short_energy + floor) / (m.long_energy + floor)))
    out[_NOISE] = exceedance(statistics, _NOISE, change, 0.7)


@jit_entry
def _update_level(
    x: float, time: int, grain: float, memory: Any, profile: Any, visits: Any, statistics: Any, out: Any
) -> None:
    """Level shift: what is left without the daily and weekly pattern, now against the last day."""
    m = memory
    now = time + int(m.clock_shift) * HOUR
    usual = seasonal_value(now, profile, visits)
    m.rest = 0.0
    if usual != usual:
        return
    rest = x - usual
    if m.level_slow != m.level_slow:
        m.level_fast = rest
        m.level_slow = rest
    m.level_fast += 0.1 * (rest - m.level_fast)
    away = m.level_fast - m.level_slow
    out[_LEVEL] = exceedance(statistics, _LEVEL, abs(away), 10.0 * grain)
    if out[_LEVEL] > 1.0:  # a season that comes an hour early or late has moved no level
        earlier = seasonal_value(now - HOUR, profile, visits)
        later = seasonal_value(now + HOUR, profile, visits)
        if abs(away) < abs(away) / out[_LEVEL] + max(abs(earlier - usual), abs(later - usual)):
            out[_LEVEL] = 1.0
    m.rest = rest - m.level_slow
    m.level_slow += (1.0 / LONG) * (rest - m.level_slow)


@jit_entry
def _update_hours(
    x: float,
    time: int,
    grain: float,
    memory: Any,
    profile: Any,
    visits: Any,
    statistics: Any,
    in_incident: bool,
    out: Any,
) -> None:
    """Pattern change and drift: whole hours against the profile."""
    m = memory
    hour = np.float64(time // HOUR)
    if hour > m.hour and m.hour_count > 0.0:
        learn_hour(
            m.hour_sum / m.hour_count, int(m.hour), m, profile, visits, statistics, 10.0 * grain, in_incident, out
        )
        m.hour_sum = 0.0
        m.hour_count = 0.0
    if hour > m.hour:
        m.hour = hour
    m.hour_sum += x
    m.hour_count += 1.0


@jit_entry
def update_run(x: float, memory: Any, statistics: Any, out: Any) -> None:
    """Stuck: a run of equal values that this sensor would not produce by chance in a million readings."""
    m = memory
    same = 1.0 if x == m.last else 0.0
    count = statistics[STUCK_RUN].count
    if same == 1.0:
        m.run += 1.0
        allowed = max(30.0, 3.0 * m.longest_run, -20.0 / np.log(min(max(m.same, 1e-6), 0.999)))
        if count >= 256.0 and m.same < 0.99:
            out[STUCK_RUN] = m.run / allowed
    else:
        if count >= 1.0:
            m.longest_run = max(m.longest_run * 0.999, min(m.run, 3.0 * m.longest_run + 10.0))
        m.run = 0.0
        statistics[STUCK_RUN].alarm = QUIET
    if m.run < 30.0:
        m.same += max(1.0 / (count + 1.0), 1e-3) * (same - m.same)
    statistics[STUCK_RUN].count += 1.0
    m.last = x


@jit_entry
def update_statistics(
    x: float,
    time: int,
    missing: bool,
    memory: Any,
    profile: Any,
    visits: Any,
    statistics: Any,
    in_incident: bool,
    out: Any,
) -> None:
    """Update one value's statistics and write each one's ratio to its limit into ``out`` [7] (correlation stays 0).

    While a fault shows (``in_incident``), the pattern is learnt slowly.
    """
    m = memory
    if m.fast_mean != m.fast_mean:  # the first reading
        m.fast_mean = x
        m.last = x
        m.level_slow = np.nan
        m.hour = np.float64(time // HOUR)
    out[:] = 0.0
    grain = 1e-3 * abs(m.fast_mean) + 1e-12  # what is too small to matter
    _update_noise(x, grain, m, statistics, out)
    _update_level(x, time, grain, m, profile, visits, statistics, out)
    _update_hours(x, time, grain, m, profile, visits, statistics, in_incident, out)
    if not missing:
        update_run(x, m, statistics, out)


@jit_entry
def update_correlation(memory: Any, products: Any, errors: Any, statistics: Any, out: Any) -> None:
    """Correlation break: each value against its closest companion.

    ``products`` [d, d] are exponential means of products of what is left of two values without their patterns;
    ``errors`` [d, 2] the short and long mean squared error of predicting a value from its companion.
    """
    d = len(memory)
    for j in range(d):
        best = -1
        most = 0.25  # squared correlation below which values count as unrelated
        for k in range(d):
            if k != j and products[j, j] > 0.0 and products[k, k] > 0.0:
                closeness = products[j, k] ** 2 / (products[j, j] * products[k, k])
                if closeness > most:
                    best, most = k, closeness
        if best >= 0:
            error = (memory[j].rest - products[j, best] / products[best, best] * memory[best].rest) ** 2
            error = min(error, 9.0 * products[j, j])
            count = statistics[j, CORRELATION].count + 1.0
            errors[j, 0] += max(1.0 / count, 1.0 / 30.0) * (error - errors[j, 0])
            errors[j, 1] += max(1.0 / count, 3e-4) * (error - errors[j, 1])
            change = max(0.0, np.log((errors[j, 0] + 1e-12) / (errors[j, 1] + 1e-12)))
            out[j, CORRELATION] = exceedance(statistics[j], CORRELATION, change, 0.7)
    for j in range(d):
        for k in range(d):
            broken = max(out[j, CORRELATION], out[k, CORRELATION]) > 1.0
            products[j, k] += (1e-4 if broken else 5e-4) * (memory[j].rest * memory[k].rest - products[j, k])
