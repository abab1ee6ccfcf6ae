"""The managed function's parameters, and its explanation to the letter."""

import doctest
import json
import re

import numpy as np
import pytest

from detector import kinesis_analytics as explanation
from detector.forest.cut_forest import CutForest
from detector.kinesis_analytics import explain, kinesis_analytics

# What the function's developer guide shows, less STRENGTH, whose formula it does not give.
DOCUMENTED = (
    '{"Systolic":{"DIRECTION":"LOW","STRENGTH":"0.0922","ATTRIBUTION_SCORE":"0.3792"},'
    '"Diastolic":{"DIRECTION":"HIGH","STRENGTH":"0.0210","ATTRIBUTION_SCORE":"0.3323"}}'
)


def test_the_documented_example_to_the_letter():
    high_and_low = np.array([[0.1435, 0.2357], [0.17665, 0.15565]])
    assert explain(["Systolic", "Diastolic"], high_and_low) == DOCUMENTED


def test_while_learning_directions_are_low_and_strengths_none():
    forest = CutForest(kinesis_analytics(columns=2))
    forest.process(np.zeros((100, 2)))
    text = explain(["a", "b"], forest.attribution(np.ones((1, 2)))[0])
    nothing = '{"DIRECTION":"LOW","STRENGTH":"0.0000","ATTRIBUTION_SCORE":"0.0000"}'
    assert text == f'{{"a":{nothing},"b":{nothing}}}'


def test_the_hypertensive_patient_of_the_developer_guide():
    """Most pressures are normal, 1 % are high; then 144 over 123."""
    random = np.random.default_rng(0)
    usual = np.column_stack([random.integers(90, 121, 2000), random.integers(60, 81, 2000)]).astype(float)
    usual[::100] += [40, 20]
    forest = CutForest(kinesis_analytics(columns=2))
    forest.process(usual)
    patient = np.array([[144.0, 123.0]])
    told = json.loads(explain(["Systolic", "Diastolic"], forest.attribution(patient)[0]))
    assert told["Systolic"]["DIRECTION"] == told["Diastolic"]["DIRECTION"] == "HIGH"
    shares = [float(told[name]["ATTRIBUTION_SCORE"]) for name in ("Systolic", "Diastolic")]
    assert sum(shares) == pytest.approx(forest.score(patient)[0], abs=1e-4)
    assert shares[1] > shares[0]
    assert float(told["Diastolic"]["STRENGTH"]) > float(told["Systolic"]["STRENGTH"])


def test_a_column_has_the_parts_of_all_readings_of_its_shingle():
    parts = np.array([[0.1, 0.0], [0.0, 0.2], [1.0, 0.0], [0.5, 0.0]])  # two readings of two columns
    told = json.loads(explain(["a", "b"], parts))
    assert [told[name]["ATTRIBUTION_SCORE"] for name in "ab"] == ["1.1000", "0.7000"]
    assert [told[name]["STRENGTH"] for name in "ab"] == ["1.1000", "0.3000"]


def test_names_are_escaped_as_json_is():
    assert json.loads(explain(['a "quoted" ü'], np.zeros((1, 2)))).keys() == {'a "quoted" ü'}


@pytest.mark.parametrize(("columns", "shape"), [(["a", "b"], (3, 2)), (["a"], (1,)), (["a"], (1, 3)), ([], (2, 2))])
def test_an_attribution_of_other_columns_is_refused(columns, shape):
    with pytest.raises(ValueError, match=re.escape(f"not {list(shape)}")):
        explain(columns, np.zeros(shape))


def test_defaults_are_those_of_the_function():
    parameters = kinesis_analytics()
    assert (parameters.trees, parameters.samples, parameters.decay, parameters.shingle) == (100, 256, 1e-5, 1)
    assert parameters.first_score == 256


@pytest.mark.parametrize(
    ("name", "wrong", "allowed"),
    [
        ("numberOfTrees", 0, "1 to 1000"),
        ("numberOfTrees", 1001, "1 to 1000"),
        ("subSampleSize", 9, "10 to 1000"),
        ("timeDecay", 2**31, "1 to 2147483647"),
        ("shingleSize", 31, "1 to 30"),
        ("columns", 31, "1 to 30"),
    ],
)
def test_ranges_are_those_of_the_function(name, wrong, allowed):
    with pytest.raises(ValueError, match=f"{name} must be from {allowed}, not {wrong}"):
        kinesis_analytics(**{name: wrong})


def test_the_example_of_the_docstring():
    assert doctest.testmod(explanation).failed == 0
