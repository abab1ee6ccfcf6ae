"""Real recordings, and what RANDOM_CUT_FOREST(100, 256, 100000, 1) of Kinesis Data Analytics said of them.

All recordings and NAB's scores: python -m benchmarks.parity
"""

import pytest

from benchmarks.parity import LEARNT, correlation, managed_scores, our_scores

pytestmark = pytest.mark.recordings


@pytest.mark.parametrize("name", ["realKnownCause/nyc_taxi.csv", "realAWSCloudwatch/rds_cpu_utilization_e47b3b.csv"])
def test_scores_are_those_of_the_managed_function(name):
    """Up to the factor by which NAB brought them between 0 and 1, and to randomness."""
    ours, theirs = our_scores(name, seed=0), managed_scores(name)
    assert (ours[:LEARNT] == 0).all()
    assert (theirs[:LEARNT] == 0).all()
    assert correlation(ours[LEARNT:], theirs[LEARNT:]) > 0.93
    assert ours[LEARNT:].mean() / theirs[LEARNT:].mean() == pytest.approx(8.0, rel=0.04)
