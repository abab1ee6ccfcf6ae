"""The adapter keeps river's conventions, by river's own checks, and scores as the forest does."""

import math

import numpy as np
import pytest

pytest.importorskip("river")

from river import checks, compose, preprocessing

from detector.random_cut_forest import RandomCutForest
from detector.river import RiverForest

NAMES = ("d", "a", "e", "c", "b")
# The dataset of these is to be downloaded, and scikit-learn to be installed for one; it is the last test here.
NEEDS_SKLEARN = "check_roc_auc"


def rows(count=120, seed=4):
    values = np.random.default_rng(seed).normal(size=(count, len(NAMES)))
    labels = np.arange(count) % 40 == 39
    values[labels] += 6
    return [
        (dict(zip(NAMES, row, strict=True)), bool(label)) for row, label in zip(values.tolist(), labels, strict=True)
    ]


class Rows(list):
    """What river's checks take from a dataset."""


def yielded(monkeypatch):
    monkeypatch.setattr(checks, "_yield_datasets", lambda model, scale=1: [Rows(rows(120 * scale))])
    return [check for check in checks.yield_checks(made()) if check.__name__ != NEEDS_SKLEARN]


def made():
    return RiverForest(trees=5, samples=32)


def test_rivers_own_checks_pass(monkeypatch):
    names = []
    for check in yielded(monkeypatch):
        check(made().clone())
        names.append(check.__name__)
    assert {"check_pickling", "check_shuffle_features_no_impact", "check_emerging_features"} < set(names)


def test_a_seed_says_all():
    data = rows(60)
    forests = [RiverForest(trees=5, samples=16, seed=seed) for seed in (1, 1, 2)]
    for forest in forests:
        for x, _ in data:
            forest.learn_one(x)
    one, same, other = (forest.score_one(data[7][0]) for forest in forests)
    assert one == same != other


def test_scores_are_the_forests():
    values = np.random.default_rng(1).normal(size=(200, 2))
    forest, ours = RandomCutForest(2, trees=7, samples=32, seed=3), RiverForest(["x", "y"], trees=7, samples=32, seed=3)
    expected = forest.process(values)
    for row, score in zip(values.tolist(), expected, strict=True):
        x = {"y": row[1], "x": row[0]}
        assert ours.score_one(x) == pytest.approx(score, rel=1e-12, abs=1e-12)
        ours.learn_one(x)


@pytest.mark.parametrize("missing", [{}, {"b": None}, {"b": math.nan}], ids=str)
def test_what_is_missing_counts_as_what_was_last(missing):
    one, other = (RiverForest(trees=5, samples=16) for _ in range(2))
    for x, _ in rows(60):
        one.learn_one(x)
        other.learn_one(x)
    known = {name: value for name, value in x.items() if name != "b"}
    assert one.score_one(known | missing) == other.score_one(x) > 0
    assert one.score_one(x | {"new": 1e9}) == other.score_one(x)


def test_an_infinite_value_is_refused():
    forest = made()
    forest.learn_one({"a": 1.0})
    with pytest.raises(ValueError, match="finite"):
        forest.learn_one({"a": math.inf})


def test_in_a_pipeline_what_is_far_ranks_first():
    pipeline = compose.Pipeline(preprocessing.StandardScaler(), RiverForest(trees=20, samples=64))
    near, far = [], []
    for number, (x, label) in enumerate(rows(400)):
        if number > 64:  # before that nothing is scored
            (far if label else near).append(pipeline.score_one(x))
        pipeline.learn_one(x)
    assert sum(a > b for a in far for b in near) / (len(far) * len(near)) > 0.95
