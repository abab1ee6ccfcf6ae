"""A report about security groups, as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from service.operate.groups.usage import Coverage, GroupUsage, Rule, Usage
from service.pipeline.documents import timestamp

_PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6", "-1": "all"}
_SCANNERS = 10


def as_json(found: GroupUsage) -> dict[str, Any]:
    """The whole report."""
    return {
        "coverage": _coverage(found.coverage),
        "rules": [_rule(rule, found.usage[rule.id], found.names) for rule in found.rules],
        "groups": [
            {
                "group": group,
                "name": name,
                "interfaces": found.attached[group],
                "lines": found.traffic[group],
                "state": _state(found, group),
            }
            for group, name in sorted(found.names.items())
        ],
        "refused": [{"source": source, "ports": len(ports)} for source, ports in _scanners(found)],
    }


def _rule(rule: Rule, usage: Usage, names: dict[str, str]) -> dict[str, Any]:
    networks = usage.networks()
    return {
        "rule": rule.id,
        "group": rule.group,
        "name": names.get(rule.group, ""),
        "direction": "outbound" if rule.egress else "inbound",
        "protocol": _PROTOCOLS.get(rule.protocol, rule.protocol),
        "ports": rule.ports,
        "peer": rule.peer,
        "told": not rule.untold,
        "last": timestamp(usage.last) if usage.last is not None else None,
        "flows": usage.flows,
        "bytes": usage.bytes,
        "sources": usage.sources,
        "networks": [str(each) for each in networks],
        "wider": _is_wider(rule, usage),
    }


def _is_wider(rule: Rule, usage: Usage) -> bool:
    """Whether a rule of addresses is used, and by none but a small part of them."""
    if rule.network is None or usage.last is None:
        return False
    seen = sum(each.num_addresses for each in usage.networks() if each.version == rule.network.version)
    return seen * 16 <= rule.network.num_addresses


def _coverage(told: Coverage) -> dict[str, Any]:
    return {
        "since": timestamp(told.since) if told.since is not None else None,
        "until": timestamp(told.until) if told.until is not None else None,
        "flows": told.flows,
        "no_data": told.no_data,
        "skipped": told.skipped,
        "guessed": told.guessed,
        "undirected": told.undirected,
        "ungrouped": told.ungrouped,
        "unmatched": told.unmatched,
    }


def _state(found: GroupUsage, group: str) -> str:
    if not found.attached[group]:
        return "attached to nothing"
    return "used" if found.traffic[group] else "no traffic"


def _scanners(found: GroupUsage) -> list[tuple[str, set[int]]]:
    return sorted(found.scanners.items(), key=lambda each: (-len(each[1]), each[0]))[:_SCANNERS]


def lines(found: GroupUsage) -> Iterator[str]:
    """The same in words."""
    told = found.coverage
    if told.since is None or told.until is None:
        yield "No line of a flow log was found: nothing can be said."
        return
    yield f"Flow logs from {timestamp(told.since)} to {timestamp(told.until)}: {told.flows} lines of flows."
    yield "A rule that is unused here may have been used before, or be for what is rare."
    if told.skipped:
        yield f"{told.skipped} intervals of interfaces were not recorded (SKIPDATA): flows may be missing."
    if told.guessed:
        yield f"Who began was guessed by the ports in {told.guessed} lines: add tcp-flags to the flow log's format."
    if told.undirected:
        yield f"{told.undirected} lines do not tell whether our side began, and count for no rule."
    if told.ungrouped:
        yield f"{told.ungrouped} lines are of interfaces whose groups are not known."
    if told.unmatched:
        yield f"{told.unmatched} accepted lines fit no rule of today: it was changed, or flows cannot tell it."
    rows: list[tuple[str, ...]] = [("GROUP", "", "PORTS", "PEER", "LAST HIT", "FLOWS", "BYTES", "SOURCES", "TIGHTEST")]
    for rule in found.rules:
        usage = found.usage[rule.id]
        name = found.names.get(rule.group) or rule.group
        protocol = _PROTOCOLS.get(rule.protocol, rule.protocol)
        last = (
            timestamp(usage.last)[:16] + "Z" if usage.last is not None else "cannot be told" if rule.untold else "never"
        )
        tight = ", ".join(map(str, usage.networks())) + (" (rule is wider)" if _is_wider(rule, usage) else "")
        ports = protocol if rule.ports == "all" else f"{protocol} {rule.ports}"
        rows.append(
            (name, "out" if rule.egress else "in", ports, found.names.get(rule.peer) or rule.peer, last,
             str(usage.flows), str(usage.bytes), str(usage.sources), tight)
        )  # fmt: skip
    yield ""
    yield from _table(rows)
    for state in ("no traffic", "attached to nothing"):
        if names := [name or group for group, name in sorted(found.names.items()) if _state(found, group) == state]:
            yield f"Groups {'with ' if state == 'no traffic' else ''}{state}: {', '.join(names)}"
    if scanners := _scanners(found):
        shown = (f"{source} ({len(ports)} port{'s' * (len(ports) != 1)})" for source, ports in scanners)
        yield f"Rejected most: {', '.join(shown)}"


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield ""
