"""The forests that are compared: ours and its peers from PyPI, behind one set of calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from detector.forest.backends import make_forest, restore_forest
from detector.forest.forest import Parameters
from detector.types import Floats


class Shape(NamedTuple):
    """Which forest."""

    trees: int
    samples: int
    dimensions: int
    shingle: int


FLEET = Shape(30, 128, 1, 1)
SHAPES = (Shape(100, 256, 1, 1), Shape(50, 256, 1, 8), Shape(30, 256, 1, 8), Shape(100, 256, 4, 8))


def stream(shape: Shape, n: int, seed: int = 0) -> Floats:
    """Readings [n, dimensions]: a wave and normal noise, with an outlier in a hundred."""
    random = np.random.default_rng(seed)
    values = np.sin(np.arange(n) * 2 * np.pi / 60)[:, None] + random.normal(0, 0.3, (n, shape.dimensions))
    return values + 10.0 * (random.random((n, 1)) < 0.01)


class Peer(Protocol):
    """A forest; ``prepare`` makes what the others take, so that conversions of the input do not count."""

    def prepare(self, values: Floats, batch: int) -> list[Any]:
        """The readings in batches."""
        ...

    def process(self, batches: list[Any]) -> None:
        """Score, then update with each reading."""
        ...

    def score(self, batches: list[Any]) -> None:
        """Score each."""
        ...

    def update(self, batches: list[Any]) -> None:
        """Update with each."""
        ...

    def snapshot(self) -> bytes | str | None:
        """Its state, if it can be had."""
        ...

    def restore(self, snapshot: Any) -> None:
        """Read a state."""
        ...


class Cutwater:
    """Ours."""

    def __init__(self, shape: Shape, threads: int = 1) -> None:
        parameters = Parameters(
            dimensions=shape.dimensions, trees=shape.trees, samples=shape.samples, shingle=shape.shingle
        )
        self.forest = make_forest(parameters, threads=threads)

    def prepare(self, values: Floats, batch: int) -> list[Any]:
        """Arrays [batch, dimensions]."""
        return [values[i : i + batch].copy() for i in range(0, len(values), batch)]

    def process(self, batches: list[Any]) -> None:
        """In one call a batch."""
        for batch in batches:
            self.forest.process(batch)

    def score(self, batches: list[Any]) -> None:
        """In one call a batch."""
        for batch in batches:
            self.forest.score(batch)

    def update(self, batches: list[Any]) -> None:
        """In one call a batch."""
        for batch in batches:
            self.forest.update(batch)

    def snapshot(self) -> bytes:
        """Compressed, with a checksum."""
        return self.forest.snapshot()

    def restore(self, snapshot: bytes) -> None:
        """The same forest again."""
        restore_forest(snapshot)


class _OneByOne:
    """A peer that takes one reading a call, as a list of floats."""

    forest: Any

    def prepare(self, values: Floats, batch: int) -> list[Any]:
        return values.tolist()

    def process(self, batches: list[Any]) -> None:
        score, update = self.forest.score, self.forest.update
        for reading in batches:
            score(reading)
            update(reading)

    def score(self, batches: list[Any]) -> None:
        for reading in batches:
            self.forest.score(reading)

    def update(self, batches: list[Any]) -> None:
        for reading in batches:
            self.forest.update(reading)


class Krcf(_OneByOne):
    """AWS's Rust library, through PyO3."""

    def __init__(self, shape: Shape, threads: int = 1) -> None:
        from krcf import RandomCutForest, RandomCutForestOptions

        options: RandomCutForestOptions = {"dimensions": shape.dimensions, "shingle_size": shape.shingle,
                                           "num_trees": shape.trees, "sample_size": shape.samples,
                                           "output_after": shape.samples, "random_seed": 1,
                                           "parallel_execution_enabled": threads > 1}  # fmt: skip
        self.forest = RandomCutForest(options)

    def snapshot(self) -> bytes:
        """As MessagePack."""
        return self.forest.to_msgpack()

    def restore(self, snapshot: bytes) -> None:
        """The same forest again."""
        type(self.forest).from_msgpack(snapshot)


class Jrcf(_OneByOne):
    """AWS's Java library, through JPype; needs Java."""

    def __init__(self, shape: Shape, threads: int = 1) -> None:
        from jrcf.rcf import RandomCutForestModel

        self.forest = RandomCutForestModel(
            dimensions=shape.dimensions, shingle_size=shape.shingle, num_trees=shape.trees, sample_size=shape.samples,
            output_after=shape.samples, random_seed=1, parallel_execution_enabled=threads > 1,
            thread_pool_size=threads if threads > 1 else None)  # fmt: skip

    def snapshot(self) -> str:
        """As JSON, the only way that jrcf has."""
        return self.forest.__getstate__()["forest"]

    def restore(self, snapshot: str) -> None:
        """The same forest again."""
        self.forest._deserialize_forest(snapshot)


class Rrcf:
    """rrcf as its documentation streams: shingles of a window of ``samples`` points, CoDisp of the newest."""

    def __init__(self, shape: Shape, threads: int = 1) -> None:
        from detector.forest.reference import rrcf

        self._trees = [rrcf.RCTree(random_state=seed) for seed in range(shape.trees)]
        self._shape, self._seen, self._window = shape, 0, [[0.0] * shape.dimensions] * shape.shingle

    def prepare(self, values: Floats, batch: int) -> list[Any]:
        """Readings."""
        return values.tolist()

    def _points(self, batches: list[Any]) -> Iterator[np.ndarray]:
        for reading in batches:
            self._window = [*self._window[1:], reading]
            yield np.ravel(self._window)

    def process(self, batches: list[Any]) -> None:
        """Insert, ask CoDisp, forget the oldest."""
        for point in self._points(batches):
            for tree in self._trees:
                if self._seen >= self._shape.samples:
                    tree.forget_point(self._seen - self._shape.samples)
                tree.insert_point(point, index=self._seen)
                tree.codisp(self._seen)
            self._seen += 1

    def score(self, batches: list[Any]) -> None:
        """It scores only what it has inserted."""
        raise NotImplementedError

    def update(self, batches: list[Any]) -> None:
        """As ``process``, unasked."""
        for point in self._points(batches):
            for tree in self._trees:
                if self._seen >= self._shape.samples:
                    tree.forget_point(self._seen - self._shape.samples)
                tree.insert_point(point, index=self._seen)
            self._seen += 1

    def snapshot(self) -> None:
        """It writes one tree at a time, as JSON; there is no snapshot of a forest."""
        return

    def restore(self, snapshot: Any) -> None:
        """See ``snapshot``."""
        raise NotImplementedError


PEERS: dict[str, type[Cutwater | Krcf | Jrcf | Rrcf]] = {
    "cutwater": Cutwater,
    "krcf": Krcf,
    "jrcf": Jrcf,
    "rrcf": Rrcf,
}


def available(names: list[str]) -> list[str]:
    """Those of the peers that run here; says on the way which do not."""
    found = []
    for name in names:
        try:
            PEERS[name](FLEET)
        except Exception as error:
            print(f"{name} does not run here: {error}")
        else:
            found.append(name)
    return found
