"""The pure core that the settings name, and what identifies its models and documents."""

from __future__ import annotations

import hashlib

from detector.fleet import Fleet
from service.pipeline.core import Core, CoreConfiguration
from service.pipeline.decode import Decoder, Fields, JSONDecoder
from service.pipeline.decode.event_decoder import EventDecoder
from service.pipeline.enrich import Enrichment
from service.pipeline.event_stage import EventConfiguration
from service.pipeline.models import ModelMap, ModelStore, SensorKeyRanges, Shelf
from service.pipeline.records import ALL_HASH_KEYS, HashKeys
from service.settings.model import Settings
from service.state.snapshots import ModelFingerprint
from service.state.templates import Templates

_SHAPES_MODELS = {
    *("readings_field", "value_fields", "sensor_field", "time_field"),
    *("engine", "profile", "trees", "samples", "shingle", "time_decay", "seed"),
}
NO_TEMPLATES = Templates()
NO_TABLES = Enrichment()


def make_core(
    settings: Settings,
    shard: str = "",
    hash_keys: HashKeys = ALL_HASH_KEYS,
    templates: Templates = NO_TEMPLATES,
    store: ModelStore | None = None,
    enrichment: Enrichment = NO_TABLES,
) -> Core:
    """The core of one shard, which has seen nothing yet.

    ``store``: for models without room, by default in memory; ``enrichment``: tables for events.
    """
    shelf = Shelf(ModelMap() if store is None else store, SensorKeyRanges(hash_keys))
    fleet = Fleet(settings.configuration(), templates.models, settings.max_sensors, shelf)
    return Core(core_configuration(settings, templates, enrichment), shard, fleet, hash_keys, shelf)


def core_configuration(
    settings: Settings, templates: Templates = NO_TEMPLATES, enrichment: Enrichment = NO_TABLES
) -> CoreConfiguration:
    """What the cores of all shards are made for."""
    events = make_event_decoder(settings)
    return CoreConfiguration(
        stream=settings.stream,
        detector=detector_id(settings, templates.digest),
        features=tuple(settings.value_fields),
        decoder=None if events else make_decoder(settings),
        index_all=settings.index == "all",
        index_record=settings.index_record == "on",
        labels=tuple(settings.label_fields),
        events=EventConfiguration(events.format.name, events, settings.programs, enrichment) if events else None,
    )


def make_event_decoder(settings: Settings) -> EventDecoder | None:
    """What turns records into events; None for a stream of readings."""
    format_ = settings.event_reader()
    if format_ is None:
        return None
    past = round(settings.max_past_seconds * 1000) or None
    return EventDecoder(format_, max_future=round(settings.max_future_seconds * 1000), max_past=past)


def make_decoder(settings: Settings) -> Decoder:
    """What turns records into readings."""
    fields = Fields(
        settings.sensor_field,
        settings.value_fields,
        settings.time_field,
        labels=settings.label_fields,
        time_formats=settings.time_formats,
        numeric_text=settings.numeric_text,
        max_future=round(settings.max_future_seconds * 1000),
        max_past=round(settings.max_past_seconds * 1000) or None,
    )
    return JSONDecoder(fields, settings.readings_field)


def model_fingerprint(settings: Settings) -> ModelFingerprint:
    """What shapes models: another one cannot go on with them. Rules change none; templates, none that there are."""
    configuration = settings.configuration().without_rules()
    return ModelFingerprint(_name(configuration, settings), settings.model_dump(include=_SHAPES_MODELS))


def detector_id(settings: Settings, templates: str = "") -> str:
    """Names what makes documents: other settings, rules or templates (by their digest) are another detector."""
    counted = [(program.digest, program.detect, program.lateness, program.expire) for program in settings.programs]
    return _name(settings.configuration(), settings, *((templates,) if templates else ()), *counted)


def _name(*parts: object) -> str:
    fields = [_read_from(part) if isinstance(part, Settings) else part for part in parts]
    return "rcf-" + hashlib.blake2b(repr(fields).encode(), digest_size=4).hexdigest()


def _read_from(settings: Settings) -> tuple[object, ...]:
    """Where readings come from."""
    lists = (settings.readings_field,) if settings.readings_field else ()
    return (sorted(settings.value_fields.items()), settings.sensor_field, settings.time_field, *lists)
