"""What is counted for each rule is what a loop over all rules counts."""

import ipaddress
import re
from dataclasses import replace

import boto3
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import UserError, recipes
from service.operate.groups import usage
from service.operate.groups.account import EC2Account, of_files
from service.operate.groups.documents import FlowLogFiles
from service.operate.groups.text import as_json, lines
from service.operate.groups.usage import GroupUsage, Rule, Usage, rules_of
from service.pipeline.enrich import TableError
from service.pipeline.enrich.security_groups import Interface, InterfaceTable
from service.stores import opened
from simulator.events import vpc_flow_logs
from tests.servers import aws
from tests.service.operate.groups.flows import written

INTERFACES = [Interface("eni-1", ("sg-web",), ("10.0.0.1",)), Interface("eni-2", ("sg-app",), ("10.0.0.2", "fd00::2"))]


def rule(number=1, **more):
    usual = {"group": "sg-web", "egress": False, "protocol": "6", "first": 443, "last": 443}
    return Rule(**({"id": f"sgr-{number}", "network": ipaddress.ip_network("0.0.0.0/0")} | usual | more))


def document(**more):
    fields = {
        "@timestamp": "2026-01-05T00:00:00.000Z",
        "aws.vpcflow.log_status": "OK",
        "event.action": "ACCEPT",
        "source.ip": "8.8.8.8",
        "destination.ip": "10.0.0.1",
        "destination.port": 443,
        "network.iana_number": "6",
        "network.bytes": 100,
        "aws.security_group.ids": ["sg-web"],
        "flow.direction": "inbound",
        "flow.initiator": "source",
        "flow.initiator_guessed": False,
        "flow.role": "server",
        "flow.service_port": 443,
        "flow.peer.ip": "8.8.8.8",
    }
    return fields | {name.replace("__", "."): value for name, value in more.items()}


def counted(rules, *documents):
    found = GroupUsage(rules, {}, INTERFACES)
    for each in documents:
        found.add(each)
    return found


def test_a_conversation_is_one_flow_and_the_bytes_of_both_its_lines():
    answer = document(flow__initiator="destination", network__bytes=900)
    found = counted([rule()], document(), answer).usage["sgr-1"]
    assert (found.flows, found.bytes, found.sources) == (1, 1000, 1)
    assert found.last == 1_767_571_200_000
    assert list(map(str, found.networks())) == ["8.8.8.8/32"]


@pytest.mark.parametrize(
    ("rules", "change", "hit"),
    [
        (rule(), {}, True),
        (rule(first=80, last=80), {}, False),
        (rule(first=400, last=500), {}, True),
        (rule(protocol="17"), {}, False),
        (rule(protocol="-1", first=-1, last=-1), {}, True),
        (rule(protocol="6", first=-1, last=-1), {}, True),
        (rule(egress=True), {}, False),
        (rule(egress=True), {"flow__role": "client"}, True),
        (rule(group="sg-other"), {}, False),
        (rule(network=ipaddress.ip_network("10.0.0.0/8")), {}, False),
        (rule(network=ipaddress.ip_network("::/0")), {}, False),
        (rule(network=ipaddress.ip_network("::/0")), {"flow__peer__ip": "2001:db8::1"}, True),
        (rule(network=None, peer_group="sg-app"), {}, False),
        (rule(network=None, peer_group="sg-app"), {"flow__peer__ip": "10.0.0.2"}, True),
        (rule(network=None, peer_group="sg-app"), {"flow__peer__ip": "fd00:0::2"}, True),
        (rule(network=None, untold="pl-1"), {}, False),
        (rule(protocol="1", first=8, last=-1), {"network__iana_number": "1", "flow__service_port": None}, True),
        (rule(), {"event__action": "REJECT"}, False),
    ],
)
def test_a_rule_is_hit_by_what_it_allows(rules, change, hit):
    assert (counted([rules], document(**change)).usage["sgr-1"].last is not None) == hit


def test_what_is_not_told_is_counted_as_such():
    found = counted(
        [rule()],
        document(aws__vpcflow__log_status="NODATA"),
        document(aws__vpcflow__log_status="SKIPDATA"),
        document(flow__role=None),
        document(aws__security_group__ids=[]),
        document(flow__service_port=80),
        document(flow__initiator_guessed=True),
        document(event__action="REJECT"),
        {"@timestamp": "never"},
        {"@timestamp": "2026-01-05T00:00:00Z", "other": 1},
    ).coverage
    assert (found.no_data, found.skipped, found.undirected, found.ungrouped) == (1, 1, 1, 1)
    assert (found.unmatched, found.guessed, found.flows) == (1, 1, 5)


def test_of_many_others_networks_are_remembered(monkeypatch):
    monkeypatch.setattr(usage, "MOST_PEERS", 10)
    found = Usage()
    for number in range(2000):
        found.note(0, True, 1, ipaddress.ip_address(0x08000000 + number))
    assert len(found.peers) + len(found.wide) < 20
    networks = found.networks()
    assert all(any(ipaddress.ip_address(0x08000000 + number) in each for each in networks) for number in range(2000))


peers = st.sampled_from(["8.8.8.8", "8.8.4.4", "10.0.0.1", "10.0.0.2", "10.1.0.9"])
networks = st.sampled_from(["0.0.0.0/0", "8.8.8.0/24", "10.0.0.0/16", "10.0.0.2/32"]).map(ipaddress.ip_network)
some_rules = st.lists(
    st.builds(
        lambda group, egress, protocol, first, width, network, peer: Rule(
            "", group, egress, protocol, first, first + width, None if peer else network, peer
        ),
        st.sampled_from(["sg-web", "sg-app"]),
        st.booleans(),
        st.sampled_from(["6", "17", "-1"]),
        st.integers(1, 4),
        st.integers(0, 2),
        networks,
        st.sampled_from(["", "", "sg-app"]),
    ),
    max_size=6,
)
groups, protocols = st.sampled_from(["sg-web", "sg-app"]), st.sampled_from(["6", "17"])
some_flows = st.lists(st.tuples(groups, st.booleans(), protocols, st.integers(1, 6), peers, st.booleans()), max_size=12)


@given(some_rules, some_flows)
def test_counts_are_those_of_a_loop(rules, flows):
    rules = [replace(each, id=f"sgr-{number}") for number, each in enumerate(rules)]
    found = counted(
        rules,
        *(
            document(
                aws__security_group__ids=[group],
                flow__role="client" if egress else "server",
                network__iana_number=protocol,
                flow__service_port=port,
                flow__peer__ip=peer,
                flow__initiator="source" if began else "destination",
            )
            for group, egress, protocol, port, peer, began in flows
        ),
    )
    for each in rules:
        hits = [
            (peer, began)
            for group, egress, protocol, port, peer, began in flows
            if (group, egress) == (each.group, each.egress)
            and each.protocol in ("-1", protocol)
            and (each.protocol == "-1" or each.first <= port <= each.last)
            and (peer == "10.0.0.2" if each.peer_group else ipaddress.ip_address(peer) in each.network)
        ]
        told = found.usage[each.id]
        assert (told.flows, told.bytes) == (sum(began for _, began in hits), 100 * len(hits))
        assert told.peers == {ipaddress.ip_address(peer) for peer, _ in hits}


# The whole, over the simulated network


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("groups")
    network = of_files(*(recipes.folder("vpc-flow-logs") / name for name in ("rules.json", "interfaces.json")))
    files = FlowLogFiles("", InterfaceTable(network.interfaces))
    found = GroupUsage(network.rules, network.names, network.interfaces)
    for each in files.documents(written(folder / "flow-logs.gz")):
        found.add(each)
    assert files.refused == 0
    return found


def test_rules_that_nobody_uses_are_seen(report):
    unused = [each for each in as_json(report)["rules"] if each["last"] is None]
    assert {(each["name"], each["direction"], each["ports"]) for each in unused} == {
        ("old", "inbound", "0-65535"),
        ("lonely", "inbound", "3389"),
        ("web", "inbound", "8443"),
        ("app", "inbound", "22"),
        ("ssh", "outbound", "all"),
        ("data", "outbound", "all"),
    }


def test_rules_that_are_too_wide_are_seen_with_the_tightest_networks(report):
    told = {(each["name"], each["ports"]): each for each in as_json(report)["rules"]}
    assert told["data", "5432"]["wider"]
    assert told["data", "5432"]["networks"] == ["10.0.2.21/32", "10.0.2.22/32"]
    assert told["ssh", "22"]["networks"] == ["62.157.20.17/32"]
    assert not told["web", "443"]["wider"]


def test_groups_and_coverage_are_told(report):
    told = as_json(report)
    states = {each["name"]: each["state"] for each in told["groups"]}
    assert states == {
        **dict.fromkeys(("web", "app", "data", "ssh"), "used"),
        "old": "no traffic",
        "lonely": "attached to nothing",
    }
    assert told["coverage"]["since"] < told["coverage"]["until"]
    assert told["coverage"]["guessed"] == told["coverage"]["unmatched"] == 0
    assert told["refused"][0]["source"] == vpc_flow_logs.SCANNER
    assert orjson.dumps(told)


def test_the_words_say_how_far_the_logs_reach(report):
    words = "\n".join(lines(report))
    assert words.startswith("Flow logs from 2026-01-05T00:00")
    assert "may have been used before" in words
    assert "Groups with no traffic: old" in words
    assert "Groups attached to nothing: lonely" in words
    assert re.search(r"web +in +tcp 8443 +0\.0\.0\.0/0 +never", words)


def test_without_a_line_nothing_is_said():
    assert list(lines(GroupUsage([rule()], {}, []))) == ["No line of a flow log was found: nothing can be said."]


# Rules of EC2 and of files


async def test_rules_groups_and_interfaces_come_from_ec2():
    with aws.here(ec2=aws.moto()):
        ec2 = boto3.client("ec2", region_name="eu-west-3")
        vpc = ec2.create_vpc(CidrBlock="10.78.0.0/16")["Vpc"]["VpcId"]
        name = aws.unique("web")
        group = ec2.create_security_group(GroupName=name, Description="x", VpcId=vpc)["GroupId"]
        allowed = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[allowed])
        async with opened(EC2Account("eu-west-3")) as account:
            network = await account.network()
        (inbound,) = (each for each in network.rules if each.group == group and not each.egress)
        assert (inbound.protocol, inbound.ports, inbound.peer) == ("6", "443", "10.0.0.0/8")
        assert network.names[group] == name


def test_rules_of_all_kinds_are_read():
    kinds = (
        ({"IpProtocol": "-1", "FromPort": -1, "ToPort": -1, "CidrIpv6": "::/0"}, ("-1", "all", "::/0")),
        ({"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "PrefixListId": "pl-1"}, ("1", "8", "pl-1")),
        ({"IpProtocol": "50", "ReferencedGroupInfo": {"GroupId": "sg-2"}}, ("50", "all", "sg-2")),
    )
    for answer, told in kinds:
        (found,) = rules_of([{"SecurityGroupRuleId": "sgr-1", "GroupId": "sg-1", "IsEgress": False, **answer}])
        assert (found.protocol, found.ports, found.peer) == told
    with pytest.raises(TableError):
        rules_of([{"GroupId": "sg-1"}])


def test_files_that_cannot_be_read_are_named(tmp_path):
    bad = tmp_path / "rules.json"
    wrong = {b"{": "no JSON", b"{}": "no list SecurityGroupRules", b'{"SecurityGroupRules": [{}]}': "a rule lacks"}
    for content, words in wrong.items():
        bad.write_bytes(content)
        with pytest.raises(UserError, match=words):
            of_files(bad, None)
    with pytest.raises(UserError, match="No such file"):
        of_files(tmp_path / "none.json", None)
