"""The detectors of all sensors of one shard."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set
from dataclasses import replace

import numpy as np

from detector.detector import Configuration, Detector
from detector.liveness import HEARD_BYTES, Heard, Silence, Watch
from detector.types import SILENT, Floats, Integers, Readings, Scores

OTHERS = "*"  # in templates: sensors that have none of their own


class Fleet:
    """One detector a sensor, made when the sensor is first seen.

    Args:
        configuration: of all detectors.
        templates: what ``template`` gave, by sensor, to begin with; a sensor without one takes that of ``OTHERS``, if
            there is one.

    Guarantee: a sensor's scores depend only on the configuration and on that sensor's readings in their order, not on
    how they were cut into batches, on the other sensors, or on snapshots in between. Silences depend on all readings
    in their order, and are told once.

    Not safe for use by two threads at once.
    """

    def __init__(self, configuration: Configuration, templates: Mapping[str, bytes] | None = None) -> None:
        self.configuration = configuration
        self._templates = templates or {}
        self.silences: list[Silence] = []
        self._detectors: dict[str, Detector] = {}
        self._watch = Watch()
        self._changed: set[str] = set()

    def __len__(self) -> int:
        return len(self._detectors)

    def process(self, readings: Readings) -> Scores:
        """Score each reading against its sensor's past, then learn it.

        ``silences`` then holds those of any sensors that these readings revealed; the alert of a reading that only
        ends one of them is taken back.
        """
        scores = Scores.empty(len(readings), self.configuration.dimensions)
        self.silences = []
        if not len(readings):
            return scores
        order = np.argsort(readings.codes, kind="stable")
        starts = np.flatnonzero(np.diff(readings.codes[order], prepend=-1))
        sensors = [readings.sensors[code] for code in readings.codes[order[starts]].tolist()]
        for sensor, rows in zip(sensors, np.split(order, starts[1:]), strict=True):
            scores.put(rows, self._detector(sensor).process(readings.times[rows], readings.values[rows]))
        silences, ends = self._watch.observe(sensors, order, starts, readings.times, scores.patience)
        self.silences = [self._respecting_quiet(silence) for silence in silences]
        for row in ends[scores.kind[ends] == SILENT].tolist():
            rules = self._detectors[readings.sensors[readings.codes[row]]].configuration.rules
            rules.take_back(np.array([row]), readings.times, readings.values, scores)
        self._changed.update(sensors, (silence.sensor for silence in silences))
        return scores

    def score(self, sensor: str, times: Integers, values: Floats) -> Scores | None:
        """What each row would score as the sensor's next reading; learns nothing. None for a sensor never seen."""
        detector = self._detectors.get(sensor)
        return detector.score(times, values) if detector else None

    def snapshot(self, also: Set[str] = frozenset()) -> dict[str, bytes]:
        """The detectors that changed since the last snapshot, and those of the sensors ``also``, by sensor."""
        heard = self._watch.heard
        wanted = self._changed | (also & self._detectors.keys())
        changed = {sensor: heard[sensor].pack() + self._detectors[sensor].snapshot() for sensor in sorted(wanted)}
        self._changed.clear()
        return changed

    def template(self, sensor: str) -> bytes:
        """What a sensor's detector has learnt, for ``templates``. Raises KeyError for a sensor never seen."""
        return self._detectors[sensor].snapshot()

    def fresh(self) -> Fleet:
        """One that has seen nothing yet."""
        return Fleet(self.configuration, self._templates)

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Go on where the snapshots were taken. Raises ValueError, naming the sensor, if one is refused."""
        heard = {}
        for sensor, snapshot in snapshots.items():
            try:
                detector = Detector.restore(self.configuration.for_sensor(sensor), snapshot[HEARD_BYTES:])
            except ValueError as error:
                raise ValueError(f"the model of sensor {sensor!r}: {error}") from None
            self._detectors[sensor] = detector
            heard[sensor] = Heard.unpack(snapshot[:HEARD_BYTES], detector.patience)
        self._watch.restore(heard)

    def _respecting_quiet(self, silence: Silence) -> Silence:
        rules = self._detectors[silence.sensor].configuration.rules
        return replace(silence, alert=not rules.is_quiet(np.array([silence.time]))[0])

    def _detector(self, sensor: str) -> Detector:
        detector = self._detectors.get(sensor)
        if detector is None:
            configuration, seed = self.configuration.for_sensor(sensor), self._seed(sensor)
            template = self._templates.get(sensor, self._templates.get(OTHERS))
            if template is None:
                detector = Detector(configuration, seed)
            else:
                detector = Detector.restore(configuration, template).adapt(seed)
            self._detectors[sensor] = detector
        return detector

    def _seed(self, sensor: str) -> int:
        """Each sensor's own seed, whatever the order in which sensors appear."""
        digest = hashlib.blake2b(sensor.encode(), digest_size=8, key=self.configuration.seed.to_bytes(8, "little"))
        return int.from_bytes(digest.digest(), "little") >> 1
