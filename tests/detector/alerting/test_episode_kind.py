"""What an episode turns out to be, from the readings that follow its alert."""

import numpy as np
import pytest

from detector.alerting.change_detectors import MEMORY
from detector.alerting.episode_kind import COURSE, begin_course, follow_course, likely_kind
from detector.types import (
    CORRELATION_BREAK,
    DRIFT,
    KINDS,
    LEVEL_SHIFT,
    NOISE_CHANGE,
    PATTERN_CHANGE,
    SILENT,
    SPIKE,
    STUCK,
)

N = 1025
LEVEL = 50.0
AT = np.arange(1, N + 1)
NOISE = np.random.default_rng(5).normal(size=N)


def name(changes: np.ndarray, kind: int = SPIKE, broken: int = N + 1, sigma: float = 1.0, mean: bool = True):
    """[n] what an episode of ``kind`` is called after each reading: ``changes`` [n, d] are what is added to the noise.

    A correlation is broken from reading number ``broken`` on; without ``mean`` no reading moves the short mean.
    """
    changes = changes.reshape(len(changes), -1)
    memory, course = np.zeros(changes.shape[1], MEMORY), np.zeros(changes.shape[1], COURSE)
    memory["fast_mean"], memory["level_slow"], memory["variance"] = LEVEL, LEVEL, sigma**2
    begin_course(course, memory)
    names = []
    for number, change in enumerate(changes, 1):
        memory["level_fast"] = LEVEL + mean * change
        values = LEVEL + sigma * NOISE[number - 1] + change
        follow_course(course, memory, values, memory["level_fast"] if mean else np.full(len(change), LEVEL), number)
        kind = likely_kind(course, number, kind, number >= broken)
        names.append(kind)
    return names


SHAPES = {
    LEVEL_SHIFT: 0 * AT + 8.0,
    DRIFT: AT / 100,
    PATTERN_CHANGE: 8 * np.sin(2 * np.pi * AT / 700),
}


@pytest.mark.parametrize("kind", SHAPES, ids=[KINDS[kind] for kind in SHAPES])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_slow_fault_is_what_its_shape_is(kind, sign):
    assert name(sign * SHAPES[kind])[-1] == kind


@pytest.mark.parametrize("kind", SHAPES, ids=[KINDS[kind] for kind in SHAPES])
def test_what_follows_its_end_does_not_change_it(kind):
    assert name(np.where(AT <= 511, SHAPES[kind], 0.0))[-1] == name(SHAPES[kind][:512])[-1]


def test_a_jump_is_a_level_shift_until_its_shape_can_be_known():
    names = name(8 * np.cos(2 * np.pi * AT / 700))
    assert set(names[:15]) == {SPIKE}
    assert set(names[15:255]) == {LEVEL_SHIFT}
    assert names[-1] == PATTERN_CHANGE


def test_many_wild_readings_are_noise_and_a_few_are_spikes():
    wild = 3 * np.random.default_rng(6).normal(size=N)
    assert name(wild, mean=False)[-1] == NOISE_CHANGE
    few = np.zeros(N)
    few[[0, 40, 300]] = 20, -15, 30
    assert name(few, mean=False)[-1] == SPIKE
    assert name(0 * few, mean=False)[-1] == SPIKE


def test_noise_upon_a_level_shift_leaves_it_one():
    wild = 3 * np.random.default_rng(6).normal(size=N)
    assert name(SHAPES[LEVEL_SHIFT] + np.where(AT > 100, wild, 0))[-1] == LEVEL_SHIFT


@pytest.mark.parametrize("kind", [STUCK, SILENT])
def test_what_has_a_proof_of_its_own_stays(kind):
    assert set(name(SHAPES[DRIFT], kind, broken=100)) == {kind}


def test_broken_correlations_are_said_at_once_unless_a_shape_explains_them():
    assert name(np.zeros((20, 3)), broken=7) == [SPIKE] * 6 + [CORRELATION_BREAK] * 14
    one = np.zeros((N, 3))
    one[:, 1] = 8 * np.sin(2 * np.pi * AT / 200)
    assert name(one, broken=1)[-1] == CORRELATION_BREAK
    one[:, 1] = SHAPES[LEVEL_SHIFT]
    assert name(one, broken=1)[-1] == LEVEL_SHIFT


def test_a_name_changes_only_when_as_many_readings_have_come_again():
    names = np.array(name(np.where(AT < 300, SHAPES[LEVEL_SHIFT], SHAPES[PATTERN_CHANGE])))
    changes = np.flatnonzero(np.diff(names)) + 2
    assert set(changes) <= {16 * 2**k for k in range(7)}


def test_a_constant_has_moved_if_it_moves():
    assert name(0 * AT + 1.0, sigma=0.0)[-1] == LEVEL_SHIFT


def test_where_no_pattern_is_known_only_noise_can_be():
    course, memory = np.zeros(1, COURSE), np.full(1, np.nan, MEMORY)
    memory["fast_mean"], memory["variance"] = LEVEL, 1.0
    begin_course(course, memory)
    for number in range(1, 65):
        follow_course(course, memory, np.array([LEVEL + 8.0]), np.array([LEVEL + 8.0]), number)
        assert likely_kind(course, number, SPIKE, False) == SPIKE
