"""Shapes that were not there before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerting.shapes import SHAPE, TAIL, WINDOW, _median_of_five, _nearest, shape_novelty, tail_exceedance

WINDOWS = 128


def novelties(values: np.ndarray, windows: int = WINDOWS) -> np.ndarray:
    """How new each reading's shape is."""
    shape, random = np.zeros(1, SHAPE), np.array([1], np.uint64)
    kept = np.zeros((WINDOW, windows), np.float32)
    window, sums = np.zeros(WINDOW, np.float32), np.zeros(windows, np.float32)
    found = [shape_novelty(x, shape[0], kept, random, window, sums) for x in values]
    assert all(np.isfinite(shape[name]).all() for name in shape.dtype.names)
    return np.array(found)


def exceedances(sizes: np.ndarray, reach: float = 5.5, warm: float = 600.0) -> np.ndarray:
    tail = np.zeros(1, TAIL)[0]
    return np.array([tail_exceedance(tail, size, reach, warm) for size in sizes])


def heart(beats: int, seed: int = 0) -> np.ndarray:
    """A curve that repeats every 40 readings, with a sharp peak and a little noise."""
    phase = np.arange(40)
    beat = 5.0 * np.exp(-((phase - 10.0) ** 2) / 4.0) + np.exp(-((phase - 25.0) ** 2) / 40.0)
    return np.tile(beat, beats) + 0.05 * np.random.default_rng(seed).normal(size=40 * beats)


@given(st.integers(3, 60), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_distance_is_that_of_the_naive_oracle(held: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    windows = random.normal(size=(WINDOW, 64)).astype(np.float32)
    window = random.normal(size=WINDOW).astype(np.float32)
    distances = np.sqrt(((windows[:, :held].astype(float) - window[:, None].astype(float)) ** 2).sum(axis=0))
    found = _nearest(windows, held, window, np.zeros(64, np.float32))
    assert found == pytest.approx(np.sort(distances)[:3].mean(), rel=1e-5)


@given(st.lists(st.floats(-1e300, 1e300), min_size=WINDOW, max_size=WINDOW), st.integers(0, WINDOW - 1))
@settings(deadline=None)
def test_median_is_of_the_five_before(ring: list[float], at: int) -> None:
    before = [ring[(at - 1 - k) % WINDOW] for k in range(5)]
    assert _median_of_five(np.array(ring), at) == sorted(before)[2]


@pytest.mark.parametrize("noise", ["normal", "standard_cauchy", "exponential"])
def test_noise_alone_exceeds_nothing(noise: str) -> None:
    values = getattr(np.random.default_rng(1), noise)(size=20_000)
    assert (exceedances(novelties(values, 512)) > 1.0).sum() == 0


def test_a_beat_of_another_shape_is_new_though_its_values_are_usual() -> None:
    values = heart(200)
    values[6010:6030] = values[6010:6030][::-1]  # the peak comes late
    ratios = exceedances(novelties(values, 512))
    assert (ratios[6010:6040] > 1.0).any()
    assert (ratios[1000:6000] > 1.0).sum() == 0


@pytest.mark.parametrize(("unit", "offset"), [(2.0**10, 0.0), (2.0**-20, 0.0), (1.0, 4096.0)])
def test_newness_does_not_depend_on_unit_and_offset(unit: float, offset: float) -> None:
    values = heart(60)
    assert novelties(values * unit + offset) == pytest.approx(novelties(values), rel=1e-3, abs=1e-3)


def test_what_keeps_coming_is_learnt_by_the_tail() -> None:
    sizes = np.abs(np.random.default_rng(4).normal(size=20_000))
    sizes[2000::100] = 12.0
    ratios = exceedances(sizes)
    assert ratios[2000] > 1.0
    assert (ratios[15_000:] > 1.0).sum() == 0


@given(
    st.lists(
        st.one_of(st.floats(-100, 100), st.sampled_from([1e300, -1e300, 1.7e308, -1.7e308, 5e-324, 0.0])),
        min_size=1,
        max_size=200,
    )
)
@settings(deadline=None, max_examples=60)
def test_extreme_values_leave_all_finite(values: list[float]) -> None:
    assert np.isfinite(novelties(np.array(values))).all()
