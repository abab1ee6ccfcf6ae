import numpy as np
import pytest

from detector.line import line_insert, line_score


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


@pytest.mark.parametrize("v", [-4.0, -0.3, 0.01, 1.9, 6.0])
def test_score_is_the_mean_over_random_trees(v: float) -> None:
    points = np.sort(np.random.default_rng(0).normal(size=50))
    assert line_score(points, 50, v) == pytest.approx(naive(points, v), rel=0.02)


def test_score_does_not_depend_on_scale() -> None:
    points = np.sort(np.random.default_rng(0).normal(size=50))
    assert line_score(points * 1e6 + 3e6, 50, 3.3e6) == pytest.approx(line_score(points, 50, 0.3), rel=1e-6)


def test_sample_stays_sorted_and_full() -> None:
    points, keys = np.zeros(16), np.zeros(16)
    state = np.array([7], dtype=np.uint64)
    held = 0
    for step, v in enumerate(np.random.default_rng(0).normal(size=500)):
        held = line_insert(points, keys, held, v, 0.01 * step, state)
        assert (np.diff(points[:held]) >= 0).all()
    assert held == 16
