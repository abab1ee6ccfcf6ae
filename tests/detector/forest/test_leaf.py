"""What a point scores at its leaf, beside the definition."""

import math

import numpy as np
import pytest

from detector.forest.leaf import inverse_depth, score_equal


def test_the_inverse_depth_is_one_function_in_the_table_and_beyond():
    depths = np.arange(2000)
    expected = np.float32(1) / (depths + 1).astype(np.float32)
    assert [inverse_depth(depth) for depth in depths] == expected.tolist()


@pytest.mark.parametrize("depth", [1, 5, 40])
def test_equal_points_score_less_the_more_there_are(depth):
    scores = [score_equal(depth, mass, 100) for mass in range(1, 101)]
    for mass, score in enumerate(scores, 1):
        seen = max(mass - 1, 1)
        assert score == pytest.approx((1 - seen / 200) / (depth + math.log2(1 + seen)), rel=1e-6)
    assert scores[0] == scores[1]  # AWS's library does not count the second one
    assert (np.diff(scores[1:]) < 0).all()
    assert scores[0] < inverse_depth(depth)
