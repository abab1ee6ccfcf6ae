"""What a point scores at the leaf that it comes to: how deep it is, whatever kind of tree it is in."""

# mypy: no-warn-return-any

from __future__ import annotations

import math

import numpy as np

from detector.forest.llvm_intrinsics import f32, inline

_TABLED = 512
_ONE = f32(1.0)
_INVERSE = (1.0 / (1.0 + np.arange(_TABLED))).astype(np.float32)


@inline
def inverse_depth(depth: int) -> float:
    """1 / (depth + 1): the score of a point that the sample does not hold, cut off at ``depth``."""
    return _INVERSE[depth] if depth < _TABLED else _ONE / f32(depth + 1)


@inline
def score_equal(depth: int, mass: int, n: int) -> float:
    """Score of a point that the sample of n holds, in a leaf of ``mass`` equal ones; not yet times the tree's scale."""
    seen = max(mass - 1, 1)  # as AWS's library counts: without the second one
    return f32((1.0 - seen / (2.0 * n)) / (depth + math.log2(1.0 + seen)))
