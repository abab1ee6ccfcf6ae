"""What every forest can do, whichever engine grows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from detector.batch import Floats


@dataclass(frozen=True, slots=True)
class Parameters:
    """What defines a forest; together with the points so far it determines every score.

    Attributes:
        dimensions: values in one reading.
        trees: number of trees; a score is the mean over them.
        samples: points that each tree keeps.
        shingle: readings side by side in one point, the newest last; a point has ``shingle * dimensions`` components.
        time_decay: rate per reading at which the sampler prefers newer points; None means 0.1 / samples,
            0 a uniform sample of all the past.
        output_after: readings before the first score; until then scores are 0. None means ``samples``.
        seed: of all randomness.
    """

    dimensions: int = 1
    trees: int = 50
    samples: int = 256
    shingle: int = 1
    time_decay: float | None = None
    output_after: int | None = None
    seed: int = 0


class Forest(Protocol):
    """A streaming random cut forest.

    A reading is one row of ``values`` [n, dimensions]. The result for a reading depends only on the parameters and the
    readings before it: never on how they were cut into batches, on the number of threads, or on snapshots in between.
    """

    parameters: Parameters

    @property
    def seen(self) -> int:
        """Readings learnt so far."""
        ...

    def process(self, values: Floats) -> Floats:
        """Score each reading against the past, then learn it. Returns [n]."""
        ...

    def score(self, values: Floats) -> Floats:
        """Score each row as if it were the next reading; learns nothing. Returns [n]."""
        ...

    def update(self, values: Floats) -> None:
        """Learn the readings without scoring them."""
        ...

    def attribution(self, values: Floats) -> Floats:
        """Split each row's score over components and directions; learns nothing.

        Returns [n, shingle * dimensions, 2]: the part owed to being higher and to being lower than the past.
        """
        ...

    def codisp(self, values: Floats) -> Floats:
        """Collusive displacement of each row as if it were the next reading; learns nothing. Returns [n]."""
        ...

    def expected(self, values: Floats) -> Floats:
        """What the forest would have expected in place of the most anomalous values; learns nothing. [n, dimensions]"""
        ...

    def snapshot(self) -> bytes:
        """The whole state, randomness included."""
        ...

    @classmethod
    def restore(cls, snapshot: bytes) -> Self:
        """A forest that goes on exactly where ``snapshot`` was taken; ValueError says why a snapshot is refused."""
        ...
