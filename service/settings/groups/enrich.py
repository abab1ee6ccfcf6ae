"""The settings of the tables that events are enriched from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, Field, field_validator

from service.settings.enrich import TableDefinition, definitions_of
from service.settings.table import Table


class EnrichSettings(Table):
    """Where to look up what events do not say themselves."""

    model_config = ConfigDict(title="Enrichment")

    enrich: dict[str, dict[str, Any]] = Field({}, max_length=20)
    """Tables that add fields to events, applied in order: reference data from a file, security groups, places. See
    docs/how-to/enrichment.md."""

    @field_validator("enrich")
    @classmethod
    def _some_tables(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        definitions_of(value)
        return value

    @property
    def tables(self) -> Sequence[TableDefinition]:
        """What ``service.source.tables.Tables`` loads."""
        return definitions_of(self.enrich)
