"""The rows of pumps are counted after learning only."""

import numpy as np

from benchmarks.pumps import LEARNING, Rows, count


def flags(*spans: tuple[int, int]) -> np.ndarray:
    out = np.zeros(LEARNING + 100, dtype=bool)
    for a, b in spans:
        out[LEARNING + a : LEARNING + b] = True
    return out


def test_rows_are_counted_after_learning():
    counted = count(flags((-50, -10), (20, 60)), flags((-50, 0), (30, 70)), flags((30, 31), (65, 66), (-5, -4)))
    assert counted == Rows(both=30, labelled=40, said=40, rows=100, alerts_within=1, alerts_outside=1)
    measures = counted.measures()
    assert (measures["recall"], measures["precision"], measures["f1"]) == (0.75, 0.75, 0.75)
    assert measures["false_rows"] == 10 / 60


def test_pumps_add_up_and_a_healthy_one_has_no_recall():
    healthy = count(flags(), flags((0, 10)), flags((0, 1)))
    assert (healthy.measures()["recall"], healthy.measures()["false_rows"]) == (None, 0.1)
    both = (healthy + count(flags((0, 10)), flags((0, 10)), flags())).measures()
    assert (both["recall"], both["precision"], both["alerts_outside"]) == (1.0, 0.5, 1)
