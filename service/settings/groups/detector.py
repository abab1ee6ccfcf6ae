"""The settings of the detector."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from detector.forest.forest import MAX_SAMPLES, MAX_TREES
from service.settings.table import Table


class DetectorSettings(Table):
    """How readings are scored."""

    model_config = ConfigDict(title="Detector")

    engine: Literal["cutwater", "rrcf"] = "cutwater"
    """What scores. cutwater: a single value against all random cut trees at once, in closed form; several values or a
    shingle with a compiled forest. rrcf: the reference forest, which is slow."""
    profile: Literal["small", "default", "best"] = "default"
    """Memory against accuracy: about 60, 200 or 390 kB for each sensor."""
    trees: int = Field(50, ge=1, le=MAX_TREES)
    """Trees in a sensor's forest. A single value needs none."""
    samples: int = Field(256, ge=8, le=MAX_SAMPLES)
    """Readings that each tree keeps. A sensor is learning until it has seen as many; scores start earlier, with low
    confidence."""
    shingle: int = Field(1, ge=1, le=30)
    """Consecutive readings that are scored together."""
    time_decay: float | None = Field(None, ge=0)
    """How fast old readings are forgotten, a rate per reading. Default: 0.1 / samples."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of all randomness. The same seed and readings give the same scores."""
