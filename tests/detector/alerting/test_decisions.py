"""Decisions on one reading after the other: what they guarantee whatever comes, and each step by the book."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerting.change_detectors import PAUSE
from detector.alerting.decisions import (
    DAY,
    FATIGUE,
    NOTED,
    PROVISIONAL,
    REFRACTORY,
    SEEN,
    SUPPRESSION,
    TIME,
    WARM,
    State,
    begin,
    carve,
    decide,
    fill,
    forget_when,
    get_used,
    layout,
    novelty,
    patience_now,
    raw_scores,
    state_bytes,
    threshold_now,
    waited,
)
from detector.forest.closed_form import HELD, line_score
from detector.types import NONE, SILENT, Scores

SHAPE = (2, 256, 0, 128)
MINUTE = 60_000
START = 1_767_571_200_000
NEEDED = 256


def fresh(shape: tuple[int, int, int, int] = SHAPE) -> tuple[np.ndarray, State]:
    """The bytes of a sensor never seen, and the state that lies in them."""
    memory = np.zeros(state_bytes(*shape), np.uint8)
    state = carve(memory, *shape)
    begin(state, 5)
    return memory, state


def run(state: State, times: np.ndarray, values: np.ndarray, score: np.ndarray) -> Scores:
    """Decide on readings; ``score`` is what a forest would have said of them."""
    values, missing = values.copy(), np.zeros(values.shape, bool)
    fill(values, state.last, missing)
    out = Scores.empty(len(values), values.shape[1])
    out.score[:] = score
    decide(
        state, times, values, missing, NEEDED, True, out.score, out.grade, out.threshold, out.is_anomaly, out.expected,
        out.attribution, out.alert, out.alert_score, out.kind, out.episode_start, out.episode_kind,
        out.renamed, out.episode_peak, out.episode_readings, out.patience,
    )  # fmt: skip
    return out


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
        steps[at] *= draw(st.sampled_from([-3, 1, 500]))
    score[:PROVISIONAL] = 0
    return START + np.cumsum(steps), values, score


@given(streams(), st.lists(st.integers(0, 900), max_size=8))
@settings(max_examples=20, deadline=None)
def test_a_decision_depends_on_the_past_only_and_not_on_the_batches(stream, cuts):
    times, values, score = stream
    (memory, whole), (other, parts) = fresh(), fresh()
    together = run(whole, times, values, score)
    for rows in np.split(np.arange(len(times)), sorted(cuts)):
        part, same = run(parts, times[rows], values[rows], score[rows]), together.take(rows)
        for name in Scores.__slots__:
            assert np.array_equal(getattr(part, name), getattr(same, name)), name
    assert memory.tobytes() == other.tobytes()


@given(streams())
@settings(max_examples=20, deadline=None)
def test_what_is_said_of_a_reading_fits_together(stream):
    times, values, score = stream
    said = run(fresh()[1], times, values, score)
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
    said = run(fresh()[1], times, values, score)
    told = said.alert & (np.nan_to_num(np.abs(values - 50)).max(axis=1) < 100)  # gross outliers are by themselves
    alerts = np.flatnonzero(told & (said.kind != SILENT))
    before = np.array([np.flatnonzero(told[:row]).max(initial=-REFRACTORY - 1) for row in alerts], int)
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
        told = said.is_anomaly[rows] | said.alert[rows]
        assert said.episode_readings[rows].tolist() == np.cumsum(told).tolist()
        peak = np.where(told, said.score[rows], 0)
        assert said.episode_peak[rows].tolist() == np.maximum.accumulate(peak).tolist()


# The state


def test_fields_share_the_bytes_of_a_state_and_leave_none():
    shape = (3, 64, 2, 32)
    memory, state = fresh(shape)
    for number, (name, (kind, size)) in enumerate(layout(*shape).items(), 1):
        field = getattr(state, name)
        assert (field.dtype, field.shape) == (kind, size)
        field.view(np.uint64)[...] = number
    expected = [number for number, field in enumerate(state, 1) for _ in range(field.nbytes // 8)]
    assert memory.view(np.uint64).tolist() == expected


def test_a_template_knows_what_is_usual_but_not_when_it_was():
    """Its next reading may come years later or earlier, and ends no silence, alert or episode."""
    random = np.random.default_rng(1)
    for later in (-1000 * DAY, 1000 * DAY):
        state = fresh()[1]
        values = random.normal(50, 1, (600, 2))
        values[590:] += 40
        assert run(state, START + MINUTE * np.arange(600), values, np.ones(600)).episode_start[-1] > 0
        forget_when(state)
        said = run(state, np.array([START + later]), random.normal(50, 1, (1, 2)), np.ones(1))
        assert (said.alert[0], said.episode_start[0], said.is_anomaly[0]) == (False, 0, False)
        assert said.threshold[0] < 3


@given(st.lists(st.sampled_from([np.nan, 1.0, 2.0, -3.0]), max_size=30), st.integers(0, 30))
@settings(max_examples=50, deadline=None)
def test_the_last_value_stands_in_for_a_missing_one(column, cut):
    values, last, missing = np.array(column)[:, None], np.full(1, np.nan), np.zeros((len(column), 1), bool)
    for rows in (slice(0, cut), slice(cut, None)):
        fill(values[rows], last, missing[rows])
    known = 0.0
    for given_value, filled in zip(column, values[:, 0], strict=True):
        known = known if math.isnan(given_value) else given_value
        assert filled == known
    assert missing[:, 0].tolist() == np.isnan(column).tolist()


# Is this reading anomalous?


def test_single_values_are_scored_against_the_lines_and_then_learnt():
    """The score is the mean over the lines, each of which holds a sample of all readings before."""
    state = fresh((1, 64, 3, 16))[1]
    values = np.random.default_rng(2).normal(size=(200, 1))
    for i, value in enumerate(values):
        held = state.raw_counts[:, HELD]
        expected = [
            line_score(points, squares, n, value[0])
            for points, squares, n in zip(state.raw_points, state.raw_squares, held, strict=True)
        ]
        asked, score = np.zeros(1), np.zeros(1)
        raw_scores(state, value[None], 0.01, False, asked)
        raw_scores(state, value[None], 0.01, True, score)
        assert asked[0] == score[0] == pytest.approx(np.mean(expected) if i >= PROVISIONAL else 0)
        assert state.raw_counts[:, HELD].tolist() == [min(i + 1, 16)] * 3
    assert np.isin(state.raw_points, values).all()
    assert len({points.tobytes() for points in state.raw_points}) == 3  # each line chooses by itself


def test_anomalies_barely_move_the_threshold():
    """The thousandth outlier is as anomalous as the first."""
    state, random = fresh()[1], np.random.default_rng(3)
    calm = random.uniform(0.8, 1.2, 3000)
    for scored, score in enumerate(calm):
        get_used(state.level, scored, score, False)
    before = threshold_now(state.level, 3000, 1.0)
    for scored in range(3000, 5000):
        outlier = scored % 20 == 0
        get_used(state.level, scored, 6.0 if outlier else calm[scored - 3000], outlier)
    assert before > calm.max()
    assert threshold_now(state.level, 5000, 1.0) == pytest.approx(before, rel=0.1)


def test_little_confidence_needs_a_higher_score():
    level = fresh()[1].level
    for scored in range(100):
        get_used(level, scored, 1.0, False)
    assert threshold_now(level, PROVISIONAL - 1, 1.0) == np.inf
    assert threshold_now(level, 100, 0.5) > threshold_now(level, 100, 1.0) > 1.0


# Should someone be told?


@given(st.lists(st.integers(0, 40).map(lambda k: k / 8), max_size=300))
@settings(max_examples=50, deadline=None)
def test_new_is_what_the_recent_past_did_not_have_less_what_was_heard_before(sums):
    state = fresh()[1]
    noted: list[float] = []
    totals = [0.5] * WARM + sums
    for seen, total in enumerate(totals):
        expected = 0.0
        if seen >= WARM and total > max(totals[max(seen - SUPPRESSION, 0) : seen]):
            expected = total
            if total >= NOTED:
                expected -= FATIGUE * math.log2(1 + sum(earlier >= total for earlier in noted[-128:]))
                noted.append(total)
        state.clock[SEEN] = seen
        assert novelty(state.clock, state.sums, state.peaks, total) == pytest.approx(expected)


@pytest.mark.parametrize(("step", "gap", "silent"), [(MINUTE, 9, False), (MINUTE, 12, True), (100, 90, False)])
def test_a_silence_is_what_is_longer_than_the_sensors_own(step, gap, silent):
    """Ten of its intervals, and ten seconds at least."""
    state = fresh()[1]
    for seen in range(2 * WARM):
        state.clock[SEEN] = seen
        assert waited(state.clock, state.level, START + step * seen) <= 1
        state.clock[TIME] = START + step * seen
    state.clock[SEEN] = 2 * WARM
    patience = patience_now(state.level, 2 * WARM)
    silence = waited(state.clock, state.level, START + step * (2 * WARM - 1 + gap))
    assert (silence > 1) == silent == (step * gap > patience)
