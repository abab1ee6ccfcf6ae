"""Address arithmetic for a domain in a VPC."""

import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cli import main
from service.operate.network import NetworkError, plan


@given(st.integers(16, 28), st.integers(1, 3), st.integers(1, 60), st.integers(1, 10), st.integers(0, 12))
def test_a_plan_holds_what_is_needed_and_is_refused_only_where_it_cannot(length, zones, nodes, tasks, endpoints):
    given = {"zones": zones, "data_nodes": nodes, "tasks": tasks, "endpoints": endpoints}
    try:
        found = plan(f"10.0.0.0/{length}", **given)
    except NetworkError as error:
        enough = int(str(error).rpartition("/")[2])
        assert enough < length
        assert plan(f"10.0.0.0/{enough}", **given)
        return
    blocks = [subnet.block for subnet in found.subnets]
    assert len(blocks) == 2 * zones
    for number, block in enumerate(blocks):
        assert block.subnet_of(found.block)
        assert 16 <= block.prefixlen <= 28
        assert not any(block.overlaps(other) for other in [*blocks[:number], *found.left])
    assert sum(block.num_addresses for block in [*blocks, *found.left]) == found.block.num_addresses
    for subnet in found.subnets:
        assert subnet.usable == subnet.block.num_addresses - 5 >= subnet.needed
    in_domain = [subnet for subnet in found.subnets if subnet.what == "domain"]
    assert sum(subnet.needed for subnet in in_domain) >= 3 * nodes


@pytest.mark.parametrize(("zones", "nodes", "needed"), [(1, 4, 12), (2, 4, 6), (3, 6, 6), (3, 7, 9), (2, 1, 3)])
def test_three_addresses_for_each_data_node_of_a_zone(zones, nodes, needed):
    found = plan("10.0.0.0/20", zones=zones, data_nodes=nodes)
    assert {subnet.needed for subnet in found.subnets if subnet.what == "domain"} == {needed}
    assert {subnet.zone for subnet in found.subnets} == set("abc"[:zones])


@pytest.mark.parametrize(
    ("cidr", "complaint"),
    [
        ("10.0.0.1/24", "did you mean 10.0.0.0/24?"),
        ("10.0.0.0/8", "a VPC has a /16 to a /28"),
        ("10.0.0.0/29", "a VPC has a /16 to a /28"),
        ("ten", "is no block of IPv4 addresses"),
        ("10.0.0.0/27", "need 64: a /26"),
        ("10.1.2.0/24", "overlaps 10.1.0.0/16"),
    ],
)
def test_what_cannot_be_is_refused_with_what_could(cidr, complaint):
    with pytest.raises(NetworkError) as raised:
        plan(cidr, zones=2, data_nodes=2, taken=["10.1.0.0/16"])
    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    ("cidr", "zones", "nodes", "warned"),
    [
        ("10.0.0.0/24", 2, 4, []),
        ("10.0.0.0/24", 2, 3, ["unequal"]),
        ("10.0.0.0/24", 1, 3, ["one zone"]),
        ("8.8.8.0/24", 3, 3, ["not private"]),
        ("172.17.3.0/24", 2, 2, ["172.17.0.0/16"]),
    ],
)
def test_what_is_unwise_is_warned_of(cidr, zones, nodes, warned):
    warnings = plan(cidr, zones=zones, data_nodes=nodes).warnings
    assert len(warnings) == len(warned)
    assert all(word in warning for word, warning in zip(warned, warnings, strict=True))


def test_the_command_tells_a_table_or_json_and_fails_where_it_does_not_fit(capsys):
    assert main(["plan", "network", "--cidr", "10.20.0.0/24", "--zones", "3", "--data-nodes", "6"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["a", "domain", "10.20.0.0/28", "6", "11"]
    assert lines[-1].startswith("left: ")
    assert main(["plan", "network", "--cidr", "10.20.0.0/24", "--json"]) == 0
    subnets = json.loads(capsys.readouterr().out)["subnets"]
    assert all(ipaddress.ip_network(subnet["cidr"]) for subnet in subnets)
    assert main(["plan", "network", "--cidr", "10.20.0.0/28"]) == 1
    assert "a /2" in capsys.readouterr().err
