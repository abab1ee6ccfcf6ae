"""A random cut forest with the methods of river's anomaly detectors, to stand in its pipelines beside others.

Needs river, which ``pip install 'cutwater[river]'`` brings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from river import base

from detector.random_cut_forest import RandomCutForest


class RiverForest(base.AnomalyDetector):
    """Scores a dictionary of features against those learnt before; ``detector.RandomCutForest`` for river.

    Guha, Mishra, Roy, Schrijvers: Robust random cut forest based anomaly detection on streams, ICML 2016.

        >>> from detector.river import RiverForest
        >>> forest = RiverForest(trees=20, samples=64)
        >>> for number in range(500):
        ...     forest.learn_one({"temperature": 20 + number % 7, "humidity": 50 + number % 5})
        >>> usual = forest.score_one({"temperature": 23, "humidity": 52})
        >>> forest.score_one({"temperature": 23, "humidity": 95}) > 2 * usual
        True

    A feature that is missing, None or NaN counts as what was learnt of it last, 0 before any. Features that the forest
    does not know are left out: it does not grow new ones.

    Args:
        features: names of what is looked at; by default those of the first dictionary that is learnt.
        trees, samples, shingle, time_decay, output_after, seed: see ``detector.Parameters``.

    Raises:
        ValueError: a parameter is out of its range, or a feature that is looked at is infinite.
    """

    def __init__(
        self,
        features: Sequence[str] | None = None,
        trees: int = 50,
        samples: int = 256,
        shingle: int = 1,
        time_decay: float | None = None,
        output_after: int | None = None,
        seed: int = 0,
    ) -> None:
        self.features = features
        self.trees = trees
        self.samples = samples
        self.shingle = shingle
        self.time_decay = time_decay
        self.output_after = output_after
        self.seed = seed
        self._last: dict[Any, float] = {}
        self._forest: RandomCutForest | None = None
        if features is not None:
            self._begin(features)

    def _begin(self, features: Sequence[Any]) -> None:
        self._last = dict.fromkeys(features, 0.0)
        self._forest = RandomCutForest(
            len(self._last), trees=self.trees, samples=self.samples, shingle=self.shingle,
            time_decay=self.time_decay, output_after=self.output_after, seed=self.seed,
        )  # fmt: skip

    def _values(self, x: dict[Any, Any]) -> list[float]:
        """One value for each feature, in the order of the forest's."""
        given = ((x.get(name), last) for name, last in self._last.items())
        return [last if value is None or math.isnan(value) else float(value) for value, last in given]

    def learn_one(self, x: dict[Any, Any]) -> None:
        """Learn a dictionary of numbers by their features' names."""
        if self._forest is None:
            if not x:
                return
            self._begin(sorted(x, key=str))
        assert self._forest is not None
        values = self._values(x)
        self._forest.update(np.array([values]))
        self._last = dict(zip(self._last, values, strict=True))

    def score_one(self, x: dict[Any, Any]) -> float:
        """What a dictionary would score as the next one: about 1 if it is usual, more if not; 0 while learning."""
        return float(self._forest.score(np.array([self._values(x)]))[0]) if self._forest else 0.0

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_forest": self._forest and self._forest.snapshot()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        snapshot = state["_forest"]
        self._forest = snapshot and RandomCutForest.restore(snapshot)
