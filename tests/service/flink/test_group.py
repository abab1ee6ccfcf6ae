"""Tests of a group of sensors: what it makes does not depend on batches, failures and restores."""

import itertools
import math
import pickle

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.assembly import make_core, make_decoder
from service.flink.group import GROUPS, PROCESSED, Group, group_of, packed, place_of, place_of_record, rows_of, unpacked
from service.pipeline.documents import IndexDocument
from service.pipeline.records import Position, Record
from service.settings.model import load

SETTINGS = load({"samples": 16, "index": "all", "value_fields": "t,h", "label_fields": "site"}, {})
EVERY = 50


def readings(count):
    """Records of three sensors, with a missing value and an outlier."""
    noise = np.random.default_rng(1).normal(size=(count, 2))
    for number, (t, h) in enumerate(noise.tolist()):
        body = {"iotName": f"s{number % 3}", "iotTime": 1_700_000_000_000 + number * 1000, "t": t, "h": h, "site": "a"}
        if number % 17 == 0:
            body["h"] = None
        yield orjson.dumps(body | ({"t": 60.0} if number == 140 else {}))


def rows(count=200):
    decoded = make_decoder(SETTINGS).decode(
        [Record(Position(number), "", 1_700_000_500_000, data) for number, data in enumerate(readings(count))]
    )
    return [row for _, row in rows_of(decoded)]


def new():
    return Group(lambda: make_core(SETTINGS, "group-7"), EVERY)


def documents(output):
    return [(each.id, orjson.dumps(each.document)) for each in output.documents] if output else []


def undisturbed():
    group = new()
    for row in ROWS:
        group.add(row)
    return documents(group.process())


ROWS = rows()
EXPECTED = undisturbed()


def test_each_reading_has_a_document_of_its_own():
    assert len(EXPECTED) == len(ROWS) - 3 * 16  # of a sensor, what it has learnt from
    assert len({identity for identity, _ in EXPECTED}) == len(EXPECTED)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=20),
    st.lists(st.booleans(), min_size=20, max_size=20),
    st.lists(st.booleans(), min_size=20, max_size=20),
)
@settings(max_examples=25, deadline=None)
def test_documents_are_the_same_whatever_the_batches_and_the_failures(sizes, processed, fails):
    """The state is what Flink would keep: models, the journal since, and how much of it was processed."""
    group, models, journal, found = new(), {}, [], []
    start = 0
    steps = zip(itertools.cycle(sizes), itertools.cycle(processed), itertools.cycle(fails), strict=False)
    for size, process, fail in steps:
        for row in ROWS[start : start + size]:
            journal.append(row)
            group.add(row)
        start += size
        if process or start >= len(ROWS):
            found += documents(group.process())
            written = group.due()
            if written is None:
                journal.append(PROCESSED)
            else:
                models, journal = models | written, []
        if start >= len(ROWS):
            break
        if fail:
            group = new()
            group.restore(models, journal)
    assert found == EXPECTED


def test_the_journal_begins_anew_when_models_are_written():
    group = new()
    for row in ROWS[:EVERY]:
        group.add(row)
    assert group.due() is None  # what waits is in the journal alone
    group.process()
    assert set(group.due()) == {"s0", "s1", "s2"}
    assert group.due() is None


def test_a_damaged_model_is_refused():
    group = new()
    for row in ROWS[:EVERY]:
        group.add(row)
    group.process()
    models = {name: pickle.dumps((b"?" + pickle.loads(packed)[0],)) for name, packed in group.due().items()}
    with pytest.raises(ValueError, match="s0"):
        new().restore(models, [])


def test_rows_keep_values_to_the_bit_and_what_is_missing():
    sensor, time, values, labels = orjson.loads(ROWS[0])
    assert (sensor, time, labels) == ("s0", 1_700_000_000_000, {"site": "a"})
    assert values[1] is None
    assert math.isfinite(values[0])


def test_groups_and_places_are_fixed():
    """Other ones would lose a savepoint's models, and write documents twice."""
    assert [group_of(name, GROUPS) for name in ("a", "b", "DemoSensor")] == [3, 57, 4]
    assert place_of("a", 5) == Position(5, 38582675093786123)
    assert place_of("a", 5).subsequence != place_of("b", 5).subsequence
    assert place_of_record(b"no reading") == Position(15935967675014189174)
    assert place_of_record(b"no reading") != place_of_record(b"another")


def test_documents_are_packed_with_all_that_the_index_needs():
    entry = IndexDocument("id", 7, {"a": 1.5}, Position(3, 2**55), "window")
    assert list(unpacked(packed([entry]))) == [entry]
