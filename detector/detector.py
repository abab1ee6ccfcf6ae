"""From the readings of one sensor to scores and a decision."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np

from detector.batch import Floats, Integers, Scores
from detector.forest import Forest, Parameters
from detector.grow import grow, regrow

_HEADER = struct.Struct("<4sII")
_MAGIC = b"CWD1"


@dataclass(frozen=True, slots=True)
class Configuration:
    """What defines every detector of a fleet.

    Attributes:
        dimensions: values in a reading.
        engine: which forest scores.
        trees, samples, shingle, time_decay, seed: see ``detector.forest.Parameters``.
    """

    dimensions: int = 1
    engine: Literal["cutwater", "rrcf"] = "cutwater"
    trees: int = 50
    samples: int = 256
    shingle: int = 1
    time_decay: float | None = None
    seed: int = 0

    @property
    def needed(self) -> int:
        """Readings of a sensor before its first score."""
        return self.samples

    def parameters(self, seed: int) -> Parameters:
        """The forest of a sensor with this seed."""
        return Parameters(self.dimensions, self.trees, self.samples, self.shingle, self.time_decay, seed=seed)


class Detector:
    """Scores each reading of one sensor against its past and says whether it is an anomaly.

    A reading is one if its score is more than ``REACH`` times what all but the highest twentieth of the sensor's last
    ``WINDOW`` scores stay below. There an anomaly counts no more than the threshold it broke, so rare ones don't raise
    it, and a new level, whose scores soon make up more than a twentieth, does.
    """

    WINDOW = 256
    REACH = 2.0
    QUANTILE = 0.95
    WARM = 100  # scores before the first threshold

    def __init__(self, configuration: Configuration, seed: int) -> None:
        self.configuration = configuration
        self._forest: Forest = grow(configuration.parameters(seed), configuration.engine)
        self._usual: list[float] = []

    @property
    def seen(self) -> int:
        """Readings learnt so far."""
        return self._forest.seen

    @property
    def ready(self) -> bool:
        """Whether readings are scored by now."""
        return self.seen >= self.configuration.needed

    def process(self, times: Integers, values: Floats) -> Scores:
        """Score each reading against the past, then learn it."""
        scores = Scores.empty(len(values), self.configuration.dimensions)
        scores.seen[:] = self.seen + np.arange(len(values))
        scores.score[:] = self._forest.process(values)
        self._describe(scores, values)
        for row in np.flatnonzero(scores.ready).tolist():
            self._decide(scores, row)
            self._usual.append(min(scores.score[row], scores.threshold[row]))
            del self._usual[: -self.WINDOW]
        return scores

    def score(self, times: Integers, values: Floats) -> Scores:
        """What each row would score as the next reading; learns nothing."""
        scores = Scores.empty(len(values), self.configuration.dimensions)
        scores.seen[:] = self.seen
        scores.score[:] = self._forest.score(values)
        self._describe(scores, values)
        for row in np.flatnonzero(scores.ready).tolist():
            self._decide(scores, row)
        return scores

    def snapshot(self) -> bytes:
        """The whole state."""
        usual = np.asarray(self._usual, dtype="<f8").tobytes()
        return _HEADER.pack(_MAGIC, self.configuration.dimensions, len(self._usual)) + usual + self._forest.snapshot()

    @classmethod
    def restore(cls, configuration: Configuration, snapshot: bytes) -> Detector:
        """A detector that goes on exactly where ``snapshot`` was taken; ValueError says why one is refused."""
        if len(snapshot) < _HEADER.size or not snapshot.startswith(_MAGIC):
            raise ValueError("not a detector's snapshot")
        _, dimensions, count = _HEADER.unpack_from(snapshot)
        if dimensions != configuration.dimensions:
            raise ValueError(f"made for {dimensions} values a reading, not {configuration.dimensions}")
        body = _HEADER.size + 8 * count
        detector = cls.__new__(cls)
        detector.configuration = configuration
        detector._usual = np.frombuffer(snapshot[_HEADER.size : body], dtype="<f8").tolist()
        detector._forest = regrow(snapshot[body:])
        return detector

    def _describe(self, scores: Scores, values: Floats) -> None:
        needed = self.configuration.needed
        scores.ready[:] = scores.seen >= needed
        scores.confidence[:] = np.minimum(scores.seen / needed, 1.0)
        scores.attribution[:] = scores.score[:, None] / self.configuration.dimensions
        scores.expected[:] = values

    def _decide(self, scores: Scores, row: int) -> None:
        if len(self._usual) < self.WARM:
            scores.threshold[row] = np.inf
            return
        threshold = self.REACH * float(np.quantile(self._usual, self.QUANTILE))
        scores.threshold[row] = threshold
        scores.is_anomaly[row] = scores.score[row] > threshold
        if scores.is_anomaly[row]:
            scores.grade[row] = 1.0 - threshold / scores.score[row]
