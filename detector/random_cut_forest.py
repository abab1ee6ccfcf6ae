"""A random cut forest by itself: scores of a stream of points, without decisions and alerts."""

from __future__ import annotations

from typing import Self

from detector.forest.backends import make_forest, restore_forest
from detector.forest.forest import Forest, Parameters
from detector.types import Floats


class RandomCutForest:
    """Scores each reading of a stream against those before it, then learns it.

    Guha, Mishra, Roy, Schrijvers: Robust random cut forest based anomaly detection on streams, ICML 2016.

        >>> import numpy as np
        >>> from detector import RandomCutForest
        >>> values = np.random.default_rng(0).normal(size=(500, 1))
        >>> values[400] = 10
        >>> forest = RandomCutForest(trees=20, samples=64)
        >>> scores = forest.process(values)
        >>> int(scores.argmax())
        400
        >>> again = RandomCutForest.restore(forest.snapshot())
        >>> bool((again.score(values) == forest.score(values)).all())
        True

    A reading's result depends only on the parameters and the readings before it: not on how they were cut into
    batches, on ``threads``, or on snapshots in between. All values must be finite.

    Args:
        dimensions, trees, samples, shingle, time_decay, output_after, seed: see ``detector.Parameters``.
        threads: how many share the work on large batches.

    Raises:
        ValueError: a parameter is out of its range; the message names it.
    """

    def __init__(
        self,
        dimensions: int = 1,
        *,
        trees: int = 50,
        samples: int = 256,
        shingle: int = 1,
        time_decay: float | None = None,
        output_after: int | None = None,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        parameters = Parameters(dimensions, trees, samples, shingle, time_decay, output_after, seed)
        self._forest: Forest = make_forest(parameters, threads=threads)

    @property
    def parameters(self) -> Parameters:
        """What defines it."""
        return self._forest.parameters

    @property
    def readings_seen(self) -> int:
        """Readings learnt so far."""
        return self._forest.seen

    def process(self, values: Floats) -> Floats:
        """Score each of ``values`` [n, dimensions] against the past, then learn it. Returns [n]; 0 while learning."""
        return self._forest.process(values)

    def score(self, values: Floats) -> Floats:
        """What each row would score as the next reading; learns nothing. Returns [n]."""
        return self._forest.score(values)

    def update(self, values: Floats) -> None:
        """Learn readings without scoring them."""
        self._forest.update(values)

    def attribution(self, values: Floats) -> Floats:
        """Split each row's score over components and directions; learns nothing.

        Returns [n, shingle * dimensions, 2]: the part owed to being higher and to being lower than the past.
        """
        return self._forest.attribution(values)

    def snapshot(self) -> bytes:
        """The whole state, randomness included."""
        return self._forest.snapshot()

    @classmethod
    def restore(cls, snapshot: bytes, threads: int = 1) -> Self:
        """A forest that goes on exactly where ``snapshot`` was taken; ValueError says why a snapshot is refused."""
        forest = cls.__new__(cls)
        forest._forest = restore_forest(snapshot, threads)
        return forest
