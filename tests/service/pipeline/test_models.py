"""Which hash keys a sensor belongs to."""

from service.pipeline.models import SensorKeyRanges, hash_key
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
