"""Which rule of a security group let which flows through, counted from documents of flow logs.

A flow counts for every rule of its interface's groups that would allow it: as an inbound rule where our side was asked,
as an outbound one where it asked. Answers need no rule. Rules that name a prefix list cannot be told by a flow.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.operate.groups.cover import Network, cover
from service.pipeline.enrich import TableError
from service.pipeline.enrich.security_groups import (
    DIRECTION,
    GROUPS,
    GUESSED,
    INITIATOR,
    PEER,
    ROLE,
    SERVICE_PORT,
    Interface,
    normal,
)
from service.pipeline.times import TimeError, parse_time

MOST_PEERS = 65_536  # addresses that are remembered of a rule; of more, only networks of 256
NETWORKS = 5  # that cover what was seen
_ANY = "-1"
_NUMBERS = {"tcp": "6", "udp": "17", "icmp": "1", "icmpv6": "58", _ANY: _ANY}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        id, group: of EC2.
        egress: whether it is outbound.
        protocol: its IANA number as text, or -1 for all.
        first, last: ports; -1 for all.
        network: addresses of the other side.
        peer_group: the group that the other side must have instead.
        untold: what else it names, which flows cannot tell, such as a prefix list.
    """

    id: str
    group: str
    egress: bool
    protocol: str
    first: int
    last: int
    network: Network | None = None
    peer_group: str = ""
    untold: str = ""

    @property
    def ports(self) -> str:
        """In words."""
        if self.protocol == _ANY or self.first == -1:
            return "all"
        return str(self.first) if self.last in (self.first, -1) else f"{self.first}-{self.last}"

    @property
    def peer(self) -> str:
        """The other side, in words."""
        return str(self.network) if self.network else self.peer_group or self.untold

    def allows(self, protocol: str, port: int | None, address: Address, groups: Iterable[str]) -> bool:
        """Whether it lets a conversation through with this other side, which has these groups."""
        if self.protocol not in (_ANY, protocol):
            return False
        if self.protocol in ("6", "17") and self.first != -1 and not (port and self.first <= port <= self.last):
            return False
        if self.network:
            return address.version == self.network.version and address in self.network
        return self.peer_group in groups


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(slots=True)
class Usage:
    """What went through a rule: when last, how many conversations, how many bytes, and with whom."""

    last: int | None = None
    flows: int = 0
    bytes: int = 0
    peers: set[Address] = field(default_factory=set)
    wide: set[Network] = field(default_factory=set)

    def note(self, time: int, began: bool, size: int, peer: Address) -> None:
        """Count a line: one of the two that a conversation has at an interface."""
        self.last = time if self.last is None else max(self.last, time)
        self.flows += began
        self.bytes += size
        if len(self.peers) < MOST_PEERS:
            self.peers.add(peer)
        elif peer not in self.peers:
            self.wide.add(ipaddress.ip_network((peer, 24 if peer.version == 4 else 64), strict=False))

    @property
    def sources(self) -> int:
        """How many others there were, at least."""
        return len(self.peers) + len(self.wide)

    def networks(self) -> list[Network]:
        """Few networks that hold all of them, as tight as can be."""
        hosts = {ipaddress.ip_network(peer) for peer in self.peers}
        return cover(hosts | self.wide, NETWORKS)


@dataclass(slots=True)
class Coverage:
    """What the flow logs tell, and what not."""

    since: int | None = None
    until: int | None = None
    flows: int = 0
    no_data: int = 0
    skipped: int = 0
    guessed: int = 0
    undirected: int = 0
    ungrouped: int = 0
    unmatched: int = 0

    def note(self, time: int) -> None:
        """Count the time of a line."""
        self.since = time if self.since is None else min(self.since, time)
        self.until = time if self.until is None else max(self.until, time)


class GroupUsage:
    """Counts documents of flow logs.

    Args:
        rules: of all groups.
        names: of the groups, by their ids.
        interfaces: as they are now, for groups without traffic and for rules that name a group.
    """

    def __init__(self, rules: Iterable[Rule], names: Mapping[str, str], interfaces: Iterable[Interface]) -> None:
        self.rules = sorted(
            rules, key=lambda each: (each.group, each.egress, each.first, each.last, each.peer, each.id)
        )
        self.names = {each.group: "" for each in self.rules} | dict(names)
        self.usage = {rule.id: Usage() for rule in self.rules}
        self.coverage = Coverage()
        self.traffic: Counter[str] = Counter()  # lines of each group
        self.scanners: dict[str, set[int]] = {}  # ports that refused sources have tried
        self.attached: Counter[str] = Counter()
        self._groups_of: dict[str, set[str]] = {}
        for interface in interfaces:
            self.attached.update(interface.groups)
            for address in interface.addresses:
                self._groups_of.setdefault(normal(address), set()).update(interface.groups)
        self._of_group: dict[tuple[str, bool], list[Rule]] = {}
        for rule in self.rules:
            self._of_group.setdefault((rule.group, rule.egress), []).append(rule)

    def add(self, document: Mapping[str, Any]) -> None:
        """Count a document of a flow log, as ``flow-log`` events with ``security-groups`` have it; others are not."""
        status = document.get("aws.vpcflow.log_status")
        try:
            time = parse_time(document.get("@timestamp"))
        except TimeError:
            return
        if status is None and "source.ip" not in document:
            return
        self.coverage.note(time)
        if status in ("NODATA", "SKIPDATA"):
            self.coverage.no_data += status == "NODATA"
            self.coverage.skipped += status == "SKIPDATA"
            return
        self.coverage.flows += 1
        if document.get("event.action") == "REJECT":
            self._note_refused(document)
            return
        groups = document.get(GROUPS) or ()
        groups = [groups] if isinstance(groups, str) else groups
        self.traffic.update(groups)
        self.coverage.guessed += document.get(GUESSED) is True
        role, peer = document.get(ROLE), document.get(PEER)
        if not groups:
            self.coverage.ungrouped += 1
        elif role not in ("server", "client") or not isinstance(peer, str):
            self.coverage.undirected += 1
        else:
            self._note(document, time, groups, role == "client", peer)

    def _note(self, document: Mapping[str, Any], time: int, groups: Iterable[str], egress: bool, peer: str) -> None:
        port, size = document.get(SERVICE_PORT), document.get("network.bytes") or 0
        protocol = str(document.get("network.iana_number", ""))
        # The line of who began is counted, that of the answer belongs to the same conversation.
        began = document.get(INITIATOR) == "source"
        address = ipaddress.ip_address(peer)
        theirs = self._groups_of.get(normal(peer), set())
        matched = False
        for group in groups:
            for rule in self._of_group.get((group, egress), ()):
                if rule.allows(protocol, port, address, theirs):
                    self.usage[rule.id].note(time, began, size, address)
                    matched = True
        self.coverage.unmatched += not matched

    def _note_refused(self, document: Mapping[str, Any]) -> None:
        source, port = document.get("source.ip"), document.get("destination.port")
        if isinstance(source, str) and isinstance(port, int) and document.get(DIRECTION) != "outbound":
            self.scanners.setdefault(source, set()).add(port)


def rules_of(answer: Iterable[Mapping[str, Any]]) -> list[Rule]:
    """Rules as DescribeSecurityGroupRules answers. Raises TableError."""
    try:
        return [_rule(each) for each in answer]
    except (KeyError, TypeError, ValueError) as error:
        raise TableError(f"a rule lacks {error}, or has it of another kind") from None


def _rule(each: Mapping[str, Any]) -> Rule:
    cidr = each.get("CidrIpv4") or each.get("CidrIpv6")
    protocol = str(each["IpProtocol"])
    return Rule(
        id=str(each["SecurityGroupRuleId"]),
        group=str(each["GroupId"]),
        egress=bool(each["IsEgress"]),
        protocol=_NUMBERS.get(protocol, protocol),
        first=int(each.get("FromPort", -1)),
        last=int(each.get("ToPort", -1)),
        network=ipaddress.ip_network(cidr, strict=False) if cidr else None,
        peer_group=str((each.get("ReferencedGroupInfo") or {}).get("GroupId", "")),
        untold=str(each.get("PrefixListId", "")),
    )
