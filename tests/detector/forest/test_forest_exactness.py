"""A score is a function of the parameters, the seed and the readings before it, to the last bit.

What does not matter, and what a change of the readings changes: batches, snapshots, threads; the zero and the unit of
the values; the order of columns, which only redraws the randomness; the place in time.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.forest import layout
from detector.forest.batch_driver import CHUNK
from detector.forest.cut_forest import CutForest
from detector.forest.forest import Parameters
from detector.forest.snapshot_format import decode, encode
from tests.detector.buffers import read

LINE = Parameters(trees=6, samples=20, time_decay=0.2, output_after=3)  # epochs of 64
LONG = Parameters(trees=3, samples=300, output_after=3)
BOXES = Parameters(3, 5, 20, shingle=2, time_decay=0.2, output_after=3)
SHINGLE = Parameters(trees=5, samples=20, shingle=8, output_after=8)  # whose points need no copy
SHAPES = [LINE, LONG, BOXES, SHINGLE, replace(LINE, gate=1.0), replace(BOXES, gate=1.0), replace(LINE, time_decay=0.0)]
every_shape = pytest.mark.parametrize("parameters", SHAPES, ids=lambda p: f"{p.width}x{p.samples}-gate{p.gate}")


def walk(parameters: Parameters, n: int) -> np.ndarray:
    """A random walk on a grid: it drifts away from where it began, and many readings are equal."""
    steps = np.random.default_rng(5).integers(-3, 5, (n, parameters.dimensions))
    return 0.25 * np.cumsum(steps, axis=0) + steps


@every_shape
def test_batches_threads_and_snapshots_do_not_matter(parameters):
    values = walk(parameters, 2 * CHUNK + 300)
    whole = CutForest(parameters)
    scores = whole.process(values)
    state = whole.snapshot()

    @given(st.lists(st.integers(0, len(values)), max_size=6), st.sampled_from([1, 2, 3]), st.booleans())
    @settings(max_examples=25, deadline=None)
    def check(cuts, threads, stored):
        forest, found = CutForest(parameters, threads), []
        for part in np.split(values, sorted(cuts)):
            found.append(forest.process(part))
            forest.score(part[:3])
            if stored:
                forest = CutForest.restore(forest.snapshot(), threads)
        assert np.concatenate(found).tobytes() == scores.tobytes()
        assert forest.snapshot() == state

    check()


@every_shape
def test_readings_one_by_one_score_as_in_one_batch(parameters):
    values = walk(parameters, 500)
    whole, single, asked = CutForest(parameters), CutForest(parameters), []
    scores = whole.process(values)
    for value in values:
        asked.append(single.score(value[None])[0])
        single.process(value[None])
    assert np.array(asked).tobytes() == scores.tobytes()
    assert single.snapshot() == whole.snapshot()


@pytest.mark.parametrize("parameters", [LINE, BOXES])
def test_neither_the_zero_nor_the_unit_of_the_values_matters(parameters):
    """To the bit if the shift is exact and the unit changes by a power of two."""
    values = walk(parameters, 400)
    scores = CutForest(parameters).process(values)
    for shift, factor in ((2.0**30, 1.0), (-1e6, 2.0**40), (0.0, 2.0**-200), (2.0**20, 2.0**900)):
        assert CutForest(parameters).process((values + shift) * factor).tobytes() == scores.tobytes()


def test_the_order_of_columns_changes_nothing_but_the_randomness():
    """Each tree draws its cuts over the columns in their order; so single trees differ, and their mean does not."""
    columns = [2, 0, 1]
    rng = np.random.default_rng(2)
    values = rng.normal(0, [1.0, 5.0, 20.0], (400, 3)).round(1)
    values[::40] *= 4
    parameters = Parameters(3, trees=500, samples=64, output_after=100)
    one, other = CutForest(parameters), CutForest(parameters)
    scores, permuted = one.process(values)[100:], other.process(values[:, columns])[100:]
    assert (scores != permuted).any()
    np.testing.assert_allclose(permuted, scores, rtol=0.08)
    assert abs(permuted.mean() / scores.mean() - 1) < 0.01
    outlier = np.array([[1.0, 60.0, -90.0]])
    parts, others = one.attribution(outlier)[0], other.attribution(outlier[:, columns])[0]
    np.testing.assert_allclose(others, parts[columns], rtol=0.03, atol=0.01)
    assert one.expected(outlier)[0, 0] == other.expected(outlier[:, columns])[0, 1] == 1.0


@pytest.mark.parametrize("parameters", [LINE, BOXES])
def test_the_place_in_time_does_not_matter(parameters):
    """A forest whose clock is 10^8 points, or 10^15, further goes on in the same way."""
    values = walk(parameters, 900)
    forest = CutForest(parameters)
    forest.process(values[:300])
    for later in (10**8, 10**15):
        moved = _later(forest, later)
        now = CutForest.restore(forest.snapshot())
        assert moved.process(values[300:]).tobytes() == now.process(values[300:]).tobytes()
        read(moved)


def _later(forest: CutForest, by: int) -> CutForest:
    """The forest with all times in it set forward."""
    kind, parameters, body = decode(forest.snapshot())
    times = [tree.next for tree in read(forest).trees]
    numbers = np.frombuffer(body, np.int64).copy()
    numbers[[layout.LEARNT, layout.EPOCH, layout.SEEN]] += by
    first, size = numbers[layout.TREES_AT] // 8, numbers[layout.TREE_BYTES] // 8
    for number, time in enumerate(times):
        tree = numbers[first + number * size : first + (number + 1) * size]
        (place,) = np.flatnonzero(tree == time)
        tree[place] += by
    return CutForest.restore(encode(kind, parameters, numbers.tobytes()))


def test_a_hundred_million_readings():
    """Learnt for real, through 1500 epochs: the sample is still one of recent points, and scores are ordinary."""
    parameters = Parameters(trees=8, samples=64, time_decay=1e-4)
    forest, fresh = CutForest(parameters), CutForest(parameters)
    noise = np.random.default_rng(0).integers(0, 50, (1_000_000, 1)).astype(np.float64)
    for _ in range(100):
        forest.update(noise)
    contents = read(forest)
    assert contents.integers[layout.LEARNT] == 10**8
    fresh.update(noise)
    scores = [f.process(noise[:20_000]).mean() for f in (forest, fresh)]
    assert math.isclose(*scores, rel_tol=0.08)
    for old, new in zip(contents.trees, read(fresh).trees, strict=True):
        assert abs(old.weights.mean() - new.weights.mean()) < 5


class TestValues:
    @pytest.mark.parametrize("parameters", [LINE, BOXES, SHINGLE])
    def test_a_constant_has_the_score_of_a_leaf_that_holds_everything(self, parameters):
        forest = CutForest(replace(parameters, time_decay=math.inf))
        scores = forest.process(np.full((400, parameters.dimensions), 16_777_217.0))
        n = parameters.samples
        expected = (1 - (n - 1) / (2 * n)) / np.log2(n) * np.log2(n + 1)
        np.testing.assert_allclose(scores[-100:], expected, rtol=1e-6)

    @pytest.mark.parametrize("parameters", [LINE, BOXES])
    @pytest.mark.parametrize("usual", [16_777_216.0, 2.0**52, -1e300, 5e-324, 1e-310, 0.1])
    def test_the_nearest_other_value_is_another_value(self, parameters, usual):
        """16 777 217 after 16 777 216; the next multiple of the smallest number; the next float of any."""
        forest = CutForest(parameters)
        values = np.full((200, parameters.dimensions), usual)
        forest.process(values)
        for other in (np.nextafter(usual, np.inf), np.nextafter(usual, -np.inf)):
            assert forest.score(np.full_like(values[:1], other))[0] > 1.5 * forest.score(values[:1])[0]

    @pytest.mark.parametrize("parameters", [LINE, BOXES])
    def test_a_corrupt_value_among_ordinary_ones_spoils_none_of_them(self, parameters):
        values = walk(parameters, 600) % 8
        corrupt = values.copy()
        corrupt[300] = 1e300
        forest, other = CutForest(parameters), CutForest(parameters)
        scores, spoilt = forest.process(values), other.process(corrupt)
        assert spoilt[300] == pytest.approx(np.log2(21))  # parted from all others by the first cut
        np.testing.assert_allclose(spoilt[450:].mean(), scores[450:].mean(), rtol=0.05)
