"""Events: things that happened, told by records in some format, each a document of its own.

A carrier (CloudWatch Logs, EventBridge, a file of lines) holds messages; a format makes an event of each message. The
fields of an event are flat, dotted names of the Elastic Common Schema where it has one, so that events of all formats
can be searched and charted together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

FieldType = Literal[
    "keyword", "text", "stored", "long", "integer", "double", "boolean", "date", "ip", "geo_point", "object"
]
"""How the index holds a field. ``stored`` is text that is kept, but not searched; ``object`` is the free part: JSON
that is kept and searched, but never maps a name.
"""

TimeSource = Literal["event", "local", "envelope", "arrival"]
"""Where an event time comes from: the event itself; its local time, in a zone that is set; its carrier; its record."""

Message = str | Mapping[str, Any]
"""What a carrier holds for a format: a line of text, or a JSON object."""

PLACE_FIELDS = frozenset((
    "@timestamp", "enrichment.version", "event.created", "event.dataset", "event.id", "event.module",
    "event.time_source", "record_ordinal", "schema_version", "sequence_number", "shard", "stream",
    "sub_sequence_number",
))  # fmt: skip
"""What every event's document has besides the event's own fields: what it is of, and where that lies in the stream."""

_NONE: Mapping[str, str] = MappingProxyType({})


class Envelope(NamedTuple):
    """What the carrier says of a message; empty where it says nothing.

    Attributes:
        log_id: the carrier's own id of the message; delivered twice, it has the same.
        time: milliseconds since 1970.
        owner: the AWS account.
        log_group, log_stream: of CloudWatch Logs.
        region: of EventBridge.
        extracted: the fields that a filter of CloudWatch Logs has cut out of the message.
        source, detail_type: who sent an event to EventBridge, and what it calls its kind.
        resources: what an event of EventBridge says that it is about.
    """

    log_id: str = ""
    time: int | None = None
    owner: str = ""
    log_group: str = ""
    log_stream: str = ""
    region: str = ""
    extracted: Mapping[str, str] = _NONE
    source: str = ""
    detail_type: str = ""
    resources: tuple[str, ...] = ()


class Event(NamedTuple):
    """One thing that happened.

    Attributes:
        time: event time, milliseconds since 1970.
        fields: the document's own fields by flat dotted names: text, numbers, booleans, lists of these, and one JSON
            object where the format's mapping says ``object``.
        time_source: where the time comes from.
        identity: what the event's maker calls this one event, however often it is delivered; empty if nobody does.
            Two events with one identity are one document.
    """

    time: int
    fields: dict[str, Any]
    time_source: TimeSource = "event"
    identity: str = ""


def clash(names: Iterable[str]) -> str:
    """A name that would be a field as well as an object that holds another one; empty if there is none."""
    known = set(names)
    for name in sorted(known):
        parts = name.split(".")
        for count in range(1, len(parts)):
            if (outer := ".".join(parts[:count])) in known:
                return outer
    return ""


class EventFormat(Protocol):
    """Makes events of messages.

    Attributes:
        name: as in the documents' ``event.dataset``.
        mapping: every field that an event may have, with its type in the index. An event has no other field, and each
            value fits its type.
        aliases: the names that the fields have elsewhere, such as in old queries: alias to field.
    """

    name: str
    mapping: Mapping[str, FieldType]
    aliases: Mapping[str, str]

    def read(self, message: Message, envelope: Envelope, arrival: int) -> Event | None:
        """The event that a message tells; None if it is to be dropped quietly, and counted.

        Args:
            message: a line or a JSON object.
            envelope: what its carrier says of it.
            arrival: of its record, milliseconds since 1970.

        Raises:
            DecodeError: it is none.
        """
        ...
