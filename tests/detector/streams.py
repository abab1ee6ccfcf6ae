"""Streams that forests find hard, and how to follow one step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st

from detector.forest.cut_forest import CutForest
from detector.forest.forest import Parameters
from tests import naive
from tests.detector.buffers import Contents, read

# Few different values, so that many are equal; numbers of all sizes; neighbours that floats can only just tell apart.
LEVELS = st.sampled_from([0.0, 1.0, 2.0, 3.0, 10.0])
NUMBERS = st.floats(-1e6, 1e6, width=32)
ALL = st.floats(allow_nan=False, allow_infinity=False)
NEIGHBOURS = st.integers(0, 5).map(lambda k: 1.0 + k * 2.0**-23)
DECAYS = st.sampled_from([None, 0.0, 0.3, float("inf")])


def streams(dimensions: int, longest: int = 40) -> st.SearchStrategy[np.ndarray]:
    """Arrays [n, dimensions], each of numbers of one sort."""
    sorts = [st.lists(st.tuples(*[sort] * dimensions), max_size=longest) for sort in (LEVELS, NUMBERS, ALL, NEIGHBOURS)]
    return st.one_of(sorts).map(lambda rows: np.array(rows, np.float64).reshape(-1, dimensions))


def follow(parameters: Parameters, values: np.ndarray) -> Iterator[tuple[CutForest, Contents]]:
    """The forest after each reading, its structure checked; what a tree holds came in and nothing goes twice."""
    forest = CutForest(parameters)
    past: Counter[naive.Point] = Counter()
    before = [0] * parameters.trees
    for number, value in enumerate(values, 1):
        forest.process(value[None])
        contents = read(forest)
        if number >= parameters.shingle:
            past[tuple(contents.window.tolist())] += 1
        for i, tree in enumerate(contents.trees):
            kept = Counter(tree.points)
            assert kept <= past
            assert before[i] <= kept.total() <= min(past.total(), parameters.samples)
            before[i] = kept.total()
        yield forest, contents


def assert_naive(forest: CutForest, contents: Contents, rows: np.ndarray) -> None:
    """Score, attribution and displacement of rows are those of the trees, read by the naive oracle."""
    roots = [tree.root for tree in contents.trees]
    points = [contents.point(row) for row in rows]
    scores = [np.mean([naive.score(root, point) for root in roots]) for point in points]
    np.testing.assert_allclose(forest.score(rows), scores, rtol=1e-4)
    parts = [np.mean([naive.attribution(root, point) for root in roots], axis=0) for point in points]
    np.testing.assert_allclose(forest.attribution(rows), parts, rtol=1e-3, atol=1e-4)
    displaced = [np.mean([naive.codisp(root, point) for root in roots]) for point in points]
    np.testing.assert_allclose(forest.codisp(rows), displaced, rtol=1e-4)
