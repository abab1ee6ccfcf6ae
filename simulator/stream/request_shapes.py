"""What the members of a request must look like, and how AWS words it when they don't.

A wrong JSON type is a SerializationException. Everything else that a member's description forbids is collected and
answered with one ValidationException.

Source: the description of the API that botocore brings.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from simulator.stream.api_model import SERVICE
from simulator.stream.errors import KinesisError

MOST = 2**31 - 1  # of an integer, or of items, where the description has no limit


class Member(Protocol):
    """One member of a request."""

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """Append to ``problems`` what is wrong with the value. Raises KinesisError if its JSON type is wrong."""


@dataclass(frozen=True)
class Text:
    """A string, by its length in characters, a pattern, or the values allowed."""

    least: int = 0
    most: int | None = None
    pattern: re.Pattern[str] | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if not isinstance(value, str):
            raise _wrong_type(value, "a String")
        if len(value) < self.least:
            _add(problems, path, value, f"Member must have length greater than or equal to {self.least}")
        if self.most is not None and len(value) > self.most:
            _add(problems, path, value, f"Member must have length less than or equal to {self.most}")
        if self.pattern and not self.pattern.fullmatch(value):
            _add(problems, path, value, f"Member must satisfy regular expression pattern: {self.pattern.pattern}")
        if self.choices and value not in self.choices:
            _add(problems, path, value, f"Member must satisfy enum value set: [{', '.join(self.choices)}]")


@dataclass(frozen=True)
class Number:
    """An integer and its bounds."""

    least: int
    most: int

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(value, "an Integer")
        if value < self.least:
            _add(problems, path, value, f"Member must have value greater than or equal to {self.least}")
        if value > self.most:
            _add(problems, path, value, f"Member must have value less than or equal to {self.most}")


@dataclass(frozen=True)
class Moment:
    """A time, in seconds since 1970."""

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(value, "milliseconds since epoch")


@dataclass(frozen=True)
class Flag:
    """A boolean."""

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if not isinstance(value, bool):
            raise _wrong_type(value, "a Boolean")


@dataclass(frozen=True)
class Blob:
    """Bytes in base64, by their number."""

    most: int

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if not isinstance(value, str):
            raise _wrong_type(value, "a Blob")
        size = len(decode_blob(value))
        if size > self.most:
            buffer = f"java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]"
            _add(problems, path, buffer, f"Member must have length less than or equal to {self.most}")


@dataclass(frozen=True)
class Structure:
    """An object with named members; others are ignored, as AWS does."""

    members: Mapping[str, Member]
    required: tuple[str, ...] = ()

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if not isinstance(value, dict):
            raise _wrong_type(value, "a Structure")
        for name, member in self.members.items():
            place = f"{path}.{_lower(name)}" if path else _lower(name)
            found = value.get(name)
            if found is not None:
                member.check(found, place, problems)
            elif name in self.required:
                problems.append(f"Value null at '{place}' failed to satisfy constraint: Member must not be null")


@dataclass(frozen=True)
class Items:
    """A list, by its length."""

    of: Member
    least: int
    most: int
    path: str = field(default="member", init=False)

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if not isinstance(value, list):
            raise _wrong_type(value, "a List")
        if len(value) < self.least:
            _add(problems, path, "[]", f"Member must have length greater than or equal to {self.least}")
        if len(value) > self.most:
            _add(problems, path, f"[{len(value)} items]", f"Member must have length less than or equal to {self.most}")
        for number, item in enumerate(value, start=1):
            self.of.check(item, f"{path}.{number}.{self.path}", problems)


@dataclass(frozen=True)
class Pairs:
    """A map of texts, by its length."""

    key: Member
    value: Member
    least: int
    most: int

    def check(self, value: Any, path: str, problems: list[str]) -> None:
        """See Member."""
        if not isinstance(value, dict):
            raise _wrong_type(value, "a Map")
        if not self.least <= len(value) <= self.most:
            rule = f"Member must have length between {self.least} and {self.most}"
            _add(problems, path, f"[{len(value)} entries]", rule)
        for name, item in value.items():
            self.key.check(name, f"{path}.key", problems)
            self.value.check(item, f"{path}.{name}.member", problems)


def validate(shape: Structure, request: dict[str, Any]) -> None:
    """Raises KinesisError: SerializationException or ValidationException."""
    problems: list[str] = []
    shape.check(request, "", problems)
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected: "
        raise KinesisError("ValidationException", count + "; ".join(problems[:10]))


def decode_blob(text: str) -> bytes:
    """The bytes of a blob. Raises KinesisError (SerializationException) if it is not base64."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:  # binascii.Error, or text that is not ASCII
        raise KinesisError("SerializationException", f"STRING_VALUE can not be converted to a Blob: {error}") from None


def _wrong_type(value: Any, wanted: str) -> KinesisError:
    given = {
        type(None): "NULL",
        bool: "BOOLEAN",
        int: "NUMBER",
        float: "NUMBER",
        str: "STRING",
        list: "LIST",
        dict: "STRUCTURE",
    }
    return KinesisError(
        "SerializationException", f"{given.get(type(value), 'OTHER')}_VALUE can not be converted to {wanted}"
    )


def _add(problems: list[str], path: str, value: object, rule: str) -> None:
    problems.append(f"Value '{value}' at '{path}' failed to satisfy constraint: {rule}")


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _member(shape: Any) -> Member:
    """The check of a shape of botocore's model."""
    limits = shape.metadata
    match shape.type_name:
        case "structure":
            return _structure(shape)
        case "string":
            pattern = re.compile(limits["pattern"]) if "pattern" in limits else None
            return Text(limits.get("min", 0), limits.get("max"), pattern, tuple(limits.get("enum", ())))
        case "integer":
            return Number(limits.get("min", -MOST - 1), limits.get("max", MOST))
        case "boolean":
            return Flag()
        case "timestamp":
            return Moment()
        case "blob":
            return Blob(limits["max"])
        case "list":
            return Items(_member(shape.member), limits.get("min", 0), limits.get("max", MOST))
        case "map":
            return Pairs(_member(shape.key), _member(shape.value), limits["min"], limits["max"])
    raise NotImplementedError(shape.type_name)


def _structure(shape: Any) -> Structure:
    members = {name: _member(each) for name, each in shape.members.items()}
    required = tuple(shape.required_members)
    if "PartitionKey" in members:  # the model leaves it out for clients that write to a channel
        required = tuple(dict.fromkeys((*required, "PartitionKey")))
    if "ShardIterator" in members:  # GetRecords refuses more records than it gives with another error
        members["Limit"] = Number(1, MOST)
    return Structure(members, required)


REQUESTS: dict[str, Structure] = {
    name: _structure(shape) if (shape := SERVICE.operation_model(name).input_shape) else Structure({})
    for name in SERVICE.operation_names
}
