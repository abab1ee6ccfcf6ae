"""The detectors of all sensors of one shard."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from detector.batch import Floats, Integers, Readings, Scores
from detector.detector import Configuration, Detector


class Fleet:
    """One detector a sensor, made when the sensor is first seen.

    Guarantee: a sensor's scores depend only on the configuration and on that sensor's readings in their order, not on
    how they were cut into batches, on the other sensors, or on snapshots in between.

    Not safe for use by two threads at once.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._detectors: dict[str, Detector] = {}
        self._changed: set[str] = set()

    def __len__(self) -> int:
        return len(self._detectors)

    def process(self, readings: Readings) -> Scores:
        """Score each reading against its sensor's past, then learn it."""
        scores = Scores.empty(len(readings), self.configuration.dimensions)
        order = np.argsort(readings.codes, kind="stable")
        ends = np.flatnonzero(np.diff(readings.codes[order], append=-1)) + 1
        start = 0
        for end in ends.tolist():
            rows = order[start:end]
            sensor = readings.sensors[readings.codes[rows[0]]]
            scores.put(rows, self._detector(sensor).process(readings.times[rows], readings.values[rows]))
            self._changed.add(sensor)
            start = end
        return scores

    def score(self, sensor: str, times: Integers, values: Floats) -> Scores | None:
        """What each row would score as the sensor's next reading; learns nothing. None for a sensor never seen."""
        detector = self._detectors.get(sensor)
        return detector.score(times, values) if detector else None

    def snapshot(self) -> dict[str, bytes]:
        """The detectors that changed since the last snapshot, by sensor."""
        changed = {sensor: self._detectors[sensor].snapshot() for sensor in sorted(self._changed)}
        self._changed.clear()
        return changed

    def restore(self, snapshots: Mapping[str, bytes]) -> None:
        """Go on where the snapshots were taken. Raises ValueError, naming the sensor, if one is refused."""
        for sensor, snapshot in snapshots.items():
            try:
                self._detectors[sensor] = Detector.restore(self.configuration.for_sensor(sensor), snapshot)
            except ValueError as error:
                raise ValueError(f"the model of sensor {sensor!r}: {error}") from None

    def _detector(self, sensor: str) -> Detector:
        detector = self._detectors.get(sensor)
        if detector is None:
            configuration = self.configuration.for_sensor(sensor)
            detector = self._detectors[sensor] = Detector(configuration, self._seed(sensor))
        return detector

    def _seed(self, sensor: str) -> int:
        """Each sensor's own seed, whatever the order in which sensors appear."""
        digest = hashlib.blake2b(sensor.encode(), digest_size=8, key=self.configuration.seed.to_bytes(8, "little"))
        return int.from_bytes(digest.digest(), "little") >> 1
