"""The settings of the detector."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from detector.forest.forest import MAX_SAMPLES, MAX_TREES
from service.settings.table import Table


class DetectorSettings(Table):
    """How readings are scored."""

    engine: Literal["cutwater", "rrcf"] = "cutwater"
    """What scores. cutwater: single values against all random cut trees of their sample at once, in closed form, and
    several values or a shingle by a compiled forest; rrcf: always the reference forest, which is slow."""
    profile: Literal["small", "default", "best"] = "default"
    """Memory and time for accuracy: about 60, 200 or 390 kB a sensor."""
    trees: int = Field(50, ge=1, le=MAX_TREES)
    """Trees in a sensor's forest; a closed form needs none."""
    samples: int = Field(256, ge=8, le=MAX_SAMPLES)
    """Readings that each tree keeps; a sensor is learning until it has seen as many. Scores begin earlier, with little
    confidence."""
    shingle: int = Field(1, ge=1, le=30)
    """Consecutive readings that are looked at together."""
    time_decay: float | None = Field(None, ge=0)
    """How fast old readings are forgotten, a rate per reading; by default 0.1 / samples."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of all randomness: the same seed and readings give the same scores."""
