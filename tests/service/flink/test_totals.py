"""Tests of windows over all shards: equal to a brute force, and to the service's where there is one shard."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import UserError
from service.flink.totals import KeyWindows, closed, counted, readings_of, require_countable
from service.pipeline.events import Event
from service.pipeline.measures import Measure
from service.pipeline.programs import Program
from service.pipeline.windows import LONGEST_KEY, Windows

EVERY = 60_000
PROGRAM = Program(
    "articles",
    (("clicks", Measure("count", "action", "click")), ("spent", Measure("sum", "cost"))),
    ("article",),
    every=EVERY,
    lateness=10_000,
    expire=3 * EVERY,
    detect=("clicks",),
)
ENDED = 2**63 - 1
events = st.builds(
    lambda second, article, action, cost: Event(
        1_700_000_040_000 + second * 1000, {"article": article, "action": action, "cost": cost}
    ),
    st.integers(0, 1200),
    st.sampled_from(["a", "b", ["a", "c"]]),
    st.sampled_from(["click", "show"]),
    st.integers(0, 9),
)


def run(found, watermarks):
    """The windows of events, of which each moves the watermark as told: by key and start, what each says."""
    keys, windows, refused = defaultdict(KeyWindows), [], []
    for event, watermark in zip(found, watermarks, strict=True):
        if watermark is not None:
            windows += close(keys, watermark)
        for each in counted([PROGRAM], event)[0]:
            refused += keys[each.text].add(PROGRAM, each, -1 if watermark is None else watermark)
    return windows, keys, refused


def close(keys, watermark, ended=False):
    return [
        closed(0, PROGRAM, (text,), text, start, cell)
        for text, key in keys.items()
        for start, cell in key.close(PROGRAM, watermark, ended=ended)
    ]


@given(st.lists(events, max_size=60), st.randoms(use_true_random=False))
def test_totals_are_those_of_a_brute_force_whatever_the_order(found, random):
    random.shuffle(found)
    _, keys, refused = run(found, [None] * len(found))
    windows = close(keys, ENDED, ended=True)
    totals, spent = Counter(), Counter()
    for event in found:
        articles = event.fields["article"]
        for article in articles if isinstance(articles, list) else [articles]:
            totals[article, event.time // EVERY * EVERY] += event.fields["action"] == "click"
            spent[article, event.time // EVERY * EVERY] += event.fields["cost"]
    assert not refused
    assert {(each.text, each.start): each.values for each in windows if each.events} == {
        place: (totals[place], spent[place]) for place in totals
    }
    assert all(each.values == (0, 0) for each in windows if not each.events)
    assert len({(each.text, each.start) for each in windows}) == len(windows)


@given(st.lists(events, min_size=1, max_size=60))
def test_of_one_shard_they_are_the_services_with_its_zeros(found):
    found.sort(key=lambda each: each.time)
    theirs, refused = Windows([PROGRAM]).process(found, [""] * len(found))
    ours, _, late = run(found, [each.time for each in found])
    assert (refused, late) == ([], [])
    assert sorted((each.start, each.text, each.events, each.values) for each in ours) == sorted(
        (each.start, each.text, each.events, each.values) for each in theirs
    )


@given(st.lists(events, min_size=1, max_size=30))
def test_by_timers_one_after_the_other_an_input_ends_with_the_same_windows(found):
    """As Flink fires them: each when the one before has been registered, and none for ever."""
    _, keys, _ = run(found, [None] * len(found))
    _, others, _ = run(found, [None] * len(found))
    windows = []
    for text, key in keys.items():
        while (due := key.due(PROGRAM, ended=True)) is not None:
            windows += [(text, *each) for each in key.close(PROGRAM, due, ended=True)]
    assert windows == [(text, *each) for text, key in others.items() for each in key.close(PROGRAM, ENDED, ended=True)]


def test_an_event_for_a_window_that_has_closed_is_late():
    early, later = Event(0, {"article": "a"}), Event(10 * EVERY, {"article": "a"})
    _, keys, refused = run([early, later, early], [0, 10 * EVERY, 10 * EVERY])
    assert [code for code, _ in refused] == ["late"]
    ((again, _),) = [counted([PROGRAM], early)]
    assert [code for code, _ in keys["a"].add(PROGRAM, again[0], -1)] == [
        "late"
    ]  # after a failure, without a watermark


@pytest.mark.parametrize(
    ("article", "code"),
    [("x" * (LONGEST_KEY + 1), "bad_key"), ("\ud800", "bad_key"), (list(range(65)), "too_many_keys")],
)
def test_keys_that_no_window_can_have(article, code):
    found, refused = counted([PROGRAM], Event(0, {"article": article}))
    assert (found, [each for each, _ in refused]) == ([], [code])


def test_a_window_is_a_reading_of_each_measure_that_is_watched():
    _, keys, _ = run([Event(0, {"article": "a", "action": "click"})], [None])
    (window,) = close(keys, ENDED, ended=True)
    assert list(readings_of(PROGRAM, window)) == [("articles.clicks|a", 0, 1.0)]


def test_what_only_the_service_counts_is_refused_and_not_counted_as_zero():
    require_countable([PROGRAM])
    with pytest.raises(UserError, match=r"articles\.firsts = 'new user'.*run the service"):
        require_countable([replace(PROGRAM, measures=(("firsts", Measure("new", "user")),))])
