"""Groups, direction and who began, by the rules of VPC flow logs."""

import ipaddress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.enrich import TableError
from service.pipeline.enrich.security_groups import (
    DESTINATION,
    DESTINATION_PORT,
    DIRECTION,
    FLOW_DIRECTION,
    GROUPS,
    GUESSED,
    INITIATOR,
    INTERFACE,
    KEPT,
    PACKET_DESTINATION,
    PEER,
    ROLE,
    SERVICE_PORT,
    SOURCE,
    SOURCE_PORT,
    TCP_FLAGS,
    Interface,
    InterfaceTable,
    dump,
    merged,
    parse,
)

DESCRIBED = {
    "NetworkInterfaces": [
        {
            "NetworkInterfaceId": "eni-1",
            "Groups": [{"GroupId": "sg-b", "GroupName": "web"}, {"GroupId": "sg-a", "GroupName": "all"}],
            "PrivateIpAddress": "10.0.0.5",
            "PrivateIpAddresses": [
                {"PrivateIpAddress": "10.0.0.5", "Primary": True, "Association": {"PublicIp": "3.3.3.3"}},
                {"PrivateIpAddress": "10.0.0.6", "Primary": False},
            ],
            "Ipv6Addresses": [{"Ipv6Address": "2600:1f18:0:0::1"}],
        },
        {"NetworkInterfaceId": "eni-2", "Groups": [], "PrivateIpAddress": "10.0.0.7"},
    ]
}
TABLE = InterfaceTable(parse(orjson.dumps(DESCRIBED)))


def flow(source, destination, interface="eni-1", **more):
    fields = {INTERFACE: interface, SOURCE: source, DESTINATION: destination, **more}
    TABLE.enrich(fields, 1000)
    return fields


@pytest.mark.parametrize(
    ("source", "destination", "direction"),
    [
        ("8.8.8.8", "10.0.0.5", "inbound"),
        ("8.8.8.8", "10.0.0.6", "inbound"),
        ("8.8.8.8", "3.3.3.3", "inbound"),
        ("2001:4860::1", "2600:1f18::1", "inbound"),
        ("10.0.0.5", "8.8.8.8", "outbound"),
        ("10.0.0.6", "10.0.0.5", "internal"),
        ("10.0.0.7", "8.8.8.8", "unknown"),
    ],
)
def test_direction_is_told_by_all_addresses(source, destination, direction):
    found = flow(source, destination)
    assert found[DIRECTION] == direction
    assert found[GROUPS] == ["sg-a", "sg-b"]


def test_what_the_flow_log_says_of_its_direction_counts_more():
    assert flow("10.0.0.5", "8.8.8.8", **{FLOW_DIRECTION: "ingress"})[DIRECTION] == "inbound"
    assert flow("8.8.8.8", "10.0.0.5", "eni-unknown", **{FLOW_DIRECTION: "egress"})[DIRECTION] == "outbound"


def test_the_packets_own_addresses_count_behind_a_gateway():
    assert flow("10.9.9.9", "10.8.8.8", **{PACKET_DESTINATION: "10.0.0.6"})[DIRECTION] == "inbound"


def test_an_unknown_interface_has_no_groups():
    found = flow("8.8.8.8", "10.0.0.5", "eni-9")
    assert found[DIRECTION] == "unknown"
    assert GROUPS not in found


def test_an_interface_without_groups_has_none():
    assert GROUPS not in flow("8.8.8.8", "10.0.0.7", "eni-2")


def test_coverage_without_a_flow_gets_groups_only():
    fields = {INTERFACE: "eni-1", "aws.vpcflow.log_status": "NODATA"}
    TABLE.enrich(fields, 0)
    assert fields == {INTERFACE: "eni-1", "aws.vpcflow.log_status": "NODATA", GROUPS: ["sg-a", "sg-b"]}


@pytest.mark.parametrize(
    ("flags", "source_port", "destination_port", "initiator", "guessed", "role", "port"),
    [
        (2, 443, 50000, "source", False, "server", 50000),  # flags count more than ports
        (3, 50000, 443, "source", False, "server", 443),
        (18, 443, 50000, "destination", False, "client", 443),
        (19, 50000, 443, "destination", False, "client", 50000),
        (1, 50000, 443, "source", True, "server", 443),
        (None, 443, 50000, "destination", True, "client", 443),
    ],
)
def test_who_began_is_told_by_flags_else_guessed_by_ports(
    flags, source_port, destination_port, initiator, guessed, role, port
):
    more = {SOURCE_PORT: source_port, DESTINATION_PORT: destination_port} | (
        {} if flags is None else {TCP_FLAGS: flags}
    )
    found = flow("8.8.8.8", "10.0.0.5", **more)
    assert (found[INITIATOR], found[GUESSED], found[ROLE]) == (initiator, guessed, role)
    assert (found[SERVICE_PORT], found[PEER]) == (port, "8.8.8.8")


def test_equal_ports_and_none_tell_nothing():
    assert INITIATOR not in flow("8.8.8.8", "10.0.0.5", **{SOURCE_PORT: 123, DESTINATION_PORT: 123})
    assert INITIATOR not in flow("8.8.8.8", "10.0.0.5")


def test_a_flow_has_the_groups_of_its_time():
    table = InterfaceTable([Interface("eni-1", ("sg-old",), ("10.0.0.5",)), Interface("eni-1", ("sg-new",), (), 500)])
    for time, groups in ((-1, ["sg-old"]), (499, ["sg-old"]), (500, ["sg-new"]), (10**13, ["sg-new"])):
        fields = {INTERFACE: "eni-1"}
        table.enrich(fields, time)
        assert fields[GROUPS] == groups


def test_documents_do_not_share_their_lists():
    one, two = flow("8.8.8.8", "10.0.0.5"), flow("8.8.8.8", "10.0.0.5")
    one[GROUPS].append("sg-x")
    assert two[GROUPS] == flow("8.8.8.8", "10.0.0.5")[GROUPS] == ["sg-a", "sg-b"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"NetworkInterfaces": [{}]}', b'{"NetworkInterfaces": [1]}'])
def test_what_describes_no_interfaces_is_refused(content):
    with pytest.raises(TableError):
        parse(content)


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
interfaces = st.builds(
    Interface,
    st.sampled_from(["eni-1", "eni-2"]),
    st.lists(st.sampled_from(["sg-1", "sg-2", "sg-3"]), unique=True).map(lambda each: tuple(sorted(each))),
    st.lists(addresses, max_size=3, unique=True).map(lambda each: tuple(sorted(each))),
    st.integers(0, 5),
    st.just(0),
)


@given(st.lists(interfaces, max_size=5))
def test_a_table_is_kept_whole_and_its_order_does_not_matter(rows):
    table = InterfaceTable(rows)
    assert InterfaceTable(reversed(rows)).version == table.version
    assert InterfaceTable(parse(dump(table.interfaces))).version == table.version


@given(
    st.lists(interfaces, max_size=4, unique_by=lambda each: each.id),
    st.lists(interfaces, max_size=4, unique_by=lambda each: each.id),
)
def test_a_merged_table_knows_what_is_and_what_was(before, now):
    before = [each._replace(since=0) for each in before]
    found = merged(before, now, 100)
    assert {each[:4] for each in before} <= {each[:4] for each in found}
    latest = {each.id: each for each in sorted(found, key=lambda each: (each.id, each.since))}
    assert all(latest[each.id][1:3] == each[1:3] and not latest[each.id].until for each in now)
    assert all(latest[each.id].until == 100 for each in before if each.id not in {one.id for one in now})
    assert InterfaceTable(merged(found, now, 200)).version == InterfaceTable(found).version
    later = merged(found, now, 101 + KEPT)
    assert sorted(each[:3] for each in later) == sorted(each[:3] for each in now), "what was is forgotten after a day"


def test_an_interface_that_comes_back_is_there_again():
    eni = Interface("eni-1", ("sg-1",), ("10.0.0.1",))
    gone = merged([eni], [], 100)
    assert gone == [eni._replace(until=100)]
    assert merged(gone, [eni], 200) == [eni._replace(until=100), eni._replace(since=200)]


@given(st.lists(interfaces, max_size=4), addresses, addresses, st.integers(0, 6))
def test_direction_is_what_a_loop_finds(rows, source, destination, time):
    own = sorted((each for each in set(rows) if each.id == "eni-1"), key=lambda each: (each.since, each))
    past = [each for each in own if each.since <= time] or own[:1]
    known = {ipaddress.ip_address(each) for each in past[-1].addresses} if past else set()
    fields = {INTERFACE: "eni-1", SOURCE: source, DESTINATION: destination}
    InterfaceTable(rows).enrich(fields, time)
    here, there = ipaddress.ip_address(source) in known, ipaddress.ip_address(destination) in known
    names = {(True, True): "internal", (True, False): "outbound", (False, True): "inbound", (False, False): "unknown"}
    assert fields[DIRECTION] == names[here, there]


@given(
    st.dictionaries(
        st.sampled_from([INTERFACE, SOURCE, DESTINATION, SOURCE_PORT, DESTINATION_PORT, TCP_FLAGS, DIRECTION, GROUPS]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.just("eni-1")
        | st.lists(st.integers()),
    ),
    st.integers(),
)
def test_no_event_raises(fields, time):
    before = dict(fields)
    TABLE.enrich(fields, time)
    assert {name: fields[name] for name in before} == before or any(each != each for each in before.values())
