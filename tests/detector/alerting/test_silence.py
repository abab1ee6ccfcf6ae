"""How long a sensor may be silent."""

import pytest

from detector.alerting.silence import WARM, gap_ratio, silence_timeout
from tests.detector.alerting.states import MINUTE, START, new_state


@pytest.mark.parametrize(("step", "gap", "silent"), [(MINUTE, 9, False), (MINUTE, 12, True), (100, 90, False)])
def test_a_silence_is_what_is_longer_than_the_sensors_own(step, gap, silent):
    """Ten of its intervals, and ten seconds at least."""
    sensor = new_state()[1].sensor[0]
    for seen in range(2 * WARM):
        sensor["readings_seen"] = seen
        assert gap_ratio(sensor, START + step * seen) <= 1
        sensor["time"] = START + step * seen
    sensor["readings_seen"] = 2 * WARM
    timeout = silence_timeout(sensor)
    ratio = gap_ratio(sensor, START + step * (2 * WARM - 1 + gap))
    assert (ratio > 1) == silent == (step * gap > timeout)
