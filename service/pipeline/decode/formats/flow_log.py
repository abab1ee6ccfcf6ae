"""VPC flow logs and transit gateway flow logs, versions 2 to 8, in the default format or a custom one.

A line's version is the highest of its fields, so it does not tell the format: that is what the flow log was made with.
A header line, as in the files in S3, says it for the lines after it in the same record. Lines in the default format of
network interfaces or of transit gateways are read beside those of a custom format. Lines of NODATA and SKIPDATA become
documents: they tell how complete the logs are. Field names that are not known here pass as text into the free part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from service.pipeline.decode.decoded import DecodeError
from service.pipeline.decode.event_decoder import FormatFoundError
from service.pipeline.decode.fields import describe
from service.pipeline.decode.formats.values import (
    LARGEST_LONG,
    LOG_ALIASES,
    LOG_FIELDS,
    as_object,
    free_part,
    identity_of,
    is_address,
    iso,
)
from service.pipeline.events import Envelope, Event, FieldType, Message, TimeSource
from service.pipeline.times import TimeError, parse_time

DEFAULT_FORMAT = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
_GATEWAY_FORMAT = (
    "version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id "
    "tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id "
    "tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end log-status "
    "type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags "
    "region flow-direction pkt-src-aws-service pkt-dst-aws-service"
)
_MS_FROM = 10**11  # seconds of the year 5138, milliseconds of 1973
_LATEST = 253_402_300_800_000  # the year 10000
_NAME = re.compile(r"\$\{([^{}\s]+)\}|([^\s{}$,]+)")
_TRANSPORTS = {
    "1": "icmp", "2": "igmp", "6": "tcp", "17": "udp", "41": "ipv6", "47": "gre", "50": "esp", "51": "ah",
    "58": "ipv6-icmp", "89": "ospf", "112": "vrrp", "132": "sctp",
}  # fmt: skip


def _text(text: str) -> str:
    return text


def _number(largest: int) -> Callable[[str], int]:
    """A whole number up to ``largest``."""

    def read(text: str) -> int:
        if text.isdigit() and len(text) < 20 and (number := int(text)) <= largest:
            return number
        raise ValueError(f"no whole number up to {largest}")

    return read


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError("not an address")
    return text


def _one_of(*words: str) -> Callable[[str], str]:
    known = frozenset(words)

    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"none of {', '.join(words)}")
        return text

    return read


@lru_cache(maxsize=8192)
def _seconds(text: str) -> int:
    """A time in seconds, or in milliseconds as some flow logs have it, as milliseconds."""
    if not text.isdigit():
        try:
            return parse_time(text)  # as tools write it that make JSON of lines
        except TimeError:
            raise ValueError("no time") from None
    number = _NUMBER(text)
    time = number if number >= _MS_FROM else number * 1000
    if time >= _LATEST:
        raise ValueError("no time")
    return time


_NUMBER, _PORT, _SMALL = _number(LARGEST_LONG), _number(65535), _number(2**31 - 1)
_PROTOCOL = _number(255)


@lru_cache(maxsize=256)
def _protocol(text: str) -> str:
    return str(_PROTOCOL(text))


_Read = Callable[[str], Any]
_KINDS: dict[str, tuple[FieldType, _Read]] = {
    "text": ("keyword", _text),
    "long": ("long", _NUMBER),
    "integer": ("integer", _SMALL),
    "port": ("integer", _PORT),
    "ip": ("ip", _address),
    "protocol": ("keyword", _protocol),
    "time": ("date", _seconds),
    "action": ("keyword", _one_of("ACCEPT", "REJECT")),
    "status": ("keyword", _one_of("OK", "NODATA", "SKIPDATA")),
}

# Every known field of a line: the document's field (by default under aws.vpcflow) and its kind.
_FIELDS: dict[str, tuple[str, str]] = {
    "version": ("", "integer"),
    "account-id": ("cloud.account.id", "text"),
    "interface-id": ("", "text"),
    "srcaddr": ("source.ip", "ip"),
    "dstaddr": ("destination.ip", "ip"),
    "srcport": ("source.port", "port"),
    "dstport": ("destination.port", "port"),
    "protocol": ("network.iana_number", "protocol"),
    "packets": ("network.packets", "long"),
    "bytes": ("network.bytes", "long"),
    "start": ("event.start", "time"),
    "end": ("event.end", "time"),
    "action": ("event.action", "action"),
    "log-status": ("", "status"),
    "vpc-id": ("", "text"),
    "subnet-id": ("", "text"),
    "instance-id": ("cloud.instance.id", "text"),
    "tcp-flags": ("", "integer"),
    "type": ("", "text"),
    "pkt-srcaddr": ("", "ip"),
    "pkt-dstaddr": ("", "ip"),
    "region": ("cloud.region", "text"),
    "az-id": ("", "text"),
    "sublocation-type": ("", "text"),
    "sublocation-id": ("", "text"),
    "pkt-src-aws-service": ("", "text"),
    "pkt-dst-aws-service": ("", "text"),
    "flow-direction": ("", "text"),
    "traffic-path": ("", "integer"),
    "resource-type": ("", "text"),
    "tgw-id": ("", "text"),
    "tgw-attachment-id": ("", "text"),
    **{
        f"tgw-{side}-{what}": ("", "text")
        for side in ("src", "dst")
        for what in ("vpc-account-id", "vpc-id", "subnet-id", "eni", "az-id")
    },
    "tgw-pair-attachment-id": ("", "text"),
    **{f"packets-lost-{why}": ("", "long") for why in ("no-route", "blackhole", "mtu-exceeded", "ttl-expired")},
    **{
        f"ecs-{what}": ("", "text")
        for what in (
            "cluster-arn", "cluster-name", "container-instance-arn", "container-instance-id", "container-id",
            "second-container-id", "service-name", "task-definition-arn", "task-arn", "task-id",
        )
    },
    "reject-reason": ("", "text"),
    "resource-id": ("", "text"),
    "encryption-status": ("", "text"),
}  # fmt: skip
_TARGETS = {
    name: (field or f"aws.vpcflow.{name.replace('-', '_')}", *_KINDS[kind]) for name, (field, kind) in _FIELDS.items()
}
_OTHER_NAMES = {"destaddr": "dstaddr"}  # in documents of older pipelines
_Columns = Sequence[tuple[str, _Read | None]]


def _columns_of(names: Sequence[str]) -> _Columns:
    """The document's field and the reader of each; the name itself and None if it is not known."""
    return [(_TARGETS[name][0], _TARGETS[name][2]) if name in _TARGETS else (name, None) for name in names]


# The default formats by their number of fields, with what a line in them begins with.
_DEFAULTS = {
    len(format_.split()): (begin, _columns_of(format_.split()))
    for begin, format_ in ((("2",), DEFAULT_FORMAT), (("6", "TransitGateway"), _GATEWAY_FORMAT))
}


class FlowLog:
    """Reads flow log lines; also JSON objects that hold one as ``message``, or its fields by their names.

    A line of another format is read if a filter of CloudWatch Logs has cut it into fields with the names of a flow's.

    The event time is ``end``, else ``start``, the carrier's time, the record's arrival.

    Args:
        format_: the flow log's LogFormat: names of fields with or without ``${}``; empty for the default format, which
            is of version 2 only.
    """

    name = "flow-log"
    mapping: Mapping[str, FieldType] = {
        **{field: kind for field, kind, _ in _TARGETS.values()},
        **LOG_FIELDS,
        "event.kind": "keyword",
        "network.transport": "keyword",
        "record": "object",
        "record_omitted": "keyword",
    }
    aliases: Mapping[str, str] = {
        **{name: field for name, (field, _, _) in _TARGETS.items()},
        **{name.replace("-", "_"): field for name, (field, _, _) in _TARGETS.items()},
        "destaddr": "destination.ip",
        **LOG_ALIASES,
    }

    def __init__(self, format_: str = "") -> None:
        names = field_names(format_ or DEFAULT_FORMAT)
        self._is_default = not format_
        self._first = names[0]
        self._columns = _columns_of(names)

    def read(self, message: Message, envelope: Envelope, arrival: int) -> Event | None:
        """The event of a line. Raises DecodeError, or FormatFoundError for a header line."""
        if not isinstance(message, str) or message.startswith("{"):
            body = as_object(message)
            line = body.get("message")
            if type(line) is not str:
                return self._event(_of_members(body), message, envelope, arrival)
            message = line
        tokens = (message if message.isascii() else _no_other_digits(message)).split()
        if len(tokens) != len(self._columns) or tokens[0] == self._first:
            return self._of_other_line(tokens, message, envelope, arrival)
        try:
            fields = _fields(self._columns, tokens)
        except DecodeError:
            if _header(tokens):
                raise self._why_not(tokens) from None
            raise
        if self._is_default and tokens[0] != "2":
            raise DecodeError(
                "unknown_format",
                f"{_shown(tokens)} is of version {tokens[0]}, so of a custom format: set flow_log_format",
            )
        return self._event(fields, message, envelope, arrival)

    def _of_other_line(self, tokens: list[str], message: str, envelope: Envelope, arrival: int) -> Event:
        """The event of a line that has not as many fields as the format. Raises DecodeError."""
        if len(envelope.extracted) == len(tokens) > 2 and not _header(tokens):
            return self._event(_of_members(envelope.extracted), message, envelope, arrival)
        begin, columns = _DEFAULTS.get(len(tokens), ((), ()))
        if columns and tuple(tokens[: len(begin)]) == begin:
            return self._event(_fields(columns, tokens), message, envelope, arrival)
        if len(tokens) > 2 and (time := _exported_at(tokens[0])) is not None:
            rest = " ".join(tokens[1:])
            found = self.read(rest, envelope._replace(time=time if envelope.time is None else envelope.time), arrival)
            assert found is not None
            return found
        raise self._why_not(tokens)

    def _event(self, fields: dict[str, Any], message: Message, envelope: Envelope, arrival: int) -> Event:
        """With what can be told besides: its time, the protocol's name, where it was logged."""
        start, end = fields.get("event.start"), fields.get("event.end")
        if start is not None:
            fields["event.start"] = iso(start)
        if end is not None:
            fields["event.end"] = iso(end)
        source: TimeSource = "event"
        time = start if end is None else end
        if time is None:
            time, source = (arrival, "arrival") if envelope.time is None else (envelope.time, "envelope")
        fields["event.kind"] = "event"
        number = fields.get("network.iana_number")
        if number in _TRANSPORTS:
            fields["network.transport"] = _TRANSPORTS[number]
        if envelope.owner and "cloud.account.id" not in fields:
            fields["cloud.account.id"] = envelope.owner
        if envelope.log_group:
            fields["aws.cloudwatch.log_group"] = envelope.log_group
        if envelope.log_stream:
            fields["aws.cloudwatch.log_stream"] = envelope.log_stream
        return Event(time, fields, source, identity_of(envelope, message))

    def _why_not(self, tokens: Sequence[str]) -> DecodeError:
        """Why a line is none, if it is no header line."""
        if header := _header(tokens):
            return FormatFoundError(FlowLog(" ".join(header)))
        if not tokens:
            return DecodeError("empty", "an empty line")
        remedy = "; for a custom format set flow_log_format" if self._is_default else ", as flow_log_format has"
        return DecodeError(
            "unknown_format", f"{_shown(tokens)} has {len(tokens)} fields and not {len(self._columns)}{remedy}"
        )


def field_names(format_: str) -> list[str]:
    """The names of a LogFormat's fields. Raises ValueError if it is none."""
    names = [braced or bare for braced, bare in _NAME.findall(format_)]
    if not names or re.sub(r"[\s,]", "", _NAME.sub("", format_)):
        raise ValueError(f"{format_!r} names no fields such as ${{srcaddr}} ${{dstaddr}}")
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{', '.join(sorted(twice))} is there twice")
    return names


def _no_other_digits(text: str) -> str:
    """The text if its digits are ASCII. Raises DecodeError: Python would take others for numbers."""
    if not text.isascii() and any(letter.isdigit() and not letter.isascii() for letter in text):
        raise DecodeError("bad_value", f"{describe(text)} has digits that are not those of ASCII")
    return text


def _header(tokens: Sequence[str]) -> list[str]:
    """The names of fields that these are; none unless most of them are known, and none is such as no field has."""
    if not 1 < len(tokens) < 1000 or len(tokens[0]) > 100 or not re.search("[a-z]{2}", tokens[0], re.IGNORECASE):
        return []
    names = [re.sub(r"^\$\{(.*)\}$", r"\1", token.strip("\"',")).lower().replace("_", "-") for token in tokens]
    known = sum(name in _TARGETS for name in names)
    if len(set(names)) < len(names) or 2 * known <= len(names):
        return []
    return names if all(re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", name) for name in names) else []


def _exported_at(token: str) -> int | None:
    """The time that CloudWatch Logs puts before a line that it exports; None if it is none."""
    if len(token) < 19 or token[4:5] != "-" or token[10:11] != "T":
        return None
    try:
        return parse_time(token)
    except TimeError:
        return None


def _fields(columns: _Columns, tokens: Sequence[str], others: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The fields of a line; ``others`` are for the free part. Raises DecodeError."""
    fields: dict[str, Any] = {}
    rest: dict[str, Any] | None = dict(others) if others else None
    try:
        for (field, read), token in zip(columns, tokens, strict=True):
            if token == "-":
                continue
            if read is None:
                if rest is None:
                    rest = {}
                rest[field] = token
            else:
                fields[field] = read(token)
    except ValueError as error:
        reason = f"{field} = {describe(token)} is {error}; is flow_log_format right?"
        raise DecodeError("bad_value", reason) from None
    if not fields and not rest:
        raise DecodeError("empty", "every field is -")
    if rest:
        free_part(fields, rest)
    return fields


def _of_members(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a JSON object whose members are a flow's. Raises DecodeError if they are not."""
    names, tokens = [], []
    others: dict[str, Any] = {}
    for name, value in body.items():
        if value is None:
            continue
        plain = name.replace("_", "-")
        plain = _OTHER_NAMES.get(plain, plain)
        if plain in _TARGETS and plain not in names:
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise DecodeError("bad_value", f"{name[:60]} is {describe(value)}, which no field of a flow log is")
            names.append(plain)
            whole = isinstance(value, float) and value.is_integer()
            tokens.append(_no_other_digits(str(int(value) if whole else value)))
        else:
            others[name] = value
    if len(names) < 3:
        raise DecodeError("unknown_format", "a JSON object without a flow log line as its message, or its fields")
    return _fields(_columns_of(names), tokens, others)


def _shown(tokens: Sequence[str]) -> str:
    text = " ".join(tokens[:6])
    return repr(text if len(tokens) <= 6 and len(text) <= 60 else text[:59] + "…")
