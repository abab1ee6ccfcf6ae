"""Slow and structural faults that no single reading shows: one small statistic each, calibrated by its own past.

A statistic alarms when it exceeds both ``REACH`` times its own usual size and 1.5 times the largest size that it
has had (slowly forgotten): the first is about noise, the second about heavy tails. What alarms teaches little, so a
fault does not hide the next; each alarm raises the bar a little, so what keeps coming becomes the new normal. A fault
whose alarm pauses for less than ``PAUSE`` is still the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.alerting.features import BINS, HOUR
from detector.jit import entry
from detector.types import CORRELATION_BREAK, DRIFT, LEVEL_SHIFT, NOISE_CHANGE, PATTERN_CHANGE, SPIKE, STUCK

# Statistics, in the rows of ``stats``; each row is usual square, count, largest, and the alarm's state.
STATISTICS = 7
ALARM = 3
QUIET, ALARMING, TOLD = 0.0, 1.0, 2.0  # beyond TOLD: statistics without alarm since, in the same fault
STATISTIC_KINDS = np.array([SPIKE, LEVEL_SHIFT, NOISE_CHANGE, PATTERN_CHANGE, DRIFT, CORRELATION_BREAK, STUCK])
_SPIKE, _LEVEL, _NOISE, _PATTERN, _DRIFT, CORRELATION, STUCK_RUN = range(STATISTICS)
_REACH = np.array([8.0, 6.0, 6.0, 3.5, 4.0, 8.0, 0.0])  # correlation's is farther: it has no sizes below zero to count
_WARM = np.array([1024.0, 1024.0, 1024.0, 336.0, 336.0, 1024.0, 0.0])  # statistics seen; hours for pattern and drift
_BEYOND = np.array([2.0, 1.5, 1.5, 1.1, 1.2, 1.2, 1.5])
_FORGET = np.array([0.99999, 0.9999, 0.9999, 0.999, 0.999, 0.9999, 0.0])  # part of the largest size that is kept
_GROW = np.array([np.inf, 1.002, 1.002, 1.02, 1.02, 1.002, 1.0])  # at most, at once, so that a slow rise is seen
_RISE = 1.25
PAUSE = 240  # statistics without alarm within one fault
_PAUSE = PAUSE * np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0])

# What a value keeps besides, in the columns of ``memory``.
MEMORY = 21
FAST_MEAN, VARIANCE, _SHORT, _LONG, _HOUR, _HOUR_SUM, _HOUR_COUNT = range(7)
LEVEL_FAST, LEVEL_SLOW, _ERROR, _OFFSET, _RUN, _SAME, _LONGEST, _LAST, _Z = range(7, 16)
_EARLIER, _LATER, _NEAREST, _ALARMED, SHIFT = range(16, 21)  # SHIFT: hours by which this sensor's clock has moved
LONG = 240.0  # readings of the mean that a level shift is told from, and becomes
NORMAL_AFTER = 48.0  # hours after which what alarms is the pattern


@entry
def surprise(stats: Any, which: int, size: float, least: float) -> float:
    """How far ``size`` lies beyond its limit (1: at it), 0 while calibrating; then learns it."""
    stat = stats[which]
    usual = np.sqrt(stat[0])
    limit = max(_REACH[which] * usual, _BEYOND[which] * stat[2], least)
    ratio = 0.0
    if stat[1] >= _WARM[which] and limit > 0.0:
        ratio = size / limit
    stat[1] += 1.0
    bounded = min(size, 3.0 * usual) if stat[1] > 0.25 * _WARM[which] else size
    if ratio > 1.0:
        if stat[ALARM] == QUIET:
            stat[2] = max(stat[2], limit / _BEYOND[which]) * _RISE
        stat[ALARM] = TOLD if stat[ALARM] >= TOLD else ALARMING
        stat[2] *= 1.002
        return ratio
    paused = TOLD <= stat[ALARM] < TOLD + _PAUSE[which]
    stat[ALARM] = stat[ALARM] + 1.0 if paused else QUIET
    stat[0] += max(1.0 / stat[1], 5e-4) * (bounded * bounded - stat[0])
    if stat[1] > 0.5 * _WARM[which]:
        most = stat[2] * _GROW[which] if stat[1] > _WARM[which] else size
        stat[2] = max(stat[2] * _FORGET[which], min(size, most))
    return ratio


@entry
def usual_now(time: int, profile: Any, visits: Any) -> float:
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


def forget_hour(memory: NDArray[np.float64]) -> None:
    """Drop the unfinished hour of each value, so that the next reading may come at any time."""
    memory[:, [_HOUR, _HOUR_SUM, _HOUR_COUNT]] = -np.inf, 0.0, 0.0


@entry
def learn_hour(
    mean: float, then: int, memory: Any, profile: Any, visits: Any, stats: Any, least: float, trouble: bool, out: Any
) -> None:
    """Compare the mean of the hour ``then`` (since 1970) with the profile, then learn it.

    If the profile fits better an hour earlier or later, the clock by which the sensor lives has been changed: nothing
    is wrong with the pattern, and when it lasts the profile is read by the new clock. What alarms is learnt slowly, so
    that a fault does not spoil the next weeks, and after each ``NORMAL_AFTER`` hours of it its offset is the new level.
    """
    m = memory
    slot = then + int(m[SHIFT])
    middle = slot * HOUR + HOUR // 2
    expected = usual_now(middle, profile, visits)
    earlier = usual_now(middle - HOUR, profile, visits)
    later = usual_now(middle + HOUR, profile, visits)
    off = 0.0
    if expected == expected and earlier == earlier and later == later:
        off = mean - expected
        for other in (mean - earlier, mean - later):
            if abs(other) < abs(off):
                off = other
        m[_NEAREST] += (abs(off) - m[_NEAREST]) / 6.0
        m[_OFFSET] += (off - m[_OFFSET]) / 12.0
        out[_PATTERN] = surprise(stats, _PATTERN, m[_NEAREST], least)
        out[_DRIFT] = surprise(stats, _DRIFT, abs(m[_OFFSET]), least)
        m[_ERROR] += (abs(mean - expected) - m[_ERROR]) / 6.0
        m[_EARLIER] += (abs(mean - earlier) - m[_EARLIER]) / 6.0
        m[_LATER] += (abs(mean - later) - m[_LATER]) / 6.0
        better = min(m[_EARLIER], m[_LATER])
        if better < 0.4 * m[_ERROR] and stats[_PATTERN, 1] >= _WARM[_PATTERN]:
            by = -1 if m[_EARLIER] < m[_LATER] else 1
            m[SHIFT] += by
            slot += by
            m[_EARLIER], m[_ERROR], m[_LATER] = m[_ERROR], better, m[_ERROR]
    slot %= BINS
    visits[slot] += 1.0
    alarming = max(out[_PATTERN], out[_DRIFT]) > 1.0
    if not alarming:
        m[_ALARMED] = 0.0
    elif abs(off) > 0.5 * abs(m[_OFFSET]):  # else what alarms is the memory of a fault that has ended
        m[_ALARMED] += 1.0
        if m[_ALARMED] == NORMAL_AFTER:
            profile += m[_OFFSET]
            m[_OFFSET] = 0.0
            m[_ALARMED] = 0.0
    known = visits[slot] > 1.0
    rate = 0.1 if known and (alarming or trouble) else max(0.3, 1.0 / visits[slot])
    profile[slot] += rate * (mean - profile[slot])


@entry
def _watch_noise(x: float, grain: float, memory: Any, stats: Any, out: Any) -> None:
    """Spike and noise change: the distance from a fast mean, and how its size changes."""
    m = memory
    short = x - m[FAST_MEAN]
    sigma = np.sqrt(m[VARIANCE])
    out[_SPIKE] = surprise(stats, _SPIKE, abs(short), 5.0 * grain)
    count = stats[_SPIKE, 1]
    bounded = max(-3.0 * sigma, min(3.0 * sigma, short)) if count > 32.0 else short
    m[FAST_MEAN] += 0.1 * (bounded if abs(short) < 5.0 * sigma else short)
    energy = min(short * short, 16.0 * m[VARIANCE]) if count > 32.0 else short * short
    m[VARIANCE] += max(1.0 / count, 1e-3) * (energy - m[VARIANCE])
    m[_SHORT] += max(1.0 / count, 1.0 / 60.0) * (energy - m[_SHORT])
    m[_LONG] += max(1.0 / count, 3e-4) * (energy - m[_LONG])
    floor = grain * grain
    change = abs(np.log((m[_SHORT] + floor) / (m[_LONG] + floor)))
    out[_NOISE] = surprise(stats, _NOISE, change, 0.7)


@entry
def _watch_level(
    x: float, time: int, grain: float, memory: Any, profile: Any, visits: Any, stats: Any, out: Any
) -> None:
    """Level shift: what is left without the daily and weekly pattern, now against the last day."""
    m = memory
    now = time + int(m[SHIFT]) * HOUR
    usual = usual_now(now, profile, visits)
    m[_Z] = 0.0
    if usual != usual:
        return
    rest = x - usual
    if m[LEVEL_SLOW] != m[LEVEL_SLOW]:
        m[LEVEL_FAST] = rest
        m[LEVEL_SLOW] = rest
    m[LEVEL_FAST] += 0.1 * (rest - m[LEVEL_FAST])
    away = m[LEVEL_FAST] - m[LEVEL_SLOW]
    out[_LEVEL] = surprise(stats, _LEVEL, abs(away), 10.0 * grain)
    if out[_LEVEL] > 1.0:  # a season that comes an hour early or late has moved no level
        earlier = usual_now(now - HOUR, profile, visits)
        later = usual_now(now + HOUR, profile, visits)
        if abs(away) < abs(away) / out[_LEVEL] + max(abs(earlier - usual), abs(later - usual)):
            out[_LEVEL] = 1.0
    m[_Z] = rest - m[LEVEL_SLOW]
    m[LEVEL_SLOW] += (1.0 / LONG) * (rest - m[LEVEL_SLOW])


@entry
def _watch_hours(
    x: float, time: int, grain: float, memory: Any, profile: Any, visits: Any, stats: Any, trouble: bool, out: Any
) -> None:
    """Pattern change and drift: whole hours against the profile."""
    m = memory
    hour = np.float64(time // HOUR)
    if hour > m[_HOUR] and m[_HOUR_COUNT] > 0.0:
        learn_hour(m[_HOUR_SUM] / m[_HOUR_COUNT], int(m[_HOUR]), m, profile, visits, stats, 10.0 * grain, trouble, out)
        m[_HOUR_SUM] = 0.0
        m[_HOUR_COUNT] = 0.0
    if hour > m[_HOUR]:
        m[_HOUR] = hour
    m[_HOUR_SUM] += x
    m[_HOUR_COUNT] += 1.0


@entry
def watch_run(x: float, memory: Any, stats: Any, out: Any) -> None:
    """Stuck: a run of equal values that this sensor would not produce by chance in a million readings."""
    m = memory
    same = 1.0 if x == m[_LAST] else 0.0
    count = stats[STUCK_RUN, 1]
    if same == 1.0:
        m[_RUN] += 1.0
        allowed = max(30.0, 3.0 * m[_LONGEST], -20.0 / np.log(min(max(m[_SAME], 1e-6), 0.999)))
        if count >= 256.0 and m[_SAME] < 0.99:
            out[STUCK_RUN] = m[_RUN] / allowed
    else:
        if count >= 1.0:
            m[_LONGEST] = max(m[_LONGEST] * 0.999, min(m[_RUN], 3.0 * m[_LONGEST] + 10.0))
        m[_RUN] = 0.0
        stats[STUCK_RUN, ALARM] = QUIET
    if m[_RUN] < 30.0:
        m[_SAME] += max(1.0 / (count + 1.0), 1e-3) * (same - m[_SAME])
    stats[STUCK_RUN, 1] += 1.0
    m[_LAST] = x


@entry
def examine(
    x: float, time: int, missing: bool, memory: Any, profile: Any, visits: Any, stats: Any, trouble: bool, out: Any
) -> None:
    """Update one value's statistics and write each one's ratio to its limit into ``out`` [7] (correlation stays 0).

    In ``trouble``, while a fault shows, the pattern is learnt slowly.
    """
    m = memory
    if m[FAST_MEAN] != m[FAST_MEAN]:  # the first reading
        m[:] = 0.0
        m[FAST_MEAN] = x
        m[_LAST] = x
        m[LEVEL_SLOW] = np.nan
        m[_HOUR] = np.float64(time // HOUR)
    out[:] = 0.0
    grain = 1e-3 * abs(m[FAST_MEAN]) + 1e-12  # what is too small to matter
    _watch_noise(x, grain, m, stats, out)
    _watch_level(x, time, grain, m, profile, visits, stats, out)
    _watch_hours(x, time, grain, m, profile, visits, stats, trouble, out)
    if not missing:
        watch_run(x, m, stats, out)


@entry
def relate(memory: Any, products: Any, errors: Any, stats: Any, out: Any) -> None:
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
            error = (memory[j, _Z] - products[j, best] / products[best, best] * memory[best, _Z]) ** 2
            error = min(error, 9.0 * products[j, j])
            count = stats[j, CORRELATION, 1] + 1.0
            errors[j, 0] += max(1.0 / count, 1.0 / 30.0) * (error - errors[j, 0])
            errors[j, 1] += max(1.0 / count, 3e-4) * (error - errors[j, 1])
            change = max(0.0, np.log((errors[j, 0] + 1e-12) / (errors[j, 1] + 1e-12)))
            out[j, CORRELATION] = surprise(stats[j], CORRELATION, change, 0.7)
    for j in range(d):
        for k in range(d):
            broken = max(out[j, CORRELATION], out[k, CORRELATION]) > 1.0
            products[j, k] += (1e-4 if broken else 5e-4) * (memory[j, _Z] * memory[k, _Z] - products[j, k])
