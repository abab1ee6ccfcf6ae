"""Decisions on one reading after the other: what they guarantee whatever comes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerting.baseline import PROVISIONAL
from detector.alerting.change_detectors import PAUSE
from detector.alerting.incident import REFRACTORY
from detector.types import NONE, SILENT, Scores
from tests.detector.alerting.states import MINUTE, START, new_state, run


@st.composite
def streams(draw, n: int = 900):
    """(times, values, scores) with faults of all sorts, late and missing readings, silences; the first 300 are calm."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    values, score = random.normal(50, 1, (n, 2)), random.uniform(0.8, 1.2, n)
    steps = np.full(n, MINUTE)
    for _ in range(draw(st.sampled_from([0, 2, 5, 9]))):
        at, long = draw(st.integers(300, n - 1)), draw(st.integers(1, 80))
        values[at : at + long] += draw(st.sampled_from([np.nan, 5.0, 30.0, -500.0]))
        score[at : at + long] *= draw(st.sampled_from([1, 3, 20]))
        steps[at] = MINUTE * draw(st.sampled_from([-3, 1, 500]))  # not both: all that follows would be of one time
    score[:PROVISIONAL] = 0
    return START + np.cumsum(steps), values, score


@given(streams(), st.lists(st.integers(0, 900), max_size=8))
@settings(max_examples=20, deadline=None)
def test_a_decision_depends_on_the_past_only_and_not_on_the_batches(stream, cuts):
    times, values, score = stream
    (memory, whole), (other, parts) = new_state(), new_state()
    together = run(whole, times, values, score)
    for rows in np.split(np.arange(len(times)), sorted(cuts)):
        part, same = run(parts, times[rows], values[rows], score[rows]), together.take(rows)
        for name in Scores.__slots__:
            assert np.array_equal(getattr(part, name), getattr(same, name), equal_nan=True), name
    assert memory.tobytes() == other.tobytes()


@given(streams())
@settings(max_examples=20, deadline=None)
def test_what_is_said_of_a_reading_fits_together(stream):
    times, values, score = stream
    said = run(new_state()[1], times, values, score)
    assert (said.is_anomaly == ((said.score > said.threshold) | said.alert)).all()
    assert ((said.grade > 0) == said.is_anomaly).all()
    assert (said.grade <= 1).all()
    assert ((said.kind != NONE) == said.is_anomaly).all()
    np.testing.assert_allclose(said.attribution.sum(axis=1), said.score, rtol=1e-12)
    assert (said.threshold[:PROVISIONAL] == np.inf).all()


@given(streams())
@settings(max_examples=20, deadline=None)
def test_alerts_keep_their_distance_and_begin_episodes(stream):
    times, values, score = stream
    said = run(new_state()[1], times, values, score)
    alerted = said.alert & (np.nan_to_num(np.abs(values - 50)).max(axis=1) < 100)  # gross outliers are by themselves
    alerts = np.flatnonzero(alerted & (said.kind != SILENT))
    before = np.array([np.flatnonzero(alerted[:row]).max(initial=-REFRACTORY - 1) for row in alerts], int)
    assert (alerts - before > REFRACTORY).all()
    assert (said.episode_start[said.alert] > 0).all()
    now = np.maximum.accumulate(times)  # a late reading counts as now
    assert np.isin(said.episode_start, [0, *now[said.alert]]).all()
    for start in np.unique(said.episode_start[said.episode_start > 0]):
        rows = np.flatnonzero(said.episode_start == start)
        assert (np.diff(rows) <= PAUSE).all()  # it may show again
        assert said.alert[rows[0]]
        assert said.episode_kind[rows[0]] == said.kind[rows[0]]
        changes = np.diff(said.episode_kind[rows], prepend=said.kind[rows[0]]) != 0
        assert said.renamed[rows].tolist() == changes.tolist()
        unusual = said.is_anomaly[rows] | said.alert[rows]
        assert said.episode_readings[rows].tolist() == np.cumsum(unusual).tolist()
        peak = np.where(unusual, said.score[rows], 0)
        assert said.episode_peak[rows].tolist() == np.maximum.accumulate(peak).tolist()
