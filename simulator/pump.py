"""A pump on a test bench: eight values a second for twenty minutes, with a fault that goes on.

Everything is one machine: the flow follows the valve, pressure and current follow the flow, both vibrations the
bearings, the temperatures creep towards what the load makes of them. Sizes are those of a small circulation pump. The
fault begins after 500 to 650 seconds, lasts 300 to 450, and is mended; what it has heated cools down slowly after it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.faults import START, Fault, Recording

COLUMNS = ("vibration_1", "vibration_2", "current", "pressure", "temperature", "housing", "voltage", "flow")
KINDS = ("valve closes", "cavitation", "imbalance", "leak", "overheating", "voltage sags")
SECONDS = 1200
_NOISE = np.array([0.0008, 0.0010, 0.25, 0.25, 0.06, 0.03, 8.0, 0.35])
_STEP = np.array([1e-6, 1e-6, 1e-4, 0.06, 0.01, 0.001, 0.01, 0.02])  # resolution
_MIDDLE = np.array([0.027, 0.040, 2.3, 0.4, 70.0, 26.0, 230.0, 32.0])


def pump(kind: str | None, seed: int) -> Recording:
    """A recording with one fault of this kind (None: a healthy one)."""
    random = np.random.default_rng(seed)
    at = np.arange(SECONDS)
    middle = _MIDDLE * random.uniform(0.9, 1.1, len(COLUMNS))
    values = np.tile(middle, (SECONDS, 1)) + random.normal(0, 1, (SECONDS, len(COLUMNS))) * _NOISE
    values[:, 4] += random.uniform(0.3, 1.0) * (1 - np.exp(-at / random.uniform(400, 900)))  # warms up
    values[:, 5] += random.uniform(0.1, 0.3) * (1 - np.exp(-at / random.uniform(400, 900)))
    shared = random.normal(0, 1, SECONDS)
    values[:, 0] += 0.6 * _NOISE[0] * shared
    values[:, 1] += 0.6 * _NOISE[1] * shared
    if kind is None:
        return Recording(START + 1000 * at, np.round(values / _STEP) * _STEP, ())
    first = int(random.integers(500, 650))
    last = first + int(random.integers(300, 450))
    inside = ((at >= first) & (at <= last)).astype(float)
    slow = _follow(inside, 20.0)  # as fast as a valve turns
    warm = _follow(inside, 150.0)
    size = random.uniform(0.7, 1.3)
    if kind == "valve closes":
        values[:, 7] -= 8.0 * size * slow
        values[:, 3] += 0.8 * size * slow
        values[:, 2] -= 0.4 * size * slow
    elif kind == "cavitation":
        values[:, 7] += random.normal(0, 1, SECONDS) * 1.5 * size * inside - 2.0 * size * slow
        values[:, 0] += random.gamma(2.0, 0.004 * size, SECONDS) * inside
        values[:, 1] += random.gamma(2.0, 0.005 * size, SECONDS) * inside
    elif kind == "imbalance":
        values[:, 0] += 0.006 * size * inside
        values[:, 1] += 0.010 * size * inside
        values[:, 2] += 0.2 * size * inside
    elif kind == "leak":
        values[:, 7] -= 3.0 * size * slow
        values[:, 3] -= 0.25 * size * slow
    elif kind == "overheating":
        values[:, 4] += 6.0 * size * warm
        values[:, 5] += 2.0 * size * warm
        values[:, 2] += 0.6 * size * slow
    elif kind == "voltage sags":
        values[:, 6] -= 35.0 * size * inside
        values[:, 2] += 0.5 * size * inside
    else:
        raise ValueError(f"kind = {kind!r}: must be one of {', '.join(KINDS)}")
    fault = Fault(kind, int(START + 1000 * first), int(START + 1000 * last))
    return Recording(START + 1000 * at.astype(np.int64), np.round(values / _STEP) * _STEP, (fault,))


def _follow(target: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """What creeps towards ``target`` with this time constant."""
    out, now = np.empty_like(target), 0.0
    for i, x in enumerate(target.tolist()):
        now += (x - now) / seconds
        out[i] = now
    return out
