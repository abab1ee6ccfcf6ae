"""The settings of the tables that events are enriched from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from service.settings.enrich import TableDefinition, definitions_of
from service.settings.table import Table


class EnrichSettings(Table):
    """Where to look up what events do not say themselves."""

    enrich: dict[str, dict[str, Any]] = Field({}, max_length=20)
    """Tables that events are enriched from, by their names, in the order in which they work: reference data of a file,
    security groups, places. See docs/how-to/enrichment.md."""

    @field_validator("enrich")
    @classmethod
    def _some_tables(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        definitions_of(value)
        return value

    @property
    def tables(self) -> Sequence[TableDefinition]:
        """What ``service.source.tables.Tables`` loads."""
        return definitions_of(self.enrich)
