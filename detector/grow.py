"""Forests by the name of their engine."""

from __future__ import annotations

from detector.forest import Forest, Parameters
from detector.reference import ReferenceForest

ENGINES = ("rrcf",)


def grow(parameters: Parameters, engine: str = "rrcf", threads: int = 1) -> Forest:
    """A new forest. ``threads`` changes how fast it is, never what it says; the engine "rrcf" has only one."""
    if engine not in ENGINES and engine != "cutwater":
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    return ReferenceForest(parameters)


def regrow(snapshot: bytes, threads: int = 1) -> Forest:
    """The forest that the snapshot was taken of, whatever its engine; ValueError says why one is refused."""
    return ReferenceForest.restore(snapshot)
