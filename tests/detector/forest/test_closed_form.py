"""The closed form against random trees and against itself without short cuts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.forest.closed_form import BLOCK, FARTHEST, HELD, WORST, line_insert, line_score

NODES, TWICE = np.polynomial.legendre.leggauss(8)
MISS, WEIGHTS = 1 - (1 + NODES) / 2, TWICE / 2


def blocks(points: np.ndarray) -> np.ndarray:
    """Each block's sum of squared gaps."""
    with np.errstate(over="ignore"):
        squares = np.minimum(np.diff(points) ** 2, 1e300)
    return np.array([squares[k : k + BLOCK].sum() for k in range(0, len(points), BLOCK)])


def score(points: np.ndarray, v: float) -> float:
    return line_score(points, blocks(points), len(points), v)


def naive(points: np.ndarray, v: float, trees: int = 20_000) -> float:
    """Mean of log2(1 + n) / depth of v over random cut trees, grown as Cartesian trees of exponential times."""
    random = np.random.default_rng(1)
    line = np.sort(np.append(points, v))
    at = int(np.searchsorted(line, v))
    gaps = np.diff(line)
    times = random.exponential(size=(trees, len(gaps))) / gaps
    right, left = times[:, at:], times[:, :at][:, ::-1]
    depth = sum((np.minimum.accumulate(side, axis=1) == side).sum(axis=1) for side in (left, right))
    return float(np.log2(1 + len(points)) * (1 / depth).mean())


def exact(points: np.ndarray, v: float) -> float:
    """The closed form, gap by gap, with 200 nodes."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    t = (1 + nodes) / 2
    first, after = np.searchsorted(points, v), np.searchsorted(points, v, side="right")
    equal, n = after - first, len(points)
    product, power = np.ones(200), -1.0
    for side in (points[after:], points[:first][::-1]):
        if len(side):
            p = np.diff(side) / (side[1:] - v)
            product *= np.prod(1 - p[:, None] * (1 - t), axis=0)
            power += 1
    scale = np.log2(1 + n) * (1 - equal / (2 * n))
    return float(scale * (weights / 2 * product * t ** (power + np.log2(1 + equal))).sum())


@pytest.mark.parametrize("v", [-4.0, -0.3, 0.01, 1.9, 6.0])
def test_score_is_the_mean_over_random_trees(v: float) -> None:
    points = np.sort(np.random.default_rng(0).normal(size=50))
    assert score(points, v) == pytest.approx(naive(points, v), rel=0.02)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 33, 1000])
@pytest.mark.parametrize("shape", ["normal", "heavy", "whole"])
def test_whole_blocks_are_as_good_as_their_gaps(n: int, shape: str) -> None:
    random = np.random.default_rng(n)
    draw = {
        "normal": random.normal,
        "heavy": lambda size: random.standard_t(1.5, size),
        "whole": lambda size: random.integers(0, 40, size).astype(float),
    }[shape]
    points = np.sort(draw(size=n))
    for v in (*draw(size=20).tolist(), points[0] - 3, points[-1] + 100, points[n // 2]):
        assert score(points, v) == pytest.approx(exact(points, v), rel=1e-3)


def test_score_does_not_depend_on_scale() -> None:
    points = np.sort(np.random.default_rng(0).normal(size=50))
    assert score(points * 1e6 + 3e6, 3.3e6) == pytest.approx(score(points, 0.3), rel=1e-6)


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=200), st.floats(0, 0.1))
@settings(max_examples=50, deadline=None)
def test_a_sample_keeps_its_order_and_its_books(values: list[int], decay: float) -> None:
    points, keys, squares, counts = np.zeros(48), np.zeros(48), np.zeros(3), np.zeros(2, dtype=np.int64)
    state = np.array([7], dtype=np.uint64)
    for step, v in enumerate(values):
        line_insert(points, keys, squares, counts, float(v), decay * step, state)
        held = counts[HELD]
        assert held == min(step + 1, 48)
        assert (np.diff(points[:held]) >= 0).all()
        expected = blocks(points[:held])
        assert squares[: len(expected)] == pytest.approx(expected)
    if counts[HELD] == 48:
        assert counts[WORST] == keys.argmax()


def one_by_one(points: np.ndarray, squares: np.ndarray, v: float) -> float:
    """``line_score`` gap after gap, each looked at once: what its passes must add up to."""
    n = len(points)
    first, after = int(np.searchsorted(points, v)), int(np.searchsorted(points, v, side="right"))
    power, stretch, bend = -1.0, 1.0, 0.0
    product, powers = np.ones(8), np.zeros(4)

    def take(near: float, far: float) -> None:
        p = (far - near) / (far - v)
        if p < 0.15:
            powers[:] += [p, p**2, p**3, p**4]
        else:
            product[:] *= 1.0 - p * MISS

    for side, count, ahead in ((1, n - after, n - after - 1), (-1, first, first - 1)):
        power += count > 0
        at = after if side > 0 else first - 1
        while ahead > 0:
            start = at if side > 0 else at - BLOCK
            size = min(BLOCK, ahead)
            near, far = abs(points[at] - v), abs(points[at + side * size] - v) if start >= 0 else np.inf
            if at % BLOCK == 0 and far - near < 0.25 * near and 1e-280 < near * far < 1e300:
                stretch *= far / near
                bend += squares[start // BLOCK] / (near * far)
            else:
                size = min(ahead, (-at if side > 0 else at) % BLOCK or BLOCK)
                for k in range(size):
                    take(points[at + side * k], points[at + side * (k + 1)])
            at += side * size
            ahead -= size
    equal = after - first
    scale = np.log2(1 + n) * (1 - equal / (2 * n))
    one, two, three, four = powers + np.array([np.log(stretch), 0, 0, 0])
    exponent = (power + np.log2(1 + equal)) * np.log(1 - MISS) + MISS * (1 - MISS) / 2 * bend
    exponent -= MISS * (one + MISS * (two / 2 + MISS * (three / 3 + MISS * four / 4)))
    return float(scale * (WEIGHTS * product * np.exp(exponent)).sum())


POINTS = st.floats(-1e9, 1e9) | st.floats(-FARTHEST, FARTHEST) | st.integers(-5, 5).map(float)


@given(st.lists(POINTS, min_size=1, max_size=150), POINTS, st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_passes_over_gaps_add_up_to_what_one_look_at_each_gives(values: list[float], v: float, seed: int) -> None:
    many = np.random.default_rng(seed).normal(size=len(values))  # dense enough for whole blocks
    for points in (np.sort(values), np.sort(many)):
        squares = np.minimum(blocks(points), 1e300)  # as ``line_insert`` keeps them
        assert line_score(points, squares, len(points), v) == pytest.approx(one_by_one(points, squares, v), rel=1e-9)
