"""The scores in memory: filters and pages equal a plain scan, and the ring forgets the oldest first."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.liveness import SilenceEvent
from detector.types import Readings, Scores
from service.pipeline.documents import ScoredBatch
from service.pipeline.records import Position
from service.sinks.query import Filter, Order
from service.sinks.recent_scores import SPARE_SLOTS, RecentScores


def batch(rows, shard="shardId-000000000000", first=0) -> ScoredBatch:
    """Rows of (sensor, time, score, is_anomaly), at positions from ``first`` on."""
    names = sorted({row[0] for row in rows})
    readings = Readings(
        sensors=tuple(names),
        codes=np.array([names.index(row[0]) for row in rows], dtype=np.int64),
        times=np.array([row[1] for row in rows], dtype=np.int64),
        values=np.arange(len(rows), dtype=float)[:, None],
    )
    scores = Scores.empty(len(rows), 1)
    scores.score[:] = [row[2] for row in rows]
    scores.is_anomaly[:] = [row[3] for row in rows]
    scores.grade[:] = np.where(scores.is_anomaly, np.minimum(scores.score / 5, 1), 0)
    scores.ready[:] = True
    n = len(rows)
    positions = [Position(first + i) for i in range(n)]
    return ScoredBatch("stream", shard, positions, [0] * n, [0] * n, ("v",), "rcf-1", readings, scores)


ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.floats(0, 5, allow_nan=False), st.booleans()),
    max_size=40,
)
FILTERS = st.builds(
    Filter,
    sensor=st.none() | st.sampled_from("abcd"),
    since=st.none() | st.integers(0, 20),
    until=st.none() | st.integers(0, 20),
    min_score=st.none() | st.floats(0, 5),
    anomalies=st.booleans(),
)


def matches(row, wanted: Filter) -> bool:
    sensor, time, score, is_anomaly = row
    return (
        (wanted.sensor is None or sensor == wanted.sensor)
        and (wanted.since is None or time >= wanted.since)
        and (wanted.until is None or time < wanted.until)
        and (wanted.min_score is None or score >= wanted.min_score)
        and (is_anomaly or not wanted.anomalies)
    )


ORDERS = st.builds(Order, st.sampled_from(["time", "score", "severity"]), st.booleans())


@given(st.lists(ROWS, max_size=5), FILTERS, ORDERS, st.integers(1, 10), st.integers(1, 60))
def test_pages_put_together_are_a_plain_scan_of_what_is_kept(batches, wanted, order, limit, capacity):
    recent = RecentScores(capacity)
    for rows in batches:
        recent.append(batch(rows, first=recent.rows))
    everything = [row for rows in batches for row in rows]
    kept = list(enumerate(everything))[-capacity:]
    expected = [number for number, row in reversed(kept) if matches(row, wanted)]

    pages, after = [], None
    while page := recent.search(wanted, limit, order, after):
        assert len(page) <= limit
        pages += page
        after = order.place(page[-1])
    assert sorted(document["row"] for document in pages) == sorted(expected)
    places = [order.place(document) for document in pages]
    assert places == sorted(places, reverse=order.descending)

    followed, row = [], -1
    while row < recent.rows - 1:
        documents, row = recent.following(wanted, row, limit)
        followed += [document["row"] for document in documents]
    assert followed == expected[::-1], "in the order of scoring"


def test_sensors_know_their_last_reading_and_anomalies():
    recent = RecentScores(10)
    recent.append(batch([("a", 1000, 3.0, True), ("b", 2000, 0.5, False), ("a", 3000, 1.0, False)]))
    sensor = recent.sensors["a"].describe(needed=256)
    assert sensor["anomalies"] == 1
    assert sensor["last_anomaly"] == "1970-01-01T00:00:01.000Z"
    assert sensor["last"] == {"@timestamp": "1970-01-01T00:00:03.000Z", "values": {"v": 2.0}, "anomaly_score": 1.0}


async def test_waiting_ends_with_the_next_reading():
    recent = RecentScores(10)
    waiting = asyncio.create_task(recent.wait(-1))
    await asyncio.sleep(0)
    assert not waiting.done()
    recent.append(batch([("a", 1, 1.0, False)]))
    await asyncio.wait_for(waiting, 1)


@pytest.mark.parametrize("rows", [0, 1, 25])
def test_a_batch_larger_than_the_memory_keeps_its_newest_rows(rows):
    recent = RecentScores(10)
    recent.append(batch([("a", i, 1.0, False) for i in range(rows)]))
    times = [document["row"] for document in recent.search(Filter(), 100)]
    assert times == list(range(rows))[::-1][:10]


def test_a_silence_is_an_anomaly_of_its_sensor_and_no_reading():
    recent = RecentScores(10)
    readings = batch([("a", 1000, 1.0, False), ("b", 61_000, 1.0, False)])
    recent.append(replace(readings, silences=[SilenceEvent(1, "c", 500, 60_000, 10_000.0)]))
    (document,) = recent.search(Filter(anomalies=True), 10)
    assert (document["sensor"], document["anomaly_kind"], document["row"]) == ("c", "silent", 2)
    assert document["silent_since"] == "1970-01-01T00:00:00.500Z"
    assert document["@timestamp"] == "1970-01-01T00:01:00.000Z"
    assert document["alert"]
    assert recent.search(Filter(min_score=0.5), 10)[0]["sensor"] == "b"
    assert recent.sensors["c"].describe(needed=256)["anomalies"] == 1


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6), max_size=8), st.integers(1, 5))
def test_sensors_without_a_reading_for_longest_are_forgotten_first(batches, most):
    recent, latest = RecentScores(10, max_sensors=most), []
    for names in batches:
        recent.append(batch([(name, 1, 1.0, False) for name in names]))
        latest += names
    expected = list(dict.fromkeys(reversed(latest)))[:most]
    assert list(recent.sensors) == expected[::-1]


def test_rows_that_are_overwritten_while_they_are_read_are_left_out():
    recent = RecentScores(10)
    recent.append(batch([("a", number, 1.0, False) for number in range(10)]))
    rows = recent._matching(Filter(), 0, 10).tolist()
    recent.append(batch([("b", number, 1.0, False) for number in range(10)]))
    assert [document["row"] for document in recent._documents(rows)] == rows, "forgotten, but still there"
    for _ in range(SPARE_SLOTS // 10 + 1):
        recent.append(batch([("b", number, 1.0, False) for number in range(10)]))
    assert recent._documents(rows) == []


def test_searches_in_other_threads_find_whole_documents():
    """Rows are appended without a pause, so that slots are written while they are searched."""
    recent = RecentScores(2_000)
    batches = [batch([(f"s{number}", number, float(number), False)] * 500) for number in range(8)]
    stop = threading.Event()

    def search() -> int:
        found = 0
        while not stop.is_set():
            for document in recent.search(Filter(min_score=2), 20, Order("score")):
                assert document["sensor"] == f"s{document['anomaly_score']:.0f}"
                found += 1
        return found

    with ThreadPoolExecutor(2) as threads:
        searches = [threads.submit(search) for _ in range(2)]
        for number in range(2_000):
            recent.append(batches[number % 8])
        stop.set()
        assert all(each.result() for each in searches)
