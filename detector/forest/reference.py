"""The reference engine: random cut trees by the package rrcf, in plain Python.

Slow (some hundred microseconds a tree and reading) and easy to trust; what the fast engine is compared with. A score is
the collusive displacement (CoDisp) of Guha, Mishra, Roy, Schrijvers: Robust random cut forest based anomaly detection
on streams, ICML 2016.
"""

from __future__ import annotations

import heapq
import importlib
import math
import sys
from importlib import metadata
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar, Self

import numpy as np
import orjson

from detector.forest.forest import Parameters, checked
from detector.forest.snapshot_format import decode, encode
from detector.types import Floats


def _import_rrcf() -> Any:
    """The package rrcf. It reads its own version through pkg_resources, which setuptools 82 no longer has."""
    if "pkg_resources" in sys.modules:
        return importlib.import_module("rrcf")
    stand_in = ModuleType("pkg_resources")
    stand_in.get_distribution = lambda name: SimpleNamespace(version=metadata.version(name))  # type: ignore[attr-defined]
    sys.modules["pkg_resources"] = stand_in
    try:
        return importlib.import_module("rrcf")
    finally:
        del sys.modules["pkg_resources"]


rrcf = _import_rrcf()
_LIMIT = 1e300  # of a value: the sum of a box's sides must stay finite


class ReferenceForest:
    """See ``detector.forest.forest.Forest``."""

    KIND: ClassVar = "rrcf"

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self._seen = 0
        self._recent = np.zeros((0, parameters.dimensions))  # the readings of the shingle to come, oldest first
        gate, *seeds = np.random.SeedSequence(parameters.seed).spawn(parameters.trees + 1)
        self._learnt = 0  # points, each at its time
        self._gate = np.random.RandomState(np.random.MT19937(gate))
        self._trees = [_Tree(parameters, np.random.RandomState(np.random.MT19937(seed))) for seed in seeds]

    @property
    def seen(self) -> int:
        """Readings so far."""
        return self._seen

    def process(self, values: Floats) -> Floats:
        """Score each reading against the past, then learn it. Returns [n]."""
        values = checked(values, self.parameters.dimensions)
        scores = np.zeros(len(values))
        for row, value in enumerate(values):
            scores[row] = self.score(value[None])[0]
            self._take(value, learn=self._passes(scores[row]))
        return scores

    def score(self, values: Floats) -> Floats:
        """Score each row as if it were the next reading; learns nothing. Returns [n]."""
        values = checked(values, self.parameters.dimensions)
        return self.codisp(values) if self._scores else np.zeros(len(values))

    def update(self, values: Floats) -> None:
        """Learn all of the readings, scoring none; a gate lets them pass."""
        for value in checked(values, self.parameters.dimensions):
            self._take(value, learn=True)

    def attribution(self, values: Floats) -> Floats:
        """A tree's CoDisp belongs to the cut where it is largest. Returns [n, shingle * dimensions, 2]: high, low."""
        values = checked(values, self.parameters.dimensions)
        parts = np.zeros((len(values), self.parameters.width, 2))
        if self._scores:
            for row, displacements in enumerate(self._displacements(values)):
                for displacement, component, side in displacements:
                    parts[row, component, side] += displacement / len(self._trees)
        return parts

    def codisp(self, values: Floats) -> Floats:
        """Collusive displacement of each row as if it were the next reading; learns nothing. Returns [n]."""
        values = checked(values, self.parameters.dimensions)
        means = [math.fsum(d for d, _, _ in row) / len(self._trees) for row in self._displacements(values)]
        return np.array(means, dtype=np.float64)

    def expected(self, values: Floats) -> Floats:
        """The median over trees of the sampled point nearest to each row's. Returns [n, dimensions]."""
        values = checked(values, self.parameters.dimensions)
        expected = values.copy()
        for row, value in enumerate(values):
            point = self._point(value)
            if point is not None and self._scores:
                nearest = [tree.nearest(point) for tree in self._trees]
                expected[row] = np.median(nearest, axis=0)[-self.parameters.dimensions :]
        return expected

    def snapshot(self, *, compress: bool = True) -> bytes:
        """The whole state, randomness included."""
        state = {
            "seen": self._seen,
            "learnt": self._learnt,
            "recent": self._recent.tolist(),
            "gate": _words(self._gate),
            "trees": [tree.state() for tree in self._trees],
        }
        return encode(self.KIND, self.parameters, orjson.dumps(state), compress=compress)

    @classmethod
    def restore(cls, snapshot: bytes) -> Self:
        """A forest that goes on exactly where ``snapshot`` was taken; ValueError says why a snapshot is refused."""
        kind, parameters, body = decode(snapshot)
        if kind != cls.KIND:
            raise ValueError(f"the snapshot is of engine {kind!r}, not {cls.KIND!r}")
        forest = cls(parameters)
        try:
            state = orjson.loads(body)
            forest._seen = state["seen"]
            forest._learnt = state["learnt"]
            forest._recent = np.array(state["recent"]).reshape(-1, parameters.dimensions)
            _set_words(forest._gate, state["gate"])
            for tree, saved in zip(forest._trees, state["trees"], strict=True):
                tree.load(saved)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"the snapshot holds no forest of engine {cls.KIND!r}: {error}") from None
        return forest

    @property
    def _scores(self) -> bool:
        return self._learnt > 0 and self._seen >= self.parameters.first_score

    def _passes(self, score: float) -> bool:
        gate = self.parameters.gate
        if gate is None or not self._scores:
            return True
        return bool(self._gate.random_sample() < (score / gate) ** 2)

    def _take(self, value: Floats, *, learn: bool) -> None:
        point = self._point(value)
        if learn and point is not None:
            for tree in self._trees:
                tree.learn(point, self._learnt)
            self._learnt += 1
        self._recent = np.vstack([self._recent, value])[-self.parameters.shingle :]
        self._seen += 1

    def _point(self, value: Floats) -> Floats | None:
        """The shingle that ends with ``value``; None while there are too few readings for one."""
        window = self.parameters.shingle - 1
        if len(self._recent) < window:
            return None
        past = self._recent[len(self._recent) - window :]
        return np.clip(np.vstack([past, value]).ravel(), -_LIMIT, _LIMIT)

    def _displacements(self, values: Floats) -> list[list[tuple[float, int, int]]]:
        points = [self._point(value) for value in values]
        return [[] if point is None else [tree.displacement(point) for tree in self._trees] for point in points]


class _Tree:
    """One tree with its weighted reservoir sample: the points whose weights are smallest (Efraimidis & Spirakis)."""

    def __init__(self, parameters: Parameters, random: np.random.RandomState) -> None:
        self._samples = parameters.samples
        self._decay = parameters.decay
        self._random = random
        self._tree = rrcf.RCTree(random_state=random)
        self._weights: list[tuple[float, int]] = []  # heap of (-weight, index)

    def learn(self, point: Floats, index: int) -> None:
        weight = float(index)  # of a sliding window: the oldest goes first
        if math.isinf(self._decay):
            weight = -weight
        else:
            weight = math.log(-math.log1p(-self._random.random_sample())) - self._decay * index
        if len(self._weights) < self._samples:
            heapq.heappush(self._weights, (-weight, index))
        else:
            _, forgotten = heapq.heappushpop(self._weights, (-weight, index))
            if forgotten == index:
                return
            self._tree.forget_point(forgotten)
        self._tree.insert_point(point, index=index)

    def displacement(self, point: Floats) -> tuple[float, int, int]:
        """(CoDisp, the cut's component, 0 if the point lies above the cut and 1 if below) without learning it."""
        if not self._weights:
            return 0.0, 0, 0
        before = self._random.get_state()
        leaf = self._tree.insert_point(point, index=-1)
        best, component, side = 0.0, 0, 0
        node = leaf
        while (parent := node.u) is not None:
            sibling = parent.r if node is parent.l else parent.l
            ratio = sibling.n / node.n
            if ratio > best:
                best, component, side = float(ratio), int(parent.q), int(node is parent.l)
            node = parent
        self._tree.forget_point(-1)
        self._random.set_state(before)
        return best, component, side

    def nearest(self, point: Floats) -> Floats:
        return np.asarray(self._tree.query(point).x)

    def state(self) -> dict[str, Any]:
        twister = self._random.get_state(legacy=False)["state"]
        return {
            "random": [twister["key"].tolist(), twister["pos"]],
            "weights": self._weights,
            "tree": self._tree.to_dict() if self._weights else None,
        }

    def load(self, state: dict[str, Any]) -> None:
        key, position = state["random"]
        twister = {"key": np.array(key, dtype=np.uint32), "pos": position}
        self._random.set_state({"bit_generator": "MT19937", "state": twister, "has_gauss": 0, "gauss": 0.0})
        self._weights = [(weight, index) for weight, index in state["weights"]]
        if state["tree"] is not None:
            self._tree.load_dict(state["tree"])


def _words(random: np.random.RandomState) -> list[Any]:
    name, keys, position, *_ = random.get_state()
    return [name, np.asarray(keys).tolist(), position]


def _set_words(random: np.random.RandomState, words: list[Any]) -> None:
    name, keys, position = words
    random.set_state((name, np.array(keys, dtype=np.uint32), position, 0, 0.0))
