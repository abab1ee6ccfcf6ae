"""What a reading's document says, field by field."""

import dataclasses

import orjson
import pytest

from detector.liveness import SilenceEvent
from detector.types import LEVEL_SHIFT, SPIKE
from service import __version__
from service.pipeline.documents import LARGEST_RECORD, describe, index_documents, record_fields, timestamp
from service.pipeline.identity import document_id
from service.pipeline.records import Position
from service.sinks.index.fields import FIELDS, names
from tests.service.sinks.test_recent_scores import batch


def scored(n=4):
    """The second reading is an alert that begins an episode, the third belongs to it."""
    made = batch([("boiler", 1000 * i, float(i), i in (1, 2)) for i in range(n)])
    made.scores.alert[1] = True
    made.scores.kind[1:3] = LEVEL_SHIFT
    made.scores.episode_start[1:3] = 1000
    made.scores.episode_kind[1:3] = SPIKE, LEVEL_SHIFT
    made.scores.episode_peak[1:3] = 1.0, 2.0
    made.scores.episode_readings[1:3] = 1, 2
    return made


def test_a_document_has_exactly_the_fields_of_the_table():
    assert set(describe(scored(), 0)) == set(names(FIELDS, ("v",))) - {"silent_since", "record", "record_bytes"}


def test_a_silence_is_an_episode_of_its_own():
    made = dataclasses.replace(
        scored(), silences=[SilenceEvent(row=3, sensor="mute", since=500, time=2500, silence_timeout=60.0)]
    )
    (entry,) = index_documents(made, [4])
    document = entry.document
    assert set(document) <= set(names(FIELDS, ("v",)))
    assert (document["sensor"], document["anomaly_kind"], entry.time) == ("mute", "silent", 2500)
    assert document["approx_anomaly_start_time"] == document["silent_since"] == timestamp(500)
    assert document["episode_id"] not in {describe(made, row)["episode_id"] for row in range(4)}
    assert entry.id == document["event.id"] not in {each.id for each in index_documents(made, range(4))}


def test_readings_and_silences_have_their_labels():
    silence = SilenceEvent(row=3, sensor="mute", since=500, time=2500, silence_timeout=60.0)
    labels = [*({"site": f"site {row}"} for row in range(4)), {"site": "far away"}]
    made = dataclasses.replace(scored(), silences=[silence], labels=labels)
    assert [describe(made, row)["labels.site"] for row in (0, 3, 4)] == ["site 0", "site 3", "far away"]
    assert not any(name.startswith("labels.") for name in describe(dataclasses.replace(made, labels=()), 4))


def test_readings_of_an_episode_bear_its_name_and_beginning():
    before, alert, after, end = (describe(scored(), row) for row in range(4))
    assert before["episode_kind"] is end["episode_kind"] is None
    assert before["episode_id"] is before["approx_anomaly_start_time"] is end["episode_id"] is None
    assert alert["episode_id"] == after["episode_id"] != None  # noqa: E711
    assert alert["approx_anomaly_start_time"] == after["approx_anomaly_start_time"] == alert["@timestamp"]
    assert (alert["anomaly_kind"], alert["event.kind"], after["event.kind"]) == ("level shift", "alert", "event")
    assert (alert["episode_kind"], after["episode_kind"]) == ("spike", "level shift")
    assert (after["episode_peak_score"], after["episode_readings"]) == (2.0, 2)


def test_the_id_is_that_of_the_place_in_the_stream_and_of_the_detector():
    ids = [entry.id for entry in index_documents(scored(), range(4))]
    assert len(set(ids)) == 4
    assert [entry.document["event.id"] for entry in index_documents(scored(), range(4))] == ids
    assert ids == [
        document_id("stream", "shardId-000000000000", Position(i), 0, "rcf-1", __version__) for i in range(4)
    ]


def nested(levels):
    return {"a": nested(levels - 1)} if levels else 1


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"building": "B7", "a.b": 1, "": {"": [None, {"c": [[]]}]}, "text": "nul \0 in a text"},
        {"exactly": "x" * (LARGEST_RECORD - 14)},
        nested(20),
    ],
)
def test_a_record_is_kept_as_it_came(record):
    data = orjson.dumps(record)
    assert record_fields(data) == {"record": record, "record_bytes": len(data)}


@pytest.mark.parametrize(
    "record",
    [
        {"too long": "x" * (LARGEST_RECORD - 14)},
        nested(21),
        {"array": [[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]},
        {"a": [{"nul \0 in a name": 1}]},
    ],
)
def test_of_a_record_that_a_server_may_refuse_only_the_length_is_kept(record):
    data = orjson.dumps(record)
    assert record_fields(data) == {"record_bytes": len(data)}


def test_a_record_that_says_a_thing_twice_says_it_once_and_large_integers_are_rounded():
    """Servers refuse names that come twice, and so would the writer numbers beyond 64 bits."""
    assert record_fields(b'{"a":1,"a":2,"b":18446744073709551616}')["record"] == {"a": 2, "b": 2.0**64}
