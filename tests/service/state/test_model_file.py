"""Models on disk are what they were, and no file stays behind."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import StateError
from service.pipeline.models import Model, ModelMap
from service.state.model_file import ModelFile

NAMES = st.sampled_from(["a", "b", "", "ä", "\ud800", "a\0b", "x" * 3000])
LABELS = st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
ACTIONS = st.tuples(st.sampled_from(["put", "get", "remove", "clear"]), NAMES, st.binary(max_size=30), LABELS)


@given(st.lists(ACTIONS, max_size=60))
@settings(max_examples=50, deadline=None)
def test_a_file_is_as_good_as_memory(tmp_path_factory, actions):
    stores = ModelFile(tmp_path_factory.mktemp("models")), ModelMap()
    for action, sensor, state, labels in actions:
        for store in stores:
            if action == "put":
                store.put(sensor, Model(state, 0, 2**128 - 1, labels))
            elif action == "remove":
                store.remove(sensor)
            elif action == "clear":
                store.clear()
        assert stores[0].get(sensor) == stores[1].get(sensor)
        assert len(stores[0]) == len(stores[1])


def test_nothing_lies_in_the_folder(tmp_path):
    store = ModelFile(tmp_path)
    store.put("a", Model(b"x" * 100_000))
    assert list(tmp_path.iterdir()) == []
    assert store.get("a") == Model(b"x" * 100_000)


def test_a_disk_that_cannot_be_used_is_named(tmp_path):
    store = ModelFile(tmp_path)
    store._db.close()
    with pytest.raises(StateError, match=r"models without room in memory.*make room on the disk"):
        store.get("a")
