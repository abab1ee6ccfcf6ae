"""Security groups and direction of a flow, from a table of network interfaces.

Direction, as seen from the interface: what the flow log itself says (``flow-direction``); else inbound if the
destination is one of the interface's addresses, outbound if the source is, internal if both are, and unknown if
neither is. All addresses count: secondary ones, public ones, IPv6, and those of the packet behind a gateway.

Who began: a SYN without an ACK comes from the side that began, a SYN with an ACK from the one that was asked. Flow logs
without TCP flags leave the ports: the lower one is the server's, which is a guess and marked as one. A security group
rule was used only by what began a conversation; answers pass without a rule.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from service.pipeline.enrich import Fields, TableError, digest
from service.pipeline.events import FieldType

# Fields of flow log events that are looked at.
INTERFACE, FLOW_DIRECTION, TCP_FLAGS = "aws.vpcflow.interface_id", "network.direction", "aws.vpcflow.tcp_flags"
SOURCE, SOURCE_PORT, PACKET_SOURCE = "source.ip", "source.port", "aws.vpcflow.pkt_srcaddr"
DESTINATION, DESTINATION_PORT, PACKET_DESTINATION = "destination.ip", "destination.port", "aws.vpcflow.pkt_dstaddr"

# Fields that are added.
GROUPS, DIRECTION = "aws.security_group.ids", "flow.direction"
INITIATOR, GUESSED, ROLE, SERVICE_PORT, PEER = (
    "flow.initiator",
    "flow.initiator_guessed",
    "flow.role",
    "flow.service_port",
    "flow.peer.ip",
)

_SAID = {"ingress": "inbound", "egress": "outbound"}
_SYN, _ACK = 2, 16
KEPT = 86_400_000  # ms for which an interface is known that is gone, or was changed


class Interface(NamedTuple):
    """A network interface, as it was from one moment on.

    Attributes:
        id: such as eni-0123.
        groups: the ids of its security groups.
        addresses: all that it has.
        since: when it came to be so, in ms since 1970; 0 if that is not known.
        until: when it was found to be gone; 0 if it is there.
    """

    id: str
    groups: tuple[str, ...]
    addresses: tuple[str, ...]
    since: int = 0
    until: int = 0


class InterfaceTable:
    """Network interfaces with what they were when; see ``Enricher``."""

    mapping: Mapping[str, FieldType] = {
        GROUPS: "keyword",
        DIRECTION: "keyword",
        INITIATOR: "keyword",
        GUESSED: "boolean",
        ROLE: "keyword",
        SERVICE_PORT: "integer",
        PEER: "ip",
    }
    aliases: Mapping[str, str] = {"security-group-ids": GROUPS, "direction": DIRECTION}

    def __init__(self, interfaces: Iterable[Interface]) -> None:
        """``interfaces`` in any order; one that changed is there several times."""
        rows = sorted(set(interfaces), key=lambda each: (each.id, each.since, each))
        self.version = digest(dump(rows))
        self.interfaces = rows
        self._history: dict[str, list[tuple[int, list[str], frozenset[str]]]] = {}
        for row in rows:
            entry = (row.since, list(row.groups), frozenset(map(normal, row.addresses)))
            self._history.setdefault(row.id, []).append(entry)

    def enrich(self, fields: Fields, time: int) -> None:
        """Add the groups that the flow's interface had at that time, the direction, and who began."""
        get = fields.get
        groups, addresses = self._at(get(INTERFACE), time)
        if groups and GROUPS not in fields:
            fields[GROUPS] = groups[:]
        source, destination = get(SOURCE), get(DESTINATION)
        if type(source) is not str or type(destination) is not str:
            return  # nothing flowed: NODATA or SKIPDATA
        if DIRECTION in fields:
            direction = fields[DIRECTION]
        else:
            direction = _SAID.get(str(get(FLOW_DIRECTION)), "") or _direction(
                source in addresses or get(PACKET_SOURCE) in addresses,
                destination in addresses or get(PACKET_DESTINATION) in addresses,
            )
            fields[DIRECTION] = direction
        self._who_began(fields, direction, source, destination)

    def _at(self, interface: object, time: int) -> tuple[list[str], frozenset[str]]:
        """What an interface was at a time; what is known of it first also holds before."""
        history = self._history.get(interface) if type(interface) is str else None
        if not history:
            return [], frozenset()
        found = history[0]
        for entry in history:
            if entry[0] > time:
                break
            found = entry
        return found[1], found[2]

    def _who_began(self, fields: Fields, direction: str, source: str, destination: str) -> None:
        initiator, guessed = _initiator(fields)
        if not initiator or INITIATOR in fields:
            return
        fields[INITIATOR], fields[GUESSED] = initiator, guessed
        began_at_source = initiator == "source"
        port = fields.get(DESTINATION_PORT if began_at_source else SOURCE_PORT)
        if isinstance(port, int):
            fields[SERVICE_PORT] = port
        if direction in ("inbound", "outbound"):
            ours_is_source = direction == "outbound"
            fields[ROLE] = "client" if ours_is_source == began_at_source else "server"
            fields[PEER] = destination if ours_is_source else source


def _direction(from_here: bool, to_here: bool) -> str:
    if to_here:
        return "internal" if from_here else "inbound"
    return "outbound" if from_here else "unknown"


def _initiator(fields: Fields) -> tuple[str, bool]:
    """The side that began, source or destination, and whether that is a guess; empty if nothing tells."""
    flags = fields.get(TCP_FLAGS)
    if type(flags) is int and flags & _SYN:
        return ("destination" if flags & _ACK else "source"), False
    source, destination = fields.get(SOURCE_PORT), fields.get(DESTINATION_PORT)
    if type(source) is int and type(destination) is int and source != destination:
        return ("source" if source > destination else "destination"), True
    return "", False


def normal(address: str) -> str:
    """An address in its usual form, so that IPv6 compares; as it is if it is none."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def parse(content: bytes) -> list[Interface]:
    """Interfaces of a file: the answer of ``aws ec2 describe-network-interfaces``, or what ``dump`` wrote.

    Raises TableError.
    """
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise TableError(f"no JSON: {error}") from None
    rows = answer.get("NetworkInterfaces") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise TableError("it holds no list NetworkInterfaces, as aws ec2 describe-network-interfaces answers")
    try:
        return [described(row) for row in rows]
    except (KeyError, TypeError, AttributeError) as error:
        raise TableError(f"a network interface lacks {error}, or has it of another kind") from None


def described(row: Mapping[str, Any]) -> Interface:
    """An interface as EC2 describes it; ``Since`` and ``Until`` are ours."""
    addresses: list[str] = []
    private = list(row.get("PrivateIpAddresses") or ())
    if row.get("PrivateIpAddress"):
        private.append(row)
    for each in private:
        addresses.append(each["PrivateIpAddress"])
        public = (each.get("Association") or {}).get("PublicIp")
        addresses += [public] if public else []
    addresses += [each["Ipv6Address"] for each in row.get("Ipv6Addresses") or ()]
    groups = sorted({str(group["GroupId"]) for group in row.get("Groups") or ()})
    since, until = row.get("Since") or 0, row.get("Until") or 0
    if type(since) is not int or type(until) is not int:
        raise TypeError("Since or Until")
    known = tuple(sorted(set(map(str, addresses))))
    return Interface(str(row["NetworkInterfaceId"]), tuple(groups), known, since, until)


def dump(interfaces: Iterable[Interface]) -> bytes:
    """The same in the form that ``parse`` reads, in which a version is kept."""
    rows = [
        {
            "NetworkInterfaceId": each.id,
            "Groups": [{"GroupId": group} for group in each.groups],
            "PrivateIpAddresses": [{"PrivateIpAddress": address} for address in each.addresses],
            "Since": each.since,
            "Until": each.until,
        }
        for each in interfaces
    ]
    return orjson.dumps({"NetworkInterfaces": rows})


def merged(before: Iterable[Interface], now: Iterable[Interface], moment: int) -> list[Interface]:
    """The table after another look at ``moment`` (ms): what changed is there as it was and as it is.

    Flow logs come minutes late, so what is no more stays known for a day.
    """
    there = {each.id: each for each in now}
    rows: list[Interface] = []
    history: dict[str, list[Interface]] = {}
    for each in sorted(before, key=lambda row: (row.id, row.since)):
        history.setdefault(each.id, []).append(each)
    for name, known in history.items():
        last, found = known[-1], there.pop(name, None)
        if found is None:
            known[-1] = last if last.until else last._replace(until=moment)
        elif last[:3] != found[:3] or last.until:
            known.append(found._replace(since=moment))
        ends = [*(each.since for each in known[1:]), known[-1].until or moment]
        rows += [each for each, end in zip(known, ends, strict=True) if moment - end <= KEPT]
    return rows + [each._replace(since=0) for each in there.values()]
