"""What is called normal is alerted no more, what goes far beyond it is, and taking it back restores all."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerting.feedback_rule import ALLOWANCE, REMEMBERED, FeedbackRule
from detector.detector import Configuration
from detector.fleet import Fleet, MemoryShelf
from detector.rules import Rules
from detector.types import (
    CORRELATION_BREAK,
    KINDS,
    LEVEL_SHIFT,
    LIMIT,
    NOISE_CHANGE,
    PATTERN_CHANGE,
    SPIKE,
    STUCK,
    Readings,
    Scores,
)

MINUTE, EVERY = 60_000, 1500  # readings between two faults
CONFIGURATION = Configuration(profile="small", seed=3)
SCORE_FIELDS = ("score", "threshold", "seen", "episode_start", "attribution", "alert_score", "silence_timeout")


def faulty(sizes, shift=0, seed=1):
    """Noise of deviation 1 with a spike of each size, or with levels so much higher for ``shift`` readings."""
    values = np.random.default_rng(seed).normal(20.0, 1.0, EVERY * (len(sizes) + 1))
    for number, size in enumerate(sizes, 1):
        values[number * EVERY : number * EVERY + max(shift, 1)] += size
    return values


def readings(values, start=0, sensor="boiler"):
    n = len(values)
    times = MINUTE * np.arange(start + 1, start + n + 1)
    return Readings((sensor,), np.zeros(n, np.int64), times, np.ascontiguousarray(values, float).reshape(n, -1))


def around(number):
    """The stretch from fault ``number`` to the next."""
    return MINUTE * number * EVERY, MINUTE * (number + 1) * EVERY - 1


def alerted(scores, number, start=0):
    """Whether fault ``number`` is alerted."""
    at = number * EVERY - start
    return bool(scores.alert[max(at, 0) : at + EVERY // 2].any())


@pytest.mark.parametrize("shift", [0, 200], ids=["spikes", "level shifts"])
@pytest.mark.parametrize("seed", [1, 2])
def test_its_like_is_told_no_more_a_much_greater_one_and_one_the_other_way_are(shift, seed):
    sizes = [20, 20, 19, 70, -20] if not shift else [6, 6, 6, 20, -6]
    values = faulty(sizes, shift, seed)
    plain = Fleet(CONFIGURATION).process(readings(values))
    assert all(alerted(plain, number) for number in range(1, 6))
    fleet, cut = Fleet(CONFIGURATION), 2 * EVERY - 10
    first = fleet.process(readings(values[:cut]))
    assert alerted(first, 1)
    assert fleet.call_normal("boiler", {"w": around(1)})
    scores = fleet.process(readings(values[cut:], cut))
    assert [alerted(scores, number, cut) for number in range(2, 6)] == [False, False, True, True]
    assert (scores.grade[: EVERY + 400] < 0.75).all()  # nor does a monitor of grades see one
    for name in SCORE_FIELDS:
        assert (getattr(scores, name) == getattr(plain, name)[cut:]).all(), name


def test_taking_it_back_restores_all():
    values = faulty([20, 20, 20])
    plain, fleet, cut = Fleet(CONFIGURATION).process(readings(values)), Fleet(CONFIGURATION), 2 * EVERY - 10
    fleet.process(readings(values[:cut]))
    assert fleet.call_normal("boiler", {"w": around(1)})
    assert not fleet.call_normal("boiler", {"w": around(1)})
    assert fleet.call_normal("boiler", {})
    scores = fleet.process(readings(values[cut:], cut))
    for field in dataclasses.fields(Scores):
        assert getattr(scores, field.name).tobytes() == getattr(plain, field.name)[cut:].tobytes(), field.name


def test_said_beforehand_as_in_a_replay_an_alert_in_the_stretch_is_its_own_like():
    values, fleet = faulty([20, 20, 70]), Fleet(CONFIGURATION)
    fleet.process(readings(values[:100]))
    assert fleet.call_normal("boiler", {"w": around(1)})
    scores = fleet.process(readings(values[100:], 100))
    assert [alerted(scores, number, 100) for number in (1, 2, 3)] == [False, False, True]


def test_nothing_is_said_of_a_sensor_never_seen():
    fleet = Fleet(CONFIGURATION)
    assert not fleet.call_normal("boiler", {"w": around(1)})
    assert fleet.snapshot() == {}


def scored(rows, dimensions=1):
    """Readings and scores of rows (minute, kind, distance from what was expected, alert, beginning of the episode)."""
    n = len(rows)
    scores = Scores.empty(n, dimensions)
    for row, (_, kind, _, alert, start) in enumerate(rows):
        scores.kind[row], scores.alert[row], scores.is_anomaly[row] = kind, alert, True
        scores.grade[row], scores.episode_start[row] = 0.8, start * MINUTE
    values = np.array([[float(distance)] * dimensions for _, _, distance, _, _ in rows])
    times = MINUTE * np.array([minute for minute, *_ in rows])
    return Readings(("boiler",), np.zeros(n, np.int64), times, values), scores


def judged(rule, rows):
    """Which alerts are left."""
    batch, scores = scored(rows)
    rule.judge(batch, scores, lambda _: Rules())
    return scores.alert.tolist()


ALIKE = {SPIKE, LEVEL_SHIFT, NOISE_CHANGE, PATTERN_CHANGE}


@pytest.mark.parametrize("told", [SPIKE, STUCK, CORRELATION_BREAK, LIMIT], ids=lambda kind: KINDS[kind])
def test_only_its_own_family_is_withheld_and_a_broken_limit_never(told):
    for kind in range(1, len(KINDS)):
        rule = FeedbackRule(1)
        judged(rule, [(1, told, 2.0, True, 1)])
        rule.call_normal("boiler", {"w": (MINUTE, MINUTE)})
        like = kind != LIMIT and (kind == told or {kind, told} <= ALIKE)
        assert judged(rule, [(99, kind, 2.0, True, 99)]) == [not like], KINDS[kind]


def test_a_withheld_alert_is_told_at_the_first_anomaly_of_its_episode_that_goes_beyond():
    rule = FeedbackRule(1)
    judged(rule, [(1, SPIKE, 2.0, True, 1), (2, SPIKE, 4.0, False, 1)])
    rule.call_normal("boiler", {"w": (MINUTE, MINUTE)})
    limit = ALLOWANCE * 4.0
    rows = [(90, SPIKE, 3.0, True, 90), (91, SPIKE, limit, False, 90), (92, SPIKE, 1.01 * limit, False, 90)]
    assert judged(rule, [*rows, (93, SPIKE, 50.0, False, 90)]) == [False, False, True, False]


def test_what_is_ordinary_the_other_way_makes_up_for_nothing():
    rule = FeedbackRule(1)
    judged(rule, [(1, SPIKE, 20.0, True, 1)])
    rule.call_normal("boiler", {"w": (MINUTE, MINUTE)})
    assert judged(rule, [(90, SPIKE, 20.0, True, 90), (91, SPIKE, -3.0, False, 90)]) == [False, False]


def test_another_value_to_blame_is_not_its_like():
    rule = FeedbackRule(2)

    def alert(minute, value):
        batch, scores = scored([(minute, SPIKE, 2.0, True, minute)], dimensions=2)
        scores.attribution[0, value] = 1.0
        rule.judge(batch, scores, lambda _: Rules())
        return bool(scores.alert[0])

    assert alert(1, value=0)
    rule.call_normal("boiler", {"w": (MINUTE, MINUTE)})
    assert [alert(90, value=0), alert(91, value=1)] == [False, True]


def test_it_is_not_told_in_hours_that_are_quiet():
    rule, quiet = FeedbackRule(1), Rules(quiet=("00:00-02:00",))
    judged(rule, [(1, SPIKE, 2.0, True, 1)])
    rule.call_normal("boiler", {"w": (MINUTE, MINUTE)})
    batch, scores = scored([(90, SPIKE, 2.0, True, 90), (91, SPIKE, 9.0, False, 90), (125, SPIKE, 9.0, False, 90)])
    rule.judge(batch, scores, lambda _: quiet)
    assert scores.alert.tolist() == [False, False, True]


def test_a_bounded_number_of_episodes_can_be_called_normal():
    rule = FeedbackRule(1)
    judged(rule, [(minute, SPIKE, 2.0, True, minute) for minute in range(1, REMEMBERED + 2)])
    rule.call_normal("boiler", {"too old": (MINUTE, MINUTE)})
    assert judged(rule, [(99, SPIKE, 2.0, True, 99)]) == [True]
    rule.call_normal("boiler", {"oldest": (3 * MINUTE, 3 * MINUTE)})
    assert judged(rule, [(99, SPIKE, 2.0, True, 99)]) == [False]


def test_a_silence_that_was_called_normal_is_alerted_no_more():
    def silences(said):
        fleet = Fleet(dataclasses.replace(CONFIGURATION, rules=Rules(silent_after=1200.0)))
        found = []
        for hour in range(4):  # b is silent in the second half of each
            rows = [("ab"[i % 2], 60 * hour + i // 2) for i in range(120) if i % 2 == 0 or i < 60]
            names = ("a", "b")
            codes = np.array([names.index(name) for name, _ in rows])
            times = MINUTE * np.array([minute for _, minute in rows])
            fleet.process(Readings(names, codes, times, np.full((len(rows), 1), 5.0)))
            found += [each.alert for each in fleet.silences]
            if said and hour == 0:
                assert fleet.call_normal("b", {"w": (fleet.silences[0].since, fleet.silences[0].time)})
            if said and hour == 2:
                assert fleet.call_normal("b", {})
        return found

    assert silences(said=False) == [True] * 4
    assert silences(said=True) == [True, False, False, True]


@given(
    st.lists(st.sampled_from([0, 6, 15, 40, -15]), min_size=3, max_size=4),
    st.lists(st.integers(1, 900), min_size=1, max_size=6),
    st.booleans(),
)
@settings(max_examples=8, deadline=None)
def test_neither_batches_nor_snapshots_nor_eviction_change_what_is_withheld(sizes, steps, evicting):
    values, said = faulty(sizes, shift=30), 2 * EVERY - 10

    def run(cuts, evicting=False):
        fleet, alerts = Fleet(CONFIGURATION, max_sensors=1 if evicting else None, shelf=MemoryShelf()), []
        models: dict[str, bytes] = {}
        for start, stop in itertools.pairwise(cuts):
            alerts.append(fleet.process(readings(values[start:stop], start)).alert)
            if evicting:
                fleet.process(readings([1.0], stop, "other"))
            if stop == said:
                assert fleet.call_normal("boiler", {"w": around(1)})
            if len(cuts) > 4:
                models |= fleet.snapshot()
                fleet = fleet.empty_copy()
                fleet.restore(models)
        return np.concatenate(alerts).tolist()

    ends = [0]
    while ends[-1] < len(values):
        ends.append(min(ends[-1] + steps[len(ends) % len(steps)], len(values)))
    cuts = sorted({*ends[:: max(len(ends) // 60, 1)], 0, said, len(values)})
    assert run(cuts, evicting) == run([0, said, len(values)])


@pytest.mark.parametrize(
    "packed",
    [
        7,
        [],
        [[], {}, 0],
        [[[0, 0, [1.0], [], []]], {}, 0, None],
        [[[0, 0, [1.0, 1.0], [1.0, 1.0], []]], {}, 0, None],
        [[[0, 0, [-1.0], [1.0], []]], {}, 0, None],
        [[], {"w": [0, 0, [1.0], [1.0], [99]]}, 0, None],
        [[], {"w": [0, 2**63, [1.0], [1.0], [1]]}, 0, None],
        [[], {}, 2**63, None],
        [[], {}, 0, [1]],
    ],
)
def test_what_can_be_no_state_is_refused(packed):
    with pytest.raises(ValueError, match="cannot be"):
        FeedbackRule(1).restore("boiler", {"feedback": packed})
