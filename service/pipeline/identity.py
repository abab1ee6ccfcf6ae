"""What makes a model, and what makes a document: names for both, so that nothing is taken for something else."""

from __future__ import annotations

import hashlib

from service.settings.model import Settings
from service.state.snapshots import Making

_MAKERS = {
    *("value_fields", "sensor_field", "time_field"),
    *("engine", "profile", "trees", "samples", "shingle", "time_decay", "seed"),
}


def making(settings: Settings) -> Making:
    """What makes models: another one cannot go on with them. Rules change none; templates, none that there are."""
    configuration = settings.configuration().without_rules()
    return Making(_name(configuration, settings), settings.model_dump(include=_MAKERS))


def detector_id(settings: Settings, templates: str = "") -> str:
    """Names what makes documents: other settings, rules or templates (by their digest) are another detector."""
    return _name(settings.configuration(), settings, *((templates,) if templates else ()))


def _name(*parts: object) -> str:
    fields = [
        (sorted(part.value_fields.items()), part.sensor_field, part.time_field) if isinstance(part, Settings) else part
        for part in parts
    ]
    return "rcf-" + hashlib.blake2b(repr(fields).encode(), digest_size=4).hexdigest()
