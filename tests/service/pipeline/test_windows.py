"""Windows against the plain definition, whatever the cuts, snapshots and reshardings."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.pipeline.events import Event
from service.pipeline.firsts import Firsts
from service.pipeline.measures import SKETCH
from service.pipeline.models import hash_key
from service.pipeline.programs import meets
from service.pipeline.records import ALL_HASH_KEYS
from service.pipeline.windows import Windows, key_text
from service.settings.groups.events import WindowTable

PROGRAM = {
    "name": "clicks",
    "key": ["article"],
    "every": 10,
    "lateness": 7,
    "expire": 40,
    "measures": {
        "n": "count",
        "clicks": "count action=click",
        "bytes": "sum bytes",
        "least": "min bytes",
        "most": "max bytes",
        "mean": "mean bytes",
        "users": "distinct user",
    },
}
OTHER = {"name": "all", "every": 30, "where": {"action": ["click", "view"]}, "expire": 0}


def program_of(table):
    return WindowTable(**table).program()


def event(seconds, **fields):
    return Event(round(seconds * 1000), fields)


EVENTS = st.lists(
    st.builds(
        lambda step, **fields: (step, fields),
        st.sampled_from([0, 1, 2, 3, -4, -12, 9, 60, None]),
        article=st.sampled_from(["a", "b", None, 7]),
        action=st.sampled_from(["click", "view", "other"]),
        bytes=st.one_of(st.none(), st.integers(-5, 5), st.floats(-1e6, 1e6)),
        user=st.sampled_from("xyz"),
    ),
    max_size=60,
)  # fmt: skip


def timeline(steps):
    """Events whose times go on from the newest one by each step; None: it has only the time of its arrival."""
    found, now = [], 1000
    for step, fields in steps:
        if step is None:
            found.append(Event((now + 300) * 1000, {"action": "view", "user": "x"}, "arrival"))
            continue
        found.append(Event((now + step) * 1000, {name: value for name, value in fields.items() if value is not None}))
        now = max(now, now + step)
    return found


def naive(program, events):
    """By the definition: all closed windows, and the rows of late events."""
    newest, timed, closed_to, late, counted, closed = -math.inf, False, None, [], [], []
    for row, each in enumerate(events):
        timed = timed or each.time_source == "event"
        if each.time_source == "event" or not timed:
            newest = max(newest, each.time)
        bound = (newest - program.lateness) // program.every * program.every
        closed_to = bound if closed_to is None else max(bound, closed_to)
        if not meets(each.fields, program.where):
            continue
        start = each.time // program.every * program.every
        if start < closed_to:
            late.append(row)
        else:
            counted.append((start, each.fields.get(program.key[0]) if program.key else None, each.fields))
    found = {}
    for start, key, fields in counted:
        found.setdefault((start, key), []).append(fields)
    for start, key in list(found):
        for zero in range(start, start + program.expire + 1, program.every):
            found.setdefault((zero, key), [])
    for (start, key), each in found.items():
        if closed_to is not None and start + program.every <= closed_to:
            closed.append((start, "" if not program.key else key_text([key]), len(each), each))
    return sorted(closed, key=lambda window: window[:2]), late


def measured(fields):
    sizes = [each["bytes"] for each in fields if each.get("bytes") is not None]
    total = 0
    for size in sizes:
        total += size
    return (
        len(fields),
        sum(each["action"] == "click" for each in fields),
        total,
        min(sizes, default=None),
        max(sizes, default=None),
        total / len(sizes) if sizes else None,
        len({each["user"] for each in fields}),
        total,
        len(sizes),
    )


def run(programs, events, cuts=()):
    """Closed windows and refusals, with a snapshot and a restore at each cut where it says so."""
    windows, start, closed, refused = Windows(programs), 0, [], []
    for end, restored in [*sorted(cuts), (len(events), False)]:
        end = min(end, len(events))
        part = events[start:end]
        some, wrong = windows.process(part, ["p"] * len(part))
        closed += [each._replace(row=each.row + start) for each in some]
        refused += [each._replace(row=each.row + start) for each in wrong]
        start = end
        if restored:
            snapshot, windows = windows.snapshot(), Windows(programs)
            windows.restore([snapshot])
    return closed, refused, windows


@settings(max_examples=100, deadline=None)
@given(EVENTS, st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=5))
def test_windows_are_what_the_definition_says_whatever_the_cuts_snapshots_and_restores(steps, cuts):
    events = timeline(steps)
    programs = [program_of(PROGRAM), program_of(OTHER)]
    closed, refused, _ = run(programs, events, cuts)
    whole, also, _ = run(programs, events)
    assert (closed, refused) == (whole, also)
    for number, program in enumerate(programs):
        expected, late = naive(program, events)
        mine = [each for each in closed if each.program == number]
        assert [(each.start, each.text, each.events) for each in mine] == [window[:3] for window in expected]
        if number == 0:
            assert [each.values for each in mine] == [measured(window[3]) for window in expected]
        about = f"{program.name}: its window has closed"
        assert [each.row for each in refused if each.reason.startswith(about)] == late
    assert all(each.code == "late" for each in refused)
    rows = [each.row for each in closed]
    assert rows == sorted(rows)


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.integers(0, 60), st.sampled_from(["split", "merge"]))
def test_no_event_is_lost_or_counted_twice_by_a_split_or_a_merge(steps, cut, change):
    """All windows of all shards, added up, have every event that was not late, and each window is one of its shard."""
    program = program_of({**PROGRAM, "lateness": 1000, "expire": 20})  # nothing is late, so nothing may be missing
    middle = 2**127
    low, high = (0, middle - 1), (middle, ALL_HASH_KEYS[1])
    events, total = timeline(steps), 0
    keys = ["p", "q", "r"]
    halves = {half: [key for key in keys if half[0] <= hash_key(key) <= half[1]] for half in (low, high)}
    assert all(halves.values())

    def feed(shards, part):
        nonlocal total
        for number, each in enumerate(part):
            key = keys[number % 3]
            (shard,) = [shard for bounds, shard in shards.items() if bounds[0] <= hash_key(key) <= bounds[1]]
            closed, refused = shard.process([each], [key])
            assert not refused
            total += sum(window.events for window in closed)

    before, after = ([ALL_HASH_KEYS], [low, high]) if change == "split" else ([low, high], [ALL_HASH_KEYS])
    parents = {bounds: Windows([program], bounds) for bounds in before}
    feed(parents, events[:cut])
    snapshots = [parent.snapshot() for parent in parents.values()]
    children = {bounds: Windows([program], bounds) for bounds in after}
    for child in children.values():
        child.restore(snapshots)
    feed(children, events[cut:])
    for bounds, child in children.items():  # close all
        key = keys[0] if change == "merge" else halves[bounds][0]
        closed, _ = child.process([event(100_000, article="end", action="x")], [key])
        assert len({(window.start, window.text) for window in closed}) == len(closed)
        total += sum(window.events for window in closed)
    assert total == len(events)


FIRST = PROGRAM | {"name": "first", "measures": {"users": "new user"}, "learn": 30}


@settings(max_examples=100, deadline=None)
@given(EVENTS, st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=5))
def test_a_value_is_new_once_whatever_the_cuts_and_restores(steps, cuts):
    events = timeline(steps)
    program = program_of(FIRST)
    closed, _, _ = run([program], events, cuts)
    _, late = naive(program, events)
    counted = [each for row, each in enumerate(events) if row not in late]
    expected, seen = {}, set()
    for each in counted:
        name = (each.fields.get("article"), each.fields["user"])
        if name not in seen and each.time >= counted[0].time + program.learn:
            place = (each.time // program.every * program.every, key_text(name[:1]))
            expected[place] = expected.get(place, 0) + 1
        seen.add(name)
    found = {(window.start, window.text): window.values[0] for window in closed}
    assert {place: count for place, count in found.items() if count} == {
        place: count for place, count in expected.items() if place in found
    }


def test_what_either_parent_has_seen_is_not_new_after_a_merge_and_what_is_forgotten_is(monkeypatch):
    program = program_of(FIRST | {"learn": 0})
    parents = [Windows([program]), Windows([program])]
    for number, (windows, user) in enumerate(zip(parents, "xy", strict=True)):
        windows.process([event(1000 + number, article="a", user=user)], ["p"])
    snapshots = [windows.snapshot() for windows in parents]
    for order in (snapshots, snapshots[::-1]):
        child = Windows([program])
        child.restore(order)
        some = [event(1020, article="a", user=user) for user in ("x", ["y", "z"], "z")]
        closed, _ = child.process([*some, event(1100, article="b")], ["p"] * 4)
        assert [window.values[0] for window in closed if window.start == 1020_000] == [1]
    monkeypatch.setattr("service.pipeline.firsts.MOST", 2)
    firsts = Firsts(0)
    assert [firsts.note(1, "a", [value], 5) for value in "xyxzxy"] == [1, 1, 0, 1, 0, 1]


def test_a_key_without_events_gives_zeros_until_it_expires():
    program = program_of({"name": "n", "key": ["k"], "every": 10, "expire": 30})
    closed, _, windows = run([program], [event(0, k="a"), event(1, k="b"), event(35, k="b"), event(75, k="c")])
    assert [(each.start // 1000, each.text, each.events) for each in closed] == [
        (0, "a", 1), (0, "b", 1), (10, "a", 0), (10, "b", 0), (20, "a", 0), (20, "b", 0),
        (30, "a", 0), (30, "b", 1), (40, "b", 0), (50, "b", 0), (60, "b", 0),
    ]  # fmt: skip
    assert len(windows) == 1, "a and b have expired, and their memory is free"


def test_a_long_pause_makes_no_more_windows_than_keys_expire_in():
    program = program_of({"name": "n", "every": 1, "expire": 5})
    closed, _, _ = run([program], [event(0), event(10**9)])
    assert len(closed) == 6


def test_a_list_in_the_key_counts_for_each_element_once():
    program = program_of({"name": "n", "key": ["group", "port"], "every": 10})
    many = event(0, group=["a", "b", "a"], port=22)
    closed, refused, _ = run([program], [many, event(1, group=list(range(65)), port=1), event(10)])
    assert [(each.key, each.events) for each in closed] == [(("a", 22), 1), (("b", 22), 1)]
    assert [(each.row, each.code) for each in refused] == [(1, "too_many_keys")]


def test_more_keys_than_there_is_room_for_are_refused_with_the_remedy():
    program = program_of({"name": "n", "key": ["k"], "max_keys": 2})
    _, refused, windows = run([program], [event(0, k=number) for number in (1, 2, 3, 1)])
    assert [(each.row, each.code) for each in refused] == [(2, "too_many_keys")]
    assert "max_keys = 2" in refused[0].reason
    assert len(windows) == 2


def test_a_key_that_is_too_long_or_no_text_is_refused():
    program = program_of({"name": "n", "key": ["k"]})
    _, refused, _ = run([program], [event(0, k="x" * 1025), event(0, k="\ud800"), event(0, k="é" * 1024)])
    assert [(each.row, each.code) for each in refused] == [(0, "bad_key"), (1, "bad_key")]


def test_keys_are_told_apart_by_their_text():
    program = program_of({"name": "n", "key": ["a", "b"], "every": 1})
    keys = [("x|y", "z"), ("x", "y|z"), (None, r"\N"), (r"\N", None), (1, True), (1.0, "true"), ("1", True)]
    closed, _, _ = run([program], [event(0, a=a, b=b) for a, b in keys] + [event(9)])
    assert sorted(each.events for each in closed if each.start == 0) == [1, 1, 1, 1, 3]
    assert len({each.text for each in closed}) == 5


def test_a_distinct_count_is_exact_below_its_room_and_near_beyond():
    program = program_of({"name": "n", "every": 1, "measures": {"users": "distinct user"}})
    for number in (SKETCH - 1, 20_000):
        closed, _, windows = run([program], [event(0, user=f"u{each}") for each in range(number)] * 2 + [event(1)])
        assert closed[0].values[0] == pytest.approx(number, rel=0 if number < SKETCH else 0.1)
    assert len(windows.snapshot()) < 10 * SKETCH + 1000


def test_what_is_no_number_is_refused_by_sums_and_counts_otherwise():
    program = program_of({"name": "n", "every": 1, "measures": {"n": "count", "bytes": "sum b"}})
    closed, refused, _ = run([program], [event(0, b="7"), event(0, b=math.nan), event(0, b=2**70), event(1)])
    assert [(each.row, each.code) for each in refused] == [(0, "not_counted"), (1, "not_counted")]
    assert closed[0].values == (3, float(2**70))


def test_programs_that_are_no_more_say_what_is_dropped_and_new_ones_begin():
    before, after = program_of({"name": "n", "every": 10}), program_of({"name": "n", "every": 20})
    _, _, windows = run([before], [event(5)])
    changed = Windows([after])
    (told,) = changed.restore([windows.snapshot()])
    assert "1 open windows" in told
    changed.process([event(4)], ["p"])
    closed, _ = changed.process([event(30)], ["p"])
    assert [(each.start, each.events) for each in closed] == [(0, 1)]


def test_a_damaged_snapshot_is_refused():
    windows = Windows([program_of(OTHER)])
    with pytest.raises(ValueError, match="windows"):
        windows.restore([b"nonsense of some length, more than a frame has in all"])
