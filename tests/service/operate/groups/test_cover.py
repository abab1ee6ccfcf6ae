"""Few networks hold many, and no fewer addresses are added than need be."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from service.operate.groups.cover import cover


def networks(*texts):
    return [ipaddress.ip_network(text) for text in texts]


def test_what_is_few_enough_stays_as_it_is():
    assert cover(networks("10.0.0.1/32", "10.0.0.9/32"), 2) == networks("10.0.0.1/32", "10.0.0.9/32")
    assert cover([], 3) == []


def test_the_closest_are_merged_first():
    found = cover(networks("10.0.0.1/32", "10.0.0.2/32", "10.9.0.1/32", "192.0.2.7/32"), 3)
    assert found == networks("10.0.0.0/30", "10.9.0.1/32", "192.0.2.7/32")


def test_versions_are_counted_apart():
    found = cover(networks("10.0.0.1/32", "192.0.2.7/32", "2001:db8::1/128", "2001:db8::2/128"), 1)
    assert found == networks("0.0.0.0/0", "2001:db8::/126")


addresses = st.lists(st.integers(0, 1023).map(lambda low: ipaddress.ip_network((0x0A000000 + low, 32))), max_size=40)


@given(addresses, st.integers(1, 6))
def test_all_are_held_by_few_that_do_not_overlap(hosts, most):
    found = cover(hosts, most)
    assert len(found) <= most
    assert all(sum(host.subnet_of(each) for each in found) == 1 for host in hosts)
    assert all(any(host.subnet_of(each) for host in hosts) for each in found)
    assert found == sorted(found)


@given(addresses, st.integers(2, 6))
def test_fewer_networks_never_hold_fewer_addresses(hosts, most):
    few, many = (sum(each.num_addresses for each in cover(hosts, count)) for count in (most - 1, most))
    assert few >= many


@given(addresses)
def test_one_network_is_the_smallest_that_holds_all(hosts):
    if not hosts:
        return
    (found,) = cover(hosts, 1)
    halves = list(found.subnets()) if found.prefixlen < 32 else []
    assert not any(all(host.subnet_of(half) for host in hosts) for half in halves)
