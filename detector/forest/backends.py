"""Forests, whatever engine grows them.

The reference is imported only where it is asked for: rrcf takes longer to import than all else here.
"""

from __future__ import annotations

from detector.forest.cut_forest import CutForest
from detector.forest.forest import Forest, Parameters
from detector.snapshot_format import fields_of

ENGINES = ("cutwater", "rrcf")


def make_forest(parameters: Parameters, engine: str = "cutwater", threads: int = 1) -> Forest:
    """A new forest. ``threads`` changes how fast it is, never what it says; the engine "rrcf" has only one.

    Raises:
        ValueError: no engine of this name.
    """
    if engine == "cutwater":
        return CutForest(parameters, threads)
    if engine == "rrcf":
        from detector.forest.reference import ReferenceForest

        return ReferenceForest(parameters)
    raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")


def restore_forest(snapshot: bytes, threads: int = 1) -> Forest:
    """The forest that the snapshot was taken of, whatever its engine; ValueError says why one is refused."""
    if fields_of(snapshot, "the snapshot of a forest")["kind"] == "rrcf":
        from detector.forest.reference import ReferenceForest

        return ReferenceForest.restore(snapshot)
    return CutForest.restore(snapshot, threads)
