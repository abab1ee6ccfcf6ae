"""The streaming random cut forest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, ClassVar, NamedTuple, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from detector.forest import box_tree, kernels, layout, sorted_tree
from detector.forest.forest import Parameters, checked, laid_out
from detector.forest.llvm_intrinsics import LANES, PADDINGS
from detector.forest.snapshot_format import decode, encode
from detector.forest.validation import validate
from detector.types import Floats

_BOXES = {components: np.dtype(kind.name) for kind, components in PADDINGS.items()}
_NOTHING = np.empty(0)
_WORTH_THREADS = 6400  # points times trees; some 300 us of work, to which a second thread adds 50
_SLIDING = 50.0  # a decay at which a newer point leaves before an older one once in exp(50) times


class CutForest:
    """See ``detector.forest.forest.Forest``.

    Making the first one of a kind compiles its kernels or reads them from the cache; nothing is compiled later.
    ``threads``: among so many the trees are divided while a large batch goes through them. Behind a gate, where a
    point may be learnt only once all trees have scored it, there is one.
    """

    KIND: ClassVar = "cutwater"

    def __init__(self, parameters: Parameters, threads: int = 1) -> None:
        self.parameters = parameters
        self._buffer = _plant(parameters)
        self._threads = 1 if parameters.gate is not None else min(threads, parameters.trees)
        kernels.warm_up(self._buffer.dtype, self._threads > 1)

    @property
    def seen(self) -> int:
        """Readings so far."""
        return int(self._header[layout.SEEN])

    def process(self, values: Floats) -> Floats:
        """Score each reading against the past, then learn it. Returns [n]."""
        values = laid_out(values)
        scores = np.empty(len(values))
        if not self._take(values, True, scores):
            self._refuse(values)
        return scores

    def score(self, values: Floats) -> Floats:
        """Score each row as if it were the next reading; learns nothing. Returns [n]."""
        values = laid_out(values)
        scores = np.empty(len(values))
        if not kernels.score(self._buffer, values, scores):
            self._refuse(values)
        return scores

    def update(self, values: Floats) -> None:
        """Learn all of the readings, scoring none; a gate lets them pass."""
        values = laid_out(values)
        if not self._take(values, False, _NOTHING):
            self._refuse(values)

    def attribution(self, values: Floats) -> Floats:
        """Split each row's score over components and directions; learns nothing. [n, shingle * dimensions, 2]"""
        values = checked(values, self.parameters.dimensions)
        parts = np.zeros((len(values), self.parameters.width, 2))
        kernels.attribution(self._buffer, values, parts)
        return parts

    def codisp(self, values: Floats) -> Floats:
        """Collusive displacement of each row as if it were the next reading; learns nothing. Returns [n].

        The mean over all places that the trees would give it, so that asking needs no randomness.
        """
        values = checked(values, self.parameters.dimensions)
        displacements = np.zeros(len(values))
        kernels.codisp(self._buffer, values, displacements)
        return displacements

    def expected(self, values: Floats) -> Floats:
        """What the forest would have expected in place of the most anomalous values; learns nothing. [n, dimensions]

        The values that account for at least half as much of the score as the one that accounts for most are taken as
        missing. Every tree offers a point that is like the rest; expected is their (lower) median.
        """
        values = checked(values, self.parameters.dimensions)
        if self.seen < self.parameters.first_score:
            return values.copy()
        newest = self.attribution(values)[:, -self.parameters.dimensions :].sum(axis=2)
        anomalous = newest >= 0.5 * newest.max(axis=1, keepdims=True, initial=0.0)
        missing = np.zeros((len(values), int(self._header[layout.PADDED])), np.float32)
        kept = self.parameters.width - self.parameters.dimensions
        missing[:, kept : self.parameters.width] = anomalous
        offers = np.empty((len(values), self.parameters.trees, self.parameters.dimensions))
        kernels.impute(self._buffer, values, missing, offers)
        middle = (self.parameters.trees - 1) // 2
        return np.where(anomalous, np.partition(offers, middle, axis=1)[:, middle], values)

    def snapshot(self, *, compress: bool = True) -> bytes:
        """The whole state, randomness included."""
        return encode(self.KIND, self.parameters, self._buffer.tobytes(), compress=compress)

    @classmethod
    def restore(cls, snapshot: bytes, threads: int = 1) -> Self:
        """A forest that goes on exactly where ``snapshot`` was taken; ValueError says why a snapshot is refused."""
        kind, parameters, body = decode(snapshot)
        if kind != cls.KIND:
            raise ValueError(f"the snapshot is of engine {kind!r}, not {cls.KIND!r}")
        if len(body) != (needed := _Shape.of(parameters).total):
            raise ValueError(f"the snapshot holds {len(body)} bytes, its parameters need {needed}")
        forest = cls(parameters, threads)
        restored = np.frombuffer(body, np.uint8)
        validate(restored, forest._buffer.view(np.uint8), parameters)
        forest._buffer.view(np.uint8)[:] = restored
        return forest

    def _take(self, values: Floats, scored: bool, scores: Floats) -> bool:
        """Go through the trees with ``values``, in several threads where that pays; False if they are not usable."""
        if self._threads == 1 or len(values) * self.parameters.trees < _WORTH_THREADS:
            return bool(kernels.process(self._buffer, values, scored, scores))
        chunk = np.zeros(kernels.CHUNK_SLOTS, np.int64)
        work = np.empty((self._threads, kernels.CHUNK + kernels.SCRATCH), np.int64)
        memory = np.empty(_room(self._header), np.float32)
        done = 0
        while done < len(values):
            if kernels.begin_chunk(self._buffer, values, done, scored, memory, chunk) < 0:
                return False
            parts = [
                _pool().submit(kernels.process_chunk, self._buffer, part, self._threads, chunk, work[part])
                for part in range(1, self._threads)
            ]
            kernels.process_chunk(self._buffer, 0, self._threads, chunk, work[0])
            for part in parts:
                part.result()
            kernels.end_chunk(self._buffer, chunk, scored, work.sum(axis=0), scores, done)
            done += int(chunk[kernels.READINGS])
        return True

    def _refuse(self, values: Floats) -> NoReturn:
        """Say why a kernel refused ``values``."""
        checked(values, self.parameters.dimensions)
        raise AssertionError("a kernel refused values without a reason")

    @property
    def _header(self) -> NDArray[np.int64]:
        return self._buffer.view(np.uint8)[: layout.HEADER].view(np.int64)


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads that all forests share."""
    return ThreadPoolExecutor(thread_name_prefix="forest")


def _room(header: NDArray[np.int64]) -> int:
    """Floats of memory that a chunk needs; see ``batch_driver.room``."""
    width, padded, dimensions = (int(header[slot]) for slot in (layout.WIDTH, layout.PADDED, layout.DIMENSIONS))
    return kernels.CHUNK * (padded + dimensions) + width


class _Shape(NamedTuple):
    """Sizes of a forest's buffer."""

    padded: int
    slots: int
    tree: int  # bytes
    trees_at: int
    total: int  # bytes
    kind: Any  # of the buffer's array, by which kernels know the sizes of what is in it

    @classmethod
    def of(cls, parameters: Parameters) -> _Shape:
        """As the parameters make them."""
        line = parameters.width == 1
        padded = 1 if line else -(-parameters.width // LANES) * LANES
        slots = -(-parameters.samples // 16) * 16
        kind: Any = _BOXES.get(padded, np.float32)
        if line:
            kind = np.uint8 if parameters.samples <= 256 else np.uint16
            size = sorted_tree.tree_bytes(slots, np.dtype(kind).itemsize)
        else:
            size = box_tree.tree_bytes(slots, padded)
        trees_at = layout.aligned(layout.HEADER + 16 * parameters.dimensions + 4 * parameters.width)
        total = layout.aligned(trees_at + size * parameters.trees + layout.SLACK)
        return cls(padded, slots, size, trees_at, total, kind)


def _plant(parameters: Parameters) -> NDArray[Any]:
    """The buffer of a new forest."""
    padded, slots, size, trees_at, total, kind = _Shape.of(parameters)
    memory = np.zeros(total + layout.ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % layout.ALIGNMENT
    buffer = memory[start : start + total]
    decay = min(parameters.decay, _SLIDING)
    header = buffer[: layout.HEADER]
    for slot, value in {
        layout.DIMENSIONS: parameters.dimensions,
        layout.SHINGLE: parameters.shingle,
        layout.WIDTH: parameters.width,
        layout.PADDED: padded,
        layout.TREES: parameters.trees,
        layout.SAMPLES: parameters.samples,
        layout.SLOTS: slots,
        layout.TREES_AT: trees_at,
        layout.TREE_BYTES: size,
        layout.FIRST_SCORE: parameters.first_score,
        layout.EPOCH_LENGTH: int(np.clip(8.0 / decay, 64, 65536)) if decay > 0 else 65536,
    }.items():
        header.view(np.int64)[slot] = value
    header.view(np.float64)[[layout.DECAY, layout.GROWTH]] = decay, np.expm1(decay)
    header.view(np.float64)[layout.GATE] = parameters.gate or 0.0
    seeds = np.random.SeedSequence(parameters.seed).generate_state(parameters.trees + 1, np.uint64)
    header.view(np.uint64)[layout.RANDOM] = seeds[0]
    for number in range(parameters.trees):
        tree = buffer[trees_at + number * size : trees_at + (number + 1) * size]
        (sorted_tree if parameters.width == 1 else box_tree).plant(tree, slots, seeds[number + 1])
    return buffer.view(kind)
