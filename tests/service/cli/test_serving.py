"""Garbage is looked for rarely, and not in what a serving process consists of."""

import gc

from service.cli.serving import NEW_OBJECTS, collect_rarely


def test_what_there_is_when_serving_begins_is_not_searched_for_garbage():
    before = gc.get_threshold()
    kept = [[] for _ in range(1000)]
    try:
        collect_rarely()
        assert gc.get_freeze_count() > len(kept)
        assert gc.get_threshold() == NEW_OBJECTS
        assert not any(each is kept for each in gc.get_objects())
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
