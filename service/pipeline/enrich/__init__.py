"""Adds to events what tables know of them: reference data, security groups, places.

A table is immutable, and its version is a hash of all that it was made of. So an event's document depends on the event
and on the version only, and says which it was. Nothing here reads a file, a clock or the network;
``service/source/tables.py`` loads tables, keeps their versions, and says when another one takes effect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

from service.pipeline.events import FieldType

Fields = dict[str, Any]
VERSION_FIELD = "enrichment.version"


class TableError(ValueError):
    """A table cannot be made of what it was given; the message says what is wrong."""


class Enricher(Protocol):
    """Adds fields to an event from one immutable table.

    Guarantee: total and pure. Whatever the event holds, no exception is raised; fields that the event has are never
    changed; what the table does not know is left out.

    Attributes:
        version: a hash of the table and of how it is read.
        mapping: every field that it may write, with its index type.
        aliases: names that older pipelines gave some of these, for queries.
    """

    version: str

    @property
    def mapping(self) -> Mapping[str, FieldType]:
        """See above."""
        ...

    @property
    def aliases(self) -> Mapping[str, str]:
        """See above."""
        ...

    def enrich(self, fields: Fields, time: int) -> None:
        """Add to an event's ``fields``, in place; ``time`` is the event's, in ms since 1970."""
        ...


class Enrichment:
    """Several enrichers, one after the other: later ones see what earlier ones have added.

    Attributes:
        version: names the version of each: ``users@0f3c5a9e,places@77ab01cd``; empty without enrichers.
    """

    def __init__(self, enrichers: Mapping[str, Enricher] | None = None) -> None:
        """``enrichers`` by the names of their tables, in the order in which they work."""
        self.enrichers = dict(enrichers or {})
        self.version = ",".join(f"{name}@{each.version}" for name, each in self.enrichers.items())
        self.mapping: dict[str, FieldType] = {VERSION_FIELD: "keyword"} if self.enrichers else {}
        self.aliases: dict[str, str] = {}
        for each in self.enrichers.values():
            self.mapping |= each.mapping
            self.aliases |= each.aliases
        self._steps = [each.enrich for each in self.enrichers.values()]

    def enrich(self, fields: Fields, time: int) -> None:
        """Add what all tables know of an event, and ``enrichment.version``, which says what they were."""
        for step in self._steps:
            step(fields, time)
        if self.version:
            fields[VERSION_FIELD] = self.version


def versions_of(version: str) -> dict[str, str]:
    """The version of each table in an ``enrichment.version``, by name. Raises TableError."""
    if not version:
        return {}
    pairs = [part.rpartition("@") for part in version.split(",")]
    if not all(name and digest for name, _, digest in pairs):
        raise TableError(f"{version!r} is no version of an enrichment, such as users@0f3c5a9e")
    return {name: digest for name, _, digest in pairs}


def digest(*parts: bytes | str) -> str:
    """A table's version: 16 hexadecimal digits of what it was made of."""
    whole = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big"))
        whole.update(data)
    return whole.hexdigest()
