"""What every forest can do, whichever engine grows it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np

from detector.types import Floats

MAX_TREES = 1000
MAX_SAMPLES = 16_384
MAX_COMPONENTS = 1024
_FLOAT = np.dtype(np.float64)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What defines a forest; together with the points so far it determines every score.

    Attributes:
        dimensions: values in one reading.
        trees: number of trees; a score is the mean over them.
        samples: points that each tree keeps.
        shingle: readings side by side in one point, the newest last; a point has ``shingle * dimensions`` components.
        time_decay: rate per learnt point at which the sampler prefers newer points; None means 0.1 / samples,
            0 a uniform sample of all the past, infinity the last ``samples`` points.
        output_after: readings before the first score; until then scores are 0. None means ``samples``.
        seed: of all randomness, 0 or greater.
        gate: None to learn every reading. Else a reading is learnt, once it has been scored, only with probability
            min(1, (score / gate)^2): what is usual is thinned out, what is rare is remembered longer. Readings that
            get no score yet are always learnt. Time passes for the sampler only with the points that are learnt.

    Raises:
        ValueError: a parameter is out of its range; the message names it, its value and what is allowed.
    """

    dimensions: int = 1
    trees: int = 50
    samples: int = 256
    shingle: int = 1
    time_decay: float | None = None
    output_after: int | None = None
    seed: int = 0
    gate: float | None = None

    def __post_init__(self) -> None:
        for name, high in (
            ("dimensions", MAX_COMPONENTS),
            ("trees", MAX_TREES),
            ("samples", MAX_SAMPLES),
            ("shingle", MAX_COMPONENTS),
        ):
            if not 1 <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from 1 to {high}, not {getattr(self, name)}")
        if self.width > MAX_COMPONENTS:
            raise ValueError(
                f"shingle * dimensions must be at most {MAX_COMPONENTS}, not {self.shingle} * {self.dimensions}"
            )
        if self.time_decay is not None and not self.time_decay >= 0:
            raise ValueError(f"time_decay must be 0 or greater, not {self.time_decay}")
        if self.output_after is not None and self.output_after < 0:
            raise ValueError(f"output_after must be 0 or greater, not {self.output_after}")
        if self.gate is not None and not (math.isfinite(self.gate) and self.gate > 0):
            raise ValueError(f"gate must be a finite number greater than 0, not {self.gate}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or greater, not {self.seed}")

    @property
    def width(self) -> int:
        """Components of a point."""
        return self.shingle * self.dimensions

    @property
    def decay(self) -> float:
        """The rate of ``time_decay``, its default filled in."""
        return 0.1 / self.samples if self.time_decay is None else self.time_decay

    @property
    def first_score(self) -> int:
        """Readings before the first score: a score needs one learnt point and one whole shingle."""
        after = self.samples if self.output_after is None else self.output_after
        return max(after, self.shingle)


def laid_out(values: Floats) -> Floats:
    """``values`` as compiled code takes them: C-contiguous, writeable float64 [n, d]; the same object if it is that.

    Raises:
        ValueError: not two dimensions.
    """
    if type(values) is np.ndarray and values.ndim == 2 and values.dtype is _FLOAT and values.flags.carray:
        return values
    array = np.require(values, np.float64, ("C", "W", "A"))
    if array.ndim != 2:
        raise ValueError(f"values must have the shape [n, dimensions], not {list(array.shape)}")
    return array


def checked(values: Floats, dimensions: int) -> Floats:
    """``values`` as a C-contiguous, writeable array [n, dimensions] of finite float64; the same object if it is one.

    Raises:
        ValueError: another shape, or a value that is not finite, named with its place.
    """
    array = np.require(values, np.float64, ("C", "W", "A"))
    if array.ndim != 2 or array.shape[1] != dimensions:
        raise ValueError(f"values must have the shape [n, {dimensions}], not {list(array.shape)}")
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"values must be finite, but values[{row}, {column}] is {array[row, column]}")
    return array


class Forest(Protocol):
    """A streaming random cut forest.

    A reading is one row of ``values`` [n, dimensions]. The result for a reading depends only on the parameters and the
    readings before it: never on how they were cut into batches, on the number of threads, or on snapshots in between.
    """

    KIND: ClassVar[str]  # the engine's name
    parameters: Parameters

    @property
    def seen(self) -> int:
        """Readings so far, those included that a gate kept out of the trees."""
        ...

    def process(self, values: Floats) -> Floats:
        """Score each reading against the past, then learn it. Returns [n]."""
        ...

    def score(self, values: Floats) -> Floats:
        """Score each row as if it were the next reading; learns nothing. Returns [n]."""
        ...

    def update(self, values: Floats) -> None:
        """Learn all of the readings, scoring none; a gate lets them pass."""
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
        """What the forest would have expected in place of the most anomalous values of each row; learns nothing.

        Returns [n, dimensions]: usual values come back unchanged. A row that gets no score is returned as it is.
        """
        ...

    def snapshot(self, *, compress: bool = True) -> bytes:
        """The whole state, randomness included."""
        ...

    @classmethod
    def restore(cls, snapshot: bytes) -> Self:
        """A forest that goes on exactly where ``snapshot`` was taken; ValueError says why a snapshot is refused."""
        ...
