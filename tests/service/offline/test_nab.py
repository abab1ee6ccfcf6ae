"""The benchmark's scoring: hand-worked cases, a slow oracle, and its own program where the recordings are."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import nab as recordings
from service.offline.nab import PROFILES, mark, score
from service.offline.tables import read
from service.pipeline.times import parse_time

STANDARD = PROFILES[0]


def fall(x: float) -> float:
    return -1.0 if x > 3 else 2 / (1 + math.exp(5 * x)) - 1


def plainly(files, profile, threshold):
    """The score as the paper tells it: each detection, each window."""
    total = got = 0.0
    for n, windows, scores in files:
        first = math.ceil(min(math.floor(0.15 * n), 750))
        total += len(windows)
        detections = [row for row in range(first, n) if scores[row] >= threshold]
        for left, right in windows:
            if right < first:
                continue
            inside = [row for row in detections if left <= row <= right]
            width = right - left + 1
            got += max((fall((row - right - 1) / width) / fall(-1) for row in inside), default=-profile.missed)
        for row in detections:
            if any(left <= row <= right for left, right in windows):
                continue
            before = [(left, right) for left, right in windows if right < row]
            cost = fall((row - before[-1][1]) / max(before[-1][1] - before[-1][0], 1)) if before else -1.0
            got += profile.false_alarm * cost
    null = -profile.missed * total
    return 100 * (got - null) / (total - null)


def marks(files):
    return [mark(np.arange(n), np.array(scores, dtype=float), windows) for n, windows, scores in files]


def test_perfect_is_100_and_silence_is_0():
    scores = np.zeros(100)
    scores[40] = 1
    files = [(100, [(40, 60)], scores)]
    assert score(marks(files), STANDARD) == (pytest.approx(100), 1.0)
    assert score(marks([(100, [(40, 60)], np.zeros(100))]), STANDARD, 0.5)[0] == 0


def test_a_false_alarm_costs_its_weight_and_a_late_detection_part_of_the_gain():
    scores = np.zeros(100)
    scores[[20, 60]] = 1
    (found,) = marks([(100, [(40, 60)], scores)])
    late = fall(-1 / 21) / fall(-1)
    for profile in PROFILES:
        expected = 100 * (late - profile.false_alarm + profile.missed) / (1 + profile.missed)
        assert score([found], profile, 1.0)[0] == pytest.approx(expected)


FILES = st.lists(
    st.tuples(
        st.lists(st.integers(0, 5), min_size=60, max_size=60),
        st.sampled_from([[], [(20, 29)], [(10, 14), (40, 40)], [(0, 5), (30, 59)]]),
    ),
    min_size=1,
    max_size=3,
).filter(lambda files: any(windows for _, windows in files))


@given(FILES)
@settings(deadline=None, max_examples=60)
def test_every_threshold_scores_as_told_plainly_and_the_best_is_chosen(drawn):
    files = [(60, windows, scores) for scores, windows in drawn]
    for profile in PROFILES:
        found = marks(files)
        thresholds = sorted({value for _, _, scores in files for value in scores[9:]})
        values = [plainly(files, profile, threshold) for threshold in thresholds]
        assert [score(found, profile, float(threshold))[0] for threshold in thresholds] == pytest.approx(values)
        assert score(found, profile)[0] == pytest.approx(max([*values, plainly(files, profile, math.inf)]))


@pytest.mark.recordings
def test_the_benchmarks_own_program_agrees():
    program = recordings.scorer()
    files, random = program.load(recordings.root())[:8], np.random.default_rng(0)
    labels = json.loads((recordings.root() / "windows.json").read_text())
    scores = {name: np.round(random.random(len(times)) ** 4, 3) for name, times, _ in files}
    for name, _, windows in files:
        for left, right in windows:
            scores[name][(left + right) // 2] += 0.5
    found = []
    for name, _, _ in files:
        (history,) = read(recordings.root() / "data" / name).histories
        found.append(mark(history.times, scores[name], [(parse_time(a), parse_time(b)) for a, b in labels[name]]))
    weights = json.loads((recordings.root() / "profiles.json").read_text())
    for profile, theirs in zip(PROFILES, weights.values(), strict=True):
        assert score(found, profile) == pytest.approx(program.nab(files, scores, theirs))
        assert score(found, profile, 0.9)[0] == pytest.approx(program.nab(files, scores, theirs, 0.9)[0])
