"""The words of the managed function that Cutwater succeeds: its parameters, and its explanation of a score.

RANDOM_CUT_FOREST_WITH_EXPLANATION in Kinesis Data Analytics for SQL gave each record two columns: ANOMALY_SCORE, and
ANOMALY_EXPLANATION, a JSON text such as

    {"Systolic":{"DIRECTION":"HIGH","STRENGTH":"0.8567","ATTRIBUTION_SCORE":"1.7447"}}

>>> import numpy as np
>>> from detector.forest.backends import make_forest
>>> forest = make_forest(kinesis_analytics(subSampleSize=10))
>>> forest.update(np.arange(1000.0)[:, None] % 5)
>>> explain(["iotValue"], forest.attribution(np.array([[1e9]]))[0])
'{"iotValue":{"DIRECTION":"HIGH","STRENGTH":"3.4594","ATTRIBUTION_SCORE":"3.4594"}}'
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from detector.forest.forest import Parameters
from detector.types import Floats


def kinesis_analytics(
    numberOfTrees: int = 100,  # noqa: N803  the function's own names
    subSampleSize: int = 256,  # noqa: N803
    timeDecay: int = 100_000,  # noqa: N803
    shingleSize: int = 1,  # noqa: N803
    *,
    columns: int = 1,
    seed: int = 0,
) -> Parameters:
    """The forest that the function grew with these arguments over so many numeric columns.

    As there, the first ``subSampleSize`` records score 0; ``timeDecay`` is in records, its inverse our ``time_decay``.

    Raises:
        ValueError: an argument is out of the function's range; the message names it, its value and what is allowed.
    """
    for name, value, low, high in (
        ("numberOfTrees", numberOfTrees, 1, 1000),
        ("subSampleSize", subSampleSize, 10, 1000),
        ("timeDecay", timeDecay, 1, 2**31 - 1),
        ("shingleSize", shingleSize, 1, 30),
        ("columns", columns, 1, 30),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name} must be from {low} to {high}, not {value}")
    return Parameters(columns, numberOfTrees, subSampleSize, shingleSize, time_decay=1.0 / timeDecay, seed=seed)


def explain(columns: Sequence[str], attribution: Floats) -> str:
    """ANOMALY_EXPLANATION of one record, from its row of ``Forest.attribution``, [shingle * dimensions, 2].

    ATTRIBUTION_SCORE is what a column accounts for, over all readings of the shingle; they sum to ANOMALY_SCORE.
    DIRECTION is HIGH where more of it is owed to high values than to low ones, STRENGTH by how much more. The managed
    function never said how it came by its STRENGTH, which could exceed the score. While a forest scores nothing,
    DIRECTION is LOW and the numbers are 0.

    Raises:
        ValueError: the attribution is not one of so many columns.
    """
    if attribution.ndim != 2 or attribution.shape[1] != 2 or not columns or len(attribution) % len(columns):
        raise ValueError(
            f"attribution must have the shape [shingle * {len(columns)}, 2], not {list(attribution.shape)}"
        )
    parts = attribution.reshape(-1, len(columns), 2).sum(axis=0)
    return orjson.dumps(
        {
            column: {
                "DIRECTION": "HIGH" if high > low else "LOW",
                "STRENGTH": f"{abs(high - low):.4f}",
                "ATTRIBUTION_SCORE": f"{high + low:.4f}",
            }
            for column, (high, low) in zip(columns, parts.tolist(), strict=True)
        }
    ).decode()
