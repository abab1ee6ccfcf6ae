"""What the decisions remember: one record, and what of it goes over to another sensor."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerting.silence import DAY
from detector.alerting.state import forget_times, impute_last_value, layout
from tests.detector.alerting.states import MINUTE, START, new_state, run


def test_fields_share_the_bytes_of_a_state_and_leave_none():
    shape = (3, 64, 2, 32)
    memory, state = new_state(shape)
    record = layout(*shape)
    assert record.names == state._fields
    for number, field in enumerate(state, 1):
        field.view(np.uint64)[...] = number
    expected = [number for number, field in enumerate(state, 1) for _ in range(field.nbytes // 8)]
    assert memory.view(np.uint64).tolist() == expected


def test_a_template_knows_what_is_usual_but_not_when_it_was():
    """Its next reading may come years later or earlier, and ends no silence, alert or episode."""
    random = np.random.default_rng(1)
    for later in (-1000 * DAY, 1000 * DAY):
        state = new_state()[1]
        values = random.normal(50, 1, (600, 2))
        values[590:] += 40
        assert run(state, START + MINUTE * np.arange(600), values, np.ones(600)).episode_start[-1] > 0
        forget_times(state)
        said = run(state, np.array([START + later]), random.normal(50, 1, (1, 2)), np.ones(1))
        assert (said.alert[0], said.episode_start[0], said.is_anomaly[0]) == (False, 0, False)
        assert said.threshold[0] < 3


@given(st.lists(st.sampled_from([np.nan, 1.0, 2.0, -3.0]), max_size=30), st.integers(0, 30))
@settings(max_examples=50, deadline=None)
def test_the_last_value_stands_in_for_a_missing_one(column, cut):
    values, last, missing = np.array(column)[:, None], np.full(1, np.nan), np.zeros((len(column), 1), bool)
    for rows in (slice(0, cut), slice(cut, None)):
        impute_last_value(values[rows], last, missing[rows])
    known = 0.0
    for given_value, filled in zip(column, values[:, 0], strict=True):
        known = known if math.isnan(given_value) else given_value
        assert filled == known
    assert missing[:, 0].tolist() == np.isnan(column).tolist()
