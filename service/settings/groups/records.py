"""The settings of records and readings."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from service.pipeline.times import check_format
from service.settings.expressions import check_expression, split_commas
from service.settings.table import Table


class RecordSettings(Table):
    """Where a record holds its readings, and how they are written."""

    model_config = ConfigDict(title="Records")

    readings_field: str = ""
    """Where a record holds a list of readings (JMESPath), such as records. The other expressions then apply to each
    element; $ is the whole record, as in $.device. Without it each JSON object is a reading. See
    docs/how-to/record-format.md."""
    sensor_field: str = "iotName"
    """Where a reading names its sensor (JMESPath). Names with characters other than letters, digits and _ need quotes:
    '"device-id"'."""
    value_fields: dict[str, str] = Field({"iotValue": "iotValue"})
    """Where a reading holds its values: NAME=EXPRESSION, or only NAME if the field has that name."""
    numeric_text: Literal["refuse", "accept"] = "refuse"
    """Whether values may be text: a number such as "23.4" or "23,8", or a word for a missing one such as "n/a"."""
    value_units: dict[str, str] = Field({}, examples=["NAME=UNIT"])
    """Units of the values, shown to people, such as temperature=°C."""
    time_field: str = "iotTime"
    """Where a reading holds its event time: ISO 8601, or seconds, milli-, micro- or nanoseconds since 1970. Without the
    field, the record's arrival counts. For two fields write join(' ', [date, time])."""
    time_format: str = ""
    """Format of event times, if they are written otherwise, in the codes of Python's strptime: %d.%m.%Y %H:%M:%S is
    31.01.2026 12:00:00. Separate several with |. Without an offset (%z) times are UTC."""
    label_fields: dict[str, str] = Field({})
    """Record fields to copy into documents as text, named labels.NAME: NAME=EXPRESSION, such as site=plant.name."""
    max_future_seconds: float = Field(86400.0, ge=0)
    """How far an event time may lie after its record's arrival. Later ones become dead letters."""
    max_past_seconds: float = Field(0.0, ge=0)
    """How far an event time may lie before its record's arrival. 0: any time since 2000. Earlier ones become dead
    letters."""

    @field_validator("value_fields", "value_units", "label_fields", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        """Accept ``a,b=path.to.b`` and lists of such words besides a table."""
        if isinstance(value, str):
            value = [word for word in (part.strip() for part in split_commas(value)) if word]
        if isinstance(value, list):
            pairs = [str(word).partition("=") for word in value]
            names = [name.strip() for name, _, _ in pairs]
            if twice := next((name for name in names if names.count(name) > 1), ""):
                raise ValueError(f"names {twice} twice")
            value = {name.strip(): (expression or name).strip() for name, _, expression in pairs}
        return value

    @field_validator("value_fields", "label_fields")
    @classmethod
    def _some_values(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        least = 1 if info.field_name == "value_fields" else 0
        if not least <= len(value) <= 30:
            raise ValueError(f"needs {least} to 30 fields, not {len(value)}")
        for name, expression in value.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"{name!r} cannot name a value in documents; write for example value={expression}")
            check_expression(expression)
        return value

    @model_validator(mode="after")
    def _units_of_values(self) -> Self:
        for name in self.value_units:
            if name not in self.value_fields:
                known = ", ".join(self.value_fields)
                raise ValueError(f"value_units: there is no value {name}; value_fields has {known}")
        return self

    @field_validator("sensor_field", "time_field", "readings_field")
    @classmethod
    def _expression(cls, value: str, info: ValidationInfo) -> str:
        if value or info.field_name != "readings_field":
            check_expression(value)
        return value

    @field_validator("time_format")
    @classmethod
    def _some_formats(cls, value: str) -> str:
        for format_ in _formats(value):
            check_format(format_)
        return value

    @property
    def time_formats(self) -> list[str]:
        """The formats in ``time_format``."""
        return _formats(self.time_format)


def _formats(text: str) -> list[str]:
    return [part.strip() for part in text.split("|") if part.strip()]
