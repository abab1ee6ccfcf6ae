"""From the readings of one sensor to scores, decisions and alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, Self

import numpy as np

from detector.alerting.baseline import score_samples, score_threshold
from detector.alerting.driver import Columns
from detector.alerting.forecast import interval_at
from detector.alerting.incident import REFRACTORY
from detector.alerting.sensors import process_readings
from detector.alerting.silence import silence_timeout
from detector.alerting.state import State, forget_times, impute_last_value, initialize, layout, reseed, state_in
from detector.alerting.state_check import check
from detector.forest.backends import make_forest, restore_forest
from detector.forest.forest import Forest, Parameters
from detector.rules import Rules
from detector.snapshot_format import decode, encode
from detector.types import LIMIT, SILENT, SPIKE, Floats, Forecast, Integers, Scores, own_grade

Profile = Literal["small", "default", "best"]
POINTS: dict[str, int] = {"small": 256, "default": 1024, "best": 2048}  # a feature keeps
SAMPLE_POINTS = 128  # of single values
N_SAMPLES: dict[str, int] = {"small": 2, "default": 6, "best": 16}  # of single values; a score is the mean over them
_KIND = "detector"
_NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Configuration:
    """What defines every detector of a fleet.

    Attributes:
        dimensions: values in a reading.
        profile: how many points a feature keeps, the one choice between memory, time and accuracy.
        rules: what the user knows; see ``detector.rules.Rules``.
        rules_of: (pattern, rules) pairs; a sensor takes the rules of the first pattern that its name matches ("*" is
            any text, "?" any character) instead of ``rules``.
        engine: which forest scores. Single values of the engine "cutwater" are scored against all random cut trees
            of their sample in closed form (``detector.forest.closed_form``) instead of some.
        trees, samples, shingle, time_decay, seed: see ``detector.forest.forest.Parameters``.
    """

    dimensions: int = 1
    engine: Literal["cutwater", "rrcf"] = "cutwater"
    trees: int = 50
    samples: int = 256
    shingle: int = 1
    time_decay: float | None = None
    seed: int = 0
    profile: Profile = "default"
    rules: Rules = field(default_factory=Rules)
    rules_of: tuple[tuple[str, Rules], ...] = ()

    def __post_init__(self) -> None:
        if self.profile not in POINTS:
            raise ValueError(f"profile = {self.profile!r}: must be one of {', '.join(POINTS)}")

    @property
    def warmup_readings(self) -> int:
        """Readings of a sensor before it is ready."""
        return self.samples

    @property
    def closed_form(self) -> bool:
        """Whether readings are scored in closed form."""
        return self.engine == "cutwater" and self.dimensions == 1 and self.shingle == 1

    def for_sensor(self, name: str) -> Configuration:
        """The configuration of one sensor's detector."""
        found = next((rules for pattern, rules in self.rules_of if fnmatchcase(name, pattern)), None)
        return self if found is None else replace(self, rules=found, rules_of=())

    def without_rules(self) -> Configuration:
        """What scores and models depend on."""
        return replace(self, rules=Rules(), rules_of=())

    def parameters(self, seed: int) -> Parameters:
        """The forest of a sensor with this seed."""
        early = min(32, self.samples)
        return Parameters(
            self.dimensions, self.trees, self.samples, self.shingle, self.time_decay, output_after=early, seed=seed
        )


class Detector:
    """Scores each reading of one sensor, says whether it is an anomaly, and whether someone should be told.

    Guarantee: scores depend only on the configuration, the seed and the readings before; not on how they were cut
    into batches, nor on snapshots in between. Times are event times in milliseconds; a reading that is late counts
    as of the newest time seen, a repeated time is a gap of 0. NaN is a missing value: the value's last one stands in.
    """

    alone = True  # whether a reading that ends its own sensor's silence is an alert; in a fleet the others tell of it

    def __init__(self, configuration: Configuration, seed: int) -> None:
        self.configuration = configuration
        record = layout(*self._shape(configuration))
        self._buffer = np.zeros(record.itemsize, dtype=np.uint8)
        self._address = self._buffer.ctypes.data
        self._state: State = state_in(self._buffer, record)
        initialize(self._state, seed)
        self._forest: Forest | None = (
            None if configuration.closed_form else make_forest(configuration.parameters(seed), configuration.engine)
        )

    @property
    def _sensor(self) -> Any:
        return self._state.sensor[0]

    @property
    def readings_seen(self) -> int:
        """Readings learnt so far."""
        return int(self._sensor["readings_seen"])

    @property
    def ready(self) -> bool:
        """Whether it has seen as much as it needs."""
        return self.readings_seen >= self.configuration.warmup_readings

    def process(self, times: Integers, values: Floats) -> Scores:
        """Score and judge each reading, then learn it. ``times`` [n] in ms, ``values`` [n, d]; raises ValueError."""
        return process_sensors([self], np.array([0, len(values)]), times, values)

    def score(self, times: Integers, values: Floats) -> Scores:
        """What each row would score as the next reading; learns nothing, raises no alert."""
        scores, filled, missing = _prepare(values, self.configuration.dimensions)
        impute_last_value(filled, self._state.last.copy(), missing)
        state = self._state
        scores.seen[:] = self.readings_seen
        if self._forest is not None:
            scores.score[:] = self._forest.score(filled)
        else:
            score_samples(state, filled, self._decay, False, scores.score)
        confidence = min(self.readings_seen / self.configuration.warmup_readings, 1.0)
        scores.threshold[:] = score_threshold(self._sensor, confidence)
        scores.grade[:] = own_grade(scores.score, scores.threshold)
        scores.is_anomaly[:] = scores.grade > 0.0
        scores.kind[scores.is_anomaly] = SPIKE
        expected = state.memory["fast_mean"]
        scores.expected[:] = np.where(np.isnan(expected), filled, expected)
        scores.attribution[:] = scores.score[:, None] / self.configuration.dimensions
        for row, time in enumerate(np.asarray(times).tolist()):
            _, scores.expected_lower[row], scores.expected_upper[row] = self._interval(time, 1)
        self._describe(scores, times, values, filled)
        return scores

    def forecast(self, horizon: int) -> Forecast:
        """What the next readings, ``horizon`` in number, are expected to be; learns nothing.

        The level of late and, where it foretells the sensor's readings better than that, the profile of the hours of
        the week. No trend is extrapolated. Raises ValueError for a sensor without readings or a horizon below 1.
        """
        if self.readings_seen == 0 or horizon < 1:
            raise ValueError(f"a forecast of {horizon} readings after {self.readings_seen}: needs one of each at least")
        last, interval = int(self._sensor["time"]), float(self._sensor["interval"])
        times = last + np.rint(interval * np.arange(1, horizon + 1)).astype(np.int64)
        found = np.array([self._interval(time, ahead) for ahead, time in enumerate(times.tolist(), 1)])
        return Forecast(times, found[:, 0], found[:, 1], found[:, 2])

    def _interval(self, time: int, ahead: int) -> Floats:
        """[3, d] expected values, lower and upper ends of a reading at ``time``, the ``ahead``-th to come."""
        state, guesses = self._state, np.empty(3)
        ends = [
            interval_at(time, ahead, memory, profile, visits, band, guesses)
            for memory, profile, visits, band in zip(
                state.memory, state.profile, state.profile_visits, state.band, strict=True
            )
        ]
        return np.array(ends).T

    @property
    def silence_timeout(self) -> float:
        """Milliseconds after which a silence is reported: longer than this sensor's own, or as the rules say."""
        return float(self.configuration.rules.silence_timeout(np.array([self.learnt_silence_timeout]))[0])

    @property
    def learnt_silence_timeout(self) -> float:
        """The same, but for the rules."""
        return float(silence_timeout(self._sensor))

    def fork(self, seed: int) -> Detector:
        """A detector for a new sensor that starts with all that this one has learnt (a template), at any time."""
        copy = Detector.restore(self.configuration, self.snapshot(compress=False))
        reseed(copy._state, seed)
        forget_times(copy._state)
        return copy

    def snapshot(self, *, compress: bool = True, **fields: Any) -> bytes:
        """The whole state; ``fields`` are what else the snapshot's head shall say, see ``snapshot_format``."""
        forest = self._forest.snapshot(compress=False) if self._forest is not None else b""
        fields = {"shape": self._shape(self.configuration), "forest": len(forest), **fields}
        return encode(_KIND, fields, self._buffer.tobytes() + forest, compress=compress)

    @classmethod
    def restore(cls, configuration: Configuration, snapshot: bytes) -> Self:
        """A detector that goes on exactly where ``snapshot`` was taken.

        ValueError says why one is refused: it is damaged, of another configuration, or holds what can be no state.
        """
        kind, fields, body = decode(snapshot, "a detector's snapshot")
        if kind != _KIND:
            raise ValueError("this is not a detector's snapshot")
        shape = cls._shape(configuration)
        if fields.get("shape") != list(shape):
            raise ValueError(
                f"made for (values a reading, points a feature, samples, points of each) = {fields.get('shape')}, "
                f"not {list(shape)}; use the configuration it was made with"
            )
        record = layout(*shape)
        size = record.itemsize
        if not isinstance(fields.get("forest"), int) or len(body) != size + fields["forest"]:
            raise ValueError(f"holds {len(body)} bytes; {size} and the forest are needed")
        detector = cls.__new__(cls)
        detector.configuration = configuration
        detector._buffer = np.frombuffer(body, dtype=np.uint8, count=size).copy()
        detector._address = detector._buffer.ctypes.data
        detector._state = state_in(detector._buffer, record)
        check(detector._state)
        detector._forest = None if configuration.closed_form else cls._restore_forest(configuration, body[size:])
        return detector

    @staticmethod
    def _restore_forest(configuration: Configuration, snapshot: bytes) -> Forest:
        forest = restore_forest(snapshot)
        made, wanted = replace(forest.parameters, seed=0), configuration.parameters(0)
        if made != wanted or configuration.engine != forest.KIND:
            raise ValueError(f"its forest was made with {made}, not {wanted}; use the configuration it was made with")
        return forest

    @staticmethod
    def _shape(configuration: Configuration) -> tuple[int, int, int, int]:
        samples = N_SAMPLES[configuration.profile] if configuration.closed_form else 0
        return (
            configuration.dimensions,
            POINTS[configuration.profile],
            samples,
            min(configuration.samples, SAMPLE_POINTS),
        )

    @property
    def _decay(self) -> float:
        decay = self.configuration.time_decay
        return 0.1 / self.configuration.samples if decay is None else decay

    def _alert_broken_limits(self, scores: Scores, times: Integers, values: Floats) -> None:
        """Raise an alert for a reading beyond a hard limit unless there was another shortly before."""
        rules = self.configuration.rules
        rows = np.flatnonzero(rules.broken(values))
        if len(rows):
            before = np.concatenate((self._state.sensor["limit_broken"], scores.seen[rows[:-1]]))
            scores.alert[rows] |= (scores.seen[rows] - before > REFRACTORY) & ~rules.is_quiet(times[rows])
            alone = rows[scores.alert[rows] & (scores.episode_start[rows] == 0)]
            scores.episode_start[alone], scores.episode_readings[alone] = times[alone], 1
            scores.episode_kind[alone], scores.episode_peak[alone] = LIMIT, scores.score[alone]
            self._sensor["limit_broken"] = scores.seen[rows[-1]]

    def _respect_silence_rule(self, scores: Scores, times: Integers, values: Floats, newest: int) -> None:
        """If a rule says how long a silence may be, take back the alert of a reading that ends a shorter one."""
        if self.configuration.rules.silent_after is not None:
            scores.silence_timeout[:] = self.configuration.rules.silence_timeout(scores.silence_timeout)
            before = np.maximum.accumulate(np.append(newest, times))[:-1]
            rows = np.flatnonzero((scores.kind == SILENT) & (times - before <= scores.silence_timeout))
            self.configuration.rules.withdraw_alerts(rows, times, values, scores)

    def _describe(self, scores: Scores, times: Integers, values: Floats, filled: Floats) -> None:
        scores.ready[:] = scores.seen >= self.configuration.warmup_readings
        scores.confidence[:] = np.minimum(scores.seen / self.configuration.warmup_readings, 1.0)
        self.configuration.rules.apply(times, values, scores)
        scores.expected[~scores.is_anomaly] = filled[~scores.is_anomaly]


def process_sensors(detectors: Sequence[Detector], starts: Integers, times: Integers, values: Floats) -> Scores:
    """Score, judge and learn the readings of sensors whose configurations differ in their rules only.

    Args:
        detectors: [g] of each sensor.
        starts: [g + 1] where each one's readings begin, and where the last one's end.
        times, values: [n] in ms and [n, d], those of a sensor together.

    Raises:
        ValueError: the values are not [n, d], or hold an infinity; nothing is learnt.
    """
    first = detectors[0]
    configuration = first.configuration
    scores, filled, missing = _prepare(values, configuration.dimensions)
    spans = list(zip(detectors, starts[:-1].tolist(), starts[1:].tolist(), strict=True))
    newest = [int(each._sensor["time"]) for each in detectors] if any(map(_has_rules, detectors)) else []
    for detector, a, b in spans:
        if detector._forest is not None:
            impute_last_value(filled[a:b], detector._state.last, missing[a:b])
            scores.score[a:b] = detector._forest.process(filled[a:b])
    process_readings(
        first._state,
        np.array([each._address - first._address for each in detectors]),
        np.ascontiguousarray(starts, np.int64),
        np.ascontiguousarray(times, np.int64),
        filled,
        missing,
        first._decay,
        configuration.warmup_readings,
        first.alone,
        configuration.closed_form,
        scores.seen,
        Columns.of(scores),
    )
    if not newest:
        first._describe(scores, times, values, filled)
        return scores
    for (detector, a, b), before in zip(spans, newest, strict=True):
        rows = np.arange(a, b)
        part = scores.take(rows)
        detector._describe(part, times[a:b], values[a:b], filled[a:b])
        detector._alert_broken_limits(part, times[a:b], values[a:b])
        detector._respect_silence_rule(part, times[a:b], values[a:b], before)
        scores.put(rows, part)
    return scores


def _has_rules(detector: Detector) -> bool:
    return detector.configuration.rules != _NO_RULES


def _prepare(values: Floats, dimensions: int) -> tuple[Scores, Floats, np.ndarray]:
    """Scores to be filled in, a copy of the values, and where they will turn out to be missing."""
    filled = np.array(values, dtype=np.float64, order="C")
    if filled.ndim != 2 or filled.shape[1] != dimensions:
        raise ValueError(f"values of shape {filled.shape}: must be [n, {dimensions}]")
    if np.isinf(filled).any():
        raise ValueError("values hold an infinity; a missing value is NaN")
    return Scores.empty(len(filled), dimensions), filled, np.zeros(filled.shape, dtype=bool)


def warm_up(configuration: Configuration) -> None:
    """Compile all that detectors of a configuration run, or read it from the cache, so that no reading waits for it."""
    detector = Detector(configuration, 0)
    times = np.arange(3, dtype=np.int64) * 1000
    values = np.arange(3 * configuration.dimensions, dtype=np.float64).reshape(3, -1)
    detector.process(times, values)
    detector.score(times, values)
    detector.forecast(1)
    _ = detector.silence_timeout
