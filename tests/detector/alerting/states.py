"""States of sensors for the tests of alerting."""

import numpy as np

from detector.alerting.driver import Columns, decide
from detector.alerting.state import State, impute_last_value, initialize, layout, state_in
from detector.types import Scores

SHAPE = (2, 256, 0, 128)
MINUTE = 60_000
START = 1_767_571_200_000
WARMUP = 256


def new_state(shape: tuple[int, int, int, int] = SHAPE) -> tuple[np.ndarray, State]:
    """The bytes of a sensor never seen, and the state that lies in them."""
    memory = np.zeros(layout(*shape).itemsize, np.uint8)
    state = state_in(memory, layout(*shape))
    initialize(state, 5)
    return memory, state


def run(state: State, times: np.ndarray, values: np.ndarray, score: np.ndarray) -> Scores:
    """Decide on readings; ``score`` is what a forest would have said of them."""
    values, missing = values.copy(), np.zeros(values.shape, bool)
    impute_last_value(values, state.last, missing)
    out = Scores.empty(len(values), values.shape[1])
    out.score[:] = score
    decide(state, times, values, missing, WARMUP, True, Columns.of(out))
    return out
