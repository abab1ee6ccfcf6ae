"""Every setting in one table: the fields of ``Settings``, which come from ``service.settings.groups``.

A value comes from its default, then ``cutwater.toml``, then ``CUTWATER_<NAME>`` in the environment, then the command
line; the last one wins. ``--help`` and docs/reference/settings.md are made from the same table.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr, ValidationError, model_validator

from detector.detector import Configuration
from service.settings.complaints import complaints, no_such
from service.settings.groups.access import AccessSettings
from service.settings.groups.detector import DetectorSettings
from service.settings.groups.enrich import EnrichSettings
from service.settings.groups.events import EventSettings
from service.settings.groups.index import IndexSettings
from service.settings.groups.notify import NotifySettings, only_of_labels
from service.settings.groups.process import ProcessSettings
from service.settings.groups.records import RecordSettings
from service.settings.groups.rules import RuleSettings
from service.settings.groups.stream import StreamSettings, start_time
from service.settings.sources import SettingsError, read_environment, read_file, read_secret, spell

__all__ = ["SECRETS", "Settings", "SettingsError", "load", "start_time"]


# Fields are in the order of the documentation, which begins with the last base.
class Settings(
    NotifySettings,
    AccessSettings,
    ProcessSettings,
    IndexSettings,
    RuleSettings,
    DetectorSettings,
    EventSettings,
    EnrichSettings,
    RecordSettings,
    StreamSettings,
):
    """The settings of ``cutwater run``."""

    @model_validator(mode="after")
    def _routes_of_labels(self) -> Self:
        only_of_labels(self.notify, self.label_fields)
        return self

    def configuration(self) -> Configuration:
        """What the settings make of a detector."""
        return Configuration(
            dimensions=len(self.value_fields),
            engine=self.engine,
            profile=self.profile,
            trees=self.trees,
            samples=self.samples,
            shingle=self.shingle,
            time_decay=self.time_decay,
            seed=self.seed,
            rules=self.rules_for_all(),
            rules_of=self.rules_for_sensors(),
        )


SECRETS = frozenset(name for name, field in Settings.model_fields.items() if field.annotation is SecretStr)


def load(
    flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] = os.environ, file: Path | None = None
) -> Settings:
    """Settings from file, environment and flags. ``file`` must exist if given; ``cutwater.toml`` need not.

    A secret may also be given as NAME_file, the name of a file that holds it.

    Raises:
        SettingsError: an unknown name, or a value that is not allowed.
    """
    origins: dict[str, str] = {}
    values: dict[str, Any] = {}
    for origin, source in (*read_file(file), read_environment(environment), ("command line", dict(flags or {}))):
        for given, value in source.items():
            name, spelt = given, spell(origin, given)
            if given.endswith("_file") and given.removesuffix("_file") in SECRETS:
                name, value = given.removesuffix("_file"), read_secret(spelt, value)
            if name not in Settings.model_fields:
                raise SettingsError(f"{spelt}: no such setting{no_such(name, Settings.model_fields)}")
            values[name], origins[name] = value, spelt
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError("\n".join(complaints(error, Settings, origins))) from None
