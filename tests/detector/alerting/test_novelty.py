"""How new a reading is, by its features."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerting.novelty import NOTED, REPEAT_DAMPING, novelty
from detector.alerting.silence import WARM
from detector.alerting.state import SUPPRESSION
from tests.detector.alerting.states import new_state


@given(st.lists(st.integers(0, 40).map(lambda k: k / 8), max_size=300))
@settings(max_examples=50, deadline=None)
def test_new_is_what_the_recent_past_did_not_have_and_less_so_at_each_repeat(sums):
    state = new_state()[1]
    noted: list[float] = []
    totals = [0.5] * WARM + sums
    for seen, total in enumerate(totals):
        expected = 0.0
        if seen >= WARM and total > max(totals[max(seen - SUPPRESSION, 0) : seen]):
            expected = total
            if total >= NOTED:
                expected -= REPEAT_DAMPING * math.log2(1 + sum(earlier >= total for earlier in noted[-128:]))
                noted.append(total)
        state.sensor["readings_seen"] = seen
        assert novelty(state.sensor[0], state.sums, state.peaks, total) == pytest.approx(expected)
