"""Forests, whatever engine grows them. There is one so far, the reference; a fast one is to come."""

from __future__ import annotations

from detector.forest import Forest, Parameters
from detector.reference import ReferenceForest


def grow(parameters: Parameters, engine: str = "rrcf") -> Forest:
    """A new forest."""
    return ReferenceForest(parameters)


def regrow(snapshot: bytes) -> Forest:
    """The forest that the snapshot was taken of; ValueError says why one is refused."""
    return ReferenceForest.restore(snapshot)
