"""Whether a block of addresses is enough for a domain in a VPC and for Cutwater beside it, before anything is made.

Each zone has a subnet for the domain's interfaces and one for tasks, endpoints and the file system: OpenSearch Service
advises subnets of their own, and puts its interfaces there when and as many as it likes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, NamedTuple

from service import UserError

RESERVED = 5  # addresses of each subnet that AWS keeps
TIMES = 3  # addresses that a data node needs, as a changed domain is built beside the old one
LARGEST, SMALLEST = 16, 28  # lengths of prefixes that AWS allows of a VPC and of a subnet
_USUAL = [ipaddress.IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]
_DOCKER = ipaddress.IPv4Network("172.17.0.0/16")  # some AWS services use it themselves

Block = ipaddress.IPv4Network


class NetworkError(UserError):
    """The addresses are none, or not enough."""


class Subnet(NamedTuple):
    """One subnet as planned."""

    zone: str  # a, b, c
    what: str  # domain | tasks
    block: Block
    needed: int

    @property
    def usable(self) -> int:
        """Addresses that AWS leaves."""
        return self.block.num_addresses - RESERVED


class Network(NamedTuple):
    """A plan that fits."""

    block: Block
    subnets: tuple[Subnet, ...]
    left: tuple[Block, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        subnets = [
            {"zone": each.zone, "for": each.what, "cidr": str(each.block), "needed": each.needed, "usable": each.usable}
            for each in self.subnets
        ]
        left = [str(block) for block in self.left]
        return {"cidr": str(self.block), "subnets": subnets, "left": left, "warnings": list(self.warnings)}


def block_of(text: str) -> Block:
    """A block of addresses. Raises NetworkError."""
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        hint = ""
        if "host bits" in str(error):
            hint = f"; did you mean {ipaddress.IPv4Network(text, strict=False)}?"
        raise NetworkError(f"{text!r} is no block of IPv4 addresses, such as 10.20.0.0/24: {error}{hint}") from None


def plan(
    cidr: str, *, zones: int, data_nodes: int, tasks: int = 1, endpoints: int = 0, taken: Sequence[str] = ()
) -> Network:
    """Subnets within ``cidr`` for a domain of ``data_nodes`` in ``zones`` zones, and for ``tasks``.

    Args:
        endpoints: interface endpoints, each with an address in each zone.
        taken: blocks that the VPC's peers use.

    Raises:
        NetworkError: it does not fit, or overlaps.
    """
    block = block_of(cidr)
    if not LARGEST <= block.prefixlen <= SMALLEST:
        raise NetworkError(f"{cidr} is a /{block.prefixlen}; a VPC has a /{LARGEST} to a /{SMALLEST}")
    for other in map(block_of, taken):
        if block.overlaps(other):
            raise NetworkError(f"{cidr} overlaps {other}, which is taken")
    nodes = -(-data_nodes // zones)  # in the zone that has most
    wanted = {
        "domain": TIMES * nodes,
        "tasks": 2 * tasks + endpoints + 1,
    }  # twice: a new task starts beside the old one
    lengths = {what: _length(needed) for what, needed in wanted.items()}
    free, subnets = [block], []
    for what in sorted(wanted, key=lengths.__getitem__):  # the largest first, so that none is left between
        for zone in "abc"[:zones]:
            found = next((each for each in free if each.prefixlen <= lengths[what]), None)
            if found is None:
                needed = zones * sum(2 ** (32 - length) for length in lengths.values())
                fits = 32 - (needed - 1).bit_length()
                raise NetworkError(
                    f"{cidr} has {block.num_addresses} addresses; {zones} subnets of a /{lengths['domain']} for"
                    f" the domain and of a /{lengths['tasks']} for tasks need {needed}: a /{fits}"
                )
            subnet = next(iter(found.subnets(new_prefix=lengths[what])))
            free.remove(found)
            free = sorted([*free, *found.address_exclude(subnet)], key=lambda each: -each.prefixlen)
            subnets.append(Subnet(zone, what, subnet, wanted[what]))
    subnets.sort(key=lambda each: (each.zone, each.what))
    left = tuple(ipaddress.collapse_addresses(free))
    return Network(block, tuple(subnets), left, tuple(_warnings(block, zones, data_nodes)))


def _length(needed: int) -> int:
    """The prefix of the smallest subnet with so many addresses."""
    return min(SMALLEST, 32 - (needed + RESERVED - 1).bit_length())


def _warnings(block: Block, zones: int, data_nodes: int) -> list[str]:
    found = []
    if not any(block.subnet_of(usual) for usual in _USUAL):
        found.append(f"{block} is not private: addresses of the internet that are the same cannot be reached")
    if block.overlaps(_DOCKER):
        found.append(f"{block} overlaps {_DOCKER}, which some AWS services use themselves")
    if zones == 1:
        found.append("in one zone the domain is away when the zone is")
    elif data_nodes % zones:
        found.append(f"{data_nodes} data nodes are no multiple of {zones} zones, so that these hold unequal shares")
    return found
