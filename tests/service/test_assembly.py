"""Models outlive a change of rules; documents say that something has changed."""

from service.assembly import detector_id, model_fingerprint
from service.settings.model import load

USUAL = load({}, {})


def test_a_rule_makes_another_detector_but_no_other_models():
    for flags in ({"always_above": "90"}, {"silent_after": "60"}, {"rules": '{"b*": {"direction": "high"}}'}):
        changed = load(flags, {})
        assert model_fingerprint(changed) == model_fingerprint(USUAL)
        assert detector_id(changed) != detector_id(USUAL)


def test_what_scores_depend_on_makes_other_models():
    for flags in ({"samples": "128"}, {"seed": "1"}, {"profile": "small"}, {"value_fields": "a"}, {"time_field": "t"}):
        changed = load(flags, {})
        assert model_fingerprint(changed) != model_fingerprint(USUAL)
        assert detector_id(changed) != detector_id(USUAL)


def test_what_does_not_concern_detection_changes_neither():
    changed = load({"port": "0", "index": "all", "checkpoint_seconds": "1", "stream": "other"}, {})
    assert model_fingerprint(changed) == model_fingerprint(USUAL)
    assert detector_id(changed) == detector_id(USUAL)


def test_templates_are_part_of_what_makes_documents():
    assert len({detector_id(USUAL), detector_id(USUAL, "a"), detector_id(USUAL, "b")}) == 3
