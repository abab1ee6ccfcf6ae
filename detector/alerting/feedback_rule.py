"""What people called normal raises the bar for its like on that sensor.

The *reach* of an episode is how far its anomalies lay above and below what was expected, in the value that is most to
blame for each. Once a stretch is called normal, the reach of the episodes in it is normal. An alert is withheld if it
is a spike, a level shift or a change of noise or pattern, as one of them was (the same fault is now one and now
another), and its reading lies within ``ALLOWANCE`` times the reach; or if it is of another kind that was there, but
never if a limit is broken. What that left untold is told at the first anomaly of its episode beyond, either way.

Only alerts change, never scores nor what is learnt, so taking a word back restores all. What is said takes effect
between two batches of readings; from there on all depends on the readings alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from detector.alerting.incident import ALERT_GRADE
from detector.rules import Rules
from detector.types import (
    KINDS,
    LEVEL_SHIFT,
    LIMIT,
    NOISE_CHANGE,
    NONE,
    PATTERN_CHANGE,
    SILENT,
    SPIKE,
    Floats,
    Readings,
    Scores,
)

ALLOWANCE = 1.5  # of a reach: the noise of single readings beside a fault that is as large
REMEMBERED = 16  # episodes of a sensor that may still be called normal
_FARTHEST = 1e300  # which JSON can say
_END = 2**62  # beyond any time
_FAMILY = [SPIKE if kind in (LEVEL_SHIFT, NOISE_CHANGE, PATTERN_CHANGE) else kind for kind in range(len(KINDS))]

Stretch = tuple[int, int]  # first and last event time in ms
Stretches = Mapping[str, Stretch]  # by the ids of what was said


@dataclass(slots=True)
class _Reach:
    """From ``first`` to ``last`` (ms): how far anomalies lay above and below [d], and the families of the alerts."""

    first: int
    last: int
    above: list[float]
    below: list[float]
    families: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, stretch: Stretch, dimensions: int) -> Self:
        """None yet."""
        return cls(*stretch, [0.0] * dimensions, [0.0] * dimensions)

    def overlaps(self, stretch: Stretch) -> bool:
        """Whether they have a moment in common."""
        return self.first <= stretch[1] and stretch[0] <= self.last

    def reach(self, value: int, away: float) -> None:
        """An anomaly of which this value was to blame lay so far away."""
        side = self.above if away > 0.0 else self.below
        side[value] = max(side[value], abs(away))

    def join(self, other: _Reach) -> None:
        """What the other had is of this one, too."""
        self.above = [max(pair) for pair in zip(self.above, other.above, strict=True)]
        self.below = [max(pair) for pair in zip(self.below, other.below, strict=True)]
        self.families |= other.families

    def has_like(self, family: int, value: int, away: float) -> bool:
        """Whether an alert is like what was here."""
        reached = (self.above if away > 0.0 else self.below)[value]
        return family in self.families and (family != SPIKE or abs(away) <= ALLOWANCE * reached)

    def most(self, value: int) -> float:
        """The reach of a value, either way."""
        return max(self.above[value], self.below[value])

    def pack(self) -> list[Any]:
        return [self.first, self.last, self.above, self.below, sorted(self.families)]

    @classmethod
    def unpack(cls, packed: Any, dimensions: int) -> Self:
        match packed:
            case [int(first), int(last), list(above), list(below), list(families)]:
                far = all(type(each) is float and 0.0 <= each <= _FARTHEST for each in above + below)
                known = all(type(each) is int and NONE < each < len(KINDS) for each in families)
                if len(above) == len(below) == dimensions and far and known and max(abs(first), abs(last)) <= _END:
                    return cls(first, last, above, below, set(families))
        raise ValueError(f"a reach cannot be {packed!r}")


@dataclass(slots=True)
class _Sensor:
    """The latest episodes by their beginnings, what is normal by what was said, and the beginning of the episode whose
    alert was withheld.
    """

    episodes: dict[int, _Reach] = field(default_factory=dict)
    normal: dict[str, _Reach] = field(default_factory=dict)
    withheld: int = 0
    silence: Stretch | None = None  # the latest

    def note(self, start: int, time: int, value: int, away: float, families: set[int]) -> None:
        """An anomaly of the episode that began at ``start``."""
        episode = self.episodes[start]
        episode.last = max(episode.last, time)
        for each in (episode, *(normal for normal in self.normal.values() if normal.first <= time <= normal.last)):
            each.reach(value, away)
            each.families |= families
        while len(self.episodes) > REMEMBERED:
            del self.episodes[next(iter(self.episodes))]


class FeedbackRule:
    """The rule for the sensors of a fleet.

    Guarantee: which alerts are withheld depends only on what was called normal, on where in the order of the readings
    that took effect, and on the readings; not on how they were cut into batches, nor on snapshots in between.
    """

    def __init__(self, dimensions: int) -> None:
        """For readings of so many values."""
        self._dimensions = dimensions
        self._sensors: dict[str, _Sensor] = {}  # those that had an episode, or of which something was said

    def call_normal(self, sensor: str, stretches: Stretches) -> bool:
        """From the next reading on these stretches of a sensor are normal, and no others; whether that is a change."""
        known = self._sensors.get(sensor)
        before = {} if known is None else {key: (each.first, each.last) for key, each in known.normal.items()}
        if before == dict(stretches):
            return False
        known = self._sensors.setdefault(sensor, _Sensor())
        for key in before.keys() - stretches.keys():
            del known.normal[key]
        for key in sorted(stretches.keys() - before.keys()):
            normal = known.normal[key] = _Reach.of(stretches[key], self._dimensions)
            for episode in known.episodes.values():
                if normal.overlaps((episode.first, episode.last)):
                    normal.join(episode)
            if known.silence and normal.overlaps(known.silence):
                normal.families.add(SILENT)
        return True

    def judge(self, readings: Readings, scores: Scores, rules_of: Callable[[str], Rules]) -> None:
        """Withhold alerts of n readings, in place; ``rules_of``: what the user knows of a sensor."""
        told = scores.alert | scores.is_anomaly & (scores.episode_start != 0)
        for row in np.flatnonzero(told).tolist():
            sensor = readings.sensors[readings.codes[row]]
            known = self._sensors.setdefault(sensor, _Sensor())
            time, start = int(readings.times[row]), int(scores.episode_start[row])
            value, away = _farthest(readings.values[row], scores.expected[row], scores.attribution[row])
            kind, alert = int(scores.kind[row]), bool(scores.alert[row])
            family = _FAMILY[kind]
            begins = start not in known.episodes
            if begins:
                known.episodes[start] = _Reach.of((start, start), self._dimensions)
            known.note(start, time, value, away, {family} if alert or begins else set())
            if not known.normal:
                continue
            normal = known.normal.values()
            if alert:
                like = kind != LIMIT and any(each.has_like(family, value, away) for each in normal)
                known.withheld = start if like else 0
                if like:
                    _withhold(row, readings, scores, rules_of(sensor))
            elif known.withheld == start:
                most = max(each.most(value) for each in normal)
                if 0.0 < ALLOWANCE * most < abs(away) and not rules_of(sensor).is_quiet(np.array([time]))[0]:
                    known.withheld = 0
                    scores.alert[row] = True
                    scores.grade[row] = max(scores.grade[row], ALERT_GRADE)

    def withholds(self, sensor: str, silence: Stretch) -> bool:
        """Whether a silence is not to be alerted, since one of this sensor was called normal."""
        known = self._sensors.setdefault(sensor, _Sensor())
        known.silence = silence
        for normal in known.normal.values():
            if normal.overlaps(silence):
                normal.families.add(SILENT)
        return any(SILENT in normal.families for normal in known.normal.values())

    def forget(self, sensor: str) -> None:
        """Give back a sensor's memory."""
        self._sensors.pop(sensor, None)

    def pack(self, sensor: str) -> dict[str, Any]:
        """The fields of a snapshot's head that hold what is known of a sensor; none if that is nothing."""
        known = self._sensors.get(sensor)
        if known is None:
            return {}
        episodes = [each.pack() for each in known.episodes.values()]
        normal = {key: each.pack() for key, each in known.normal.items()}
        return {"feedback": [episodes, normal, known.withheld, known.silence]}

    def restore(self, sensor: str, fields: Mapping[str, Any]) -> None:
        """Go on with what ``pack`` gave for a sensor. Raises ValueError."""
        packed = fields.get("feedback")
        if packed is None:
            return
        match packed:
            case [list(episodes), dict(normal), int(withheld), None | [int(), int()] as silence]:
                found = [_Reach.unpack(each, self._dimensions) for each in episodes[-REMEMBERED:]]
                reaches = {key: _Reach.unpack(each, self._dimensions) for key, each in normal.items()}
                if max(map(abs, (withheld, *(silence or ())))) <= _END:
                    last = None if silence is None else (silence[0], silence[1])
                    self._sensors[sensor] = _Sensor({each.first: each for each in found}, reaches, withheld, last)
                    return
        raise ValueError(f"what was said of it cannot be {packed!r}")


def _farthest(values: Floats, expected: Floats, attribution: Floats) -> tuple[int, float]:
    """Which value [d] is most to blame, and how far it lies above what was expected; 0 if it is missing."""
    value = int(np.argmax(attribution))
    away = float(values[value] - expected[value])
    return value, min(max(away, -_FARTHEST), _FARTHEST) if away == away else 0.0


def _withhold(row: int, readings: Readings, scores: Scores, rules: Rules) -> None:
    """Make of an alert what its reading is by itself: an anomaly, or none."""
    rules.withdraw_alerts(np.array([row]), readings.times, readings.values, scores)
    if not scores.is_anomaly[row]:
        scores.expected[row] = readings.values[row]
