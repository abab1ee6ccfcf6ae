"""One shard's records in, documents and dead letters out: the same bytes whatever happens in between."""

import json
from dataclasses import asdict

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.snapshot_format import decode
from detector.types import Readings
from service.assembly import make_core
from service.pipeline.decode import decoder
from service.pipeline.records import Gap, Position, Record
from service.settings.model import load
from service.state.model_file import ModelFile

MINUTE = 60_000
SETTINGS = load(
    {
        "value_fields": "temperature,pressure",
        "sensor_field": "device",
        "time_field": "time",
        "label_fields": "site",
        "index": "all",
        "index_record": "on",
        "trees": "8",
        "samples": "16",
    },
    {},
)


def shard(n: int = 900, seed: int = 5) -> list[Record]:
    """A shard as it comes: three sensors, one of which falls silent and comes back, a fault, gaps and junk."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(n):
        sensor = ("a", "b", "c")[number % 3]
        if sensor == "c" and 450 < number < 800:
            continue
        body = {
            "device": sensor,
            "time": 1_700_000_000_000 + number * MINUTE // 3,
            "temperature": 20 + random.normal() + (30 if 600 < number < 620 else 0),
            "pressure": None if number % 97 == 0 else 5 + random.normal(),
            "site": f"site {sensor}, floor {number // 50}",
        }
        data = b"junk" if number % 101 == 50 else json.dumps(body).encode()
        found.append(Record(Position(1000 + number), sensor, body["time"] + 500, data))
    return found


def written(outputs) -> bytes:
    """All that a shard's outputs would write."""
    documents = [(each.id, each.document) for output in outputs for each in output.documents]
    letters = [asdict(each) | {"record": each.record.position} for output in outputs for each in output.dead_letters]
    return orjson.dumps([documents, [repr(letter) for letter in letters]])


def is_silence(entry) -> bool:
    return entry.document["anomaly_kind"] == "silent"


SHARD = shard()
WHOLE = written([make_core(SETTINGS, "shard").process(SHARD)])


def test_the_shard_shows_what_there_is_to_show():
    output = make_core(SETTINGS, "shard").process(SHARD)
    kinds = {document.document["anomaly_kind"] for document in output.documents}
    assert {None, "silent"} < kinds
    assert {letter.code for letter in output.dead_letters} == {"not_json"}
    assert all(letter.ended is None for letter in output.dead_letters), "a core knows no clock"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, len(SHARD)), st.booleans(), st.booleans()), max_size=12))
def test_the_output_is_the_same_bytes_whatever_the_batches_snapshots_and_restores(cuts):
    """A cut ends a batch; after it a snapshot may be taken, and a new core may go on from all snapshots so far."""
    core, models, outputs, start = make_core(SETTINGS, "shard"), {}, [], 0
    for end, snapshot, restore in [*sorted(cuts), (len(SHARD), False, False)]:
        outputs.append(core.process(SHARD[start:end]))
        start = end
        if snapshot or restore:
            models |= core.snapshot()
        if restore:
            core = make_core(SETTINGS, "shard")
            core.restore(models)
    assert written(outputs) == WHOLE


@pytest.mark.parametrize("memory", [1, 20_000])
def test_a_bounded_batch_ends_behind_a_record_and_its_parts_are_the_same_bytes(memory, monkeypatch):
    """Of records with many readings, some of which cannot be read."""
    script = [
        Record(each[0].position, "a", each[0].arrival, b"\n".join(record.data for record in each))
        for each in (SHARD[start : start + 30] for start in range(0, len(SHARD), 30))
    ]
    whole = make_core(SETTINGS, "shard").process(script)
    monkeypatch.setattr(decoder, "BATCH_MEMORY", memory)
    core, outputs, rest = make_core(SETTINGS, "shard"), [], script
    while rest:
        outputs.append(core.process(rest, bounded=True))
        rest = rest[outputs[-1].taken :]
    assert written(outputs) == written([whole])
    assert sum(output.size for output in outputs) == whole.size
    assert len(outputs) == len(script) if memory == 1 else 5 < len(outputs) < len(script)
    assert max(output.size for output in outputs) < memory + 30 * (decoder.READING_MEMORY + 200)


def test_a_silence_has_the_labels_of_its_sensors_last_reading():
    """Even if the sensor comes back in the same batch, with another label."""
    silences = [each.document for each in make_core(SETTINGS, "shard").process(SHARD).documents if is_silence(each)]
    assert [(each["sensor"], each["labels.site"]) for each in silences] == [("c", "site c, floor 8")]


@pytest.mark.parametrize(("now", "expected"), [("site", "site c, floor 8"), ("other=site", None), ("", None)])
def test_a_silence_has_labels_that_are_still_asked_for(now, expected):
    """The sensor's last reading was before the restart with these label_fields."""
    before = make_core(SETTINGS, "shard")
    before.process(SHARD[:449])
    core = make_core(load(SETTINGS.model_dump() | {"label_fields": now}, {}), "shard")
    core.restore(before.snapshot())
    (silence,) = [each.document for each in core.process(SHARD[453:]).documents if is_silence(each)]
    assert {name: text for name, text in silence.items() if name.startswith("labels.")} == (
        {"labels.site": expected} if expected else {}
    )


def test_a_label_that_is_missing_from_the_last_reading_or_too_long_is_not_remembered():
    core = make_core(load(SETTINGS.model_dump() | {"label_fields": "site,pump"}, {}), "shard")
    labels = {"a": [{"pump": 7}, {"site": "x" * 1025, "pump": 8}], "b": [{"pump": 7}, {"site": "x" * 1024}]}
    for number in range(2):
        body = {"time": 1_700_000_000_000 + number * MINUTE, "temperature": 1, "pressure": 2}
        core.process(
            [
                Record(Position(number), sensor, body["time"], orjson.dumps(body | {"device": sensor} | found[number]))
                for sensor, found in labels.items()
            ]
        )
    assert {sensor: model.labels for sensor, model in core.snapshot().items()} == {
        "a": {"pump": "8"},
        "b": {"site": "x" * 1024},
    }


def test_without_label_fields_nothing_is_remembered():
    core = make_core(SETTINGS.model_copy(update={"label_fields": {}}), "shard")
    output = core.process(SHARD)
    assert len(output.scored.labels) == 0
    assert [model.labels for model in core.snapshot().values()] == [{}, {}, {}]


def test_a_batch_scored_again_after_a_crash_writes_the_same():
    core = make_core(SETTINGS, "shard")
    core.process(SHARD[:300])
    models = core.snapshot()
    before = written([core.process(SHARD[300:700])])
    again = make_core(SETTINGS, "shard")
    again.restore(models)
    assert written([again.process(SHARD[300:700])]) == before


def test_only_models_that_changed_are_in_the_next_snapshot():
    core = make_core(SETTINGS, "shard")
    core.process(SHARD[:30])
    assert core.snapshot().keys() == {"a", "b", "c"}
    core.process([record for record in SHARD[30:40] if record.partition_key == "a"])
    assert core.snapshot().keys() == {"a"}
    assert core.snapshot(also={"b", "unknown"}).keys() == {"b"}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda state: b"", "not a detector's snapshot"),
        (lambda state: b"X" + state[1:], "not a detector's snapshot"),
        (lambda state: state[:8] + b"\x09\x00" + state[10:], "has version 9, this program reads"),
    ],
)
def test_a_model_of_another_version_is_refused_and_leaves_the_core_as_it_was(damage, reason):
    core = make_core(SETTINGS, "shard")
    core.process(SHARD[:300])
    models = core.snapshot()
    models["b"] = models["b"]._replace(state=damage(models["b"].state))
    other = make_core(SETTINGS, "shard")
    with pytest.raises(ValueError, match=f"'b'.*{reason}"):
        other.restore(models)
    assert written([other.process(SHARD)]) == WHOLE


def test_a_document_knows_its_record():
    core = make_core(SETTINGS, "shard")
    output = core.process(SHARD)
    for number, entry in enumerate(output.documents):
        source = output.documents.source(number)
        assert source.position == entry.position
        assert is_silence(entry) != (entry.document.get("record") == orjson.loads(source.data))


def test_a_gap_is_a_dead_letter_before_the_records_that_follow_it():
    output = make_core(SETTINGS, "shard").process([], Gap(Position(5), Position(9), resumed=1234))
    (letter,) = output.dead_letters
    assert (letter.code, letter.record.position, letter.record.arrival) == ("gap", Position(5, 1), 1234)
    assert "after sequence number 5 and before sequence number 9" in letter.reason
    assert len(output.documents) == 0


def test_readings_of_a_file_are_scored_as_those_of_records():
    sensors, rows = ("a", "b", "c"), [json.loads(record.data) for record in SHARD if record.data != b"junk"]
    readings = Readings(
        sensors=sensors,
        codes=np.array([sensors.index(row["device"]) for row in rows]),
        times=np.array([row["time"] for row in rows]),
        values=np.array([[row["temperature"], row["pressure"]] for row in rows], dtype=float),
    )
    from_file = make_core(SETTINGS, "shard").process_readings(readings)
    from_records = make_core(SETTINGS, "shard").process(SHARD)
    assert np.array_equal(from_file.scored.scores.alert_score, from_records.scored.scores.alert_score)
    assert from_file.scored.silences == from_records.scored.silences


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, len(SHARD)), st.booleans()), max_size=8), st.integers(1, 2), st.booleans())
def test_room_for_few_sensors_changes_no_byte_and_no_hash_key(tmp_path_factory, cuts, room, on_disk):
    def core():
        store = ModelFile(tmp_path_factory.mktemp("models")) if on_disk else None
        return make_core(SETTINGS.model_copy(update={"max_sensors": room}), "shard", store=store)

    whole = make_core(SETTINGS, "shard")
    whole.process(SHARD)
    few, models, outputs, start = core(), {}, [], 0
    for end, restore in [*sorted(cuts), (len(SHARD), False)]:
        outputs.append(few.process(SHARD[start:end]))
        start = end
        if restore:
            models |= few.snapshot()
            few = core()
            few.restore(models)
    models |= few.snapshot()
    assert written(outputs) == WHOLE
    expected = whole.snapshot()
    assert {sensor: model[1:] for sensor, model in models.items()} == {
        sensor: model[1:] for sensor, model in expected.items()
    }
    assert {sensor: decode(model.state).body for sensor, model in models.items()} == {
        sensor: decode(model.state).body for sensor, model in expected.items()
    }
