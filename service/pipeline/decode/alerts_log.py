"""OSSEC's alerts.log: alerts as blocks of lines, of which each begins with ``** Alert``, and how it names places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from service.pipeline.decode.decoded import DecodeError

BEGIN = "** Alert "
_BEGINS = re.compile(r"^(?=\*\* Alert )", re.MULTILINE)
_HEAD = re.compile(r"\*\* Alert (\d{9,10}\.\d+):[^\n-]*(?:- ?([^\n]*))?", re.ASCII)
_PLACE = re.compile(r"(\d{4} [A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d) (.*)", re.ASCII)
_RULE = re.compile(r"Rule: (\d+) \(level (\d+)\) -> '(.*)'", re.ASCII)
_LINES = {
    "Src IP": "srcip",
    "Src Port": "srcport",
    "Src Location": "srcgeoip",
    "User": "dstuser",
    "Dst IP": "dstip",
    "Dst Port": "dstport",
    "Dst Location": "dstgeoip",
}
_AGENT = re.compile(r"\((?P<name>[^()]*)\) (?P<address>\S+?)->(?P<path>.*)", re.DOTALL)
_HOST = re.compile(r"(?P<name>[^\s()/\\]+?)->(?P<path>.*)", re.DOTALL)
_OF_A_BLOCK = re.compile(rf"{_PLACE.pattern}|{_RULE.pattern}|(?:{'|'.join(_LINES)}): .*", re.ASCII)
_FILE = re.compile(r"^(?:Integrity checksum changed for: |(?:New )?[Ff]ile )'([^'\n]+)'", re.MULTILINE)
_HASH = re.compile(r"^New (md5|sha1|sha256)sum (?:is|was) ?: '([0-9a-f]{32,64})'", re.MULTILINE)


class Location(NamedTuple):
    """Where an alert's log lies: agent or host, its address, the log."""

    name: str = ""
    address: str = ""
    path: str = ""


def located(text: str) -> Location:
    """What a location says, such as ``(web-1) 10.0.0.7->/var/log/messages`` or ``web-1->/var/log/messages``."""
    if found := _AGENT.fullmatch(text):
        return Location(found["name"], found["address"], found["path"])
    if found := _HOST.fullmatch(text):
        return Location(found["name"], "", found["path"])
    return Location()


def blocks(text: str) -> list[str]:
    """The blocks of a text that begins with one."""
    return _BEGINS.split(text)


def is_part(line: str) -> bool:
    """Whether a line seems to be one of a block's."""
    return bool(_OF_A_BLOCK.fullmatch(line))


def whole(events: Sequence[Any]) -> Iterator[Any]:
    """Log events; those that hold a line each of one block become one, with all else as in the first of them."""
    lines: list[str] = []
    first: Any = None
    for event in events:
        message = event.get("message") if type(event) is dict else None
        text: str = message if type(message) is str else ""
        is_line = type(message) is str and "\n" not in message
        if first is not None and (not is_line or text.startswith((BEGIN, "{"))):
            yield {**first, "message": "\n".join(lines)}
            first = None
        if first is not None:
            lines.append(text)
        elif is_line and text.startswith(BEGIN):
            first, lines = event, [text]
        else:
            yield event
    if first is not None:
        yield {**first, "message": "\n".join(lines)}


def parse(text: str) -> dict[str, Any]:
    """An alert as OSSEC would write it as JSON. Raises DecodeError."""
    head, *lines = text.strip().splitlines()
    found = _HEAD.match(head)
    place = _PLACE.match(lines[0]) if lines else None
    rule = _RULE.match(lines[1]) if len(lines) > 1 else None
    if found is None or place is None or rule is None:
        raise DecodeError("not_an_alert", "it begins as an alert of alerts.log does, but has no place or no rule")
    body: dict[str, Any] = {
        "rule": {"sidid": rule[1], "level": int(rule[2][:9]), "comment": rule[3], "group": found[2] or ""},
        "id": found[1],
        "timestamp": place[1],
        "TimeStamp": int(found[1].partition(".")[0]) * 1000,
        "location": place[2],
    }
    rest = lines[2:]
    while rest:
        name, _, value = rest[0].partition(": ")
        if name not in _LINES:
            break
        if value.strip() not in ("", "(none)"):
            body[_LINES[name]] = value.strip()
        rest.pop(0)
    if rest:
        body["full_log"] = "\n".join(rest)
        if "syscheck" in body["rule"]["group"] and (file := _FILE.search(body["full_log"])):
            hashes = {f"{name}_after": value for name, value in _HASH.findall(body["full_log"])}
            body["SyscheckFile"] = {"path": file[1], **hashes}
    return body
