"""Changes of episodes: begun, changed, ended, the same for any cut into batches."""

import json
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detector.liveness import SilenceEvent
from detector.types import KINDS, SPIKE, Readings, Scores
from service.pipeline.documents import ScoredBatch
from service.pipeline.episodes import BETWEEN, EpisodeTracker
from service.pipeline.records import Position

NAMES = ("boiler", "pump", "fan")
START = 1_800_000_000_000
STEP = 30_000


def scored(rows, first=0, silences=()):
    """A batch of (sensor, what): "." usual, "A" alert, "a" anomaly, "-" still counted to the episode."""
    n = len(rows)
    times = START + STEP * (first + np.arange(n))
    scores = Scores.empty(n, 1)
    for row, (_, start, letter, kind, severity) in enumerate(rows):
        scores.alert[row] = letter == "A"
        scores.is_anomaly[row] = letter in "Aa"
        scores.grade[row] = severity / 100 if letter in "Aa" else 0
        scores.episode_start[row] = 0 if letter == "." else START + STEP * start
        scores.kind[row] = scores.episode_kind[row] = kind
        scores.ready[row] = True
    codes = np.array([NAMES.index(row[0]) for row in rows], dtype=np.int64)
    readings = Readings(NAMES, codes, times, np.ones((n, 1)))
    positions = [Position(first + row) for row in range(n)]
    return ScoredBatch(
        "stream", "shard", positions, times.tolist(), [0] * n, ("v",), "rcf", readings, scores, silences,
        [{"site": "north"}] * (n + len(silences)),
    )  # fmt: skip


def course(letters, sensor="boiler", kind=SPIKE, severity=80):
    """Rows of one sensor; each "A" after a "." begins an episode."""
    rows, start = [], None
    for number, letter in enumerate(letters):
        start = None if letter == "." else number if start is None else start
        rows.append((sensor, start or 0, letter, kind, severity))
    return rows


def told(changes):
    return [(change["stage"], change["sensor"]) for change in changes]


def test_an_episode_is_begun_and_ended_once():
    changes = EpisodeTracker().follow(scored(course("..Aaa---....")))
    assert told(changes) == [("begin", "boiler"), ("end", "boiler")]
    begin, end = changes
    assert begin["episode_id"] == end["episode_id"]
    assert begin["key"] == f"{begin['episode_id']}:begin"
    assert begin["labels"] == {"site": "north"}
    assert (end["anomalies"], end["last"], begin["anomalies"]) == (3, end["last"], 1)
    assert end["@timestamp"] > end["last"] > begin["@timestamp"] == begin["start"]


def test_a_usual_stream_changes_nothing():
    tracker = EpisodeTracker()
    assert tracker.follow(scored(course("........"))) == []
    assert tracker.follow(scored([])) == []
    assert len(tracker) == 0


def test_a_second_alert_a_new_kind_and_a_higher_severity_are_told():
    rows = course("A-a---a---A.")
    rows[6] = (*rows[6][:3], KINDS.index("level shift"), 80)
    for row in (7, 8, 9, 10):
        rows[row] = (*rows[row][:3], KINDS.index("level shift"), 95)
    changes = EpisodeTracker().follow(scored(rows))
    assert [(change["stage"], change["kind"], change["severity"]) for change in changes] == [
        ("begin", "spike", 80),
        ("update", "level shift", 80),
        ("update", "level shift", 95),
        ("end", "level shift", 95),
    ]
    assert len({change["key"] for change in changes}) == 4


def test_what_changes_soon_after_it_was_told_is_told_later():
    rows = course("Aa-a.")
    rows[1] = (*rows[1][:3], KINDS.index("drift"), 80)
    rows[2] = (*rows[2][:3], KINDS.index("drift"), 80)
    rows[3] = (*rows[3][:3], KINDS.index("drift"), 80)
    changes = EpisodeTracker().follow(scored(rows))
    assert [change["stage"] for change in changes] == ["begin", "update", "end"]
    assert BETWEEN == 2 * STEP
    assert changes[1]["@timestamp"].endswith("00.000Z")


def test_a_new_episode_ends_the_one_before():
    rows = [("boiler", 0, "A", SPIKE, 80), ("boiler", 1, "A", SPIKE, 80)]
    assert [change["stage"] for change in EpisodeTracker().follow(scored(rows))] == ["begin", "end", "begin"]


def test_a_silence_ends_with_the_next_reading():
    made = SilenceEvent(row=1, sensor="pump", since=START, time=START + 2 * STEP, silence_timeout=1.0)
    tracker = EpisodeTracker()
    changes = tracker.follow(scored(course("..."), silences=(made,)))
    assert told(changes) == [("begin", "pump")]
    assert changes[0]["kind"] == "silent"
    changes = tracker.follow(scored(course("..", "pump"), first=3))
    assert told(changes) == [("end", "pump")]
    assert len(tracker) == 0


letters = st.text("..A-a", min_size=0, max_size=25)


@given(st.tuples(letters, letters), st.lists(st.integers(0, 50), max_size=6), st.booleans())
def test_no_cut_and_no_restart_changes_anything(texts, cuts, restarts):
    columns = [course(text, sensor) for text, sensor in zip(texts, NAMES, strict=False)]
    rows = [row for pair in zip(*columns, strict=False) for row in pair]
    whole = EpisodeTracker().follow(scored(rows))
    tracker, parts = EpisodeTracker(), []
    ends = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for first, last in pairwise(ends):
        parts += tracker.follow(scored(rows[first:last], first))
        if restarts:
            state = json.loads(json.dumps(tracker.snapshot()))
            tracker = EpisodeTracker()
            tracker.restore(state)
    assert json.dumps(parts) == json.dumps(whole)
    assert len({change["key"] for change in whole}) == len(whole)
