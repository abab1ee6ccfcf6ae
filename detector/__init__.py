"""Anomaly detection on streams of readings: forests, decisions and snapshots.

A pure library: numpy arrays in, numpy arrays out. No I/O, no clock, no logging; all randomness comes from explicit
seeds and is part of every snapshot, so the same readings always get the same scores.

    >>> import numpy as np
    >>> from detector import KINDS, Configuration, Detector
    >>> values = np.random.default_rng(0).uniform(47, 53, (600, 1))
    >>> values[500] = 90
    >>> scores = Detector(Configuration(profile="small"), seed=1).process(60_000 * np.arange(600), values)
    >>> [(row, KINDS[scores.kind[row]]) for row in np.flatnonzero(scores.alert).tolist()]
    [(500, 'spike')]

What is named here is imported when it is first used, so that ``import detector`` compiles nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detector.detector import Configuration, Detector
    from detector.fleet import Fleet
    from detector.forest.forest import Parameters
    from detector.random_cut_forest import RandomCutForest
    from detector.rules import Rules
    from detector.types import KINDS, Forecast, Readings, Scores

_HOMES = {
    "Configuration": "detector.detector",
    "Detector": "detector.detector",
    "Fleet": "detector.fleet",
    "Forecast": "detector.types",
    "KINDS": "detector.types",
    "Parameters": "detector.forest.forest",
    "RandomCutForest": "detector.random_cut_forest",
    "Readings": "detector.types",
    "Rules": "detector.rules",
    "Scores": "detector.types",
}

__all__ = [
    "KINDS",
    "Configuration",
    "Detector",
    "Fleet",
    "Forecast",
    "Parameters",
    "RandomCutForest",
    "Readings",
    "Rules",
    "Scores",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'detector' has no attribute {name!r}; it has {', '.join(sorted(__all__))}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
