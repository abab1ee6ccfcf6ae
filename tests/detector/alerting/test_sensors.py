"""Many sensors in one call: the same bytes of scores and states as one sensor after the other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerting.baseline import score_samples
from detector.alerting.driver import Columns, decide
from detector.alerting.sensors import process_readings
from detector.alerting.state import impute_last_value
from detector.types import Scores
from tests.detector.alerting.states import MINUTE, START, WARMUP, new_state

SHAPE = (1, 256, 2, 128)
DECAY = 0.001


def readings(seed: int, n: int):
    """Times and values with a fault, a late reading and missing values."""
    random = np.random.default_rng(seed)
    values = random.normal(20, 1, (n, 1))
    values[random.random(n) < 0.05] = np.nan
    values[random.random(n) < 0.02] = 60.0
    return START + MINUTE * np.arange(n) - 5 * MINUTE * (random.random(n) < 0.03), values


def columns_of(scores: Scores) -> list[bytes]:
    return [scores.seen.tobytes(), *(column.tobytes() for column in Columns.of(scores))]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(st.integers(1, 150), min_size=1, max_size=3), min_size=1, max_size=4), st.integers(0, 99))
def test_sensors_together_are_sensors_one_by_one(lengths, seed):
    """``lengths``: of each batch, how many readings each of its sensors has."""
    alone, together = [[new_state(SHAPE) for _ in range(3)] for _ in range(2)]
    for number, batch in enumerate(lengths):
        parts = [readings(seed + 7 * number + k, n) for k, n in enumerate(batch)]
        starts = np.cumsum([0, *batch])
        times, values = (np.concatenate(each) for each in zip(*parts, strict=True))
        expected = []
        for (_, state), a, b in zip(alone, starts, starts[1:], strict=False):
            filled, missing, out = values[a:b].copy(), np.zeros((b - a, 1), bool), Scores.empty(b - a, 1)
            out.seen[:] = state.sensor["readings_seen"][0] + np.arange(b - a)
            impute_last_value(filled, state.last, missing)
            score_samples(state, filled, DECAY, True, out.score)
            decide(state, times[a:b], filled, missing, WARMUP, False, Columns.of(out))
            expected.append(out)
        found, missing = Scores.empty(len(times), 1), np.zeros((len(times), 1), bool)
        states = together[: len(batch)]
        first = states[0][0].ctypes.data
        distances = np.array([memory.ctypes.data - first for memory, _ in states])
        arguments = (states[0][1], distances, starts, times, values.copy(), missing, DECAY, WARMUP, False, True)
        process_readings(*arguments, found.seen, Columns.of(found))
        for a, b, part in zip(starts, starts[1:], expected, strict=False):
            assert columns_of(found.take(np.arange(a, b))) == columns_of(part)
    assert [memory.tobytes() for memory, _ in together] == [memory.tobytes() for memory, _ in alone]
