"""What the decisions' state of a sensor must be before compiled code uses it: that checks no bounds.

A snapshot with a right checksum may still be wrong; see ``detector.forest.validation``.
"""

from __future__ import annotations

import numpy as np

from detector.alerting.state import State
from detector.forest.closed_form import HELD, WORST
from detector.types import KINDS, Floats, Integers

_END = 2**62  # beyond any count or time
_COUNTS = ("readings_seen", "late", "peaks", "scored", "sampled", "outliers")


def check(state: State) -> None:
    """Raise a ValueError that names the field that cannot be what it is."""
    sensor = state.sensor[0]
    columns = {name: values for name, values in state._asdict().items() if values.dtype == np.int64}
    for name, values in (columns | _fields(sensor) | _fields(state.fault[0])).items():
        if values.dtype == np.int64 and (np.abs(values) > _END).any():
            raise ValueError(f"its {name} are out of range")
    if any(sensor[name] < 0 for name in _COUNTS) or not 0 <= sensor["episode_kind"] < len(KINDS):
        raise ValueError("its counts of readings are out of range")
    fault = state.fault[0]
    if fault["open"] not in (0, 1) or min(fault["first"], fault["last_away"]) < 0:
        raise ValueError("its fault is neither open nor closed")
    if (state.feature_offered < 0).any():
        raise ValueError("its counts of offered points are below zero")
    if not state.random[0] or not state.sample_random.all():
        raise ValueError("its random state is 0")
    _check_samples("samples of features", state.feature_counts, state.feature_points, state.feature_keys)
    _check_samples("samples", state.sample_counts, state.sample_points, state.sample_keys)


def _fields(record: np.void) -> dict[str, np.generic]:
    return {name: record[name] for name in record.dtype.names or ()}


def _check_samples(what: str, counts: Integers, points: Floats, keys: Floats) -> None:
    room = points.shape[-1]
    held, worst = counts[..., HELD], counts[..., WORST]
    if (held < 0).any() or (held > room).any() or (worst < 0).any() or (worst >= room).any():
        raise ValueError(f"its {what} hold more points than they have room for")
    if np.isnan(keys).any():
        raise ValueError(f"the keys of its {what} are no numbers")
    inside = np.arange(1, room) < held[..., None]
    if (inside & (points[..., 1:] < points[..., :-1])).any():
        raise ValueError(f"its {what} are not in order")
