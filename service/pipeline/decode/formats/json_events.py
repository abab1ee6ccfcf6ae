"""JSON objects whose fields are set: what becomes which field, of which type. The rest is the free part."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from service.pipeline.decode.decoded import DecodeError
from service.pipeline.decode.fields import find_field, plain_name
from service.pipeline.decode.formats.values import (
    FITTING,
    LOG_ALIASES,
    LOG_FIELDS,
    as_object,
    fit,
    free_part,
    identity_of,
)
from service.pipeline.decode.payloads import YEAR_2000
from service.pipeline.events import PLACE_FIELDS, Envelope, Event, FieldType, Message, TimeSource, clash
from service.pipeline.times import TimeError, parse_time, show

_NAME = re.compile(r"[A-Za-z@][\w@-]*(?:\.[\w@-]+)*", re.ASCII)


class JSONEvents:
    """Reads JSON objects by settings.

    A value that does not fit the type of its field stays where it was in the free part, ``record``, and
    ``record_unfit`` mentions the field. Without an event time in the object the carrier's counts, then the record's
    arrival.

    A line that is no object is read all the same if a filter of CloudWatch Logs has cut it into fields.

    Args:
        fields: names of the documents' fields, each with its type and the expression of its value; see ``find_field``.
        time: expression of the event time; empty if the objects have none.
        time_formats: of ``datetime.strptime``, tried before the usual forms of times.
        aliases: other names of fields, for queries.

    Raises:
        jmespath.exceptions.JMESPathError: an expression is none.
        ValueError: a name is none that a field may have.
    """

    name = "json"

    def __init__(
        self,
        fields: Mapping[str, tuple[FieldType, str]],
        time: str = "",
        *,
        time_formats: Sequence[str] = (),
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.mapping: Mapping[str, FieldType] = {
            **{name: kind for name, (kind, _) in fields.items()},
            **LOG_FIELDS,
            "event.kind": "keyword",
            "record": "object",
            "record_omitted": "keyword",
            "record_unfit": "keyword",
        }
        taken = {*LOG_FIELDS, *LOG_ALIASES, "event.kind", "record", "record_omitted", "record_unfit", *PLACE_FIELDS}
        if twice := taken & {*fields, *(aliases or {})}:
            raise ValueError(f"{', '.join(sorted(twice))}: what each document has is something else; name it otherwise")
        if wrong := [name for name in fields if not _NAME.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r} is no name of a field such as user.name")
        if outer := clash((*fields, *taken, *(aliases or {}))):
            raise ValueError(f"{outer} cannot be a field as well as the beginning of another one's name")
        self.aliases: Mapping[str, str] = {**(aliases or {}), **LOG_ALIASES}
        self._time, self._time_formats = time, time_formats
        self._find_time = find_field(time) if time else None
        self._columns = [
            (name, kind, FITTING[kind], plain_name(expression), find_field(expression))
            for name, (kind, expression) in fields.items()
        ]
        self._members = {plain_name(time), *(member for _, _, _, member, _ in self._columns)} - {""}

    def read(self, message: Message, envelope: Envelope, arrival: int) -> Event | None:
        """The event of an object. Raises DecodeError."""
        try:
            body = as_object(message)
        except DecodeError:
            if not envelope.extracted:
                raise
            body = envelope.extracted
        time, source = self._moment(body, envelope, arrival)
        fields: dict[str, Any] = {"event.kind": "event"}
        rest = {name: value for name, value in body.items() if name not in self._members}
        unfit = None
        for name, kind, fitting, member, find in self._columns:
            value = body.get(member) if member else find(body, body)
            if value is None:
                continue
            fitted = fit(value, kind) if type(value) is list else fitting(value)
            if fitted is not None:
                fields[name] = fitted
                continue
            if member:  # of others, what holds the value is there already
                rest[member] = value
            unfit = [*(unfit or ()), name]
        if envelope.owner or envelope.log_group:
            fields["cloud.account.id"] = envelope.owner
            fields["aws.cloudwatch.log_group"] = envelope.log_group
            fields["aws.cloudwatch.log_stream"] = envelope.log_stream
        if unfit:
            fields["record_unfit"] = unfit
        if rest:
            free_part(fields, rest)
        return Event(time, fields, source, identity_of(envelope, message))

    def _moment(self, body: Mapping[str, Any], envelope: Envelope, arrival: int) -> tuple[int, TimeSource]:
        found = self._find_time(body, body) if self._find_time else None
        if found is None:
            return (arrival, "arrival") if envelope.time is None else (envelope.time, "envelope")
        try:
            time = parse_time(found, self._time_formats)
        except TimeError as error:
            raise DecodeError("bad_time", f"{self._time}: {error}") from None
        if time < YEAR_2000:
            raise DecodeError("past_time", f"{self._time} = {show(found)} lies before the year 2000")
        return time, "event"
