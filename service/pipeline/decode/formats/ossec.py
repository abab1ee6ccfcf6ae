"""Alerts of OSSEC (2.9 to 3, as JSON and as alerts.log), of the first Wazuh, and of Wazuh 3 and 4.

The same thing has other names and other types in each of them; here it has one. What no field holds is the free part,
and the text of the whole alert is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from service.pipeline.decode import alerts_log
from service.pipeline.decode.decoded import DecodeError
from service.pipeline.decode.fields import describe
from service.pipeline.decode.formats.values import (
    LOG_ALIASES,
    LOG_FIELDS,
    as_object,
    fit,
    free_part,
    identity_of,
    is_address,
    log_fields,
    text_of,
)
from service.pipeline.decode.payloads import YEAR_2000
from service.pipeline.events import Envelope, Event, FieldType, Message, TimeSource
from service.pipeline.times import TimeError, parse_time

_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_LOCAL = re.compile(r"(\d{4}) ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)", re.ASCII)
_SECONDS = re.compile(r"(\d{9,10})\.\d+", re.ASCII)
# Paths in alerts of any kind, in the order in which they are looked for, with the fields that they become.
_FIELDS: tuple[tuple[str, FieldType, tuple[str, ...]], ...] = (
    ("message", "text", ("full_log",)),
    ("rule.description", "keyword", ("rule.description", "rule.comment", "comment")),
    ("rule.frequency", "long", ("rule.frequency",)),
    ("rule.firedtimes", "long", ("rule.firedtimes",)),
    ("rule.cve", "keyword", ("rule.cve",)),
    ("rule.reference", "keyword", ("rule.info",)),
    ("rule.mitre.id", "keyword", ("rule.mitre.id",)),
    ("rule.mitre.tactic", "keyword", ("rule.mitre.tactic",)),
    ("rule.mitre.technique", "keyword", ("rule.mitre.technique",)),
    ("rule.compliance.pci_dss", "keyword", ("rule.pci_dss", "rule.PCI_DSS")),
    ("rule.compliance.cis", "keyword", ("rule.cis", "rule.CIS")),
    ("rule.compliance.gdpr", "keyword", ("rule.gdpr",)),
    ("rule.compliance.gpg13", "keyword", ("rule.gpg13",)),
    ("rule.compliance.hipaa", "keyword", ("rule.hipaa",)),
    ("rule.compliance.nist_800_53", "keyword", ("rule.nist_800_53",)),
    ("rule.compliance.tsc", "keyword", ("rule.tsc",)),
    ("source.port", "integer", ("srcport", "data.srcport")),
    ("source.user.name", "keyword", ("srcuser", "data.srcuser")),
    ("destination.port", "integer", ("dstport", "data.dstport")),
    ("user.name", "keyword", ("dstuser", "data.dstuser", "user", "data.win.eventdata.targetUserName")),
    ("event.action", "keyword", ("action", "data.action")),
    ("network.protocol", "keyword", ("protocol", "data.protocol")),
    ("process.name", "keyword", ("program_name", "predecoder.program_name")),
    ("process.command_line", "keyword", ("command", "data.command")),
    ("file.path", "keyword", ("SyscheckFile.path", "syscheck.path", "file.path")),
    ("file.hash.md5", "keyword", ("SyscheckFile.md5_after", "syscheck.md5_after", "file.md5_after")),
    ("file.hash.sha1", "keyword", ("SyscheckFile.sha1_after", "syscheck.sha1_after", "file.sha1_after")),
    ("file.hash.sha256", "keyword", ("SyscheckFile.sha256_after", "syscheck.sha256_after")),
    ("agent.id", "keyword", ("agent.id",)),
    ("observer.name", "keyword", ("manager.name",)),
    ("ossec.id", "keyword", ("id",)),
    ("ossec.decoder", "keyword", ("decoder.name", "decoder")),
    ("ossec.decoder_parent", "keyword", ("decoder.parent", "decoder_parent")),
    ("ossec.status", "keyword", ("status", "data.status")),
    ("ossec.url", "keyword", ("url", "data.url")),
    ("ossec.data", "keyword", ("data",)),
    ("ossec.system_name", "keyword", ("systemname", "data.system_name")),
    ("ossec.previous_output", "text", ("previous_output",)),
    ("ossec.source_place", "keyword", ("srcgeoip",)),
    ("ossec.destination_place", "keyword", ("dstgeoip",)),
)
_ADDRESSES = (
    (
        "source",
        (
            "srcip",
            "data.srcip",
            "data.win.eventdata.ipAddress",
            "data.aws.sourceIPAddress",
            "data.aws.source_ip_address",
        ),
    ),
    ("destination", ("dstip", "data.dstip")),
)
_NOWHERE = ("", "-", "(none)")
_PATHS = [
    (field, kind, [(path, path.split(".")[0], path.split(".")[1:]) for path in paths]) for field, kind, paths in _FIELDS
]
_NAMES_IN = {
    outer: frozenset(path.split(".")[bool(outer)] for *_, paths in _FIELDS for path in paths
                     if path.startswith(f"{outer}." if outer else ""))
    for outer in ("", "rule", "data")
}  # fmt: skip


class OSSEC:
    """Reads alerts.

    The event time is the first of these that the alert has: ``TimeStamp``; ``timestamp`` if it names a zone, or in the
    zone that is set; the seconds in ``id``; the carrier's time; the record's arrival.

    Args:
        zone: the time zone of the hosts' clocks, such as Europe/Berlin, for times without one; empty if it is not
            known.

    Raises:
        ValueError: there is no such zone.
    """

    name = "ossec"
    mapping: Mapping[str, FieldType] = {
        **{field: kind for field, kind, _ in _FIELDS},
        **LOG_FIELDS,
        "aws.cloudwatch.event_id": "keyword",
        "rule.id": "keyword",
        "rule.level": "integer",
        "rule.groups": "keyword",
        "source.ip": "ip",
        "source.domain": "keyword",
        "destination.ip": "ip",
        "destination.domain": "keyword",
        "host.name": "keyword",
        "host.hostname": "keyword",
        "host.id": "keyword",
        "host.ip": "ip",
        "agent.name": "keyword",
        "log.file.path": "keyword",
        "ossec.location": "keyword",
        "event.kind": "keyword",
        "event.original": "text",
        "record": "object",
        "record_omitted": "keyword",
    }
    aliases: Mapping[str, str] = {
        **{
            path: field
            for field, _, paths in _FIELDS
            for path in paths
            if path not in ("data", "comment", "user", "file.path", "decoder.name", "decoder.parent") and path != field
        },
        "rule.sidid": "rule.id",
        "rule.group": "rule.groups",
        "srcip": "source.ip",
        "dstip": "destination.ip",
        "data.srcip": "source.ip",
        "data.dstip": "destination.ip",
        "hostname": "host.hostname",
        "predecoder.hostname": "host.hostname",
        "agent_name": "agent.name",
        "agentip": "host.ip",
        "agent.ip": "host.ip",
        "location": "ossec.location",
        "logfile": "log.file.path",
        "TimeStamp": "@timestamp",
        "timestamp": "@timestamp",
        "@id": "aws.cloudwatch.event_id",
        "@message": "event.original",
        **LOG_ALIASES,
    }

    def __init__(self, zone: str = "") -> None:
        try:
            self._zone = ZoneInfo(zone) if zone else None
        except (OSError, ValueError, KeyError):
            raise ValueError(f"there is no time zone {zone!r} here; one is called Europe/Berlin") from None

    def read(self, message: Message, envelope: Envelope, arrival: int) -> Event | None:
        """The event of an alert. Raises DecodeError."""
        body, original = _alert(message), text_of(message)
        rest = dict(body)
        fields = log_fields(envelope)
        fields["event.kind"] = "alert"
        fields["event.original"] = original
        _add_rule(fields, rest)
        known, rule, data = _NAMES_IN[""], rest["rule"], rest.get("data")
        for field, kind, paths in _paths_of(
            known.intersection(rest),
            _NAMES_IN["rule"].intersection(rule),
            _NAMES_IN["data"].intersection(data) if type(data) is dict else frozenset(),
        ):
            for path, first, others in paths:
                if (value := rest.get(first)) is None or value == "":
                    continue
                for name in others:
                    value = value.get(name) if type(value) is dict else None
                if value is not None and (fitting := fit(value, kind)) is not None and fitting != []:
                    fields[field] = fitting
                    _take(rest, path)
                    break
        _add_addresses(fields, rest)
        _add_host(fields, rest, envelope)
        time, source = self._time(body, envelope, arrival)
        if source in ("event", "local"):
            _take(rest, "TimeStamp")
        if envelope.log_id:
            fields["aws.cloudwatch.event_id"] = envelope.log_id
        free_part(fields, {name: value for name, value in rest.items() if value not in ({}, [], None)})
        return Event(time, fields, source, identity_of(envelope, message))

    def _time(self, body: Mapping[str, Any], envelope: Envelope, arrival: int) -> tuple[int, TimeSource]:
        """See above. Raises DecodeError if what should be a time is none."""
        stamp = body.get("TimeStamp")
        if stamp is not None:
            return _parsed("TimeStamp", stamp), "event"
        text, seconds = body.get("timestamp") or None, body.get("id")
        local = _LOCAL.fullmatch(text.strip()) if type(text) is str else None
        if text is not None and local is None:
            return _parsed("timestamp", text), "event"
        if local and self._zone:
            return _local(local, self._zone), "local"
        if type(seconds) is str and (found := _SECONDS.fullmatch(seconds)) and int(found[1]) * 1000 >= YEAR_2000:
            return int(found[1]) * 1000, "event"
        return (arrival, "arrival") if envelope.time is None else (envelope.time, "envelope")


@lru_cache(maxsize=1024)
def _paths_of(names: frozenset[str], rule: frozenset[str], data: frozenset[str]) -> list[Any]:
    """Those of ``_PATHS`` that alerts with these names can have; most alerts of a stream have the same."""
    inside = {"rule": rule, "data": data}
    found = []
    for field, kind, paths in _PATHS:
        there = [
            (path, first, others) for path, first, others in paths
            if first in names and (not others or first not in inside or others[0] in inside[first])
        ]  # fmt: skip
        if there:
            found.append((field, kind, there))
    return found


def _alert(message: Message) -> Mapping[str, Any]:
    """The alert that a message is, or that stands in it behind something else. Raises DecodeError."""
    if isinstance(message, str):
        if message.startswith(alerts_log.BEGIN):
            return alerts_log.parse(message)
        if not message.lstrip().startswith("{"):
            begin = message.find('{"')
            if begin < 0:
                if alerts_log.is_part(message.strip()):
                    remedy = "alerts.json, or have the agent send alerts of several lines as one event"
                    raise DecodeError("not_an_alert", f"a line of an alert whose beginning is elsewhere; send {remedy}")
                raise DecodeError("not_an_alert", f"{describe(message.strip())} holds no JSON, and is no alert")
            message = message[begin:]
    body = as_object(message)
    if not _is_alert(body):
        if type(inner := body.get("message")) is str and "rule" not in body:  # as an agent wraps a line
            begins = inner.startswith(alerts_log.BEGIN)
            inner_body = alerts_log.parse(inner) if begins else as_object(inner)
            if _is_alert(inner_body):
                return inner_body
        if type(source := body.get("_source")) is dict and _is_alert(source):  # as an index exports it
            return source
        names = ", ".join(sorted(body)[:5])[:200]
        raise DecodeError("not_an_alert", f"a JSON object without a rule, so no alert; its names: {names}")
    return body


def _is_alert(body: Mapping[str, Any]) -> bool:
    rule = body.get("rule")
    if type(rule) is dict:
        return any(name in rule for name in ("sidid", "id", "level", "comment", "description"))
    return type(rule) in (int, str) and ("level" in body or "comment" in body)


def _add_rule(fields: dict[str, Any], rest: dict[str, Any]) -> None:
    """Level, id and groups; the level is left out where it is 0. Raises DecodeError."""
    if type(rest["rule"]) is not dict:  # the oldest form: the rule's number beside the rest
        rest["rule"] = {"id": rest["rule"], "level": rest.pop("level", 0)}
    rule = rest["rule"] = dict(rest["rule"])
    level = rule.pop("level", 0)
    number = fit(0 if level is None else level, "integer")
    if number is None or type(number) is list or not 0 <= number <= 16:
        raise DecodeError("bad_value", f"rule.level is {describe(level)}, not a number from 0 to 16")
    fields["rule.level"] = number
    for name in ("sidid", "id"):
        value = rule.get(name)
        if type(value) in (int, str) and value != "" and "rule.id" not in fields:
            fields["rule.id"] = str(rule.pop(name))
    groups: list[str] = []
    for name in ("groups", "group"):
        value = rule.get(name)
        found = value.split(",") if type(value) is str else value if type(value) is list else ()
        if value is not None and all(type(each) is str for each in found):
            groups += [each.strip() for each in found if each.strip()]
            rule.pop(name)
    if groups:
        fields["rule.groups"] = list(dict.fromkeys(groups))


def _add_addresses(fields: dict[str, Any], rest: dict[str, Any]) -> None:
    """Of source and destination: an address, or else a name."""
    for side, paths in _ADDRESSES:
        for path in paths:
            value = _look(rest, path)
            if type(value) is str and value not in _NOWHERE:
                fields[f"{side}.ip" if is_address(value) else f"{side}.domain"] = value
                _take(rest, path)
                break


def _add_host(fields: dict[str, Any], rest: dict[str, Any], envelope: Envelope) -> None:
    """On which host it was, and in which log."""
    location = _text(rest, "location")
    there = alerts_log.located(location)
    if location:
        fields["ossec.location"] = location
    hostname = _text(rest, "hostname") or _text(rest, "predecoder.hostname")
    spoken = alerts_log.located(hostname)
    if hostname:
        fields["host.hostname"] = spoken.name or hostname
    agent = _text(rest, "agent_name") or _text(rest, "agent.name")
    named = agent or (there.name if there.address else "")
    if named:
        fields["agent.name"] = named
    if name := named or spoken.name or hostname or there.name:
        fields["host.name"] = name
    addresses = (_text(rest, "agentip"), _text(rest, "agent.ip"), there.address, spoken.address)
    if address := next((address for address in addresses if is_address(address)), ""):
        fields["host.ip"] = address
    if envelope.log_stream.startswith("i-"):
        fields["host.id"] = envelope.log_stream
    path = there.path or location or _text(rest, "logfile")
    if "/" in path or "\\" in path:
        fields["log.file.path"] = path
    for taken in ("location", "hostname", "predecoder.hostname", "agent_name", "agent.name"):
        if _text(rest, taken):
            _take(rest, taken)


def _local(found: re.Match[str], zone: ZoneInfo) -> int:
    year, month, day, hour, minute, second = found.groups()
    try:
        moment = datetime(
            int(year), _MONTHS[month], int(day), int(hour), int(minute), min(int(second), 59), tzinfo=zone
        )
        time = round(moment.timestamp() * 1000)
    except (ValueError, KeyError, OverflowError, OSError):
        raise DecodeError("bad_time", f"timestamp {found[0]!r} is no time of the calendar") from None
    return _not_before_2000("timestamp", found[0], time)


def _parsed(name: str, value: Any) -> int:
    try:
        return _not_before_2000(name, value, parse_time(value))
    except TimeError as error:
        raise DecodeError("bad_time", f"{name}: {error}") from None


def _not_before_2000(name: str, value: Any, time: int) -> int:
    if time < YEAR_2000:
        raise DecodeError("past_time", f"{name} = {describe(value)} lies before the year 2000: a clock was not set")
    return time


def _look(body: Mapping[str, Any], path: str) -> Any:
    """What lies at a path of one or two names, three for the techniques of an attack."""
    if "." not in path:
        return body.get(path)
    value: Any = body
    for name in path.split("."):
        value = value.get(name) if type(value) is dict else None
    return value


def _take(body: dict[str, Any], path: str) -> None:
    """Remove it; the objects on its way are copied, for the message is not ours to change."""
    name, _, rest = path.partition(".")
    if not rest:
        body.pop(name, None)
    elif type(body.get(name)) is dict:
        body[name] = dict(body[name])
        _take(body[name], rest)
        if not body[name]:
            del body[name]


def _text(body: Mapping[str, Any], path: str) -> str:
    value = _look(body, path)
    return value if type(value) is str else ""
