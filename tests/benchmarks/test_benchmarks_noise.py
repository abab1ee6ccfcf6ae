"""The noises are what they are called."""

import numpy as np
import pytest

from benchmarks.noise import DAYS, NOISES, alerts


@pytest.mark.parametrize("noise", NOISES)
def test_noises_lie_around_zero(noise):
    values = NOISES[noise](np.random.default_rng(0), 50_000)
    assert values.shape == (50_000,)
    assert abs(values.mean()) < 0.1


def test_each_noise_is_its_kind():
    made = {name: noise(np.random.default_rng(1), 50_000) for name, noise in NOISES.items()}
    excess = {name: ((x - x.mean()) ** 4).mean() / x.var() ** 2 - 3 for name, x in made.items()}
    memory = {name: np.corrcoef(x[:-1], x[1:])[0, 1] for name, x in made.items()}
    assert abs(excess["normal"]) < 0.1
    assert excess["heavy-tailed"] > 3
    assert memory["autocorrelated"] == pytest.approx(0.9, abs=0.01)
    assert all(abs(memory[name]) < 0.02 for name in ("normal", "heavy-tailed", "counts"))
    assert made["autocorrelated"].std() == pytest.approx(1, abs=0.05)
    assert (made["counts"] == np.round(made["counts"])).all()


def test_alerts_of_a_sensor_are_counted():
    assert alerts(("normal", 3600, 20.0, 0)) == alerts(("normal", 3600, 20.0, 0)) <= 3
    assert set(DAYS) == {1, 60, 300, 3600}
