"""Trees of boxes: points of any number of components. ``structure`` says what lies where."""

from __future__ import annotations

from detector.forest.box_tree.explain import attribute, codisp, impute
from detector.forest.box_tree.score import score_across, score_run
from detector.forest.box_tree.structure import header_of, plant, tree_bytes, weights_of
from detector.forest.box_tree.update import extent, learn, translate

__all__ = [
    "attribute",
    "codisp",
    "extent",
    "header_of",
    "impute",
    "learn",
    "plant",
    "score_across",
    "score_run",
    "translate",
    "tree_bytes",
    "weights_of",
]
