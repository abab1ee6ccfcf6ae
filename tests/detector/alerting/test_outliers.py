"""One huge or impossible value does not blind a sensor: what comes after it is judged as if it had not been there."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.sentinels import row
from detector.alerting.outliers import ADOPTED, GROSS, ORDINARY, OUTLIERS, START, classify_first, classify_value
from detector.detector import Configuration, Detector
from detector.forest.closed_form import BLOCK, line_score

MINUTE = 60_000
BEGIN = 1_767_571_200_000
SENTINELS = [1e200, -1e300, sys.float_info.max, -9999.0, 65535.0, -127.0, 32767.0]


@pytest.mark.parametrize("value", SENTINELS)
@pytest.mark.parametrize(("at", "hours"), [(0, 9.0), (10, 9.0), (10, 33.0), (600, 1.0), (600, 24.0)])
def test_a_spike_after_a_sentinel_alerts_as_it_would_have(value, at, hours):
    found = row(value, at, hours)
    assert found["control_alert"]
    assert found["alert"]
    assert found["alert_score"] == pytest.approx(found["control"], rel=0.2)


@pytest.mark.parametrize("value", [1e200, -9999.0, 65535.0])
@pytest.mark.parametrize(
    "case",
    [
        {"share": 0.01},
        {"run": 90},
        {"dimensions": 3},
        {"shingle": 4},
        {"sign": -1},
        {"minutes": 5},
    ],
)
def test_nor_do_many_of_them_or_those_in_other_streams(value, case):
    assert row(value, 500, 9.0, **case)["within"]


def run(values: np.ndarray) -> tuple[Detector, object]:
    detector = Detector(Configuration(dimensions=values.shape[1], profile="small"), 0)
    times = BEGIN + MINUTE * np.arange(len(values), dtype=np.int64)
    return detector, detector.process(times, values)


def test_a_sentinel_is_an_alert_itself():
    values = np.random.default_rng(0).uniform(47, 53, (1000, 1))
    values[700] = -9999
    scores = run(values)[1]
    assert np.flatnonzero(scores.alert).tolist() == [700]


def test_a_sensor_that_moves_far_away_is_one_incident_and_then_the_new_normal():
    values = np.random.default_rng(0).uniform(47, 53, (3000, 1))
    values[1000:] += 100_000
    scores = run(values)[1]
    assert scores.alert[1000]
    assert scores.alert.sum() <= 2
    assert not scores.alert[1300:].any()


def test_a_sensor_stuck_at_a_sentinel_is_said_to_be_stuck():
    values = np.random.default_rng(0).normal(50, 1, (2000, 1))
    values[1000:1200] = -9999
    kinds = run(values)[1].kind
    assert {1, 4} <= set(kinds[1000:1200].tolist())  # spike, stuck


EXTREMES = [0.0, 5e-324, -1e-200, 1e-12, 1.0, -9999.0, 1e30, 1e75, -1e154, 1e200, -1e300, sys.float_info.max]


@st.composite
def extreme_streams(draw):
    """Streams around a scale of any size, with values of any other among them."""
    d = draw(st.integers(1, 3))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([0.0, 5e-324, 1e-300, 1e-160, 1.0, 1e60, 1e160, 1e300]))
    values = scale * random.normal(draw(st.sampled_from([0.0, 50.0])), 1, (draw(st.integers(20, 500)), d))
    share = draw(st.sampled_from([0.0, 0.01, 0.5]))
    rows = random.random(values.shape) < share
    values[rows] = random.choice([*EXTREMES, np.nan], rows.sum())
    for at in draw(st.lists(st.integers(0, len(values) - 1), max_size=5)):
        values[at, 0] = draw(st.sampled_from(EXTREMES) | st.floats(allow_nan=False, allow_infinity=False))
    return np.clip(values, -sys.float_info.max, sys.float_info.max)


@given(extreme_streams())
@settings(max_examples=60, deadline=None)
def test_no_finite_stream_makes_a_state_or_a_score_that_is_not_finite(values):
    detector, scores = run(values)
    may_be_unset = {"last", "outliers", "course", "limit_broken", "jumped", "level_slow"}  # NaN until it is known
    for name, array in detector._state._asdict().items():
        columns = {field: array[field] for field in array.dtype.names} if array.dtype.names else {name: array}
        if name not in may_be_unset:
            for field in columns.keys() - may_be_unset:
                assert np.isfinite(columns[field]).all(), (name, field)
    for name in ("score", "alert_score", "grade", "attribution", "expected"):
        assert np.isfinite(getattr(scores, name)).all(), name
    assert not np.isnan(scores.threshold).any()


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-200, 1e-150, 1.0, 1e150, 1e200, 1e300])
def test_the_closed_form_knows_no_scale(scale):
    points = np.sort(np.random.default_rng(0).integers(-50, 50, 100)) * 1.0
    squares = [np.minimum(np.diff(points * scale)[k : k + BLOCK] ** 2, 1e300).sum() for k in range(0, 100, BLOCK)]
    for v in (-1000.0, -3.0, 70.0):
        expected = line_score(
            points, np.array([np.sum(np.diff(points)[k : k + BLOCK] ** 2) for k in range(0, 100, BLOCK)]), 100, v
        )
        assert line_score(points * scale, np.array(squares), 100, v * scale) == pytest.approx(expected, rel=2e-3)


def test_different_values_in_a_row_are_adopted_and_a_repeated_one_never():
    outliers = np.zeros(1, OUTLIERS)[0]
    for seen, x in enumerate(np.linspace(0, 1, START)):
        assert classify_value(x, seen, False, outliers) == ORDINARY
    assert not classify_first(outliers)
    assert {classify_value(65535.0, seen, False, outliers) for seen in range(20, 500)} == {GROSS}
    found = [classify_value(65535.0 + seen, seen, False, outliers) for seen in range(500, 520)]
    assert found[0] == GROSS
    assert found[-1] == ORDINARY
    assert ADOPTED in found
