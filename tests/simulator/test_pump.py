"""The simulated pump."""

import numpy as np
import pytest

from simulator.pump import COLUMNS, KINDS, SECONDS, pump


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_goes_on_and_shows(kind):
    recording = pump(kind, 3)
    assert recording.values.shape == (SECONDS, len(COLUMNS))
    assert (np.diff(recording.times) == 1000).all()
    labels = recording.labels()
    assert not labels[:500].any()
    assert 300 <= labels.sum() <= 451
    inside, before = recording.values[labels], recording.values[:500]
    away = np.abs(inside.mean(0) - before.mean(0)) / before.std(0)
    assert away.max() > 1.5


def test_the_seed_makes_it_and_a_healthy_one_has_no_fault():
    assert (pump("leak", 1).values == pump("leak", 1).values).all()
    assert (pump("leak", 1).values != pump("leak", 2).values).any()
    healthy = pump(None, 1)
    assert healthy.faults == ()
    assert np.abs(healthy.values[600:].mean(0) - healthy.values[:400].mean(0)).max() < 1.5


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="must be one of valve closes"):
        pump("rust", 0)
