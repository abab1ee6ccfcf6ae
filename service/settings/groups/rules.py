"""The settings of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from detector.rules import Rules
from service.reasons import reason
from service.settings.complaints import no_such
from service.settings.table import Table


class RuleSettings(Table):
    """Which readings are no anomalies, and which always are."""

    model_config = ConfigDict(title="Rules")

    ignore_near_above: float = Field(0.0, ge=0)
    """No anomaly if the reading lies at most this far above the expected value; with several values, if all do."""
    ignore_near_below: float = Field(0.0, ge=0)
    """The same below the expected value."""
    ignore_near_above_ratio: float = Field(0.0, ge=0)
    """The same above, as a share of the expected value: 0.1 is 10 %."""
    ignore_near_below_ratio: float = Field(0.0, ge=0)
    """The same below, as a share of the expected value."""
    direction: Literal["both", "high", "low"] = "both"
    """Which readings may be anomalies: all, only those above (high), or only those below (low) the expected value."""
    never_between: tuple[float, float] | None = None
    """Values from LOW to HIGH are never anomalies."""
    always_below: float | None = None
    """Hard limit: a value below it is an anomaly and an alert, even while its sensor is learning."""
    always_above: float | None = None
    """Hard limit: a value above it is an anomaly and an alert, even while its sensor is learning."""
    minimum_grade: float = Field(0.0, ge=0, le=1)
    """Anomalies of a lower grade do not count as such."""
    quiet: tuple[str, ...] = Field((), examples=["HH:MM-HH:MM"])
    """Times of the day, in UTC, without alerts. Anomalies are still found."""
    silent_after: float | None = Field(None, ge=0)
    """Seconds without a reading, while others of the shard go on, after which a sensor is reported as silent. 0: never.
    Default: what is unusual for the sensor."""
    rules: dict[str, dict[str, Any]] = Field({}, examples=['{"boiler-*": {"always_above": 90}}'])
    """Rules for some sensors: the table [rules."boiler-*"] holds what differs for names that fit (* is any text). The
    first table that fits counts."""

    @field_validator("never_between", mode="before")
    @classmethod
    def _two_numbers(cls, value: Any) -> Any:
        parts = value.split(",") if isinstance(value, str) else value
        if isinstance(parts, list) and len(parts) != 2:
            raise ValueError("needs two numbers such as 10,20")
        return value

    @model_validator(mode="after")
    def _some_rules(self) -> Self:
        self.rules_for_sensors()
        return self

    def rules_for_all(self) -> Rules:
        """The rules of sensors that no table names."""
        return Rules(**{name: getattr(self, name) for name in _RULES})

    def rules_for_sensors(self) -> tuple[tuple[str, Rules], ...]:
        """(pattern, rules) of each table; what a table leaves out is as for all."""
        usual = asdict(self.rules_for_all())
        return tuple((pattern, _rules(pattern, usual, table)) for pattern, table in self.rules.items())


_RULES = tuple(rule.name for rule in fields(Rules))


def _rules(pattern: str, usual: dict[str, Any], table: Mapping[str, Any]) -> Rules:
    """The rules of one table."""
    for name in table:
        if name not in _RULES:
            raise ValueError(f"rules.{pattern!r}: there is no rule {name}{no_such(name, _RULES)}")
    try:
        return TypeAdapter(Rules).validate_python(usual | dict(table))
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        shown = f"{name} = {problem['input']!r}: " if name else ""
        raise ValueError(f"rules.{pattern!r}: {shown}{reason(problem)}") from None
