"""Which hash keys a sensor belongs to, and that they and its labels follow it to the shelf and back."""

from service.pipeline.models import Model, ModelMap, SensorKeyRanges, Shelf, hash_key
from service.pipeline.records import ALL_HASH_KEYS

KEY_A, KEY_B = hash_key("a"), hash_key("b")


def test_a_sensor_belongs_to_the_hash_keys_that_its_readings_came_with():
    ranges = SensorKeyRanges(ALL_HASH_KEYS)
    ranges.note([("one", "a"), ("one", "a"), ("both", "b"), ("both", "a")])
    assert ranges.of("one") == (KEY_A, KEY_A)
    assert ranges.of("both") == (min(KEY_A, KEY_B), max(KEY_A, KEY_B))


def test_a_sensor_put_with_an_explicit_hash_key_may_belong_anywhere_in_the_shard():
    elsewhere = (KEY_A + 1, KEY_A + 100)
    ranges = SensorKeyRanges(elsewhere)
    ranges.note([("one", "a")])
    assert ranges.of("one") == elsewhere


def test_hash_keys_and_labels_follow_a_sensor_to_the_shelf_and_back():
    ranges, store = SensorKeyRanges(ALL_HASH_KEYS), ModelMap()
    shelf = Shelf(store, ranges)
    ranges.note([("one", "a")])
    shelf.note_labels({"one": {"site": "x"}})
    for labels in ({"site": "x"}, {"site": "y"}):
        assert (shelf.labels_of("one"), shelf.complete("one", b"1")) == (labels, Model(b"1", KEY_A, KEY_A, labels))
        shelf.put("one", b"2")
        assert store == {"one": Model(b"2", KEY_A, KEY_A, labels)}
        assert (shelf.labels_of("one"), shelf.complete("one", b"1")) == (labels, Model(b"1", KEY_A, KEY_A, labels))
        shelf.note_labels({"one": {"site": "y"}})
        assert store == {"one": Model(b"2", KEY_A, KEY_A, {"site": "y"})}
        assert shelf.take("one") == b"2"
        assert store == {}
    assert shelf.labels_of("unknown") == {}
