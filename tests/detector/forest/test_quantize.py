"""How finely the trees tell values apart, wherever on the line they are."""

import math
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from detector.forest import layout
from detector.forest.cut_forest import CutForest
from detector.forest.forest import Parameters
from tests.detector.buffers import read

finite = st.floats(allow_nan=False, allow_infinity=False)
TINY = Parameters(trees=1, samples=2)


def codes(*values: float) -> list[float]:
    """The code of each value after the first, which is the offset."""
    forest = CutForest(TINY)
    found = []
    for value in values:
        forest.process(np.array([[value]]))
        found.append(float(read(forest).window[0]))
    return found[1:]


@given(st.integers(-(2**53) + 2**24, 2**53 - 2**24), st.integers(-(2**24), 2**24), st.integers(-80, 60))
@example(2**24, 1, 0)
@example(2**53 - 2**24, 2**24 - 1, 0)
@settings(deadline=None)
def test_integers_and_multiples_of_powers_of_two_are_exact_within_2_24_steps(offset, steps, exponent):
    step = 2.0**exponent
    (_, code) = codes(offset * step, offset * step + step, (offset + steps) * step)
    (one,) = codes(offset * step, offset * step + step)
    assert code == steps * one


@given(finite, finite, finite)
@settings(deadline=None)
def test_a_code_is_the_distance_from_the_first_reading_to_one_part_in_2_24(first, second, value):
    assume(abs(second - first) < sys.float_info.max)
    (one, code) = codes(first, second, value)
    assume(one != 0)
    unit = Fraction(2) ** 0
    if not 2.0**-60 <= abs(second - first) <= 2.0**60:
        unit = Fraction(2) ** min(max(-math.frexp(abs(second - first))[1], -1000), 1000)
    exact = (Fraction(value) - Fraction(first)) * unit
    limit = Fraction(2) ** 100
    if abs(exact) > limit:
        assert code == (limit if exact > 0 else -limit)
    else:
        assert abs(Fraction(code) - exact) <= abs(exact) / 2**24 * (1 + Fraction(2) ** -20) + Fraction(2) ** -149


@given(finite, st.lists(finite, min_size=2, max_size=9))
@settings(deadline=None)
def test_codes_never_change_the_order_of_values(first, values):
    ordered = sorted(values)
    assert (np.diff(codes(first, *values, *ordered)[-len(values) :]) >= 0).all()


@pytest.mark.parametrize("value", [1.0, 1e6, -1e-300, 1e300, 5e-324, -(2.0**-30)])
def test_neighbours_of_the_first_reading_are_told_apart(value):
    ulp = abs(np.nextafter(value, np.inf) - value)
    below, above = np.nextafter(value, -np.inf), np.nextafter(value, np.inf)
    low, high, higher = codes(value, below, above, above + ulp)
    assert low < 0 < high < higher


@given(st.floats(2.0**-60, 2.0**60), st.floats(-1.0, 1.0))
@settings(deadline=None)
def test_one_part_in_2_23_of_the_distance_tells_two_values_apart(distance, extra):
    other = distance * (1 + 2.0**-23 * (1.001 + abs(extra)))
    below, above = codes(0.0, distance, other)
    assert below < above


def test_neighbours_far_from_the_first_reading_are_equal():
    one, other = codes(0.0, 1e6, np.nextafter(1e6, np.inf))
    assert one == other


def test_a_corrupt_value_takes_away_nothing_of_the_resolution():
    *_, one, other = codes(20.0, 20.5, 1e300, -1e300, 20.25, 20.25 + 2.0**-25)
    assert one == 0.25
    assert other == 0.25 + 2.0**-25


@pytest.mark.parametrize("start", [0.0, 2.0**40, -1e15])
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 3)])
def test_the_offset_follows_a_counter_without_rounding(start, shape):
    """An epoch has 80 readings here; a distance from the first one would lose all odd numbers beyond 2^24."""
    dimensions, shingle = shape
    counter = start + 1001.0 * np.arange(30_000)
    forest = CutForest(Parameters(dimensions, trees=2, samples=16, shingle=shingle, time_decay=0.1))
    values = np.repeat(counter[:, None], dimensions, axis=1)
    offsets = set()
    for batch in np.array_split(values, 60):
        forest.process(batch)
        contents = read(forest)
        newest = contents.offsets + contents.window[-dimensions:] / contents.floats[layout.UNIT]
        assert newest.tolist() == batch[-1].tolist()
        offsets.add(contents.offsets[0])
    assert len(offsets) > 30


@pytest.mark.parametrize("levels", [[20.3], [20.3, 20.4, 20.5], [-1e-7, -1.1e-7, 1e6]])
def test_a_value_goes_on_to_equal_itself_through_epochs_that_begin_elsewhere(levels):
    """Another offset would round these values otherwise, and the usual would be new."""
    forest = CutForest(Parameters(trees=3, samples=16, time_decay=0.5))
    usual = np.random.default_rng(0).choice(levels, (400, 1))
    forest.process(np.concatenate([[[0.0]], usual[:40]]))
    for batch in np.array_split(usual[40:], 50):
        forest.process(batch)
        contents = read(forest)
        assert len({point for tree in contents.trees for point in tree.points}) <= len(levels)
        assert contents.window[0] in {point[0] for tree in contents.trees for point in tree.points}


def test_a_tiny_dimension_beside_a_huge_one_overflows_neither():
    forest = CutForest(Parameters(2, trees=1, samples=8))
    forest.process(np.array([[1.7e308, 0.0], [1.7e308, 1e-300], [-1.7e308, 3e-300]]))
    contents = read(forest)
    assert contents.window.tolist() == [-(2.0**100), np.float32(3e-300 * contents.floats[layout.UNIT])]
    assert contents.trees[0].root is not None


def test_a_stream_that_settles_on_another_scale_gets_a_new_unit():
    """A unit is chosen anew once a single value is left in all samples."""
    forest = CutForest(Parameters(trees=2, samples=4, time_decay=np.inf))
    forest.process(np.concatenate([[0.0, 1e250], np.full(300, 7.0)])[:, None])
    forest.process(np.array([[7.0], [7.25]]))
    contents = read(forest)
    assert contents.floats[layout.UNIT] == 1.0
    assert contents.window[0] == 0.25
