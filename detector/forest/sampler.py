"""A time-decayed random sample of a stream, kept by skipping.

Point t gets the weight log(e) - decay * t with e ~ Exp(1); the sample holds the points with the smallest weights
(Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006, with weights that grow by exp(decay) a
point). Once the sample is full, the points that do not enter it need no random number: the first that does is drawn at
once. Let w be the largest weight in the sample and c = exp(w + decay * t). Point t + j enters if e < c exp(decay j);
so the number k of points that are passed over is the largest with H(k) <= E, where E ~ Exp(1) and

    H(k) = c (1 + exp(decay) + ... + exp(decay (k - 1))) = c expm1(decay k) / expm1(decay),

and what is left of E, E - H(k), is the e of the point that enters. While it fills, the sample takes a point with a
chance that falls from 1, at an eighth of its size, to 0, as AWS's library does, so that its points are spread in time.

Times in weights count from the forest's epoch, which moves on before they lose precision
(``detector.forest.cut_forest``).

All of a tree's state is in its header, 64 bytes:

    0  i64  points in the sample
    8  i64  time of the next point to enter, once the sample is full
    16 u64  random state
    24 f64  weight of that point
    32 f64  log2(1 + points): makes scores of trees of any size comparable
    40 f32  largest weight in the sample
    44 ...  free to the kind of tree
"""

# mypy: no-warn-return-any

from __future__ import annotations

import math

import numpy as np

from detector.forest.llvm_intrinsics import (
    f32,
    get_f32,
    get_f64,
    get_i64,
    i64,
    inline,
    kernel,
    set_f32,
    set_f64,
    set_i64,
)
from detector.forest.llvm_vectors import find, largest

HEADER = 64
COUNT, NEXT, RANDOM, PENDING, SCALE = 0, 1, 2, 3, 4  # in 8-byte slots
LARGEST = 10  # in 4-byte slots
UNUSED = f32(-3e38)  # the weight of a slot without a point
SKIP, GROW, REPLACE = 0, 1, 2  # what to do with a point

_FILL = 0.125  # of the sample is filled without a choice
_NEVER = 1 << 62
_SMALLEST = 1e-300
_LARGE = 700.0  # whose exponential is finite


@inline
def draw(header: int) -> float:
    """The next random number in [0, 1) of the tree with this header: SplitMix64 (Steele, Lea, Flood, 2014)."""
    state = np.uint64(get_i64(header, RANDOM)) + np.uint64(0x9E3779B97F4A7C15)
    set_i64(header, RANDOM, i64(state))
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return np.float64(z >> np.uint64(11)) * 1.1102230246251565e-16


@inline
def exponential(header: int) -> float:
    """The next draw from Exp(1)."""
    return -math.log(1.0 - draw(header))


@kernel
def plan(header: int, time: int, age: float, decay: float, growth: float) -> None:
    """Draw which point enters the full sample next, from the one at ``time`` on, ``age`` after the epoch.

    ``growth`` is expm1(decay).
    """
    e = exponential(header)
    c = math.exp(min(np.float64(get_f32(header, LARGEST)) + decay * age, _LARGE))
    if decay > 0.0:
        skipped = math.log1p(e * growth / c) / decay
        k = i64(min(skipped, float(_NEVER)))
        rest = e - c * math.expm1(decay * k) / growth
    else:
        k = i64(min(e / c, float(_NEVER)))
        rest = e - c * k
    set_i64(header, NEXT, min(time + k, _NEVER))
    set_f64(header, PENDING, math.log(max(rest, _SMALLEST)) - decay * (age + k))


@inline
def enters(header: int, samples: int, time: int) -> bool:
    """Whether the point at ``time`` may change the tree."""
    return get_i64(header, COUNT) < samples or get_i64(header, NEXT) == time


@kernel
def decide(header: int, weights: int, blocks: int, samples: int, age: float, decay: float) -> tuple[int, float]:
    """(what to do with a point that ``enters``, its weight)."""
    count = get_i64(header, COUNT)
    if count == samples:
        return REPLACE, f32(get_f64(header, PENDING))
    weight = f32(math.log(max(exponential(header), _SMALLEST)) - decay * age)
    filled = count / samples
    if draw(header) * (1.0 - _FILL) < 1.0 - filled:
        return GROW, weight
    return (REPLACE if weight < largest(weights, blocks) else SKIP), weight


@inline
def heaviest(weights: int, blocks: int) -> int:
    """Slot of the point that leaves next."""
    return find(weights, largest(weights, blocks))


@kernel
def settle(
    header: int,
    weights: int,
    blocks: int,
    count: int,
    samples: int,
    time: int,
    age: float,
    decay: float,
    growth: float,
) -> None:
    """Note the sample's new state after a change at ``time``, and plan the next one if it is full."""
    if count != get_i64(header, COUNT):
        set_i64(header, COUNT, count)
        set_f64(header, SCALE, math.log2(1.0 + count))
    if count == samples:
        set_f32(header, LARGEST, largest(weights, blocks))
        plan(header, time + 1, age + 1.0, decay, growth)


@kernel
def rebase(header: int, weights: int, slots: int, shift: float) -> None:
    """Move the epoch: add ``shift`` = decay * its distance to all weights."""
    for i in range(slots):
        weight = get_f32(weights, i)
        if weight > UNUSED:
            set_f32(weights, i, f32(np.float64(weight) + shift))
    set_f32(header, LARGEST, f32(np.float64(get_f32(header, LARGEST)) + shift))
    set_f64(header, PENDING, get_f64(header, PENDING) + shift)
