"""What the decisions of one sensor remember: one record, whose bytes are the snapshot."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

from detector.alerting.autocorrelation import AUTOCORRELATION
from detector.alerting.change_detectors import MEMORY, STATISTIC, STATISTICS, forget_hour
from detector.alerting.episode_kind import COURSE
from detector.alerting.extremes import EXTREMES
from detector.alerting.fault_state import FAULT, NORMAL
from detector.alerting.features import BINS, FEATURES, MEAN, PREDICTIONS, SLOTS, SMOOTHINGS
from detector.alerting.forecast import BAND
from detector.alerting.outliers import OUTLIERS
from detector.alerting.roughness import CURVE
from detector.alerting.shapes import SHAPE, TAIL, WINDOW
from detector.forest.closed_form import BLOCK
from detector.jit import jit_entry
from detector.types import NEVER

SUPPRESSION = 80  # readings; only what they did not have is new
REMEMBERED = 128  # sums of features, to know how often what is new came before

# Times are event times in ms, "reading" is the count of readings seen then.
SENSOR = np.dtype(
    [
        ("readings_seen", np.int64),
        ("time", np.int64),  # the newest
        ("late", np.int64),  # 1 if the last reading was older than that
        ("last_alert", np.int64),  # reading
        ("peaks", np.int64),  # sums remembered so far
        ("scored", np.int64),  # readings with a score above 0
        ("sampled", np.int64),  # readings offered to the samples behind the score
        ("slow_fault_time", np.int64),  # when a slow fault was alerted or last seen
        ("incident_started", np.int64),  # time of its last alert
        ("incident_last_active", np.int64),  # reading
        ("episode_start", np.int64),  # time of the alert that began it, 0 for none
        ("episode_readings", np.int64),  # anomalous ones
        ("episode_first", np.int64),  # reading
        ("episode_last", np.int64),  # reading
        ("episode_kind", np.int64),
        ("outlier_last", np.int64),  # reading of the last gross outlier
        ("outliers", np.int64),  # gross ones so far
        ("outlier_alert", np.int64),  # reading of their last alert
        ("outlier_alert_time", np.int64),
        ("episode_peak", np.float64),  # the highest score
        ("usual_score", np.float64),
        ("score_deviation", np.float64),  # mean absolute
        ("high_score", np.float64),  # the quantile ``baseline.HIGH``
        ("interval", np.float64),  # ms between readings
        ("longest_gap", np.float64),  # ms
        ("limit_broken", np.float64),  # reading
        ("max_severity", np.float64),  # of the incident
        ("jumped", np.float64),  # reading
        ("outlier_peak", np.float64),  # highest score of the recent gross outliers
        ("outlier_severity", np.float64),  # of their incident
        ("clock_sets", np.float64),  # gaps that only a clock which was set explains
    ],
    align=True,
)


class State(NamedTuple):
    """Views into one record. ``Annotated`` says each field's type and shape.

    d values a reading, s points a feature, w windows a value, r samples of p readings each behind the score, and
    sb, pb blocks of s and p points.
    """

    sensor: Annotated[NDArray[np.void], SENSOR, 1]
    random: Annotated[NDArray[np.uint64], np.uint64, 1]
    sums: Annotated[NDArray[np.float64], np.float64, SUPPRESSION]  # ring
    peaks: Annotated[NDArray[np.float64], np.float64, REMEMBERED]  # ring
    last: Annotated[NDArray[np.float64], np.float64, "d"]  # value that was not missing
    autocorrelations: Annotated[NDArray[np.void], AUTOCORRELATION, "d"]
    extremes: Annotated[NDArray[np.void], EXTREMES, "d"]  # distances from the mean
    curves: Annotated[NDArray[np.void], CURVE, "d"]
    curve_tails: Annotated[NDArray[np.void], EXTREMES, "d"]  # distances from the straight on
    sum_tail: Annotated[NDArray[np.void], TAIL, 1]  # of the features' sums
    window: Annotated[NDArray[np.float64], np.float64, "d", MEAN]  # ring
    means: Annotated[NDArray[np.float64], np.float64, "d", SMOOTHINGS, SLOTS]
    visits: Annotated[NDArray[np.float64], np.float64, "d", SMOOTHINGS, SLOTS]
    levels: Annotated[NDArray[np.float64], np.float64, "d", SMOOTHINGS]
    errors: Annotated[NDArray[np.float64], np.float64, "d", SMOOTHINGS, PREDICTIONS]
    profile: Annotated[NDArray[np.float64], np.float64, "d", BINS]  # hourly means
    profile_visits: Annotated[NDArray[np.float64], np.float64, "d", BINS]
    memory: Annotated[NDArray[np.void], MEMORY, "d"]
    statistics: Annotated[NDArray[np.void], STATISTIC, "d", STATISTICS]
    products: Annotated[NDArray[np.float64], np.float64, "d", "d"]
    relation_errors: Annotated[NDArray[np.float64], np.float64, "d", 2]
    band: Annotated[NDArray[np.void], BAND, "d"]  # of forecasts
    course: Annotated[NDArray[np.void], COURSE, "d"]  # of the episode
    outliers: Annotated[NDArray[np.void], OUTLIERS, "d"]
    shapes: Annotated[NDArray[np.void], SHAPE, "d"]
    shape_tail: Annotated[NDArray[np.void], TAIL, 1]  # of the sum of the values' shapes
    normal: Annotated[NDArray[np.void], NORMAL, "d"]
    fault: Annotated[NDArray[np.void], FAULT, 1]  # that goes on
    displacement_tail: Annotated[NDArray[np.void], TAIL, 1]  # of the values' displacements together
    shape_random: Annotated[NDArray[np.uint64], np.uint64, 1]
    shape_windows: Annotated[NDArray[np.float32], np.float32, "d", WINDOW, "w"]  # earlier ones
    feature_counts: Annotated[NDArray[np.int64], np.int64, "d", FEATURES, 2]  # see ``detector.forest.closed_form``
    feature_offered: Annotated[NDArray[np.int64], np.int64, "d", FEATURES]  # points that were accepted
    feature_points: Annotated[NDArray[np.float64], np.float64, "d", FEATURES, "s"]
    feature_keys: Annotated[NDArray[np.float64], np.float64, "d", FEATURES, "s"]
    feature_squares: Annotated[NDArray[np.float64], np.float64, "d", FEATURES, "sb"]
    sample_random: Annotated[NDArray[np.uint64], np.uint64, "r"]
    sample_counts: Annotated[NDArray[np.int64], np.int64, "r", 2]
    sample_points: Annotated[NDArray[np.float64], np.float64, "r", "p"]
    sample_keys: Annotated[NDArray[np.float64], np.float64, "r", "p"]
    sample_squares: Annotated[NDArray[np.float64], np.float64, "r", "pb"]


_FIELDS: dict[str, tuple[Any, ...]] = {
    name: hint.__metadata__ for name, hint in get_type_hints(State, include_extras=True).items()
}


def layout(dimensions: int, points: int, samples: int, sample_points: int) -> np.dtype[np.void]:
    """The record of a sensor with so many values a reading, points a feature, samples and points of each."""
    sizes = {
        "d": dimensions,
        "s": points,
        "sb": -(-points // BLOCK),
        # fewer earlier windows of each value where there are more values, since their novelties add up
        "w": max(points // (2 * dimensions), 128),
        "r": samples,
        "p": sample_points,
        "pb": -(-sample_points // BLOCK),
    }
    return np.dtype(
        [
            (name, kind, tuple(sizes[size] if isinstance(size, str) else size for size in shape))
            for name, (kind, *shape) in _FIELDS.items()
        ],
        align=True,
    )


def state_in(buffer: NDArray[np.uint8], record: np.dtype[np.void]) -> State:
    """The state that lies in ``buffer``; its fields are views."""
    whole = buffer.view(record)[0]
    return State(*(whole[name] for name in _FIELDS))


def reseed(state: State, seed: int) -> None:
    """Give each generator a state of its own."""
    draws = np.random.SeedSequence(seed).generate_state(2 + len(state.sample_random), np.uint64) | np.uint64(1)
    state.random[0], state.sample_random[:], state.shape_random[0] = draws[0], draws[1:-1], draws[-1]


def initialize(state: State, seed: int) -> None:
    """Make a zeroed state that of a sensor never seen."""
    reseed(state, seed)
    forget_times(state)
    state.sensor["episode_last"] = NEVER
    state.sensor["limit_broken"] = state.sensor["jumped"] = -np.inf
    state.last[:] = np.nan
    state.memory["hour"] = 0.0
    state.memory["fast_mean"] = np.nan


def forget_times(state: State) -> None:
    """Keep what was learnt but not when, so that the next reading may come at any time and ends no silence or alert."""
    for name in (
        "time",
        "last_alert",
        "slow_fault_time",
        "incident_started",
        "incident_last_active",
        "outlier_last",
        "outlier_alert",
        "outlier_alert_time",
    ):
        state.sensor[name] = NEVER
    state.sensor["episode_start"] = 0
    state.fault["open"] = 0
    state.normal["means"] = state.normal["usual"]
    forget_hour(state.memory)


@jit_entry
def impute_last_value(values: Any, last: Any, missing: Any) -> None:
    """Replace NaN by the value's last one (before its first: 0), in place, and say where."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            if values[i, j] != values[i, j]:
                missing[i, j] = True
                values[i, j] = last[j] if last[j] == last[j] else 0.0
            else:
                last[j] = values[i, j]


@jit_entry
def forget_value(state: State, j: int) -> None:
    """Make value j one that was never seen, but for its outliers and its shapes."""
    state.window[j], state.levels[j] = 0.0, 0.0
    state.means[j], state.visits[j], state.errors[j] = 0.0, 0.0, 0.0
    state.profile[j], state.profile_visits[j] = 0.0, 0.0
    state.memory[j] = _NEVER_SEEN[0]
    for k in range(STATISTICS):
        state.statistics[j, k] = _NO_STATISTIC[0]
    state.products[j], state.products[:, j], state.relation_errors[j] = 0.0, 0.0, 0.0
    state.feature_counts[j], state.feature_offered[j] = 0, 0


_NEVER_SEEN = np.zeros(1, MEMORY)
_NEVER_SEEN["fast_mean"] = np.nan
_NO_STATISTIC = np.zeros(1, STATISTIC)
