"""What a detector guarantees."""

import numpy as np
import pytest

from detector.detector import Configuration, Detector
from detector.types import KINDS, Scores
from simulator.faults import record

MINUTE = 60_000
START = 1_767_571_200_000


def run(values: np.ndarray, step: int = MINUTE, **settings: object) -> Scores:
    values = np.asarray(values, dtype=float).reshape(len(values), -1)
    times = START + step * np.arange(len(values), dtype=np.int64)
    return Detector(Configuration(profile="small", **settings), 1).process(times, values)  # type: ignore[arg-type]


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(50, 1, n)


def same(a: Scores, b: Scores) -> None:
    for name in Scores.__slots__:
        assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True), name


def test_batches_and_snapshots_change_nothing() -> None:
    values = noise(1500)[:, None]
    values[700] = 90
    times = START + MINUTE * np.arange(1500, dtype=np.int64)
    configuration = Configuration(profile="small")
    whole = Detector(configuration, 3).process(times, values)
    detector, parts = Detector(configuration, 3), Scores.empty(1500, 1)
    at = 0
    for size in (1, 7, 300, 392, 1, 1, 798):
        rows = np.arange(at, at + size)
        parts.put(rows, detector.process(times[rows], values[rows]))
        detector = Detector.restore(configuration, detector.snapshot())
        at += size
    same(whole, parts)


def test_score_learns_nothing() -> None:
    detector = Detector(Configuration(profile="small"), 1)
    detector.process(START + MINUTE * np.arange(400, dtype=np.int64), noise(400)[:, None])
    before = detector.snapshot()
    assert detector.score(np.array([START]), np.array([[90.0]])).is_anomaly[0]
    assert detector.snapshot() == before


def test_classic_scenario() -> None:
    random = np.random.default_rng(0)
    outlier = random.random(20_000) < 0.01
    scores = run(np.where(outlier, random.integers(100, 121, 20_000), random.integers(10, 21, 20_000)))
    assert scores.is_anomaly[outlier & scores.ready].all()
    assert not scores.is_anomaly[~outlier].any()
    assert scores.alert.sum() < 0.2 * outlier.sum()


def test_grade_is_positive_exactly_where_anomalous() -> None:
    values = noise(1000)
    values[[500, 700]] = 80
    scores = run(values)
    assert np.array_equal(scores.grade > 0, scores.is_anomaly)
    assert np.allclose(scores.attribution.sum(axis=1), scores.score)


def test_infinity_is_refused() -> None:
    with pytest.raises(ValueError, match="infinity"):
        run(np.array([1.0, np.inf]))


def test_template_starts_warm() -> None:
    detector = Detector(Configuration(profile="small"), 1)
    detector.process(START + MINUTE * np.arange(500, dtype=np.int64), noise(500)[:, None])
    copy = detector.fork(seed=2)
    assert copy.ready
    assert copy.process(np.array([START + 501 * MINUTE]), np.array([[90.0]])).is_anomaly[0]


def test_foreign_snapshots_are_refused() -> None:
    snapshot = Detector(Configuration(profile="small"), 1).snapshot()
    with pytest.raises(ValueError, match="configuration it was made with"):
        Detector.restore(Configuration(), snapshot)
    with pytest.raises(ValueError, match="not a detector"):
        Detector.restore(Configuration(), b"hello")


@pytest.mark.parametrize("kind", ["spike", "noise change"])
def test_simulated_faults_are_found(kind: str) -> None:
    recording = record(kind, 5, days=6)
    scores = Detector(Configuration(profile="small"), 0).process(recording.times, recording.values)
    for fault in recording.faults:
        inside = (recording.times >= fault.start) & (recording.times <= fault.end)
        assert scores.alert[inside].any()


def test_what_was_learnt_of_a_drift_is_not_told_daily_after_it() -> None:
    recording = record("drift", 9007)
    times, (first, second) = recording.times, recording.faults
    scores = Detector(Configuration(profile="small"), 0).process(times, recording.values)
    assert scores.alert[(times >= first.start) & (times <= first.end)].any()
    after = (times > first.end) & (times < second.start)
    assert not (scores.alert & (scores.kind == KINDS.index("drift")))[after].any()


def test_values_that_belong_together_break_only_when_they_do() -> None:
    recording = record("correlation break", 9022)
    scores = Detector(Configuration(3, profile="small"), 0).process(recording.times, recording.values)
    told = recording.times[scores.alert & (scores.kind == KINDS.index("correlation break"))]
    assert len(told) == len(recording.faults)
    for time, fault in zip(told, recording.faults, strict=True):
        assert fault.start <= time <= fault.end
