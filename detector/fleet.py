"""The detectors of all sensors of one shard."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from detector.alerting.feedback_rule import FeedbackRule, Stretches
from detector.detector import Configuration, Detector, process_sensors
from detector.liveness import LastSeen, LivenessMonitor, SilenceEvent
from detector.rules import Rules
from detector.snapshot_format import compressed, fields_of, with_fields
from detector.types import Floats, Forecast, Integers, Readings, Scores

DEFAULT_TEMPLATE = "*"  # in templates: sensors that have none of their own


class ModelShelf(Protocol):
    """Where the models lie that have no room in memory, as snapshots. It must be as good as memory: nothing is lost."""

    def put(self, sensor: str, model: bytes) -> None:
        """Keep a model, in place of the sensor's last one."""
        ...

    def get(self, sensor: str) -> bytes | None:
        """A model; None if the sensor has none here, which is most often asked of sensors never seen."""
        ...

    def take(self, sensor: str) -> bytes | None:
        """The same, which from now on is in memory."""
        ...

    def clear(self) -> None:
        """Forget all models."""
        ...

    def __len__(self) -> int:
        """How many models lie here."""
        ...


class MemoryShelf(dict[str, bytes]):
    """A shelf in memory: it saves what an unused model takes more than its snapshot."""

    def put(self, sensor: str, model: bytes) -> None:
        """Keep a model."""
        self[sensor] = model

    def take(self, sensor: str) -> bytes | None:
        """A model, which no longer lies here."""
        return self.pop(sensor, None)


class Fleet:
    """One detector a sensor, made when the sensor is first seen.

    Args:
        configuration: of all detectors.
        templates: what ``template`` gave, by sensor, to begin with; a sensor without one takes that of
            ``DEFAULT_TEMPLATE``, if there is one.
        max_sensors: detectors in memory; None for all. Beyond it those go to the ``shelf`` whose sensors were not seen
            for longest, and each comes back with its sensor's next reading.
        shelf: where those lie; by default compressed in memory.

    Guarantee: a sensor's scores depend only on the configuration and on that sensor's readings in their order, not on
    how they were cut into batches, on the other sensors, on snapshots in between, or on ``max_sensors``. Silences
    depend on all readings in their order, and are reported once. Which detectors are in memory depends on the readings
    alone. Kept in memory of a sensor on the shelf is only, if its silence would be unusual, when it was last seen.

    Not safe for use by two threads at once.
    """

    def __init__(
        self,
        configuration: Configuration,
        templates: Mapping[str, bytes] | None = None,
        max_sensors: int | None = None,
        shelf: ModelShelf | None = None,
    ) -> None:
        self.configuration = configuration
        self._templates = templates or {}
        self._max_sensors = max_sensors
        self._shelf: ModelShelf = MemoryShelf() if shelf is None else shelf
        self.silences: list[SilenceEvent] = []
        self.made = 0  # detectors of sensors that were seen for the first time
        self.processed = 0  # readings
        self._detectors: dict[str, Detector] = {}  # the one that was not seen for longest comes first
        self._used: dict[str, int] = {}  # number of the last reading of each of them
        self._readings = 0
        self._monitor = LivenessMonitor()
        self._changed: set[str] = set()
        self._feedback = FeedbackRule(configuration.dimensions)

    def __len__(self) -> int:
        """How many sensors there are."""
        return len(self._detectors) + len(self._shelf)

    @property
    def in_memory(self) -> int:
        """How many of them have their detectors in memory."""
        return len(self._detectors)

    def process(self, readings: Readings) -> Scores:
        """Score each reading against its sensor's past, then learn it.

        ``silences`` then holds those of any sensors that these readings revealed. A reading that ends one is no alert
        because of it, and a pause of the whole stream is none.
        """
        self.silences = []
        self.processed += len(readings)
        parts = list(_parts(readings.codes, self._max_sensors))
        if len(parts) == 1:
            return self._process(readings, 0)
        scores = Scores.empty(len(readings), self.configuration.dimensions)
        for start, stop in parts:
            rows = np.arange(start, stop)
            part = Readings(readings.sensors, readings.codes[rows], readings.times[rows], readings.values[rows])
            scores.put(rows, self._process(part, start))
        return scores

    def _process(self, readings: Readings, first: int) -> Scores:
        """Score and learn n > 0 readings of no more sensors than have room; ``first``: the first one's row."""
        order = np.argsort(readings.codes, kind="stable")
        starts = np.flatnonzero(np.diff(readings.codes[order], prepend=-1))
        sensors = [readings.sensors[code] for code in readings.codes[order[starts]].tolist()]
        self._make_room(sensors)
        detectors = [self._detector(sensor) for sensor in sensors]
        bounds = np.append(starts, len(order))
        grouped = process_sensors(detectors, bounds, readings.times[order], readings.values[order])
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        scores = grouped.take(back)
        self._feedback.judge(readings, scores, self._rules)
        silences = self._monitor.observe(sensors, order, starts, readings.times, scores.silence_timeout)
        self.silences += [self._judged(replace(each, row=each.row + first)) for each in silences]
        self._changed.update(sensors, (silence.sensor for silence in silences))
        self._note_use(sensors, order[np.append(starts[1:], len(order)) - 1])
        for sensor in {silence.sensor for silence in silences} - self._detectors.keys():
            self._note_silence(sensor)
        return scores

    def score(self, sensor: str, times: Integers, values: Floats) -> Scores | None:
        """What each row would score as the sensor's next reading; learns nothing. None for a sensor never seen."""
        detector = self._detectors.get(sensor)
        if detector is None and (model := self._shelf.get(sensor)) is not None:
            detector = self._restored(sensor, model)
        return detector.score(times, values) if detector else None

    def forecast(self, sensor: str, horizon: int) -> Forecast | None:
        """What the sensor's next readings are expected to be; learns nothing. None for a sensor never seen."""
        detector = self._detectors.get(sensor)
        if detector is None and (model := self._shelf.get(sensor)) is not None:
            detector = self._restored(sensor, model)
        return detector.forecast(horizon) if detector else None

    def snapshot(self, also: Set[str] = frozenset()) -> dict[str, bytes]:
        """The detectors that changed since the last snapshot, and those of the sensors ``also``, by sensor."""
        models = {}
        for sensor in sorted(self._changed | also):
            model = self._pack(sensor) if sensor in self._detectors else self._shelf.get(sensor)
            if model is not None:
                models[sensor] = model
        self._changed.clear()
        return models

    def template(self, sensor: str) -> bytes:
        """What a sensor's detector has learnt, for ``templates``. Raises KeyError for a sensor never seen."""
        return self._detectors[sensor].snapshot()

    def empty_copy(self) -> Fleet:
        """One that has seen nothing yet."""
        self._shelf.clear()
        return Fleet(self.configuration, self._templates, self._max_sensors, self._shelf)

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Go on where the snapshots were taken. Raises ValueError, naming the sensor, if one is refused."""
        last_seen, used = {}, {}
        for sensor, snapshot in snapshots.items():
            with _naming(sensor):
                fields = fields_of(snapshot, "a detector's snapshot")
                used[sensor] = _whole(fields, "used")
                last_seen[sensor] = self._last_seen(sensor, fields)
                self._feedback.restore(sensor, fields)
        by_use = sorted(snapshots, key=lambda sensor: (used[sensor], sensor))
        room = len(by_use) if self._max_sensors is None else self._max_sensors
        for sensor in by_use[: max(len(by_use) - room, 0)]:
            self._shelf.put(sensor, compressed(snapshots[sensor]))
        for sensor in by_use[max(len(by_use) - room, 0) :]:
            self._detectors[sensor] = self._restored(sensor, snapshots[sensor])
            self._detectors[sensor].alone = False
            self._used[sensor] = used[sensor]
        self._readings = max(used.values(), default=self._readings)
        self._monitor.restore(last_seen)
        for sensor in by_use[: max(len(by_use) - room, 0)]:
            self._monitor.forget(sensor)
            self._feedback.forget(sensor)

    def call_normal(self, sensor: str, stretches: Stretches) -> bool:
        """From the next reading on these stretches of a sensor are normal, and no others, which raises the bar of its
        alerts (``detector.alerting.feedback_rule``). Whether that is a change; never for a sensor never seen.
        """
        with self._recalled(sensor) as known:
            changed = known and self._feedback.call_normal(sensor, stretches)
        if changed:
            self._changed.add(sensor)
        return changed

    @contextmanager
    def _recalled(self, sensor: str) -> Iterator[bool]:
        """Have in memory what is known of a sensor's episodes, also of one on the shelf; whether it was ever seen."""
        if sensor in self._detectors:
            yield True
            return
        model = self._shelf.get(sensor)
        if model is None:
            yield False
            return
        self._feedback.restore(sensor, fields_of(model))
        yield True
        self._shelf.put(sensor, with_fields(model, **self._feedback.pack(sensor)))
        self._feedback.forget(sensor)

    def _rules(self, sensor: str) -> Rules:
        return self.configuration.for_sensor(sensor).rules

    def _judged(self, silence: SilenceEvent) -> SilenceEvent:
        """Whether it is an alert."""
        with self._recalled(silence.sensor):
            withheld = self._feedback.withholds(silence.sensor, (silence.since, silence.time))
        quiet = self._rules(silence.sensor).is_quiet(np.array([silence.time]))[0]
        return replace(silence, alert=not (withheld or quiet))

    def _detector(self, sensor: str) -> Detector:
        detector = self._detectors.get(sensor)
        if detector is None:
            detector = self._detectors[sensor] = self._returned(sensor) or self._new(sensor)
            detector.alone = False
        return detector

    def _new(self, sensor: str) -> Detector:
        configuration, seed = self.configuration.for_sensor(sensor), self._seed(sensor)
        template = self._templates.get(sensor, self._templates.get(DEFAULT_TEMPLATE))
        self.made += 1
        if template is None:
            return Detector(configuration, seed)
        return Detector.restore(configuration, template).fork(seed)

    def _seed(self, sensor: str) -> int:
        """Each sensor's own seed, whatever the order in which sensors appear."""
        digest = hashlib.blake2b(sensor.encode(), digest_size=8, key=self.configuration.seed.to_bytes(8, "little"))
        return int.from_bytes(digest.digest(), "little") >> 1

    # Between memory and shelf

    def _make_room(self, sensors: list[str]) -> None:
        """Put detectors on the shelf until there is room for those of these sensors."""
        if self._max_sensors is None:
            return
        new = sum(sensor not in self._detectors for sensor in sensors)
        surplus = len(self._detectors) + new - self._max_sensors
        if surplus <= 0:
            return
        for sensor in sensors:  # these must stay
            if sensor in self._detectors:
                self._detectors[sensor] = self._detectors.pop(sensor)
        for sensor in list(self._detectors)[:surplus]:
            self._shelf.put(sensor, compressed(self._pack(sensor)))
            del self._detectors[sensor], self._used[sensor]
            self._feedback.forget(sensor)
            self._monitor.forget(sensor)

    def _returned(self, sensor: str) -> Detector | None:
        """A detector from the shelf; None if the sensor has none there."""
        if self._max_sensors is None or (model := self._shelf.take(sensor)) is None:
            return None
        fields = fields_of(model)
        self._monitor.remember(sensor, self._last_seen(sensor, fields))
        self._feedback.restore(sensor, fields)
        return self._restored(sensor, model)

    def _note_use(self, sensors: list[str], last: Integers) -> None:
        """Remember which sensors were seen last; ``last``: the row of each one's last reading."""
        self._used.update(zip(sensors, (self._readings + 1 + last).tolist(), strict=True))
        self._readings += int(last.max()) + 1
        if self._max_sensors is not None:
            for place in np.argsort(last).tolist():
                self._detectors[sensors[place]] = self._detectors.pop(sensors[place])

    def _note_silence(self, sensor: str) -> None:
        """Of a sensor on the shelf: its silence is reported, so that nothing of it needs to be in memory any more."""
        model = self._shelf.get(sensor)
        assert model is not None
        self._shelf.put(sensor, with_fields(model, last_seen=self._monitor.last_seen[sensor].pack()))
        self._monitor.forget(sensor)

    def _pack(self, sensor: str) -> bytes:
        detector = self._detectors[sensor]
        return detector.snapshot(
            compress=not self.configuration.closed_form,
            last_seen=self._monitor.last_seen[sensor].pack(),
            usual_silence=_finite(detector.learnt_silence_timeout),
            used=self._used[sensor],
            **self._feedback.pack(sensor),
        )

    def _restored(self, sensor: str, snapshot: bytes) -> Detector:
        with _naming(sensor):
            return Detector.restore(self.configuration.for_sensor(sensor), snapshot)

    def _last_seen(self, sensor: str, fields: Mapping[str, Any]) -> LastSeen:
        """When a sensor was last seen, as its model says. Raises ValueError."""
        silence = fields.get("usual_silence")
        if silence is not None and not isinstance(silence, float):
            raise ValueError(f"its usual silence is {silence!r}")
        learnt = np.array([np.inf if silence is None else silence])
        timeout = float(self.configuration.for_sensor(sensor).rules.silence_timeout(learnt)[0])
        return LastSeen.unpack(fields.get("last_seen"), timeout)


@contextmanager
def _naming(sensor: str) -> Iterator[None]:
    """A ValueError inside says of which sensor it is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"the model of sensor {sensor!r}: {error}") from None


def _parts(codes: Integers, most: int | None) -> Iterator[tuple[int, int]]:
    """Cut a batch into parts of readings of at most so many sensors: (first row, row behind the last)."""
    if not len(codes):
        return
    start = 0
    if most is not None and len(np.unique(codes)) > most:
        seen: set[int] = set()
        for row, code in enumerate(codes.tolist()):
            if code not in seen and len(seen) == most:
                yield start, row
                start, seen = row, set()
            seen.add(code)
    yield start, len(codes)


def _whole(fields: Mapping[str, Any], name: str) -> int:
    number = fields.get(name)
    if type(number) is not int or not 0 <= number < 2**62:
        raise ValueError(f"its {name} is {number!r}")
    return number


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
