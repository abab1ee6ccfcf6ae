"""Few networks that hold many: the tightest cover that merging neighbours finds."""

from __future__ import annotations

import heapq
import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def cover(networks: Iterable[Network], most: int) -> list[Network]:
    """At most so many networks of each IP version that together hold all of these, in their order.

    Again and again the two neighbours are merged whose common network adds the fewest addresses.
    """
    parts, found = list(networks), list[Network]()
    for version in (4, 6):
        family = [each for each in parts if each.version == version]
        found += _merged(list(ipaddress.collapse_addresses(family)), most)  # type: ignore[type-var]
    return found


def _merged(parts: list[Network], most: int) -> list[Network]:
    """The same of one version; ``parts`` are sorted and do not overlap."""
    alive: list[Network | None] = list(parts)
    after = [*range(1, len(parts)), -1]
    before = [*range(-1, len(parts) - 1)]
    count = len(parts)
    pairs = [_pair(alive, number, number + 1) for number in range(len(parts) - 1)]
    heapq.heapify(pairs)
    while count > most and pairs:
        _, one, other, whole = heapq.heappop(pairs)
        if (
            alive[one] is None
            or alive[other] is None
            or after[one] != other
            or _common(alive[one], alive[other]) != whole
        ):
            continue
        alive[one], alive[other] = whole, None
        after[one] = after[other]
        if after[other] != -1:
            before[after[other]] = one
        count -= 1
        # What lies in the merged network needs no place of its own.
        while after[one] != -1 and _holds(whole, alive[after[one]]):
            gone = after[one]
            alive[gone], after[one] = None, after[gone]
            if after[gone] != -1:
                before[after[gone]] = one
            count -= 1
        while before[one] != -1 and _holds(whole, alive[before[one]]):
            gone = before[one]
            alive[gone], before[one] = None, before[gone]
            if before[gone] != -1:
                after[before[gone]] = one
            count -= 1
        for left, right in ((before[one], one), (one, after[one])):
            if left != -1 and right != -1:
                heapq.heappush(pairs, _pair(alive, left, right))
    return [each for each in alive if each is not None]


_Pair = tuple[int, int, int, Network]


def _pair(alive: list[Network | None], one: int, other: int) -> _Pair:
    """How many addresses it would add to merge two, and what they would be."""
    left, right = alive[one], alive[other]
    assert left is not None
    assert right is not None
    whole = _common(left, right)
    return whole.num_addresses - left.num_addresses - right.num_addresses, one, other, whole


def _common(left: Network | None, right: Network | None) -> Network:
    """The smallest network that holds both, of which the left one is the lower."""
    assert left is not None
    assert right is not None
    bits = left.max_prefixlen
    difference = int(left.network_address) ^ int(right.broadcast_address)
    length = min(bits - difference.bit_length(), left.prefixlen, right.prefixlen)
    return left.supernet(new_prefix=length)


def _holds(whole: Network, part: Network | None) -> bool:
    return part is not None and part.subnet_of(whole)  # type: ignore[arg-type]
