"""What all groups of settings and tables in ``cutwater.toml`` have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import orjson
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo

from service.settings.sources import read_secret


class Table(BaseModel):
    """A table of settings: unknown names and wrong values are refused, and nothing changes afterwards.

    A secret may also be given as NAME_file, the name of a file that holds it, a list as ``a,b``, tables as JSON.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _secrets_in_files(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        secrets = {f"{name}_file": name for name, field in cls.model_fields.items() if holds_secret(field.annotation)}
        return {
            secrets.get(name, name): read_secret(name, value) if name in secrets else value
            for name, value in values.items()
        }

    @field_validator("*", mode="before")
    @classmethod
    def _from_text(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[str(info.field_name)]
        if not isinstance(value, str):
            return value
        if holds_list(field.annotation):
            return [word.strip() for word in value.split(",") if word.strip()]
        if not holds_tables(field.annotation):
            return value
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError as error:
            example = f" such as {field.examples[0]}" if field.examples else ""
            raise ValueError(f"is not JSON{example}: {error}") from None


def tables(kind: Any) -> Iterator[type[Table]]:
    """The classes of tables in a field's type: one for a table, several for a union."""
    if isinstance(kind, type) and issubclass(kind, Table):
        yield kind
    for part in get_args(kind):
        yield from tables(part)


def sections(settings: type[Table]) -> Iterator[tuple[str, dict[str, FieldInfo]]]:
    """The fields by the group that they come from, in the order of the documentation, with the group's title."""
    for group in reversed([each for each in settings.__mro__ if issubclass(each, Table)]):
        above = {name for base in group.__bases__ if issubclass(base, Table) for name in base.model_fields}
        fields = {name: settings.model_fields[name] for name in group.model_fields if name not in above}
        if fields:
            yield group.model_config.get("title") or "", fields


def holds_tables(kind: Any) -> bool:
    """Whether a field's type is a table, or several."""
    return dict[str, dict[str, Any]] == kind or any(tables(kind))


def holds_list(kind: Any) -> bool:
    """Whether a field's type is a list of texts or numbers."""
    return not holds_tables(kind) and any(get_origin(part) is tuple for part in (kind, *get_args(kind)))


def holds_secret(kind: Any) -> bool:
    """Whether a field's type is a secret."""
    return kind is SecretStr or SecretStr in get_args(kind)


def holds_secrets(kind: Any) -> bool:
    """Whether a field's type is a secret, or has tables with secrets."""
    return holds_secret(kind) or any(
        holds_secrets(field.annotation) for table in tables(kind) for field in table.model_fields.values()
    )
