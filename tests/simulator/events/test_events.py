"""Each generator follows from its arguments, and its faults are what their labels say."""

import functools
import gzip
from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise

import orjson
import pytest

from simulator.events import NAMES, Fault, clickstream, ec2_api_events, generator, ossec_alerts, vpc_flow_logs

START, HOUR = 1_767_571_200_000, 3600
MODULES = {
    "clickstream": clickstream,
    "ec2-api-events": ec2_api_events,
    "vpc-flow-logs": vpc_flow_logs,
    "ossec-alerts": ossec_alerts,
}


def made(name, seconds=HOUR, rate=5.0, seed=1, faults=None):
    return list(generator(name).generate(START, rate, seconds, seed, faults))


@functools.cache
def usual(name):
    """An hour of a stream, with its faults."""
    return made(name)


def planned(module, *kinds, minutes=10):
    """Faults of these kinds, one behind the other, with what they are about by plan."""
    about = {fault.kind: fault.about for fault in module.plan(START, HOUR)}
    begins = [START + 600_000 + number * minutes * 60_000 for number in range(len(kinds))]
    return [
        Fault(kind, begin, begin + minutes * 60_000, about[kind]) for kind, begin in zip(kinds, begins, strict=True)
    ]


def payload(record):
    return orjson.loads(gzip.decompress(record.data))


def in_fault(fault, time):
    return fault.start <= time < fault.end


@pytest.mark.parametrize("name", NAMES)
def test_the_same_arguments_give_the_same_bytes(name):
    one = made(name, 600)
    assert made(name, 600) == one
    assert made(name, 600, seed=2) != one


@pytest.mark.parametrize("name", NAMES)
def test_records_come_minute_after_minute_within_the_stream(name):
    records = usual(name)
    minutes = [record.time // 60_000 for record in records]
    assert minutes == sorted(minutes)
    assert records[0].time >= START
    assert records[-1].time < START + HOUR * 1000
    assert all(0 < len(record.partition_key) <= 256 and len(record.data) < 1 << 20 for record in records)


@pytest.mark.parametrize("name", NAMES)
def test_every_fault_is_labelled_and_nothing_else_is(name):
    faults = MODULES[name].plan(START, 4 * HOUR)
    assert {fault.kind for fault in faults} == set(MODULES[name].FAULTS)
    assert all(START < fault.start < fault.end <= START + 4 * HOUR * 1000 for fault in faults)
    seen = Counter()
    for record in generator(name).generate(START, 2.0, 4 * HOUR, 1, None):
        if record.label:
            (fault,) = (each for each in faults if each.kind == record.label)
            assert in_fault(fault, record.time)
            seen[record.label] += 1
    silent = {"silent host"}  # of which no record can tell
    assert set(seen) | silent == {fault.kind for fault in faults} | silent


@pytest.mark.parametrize("name", NAMES)
def test_without_faults_nothing_is_labelled(name):
    assert not any(record.label for record in made(name, faults=()))


def test_an_unknown_recipe_has_no_generator():
    with pytest.raises(KeyError):
        generator("none")


# Clicks


def test_clicks_have_the_three_fields_and_a_time():
    events = [(record, orjson.loads(record.data)) for record in usual("clickstream")]
    assert all(list(event) == ["article_id", "user_id", "action", "timestamp"] for _, event in events)
    assert {event["action"] for _, event in events} == {"click", "impression"}
    for record, event in events:
        assert record.partition_key == str(event["article_id"])
        assert datetime.fromisoformat(event["timestamp"]).timestamp() * 1000 == record.time
    assert len(events) == pytest.approx(5 * HOUR, rel=0.7)


def test_readers_are_in_the_table_but_for_some():
    rows = [line.split(",") for line in clickstream.files()["users.csv"].decode().splitlines()]
    known = {int(row[0]) for row in rows}
    assert len(known) == len(rows) == clickstream.READERS
    assert {row[1] for row in rows} == {"female", "male"}
    unknown = [orjson.loads(record.data)["user_id"] not in known for record in usual("clickstream")]
    assert 0.03 < sum(unknown) / len(unknown) < 0.07


def test_a_bot_clicks_and_a_dead_article_is_never_clicked():
    burst, dead = planned(clickstream, "bot burst", "dead article")
    clicks, shown = Counter(), Counter()
    for record in made("clickstream", rate=20, faults=[burst, dead]):
        event = orjson.loads(record.data)
        when = "burst" if in_fault(burst, record.time) else "dead" if in_fault(dead, record.time) else "usual"
        if event["action"] == "click":
            clicks[when, str(event["article_id"]), event["user_id"] == clickstream.BOT] += 1
        shown[when, str(event["article_id"])] += 1
    assert clicks["burst", burst.about, True] > 10 * clicks["burst", burst.about, False] > 0
    assert not clicks["dead", dead.about, False] + clicks["dead", dead.about, True]
    assert clicks["usual", dead.about, False]
    assert shown["dead", dead.about] > 100


# API calls


def test_api_events_are_envelopes_of_cloudtrail_records():
    ids = set()
    for record in usual("ec2-api-events"):
        envelope = orjson.loads(record.data)
        detail = envelope["detail"]
        assert {"version", "id", "detail-type", "source", "account", "time", "region", "resources"} <= set(envelope)
        assert detail["eventTime"] == envelope["time"]
        assert datetime.fromisoformat(envelope["time"]).timestamp() * 1000 == record.time
        assert record.partition_key == detail["eventName"]
        assert (detail["eventName"] == "ConsoleLogin") == (envelope["source"] == "aws.signin")
        ids.add(detail["eventID"])
    assert len(ids) == len(usual("ec2-api-events"))


def test_usual_sign_ins_have_a_second_factor_and_usual_calls_are_not_roots():
    for record in made("ec2-api-events", faults=()):
        detail = orjson.loads(record.data)["detail"]
        assert detail["userIdentity"]["type"] != "Root"
        if detail["eventName"] == "ConsoleLogin":
            assert detail["additionalEventData"]["MFAUsed"] == "Yes"
    assert any("errorCode" in orjson.loads(record.data)["detail"] for record in usual("ec2-api-events"))


def test_the_faults_of_api_events():
    burst, opening, first, root, entry, abroad = faults = planned(ec2_api_events, *ec2_api_events.FAULTS, minutes=8)
    found, usual_ = defaultdict(list), set()
    for record in made("ec2-api-events", faults=faults):
        detail = orjson.loads(record.data)["detail"]
        if not record.label:
            usual_ |= {detail["eventName"], detail["sourceIPAddress"]}
        if record.label:
            found[record.label].append(detail)
    assert len(found[burst.kind]) == 45 * 8
    assert {(each["eventName"], each["userIdentity"]["userName"]) for each in found[burst.kind]} == {
        ("TerminateInstances", burst.about)
    }
    assert {each["userIdentity"]["type"] for each in found[root.kind]} == {"Root"}
    (opened,) = found[opening.kind]
    assert opened["requestParameters"]["ipPermissions"]["items"][0]["ipRanges"] == {"items": [{"cidrIp": "0.0.0.0/0"}]}
    (sign_in,) = found[entry.kind]
    assert (sign_in["additionalEventData"]["MFAUsed"], sign_in["responseElements"]) == (
        "No",
        {"ConsoleLogin": "Success"},
    )
    (called,), (far,) = found[first.kind], found[abroad.kind]
    assert (called["userIdentity"]["userName"], called["eventName"] in usual_) == (first.about, False)
    assert (far["userIdentity"]["userName"], far["sourceIPAddress"] in usual_) == (abroad.about, False)
    assert far["additionalEventData"]["MFAUsed"] == "Yes"


# Flow logs


def lines(records):
    for record in records:
        body = payload(record)
        if body["messageType"] == "DATA_MESSAGE":
            for event in body["logEvents"]:
                yield record, body, event, event["message"].split(" ")


def test_flow_logs_come_as_cloudwatch_delivers_them():
    records = usual("vpc-flow-logs")
    assert payload(records[0])["messageType"] == "CONTROL_MESSAGE"
    ids = []
    for record, body, event, parts in lines(records):
        assert len(parts) == len(vpc_flow_logs.LOG_FORMAT.split())
        assert body["logStream"] == record.partition_key == f"{parts[2]}-all"
        assert len(event["id"]) == 56
        assert event["timestamp"] == int(parts[10]) * 1000
        assert int(parts[10]) <= int(parts[11]) <= record.time // 1000
        assert int(parts[10]) // 60 == int(parts[11]) // 60
        ids.append(event["id"])
    assert len(set(ids)) == len(ids)


def test_flow_logs_of_the_default_format():
    records = list(vpc_flow_logs.generate(START, 5, 600, 1, log_format=vpc_flow_logs.DEFAULT_FORMAT))
    found = [parts for *_, parts in lines(records)]
    assert {len(parts) for parts in found} == {14}
    assert {parts[0] for parts in found} == {"2"}


def test_both_directions_of_a_conversation_are_there_and_flags_tell_who_began():
    own = {each.id: each.address for each in vpc_flow_logs.INTERFACES}
    seen = defaultdict(set)
    for *_, parts in lines(made("vpc-flow-logs", faults=())):
        if parts[13] != "OK":
            continue
        source, destination, flags, direction = parts[3], parts[4], int(parts[14]), parts[15]
        assert own[parts[2]] == (destination if direction == "ingress" else source)
        assert parts[12] == "ACCEPT" or flags == 2
        if parts[12] == "ACCEPT" and parts[7] == "6":
            seen[parts[2], frozenset([(source, parts[5]), (destination, parts[6])])].add(flags)
    assert set(map(frozenset, seen.values())) == {frozenset({3, 19})}


def test_an_idle_interface_reports_no_data_every_minute():
    idle = [parts for *_, parts in lines(usual("vpc-flow-logs")) if parts[2] == vpc_flow_logs.INTERFACES[-1].id]
    assert len(idle) == 60
    assert {parts[13] for parts in idle} <= {"NODATA", "SKIPDATA"}


def test_the_faults_of_flow_logs():
    scan, theft = planned(vpc_flow_logs, *vpc_flow_logs.FAULTS)
    ports, out, usual = set(), 0, Counter()
    for *_, parts in lines(made("vpc-flow-logs", faults=[scan, theft])):
        if parts[13] != "OK":
            continue
        if parts[3] == vpc_flow_logs.SCANNER:
            assert parts[12] == "REJECT"
            assert in_fault(scan, int(parts[10]) * 1000)
            ports.add(parts[6])
        elif parts[4] == vpc_flow_logs.DROP:
            assert in_fault(theft, int(parts[10]) * 1000)
            out += int(parts[9])
        else:
            usual[parts[2]] += int(parts[9])
    assert len(ports) > 2000
    assert out > 10 * max(usual.values())


def test_the_networks_description_holds_all_that_flows():
    files = vpc_flow_logs.files()
    interfaces = orjson.loads(files["interfaces.json"])["NetworkInterfaces"]
    assert {each["NetworkInterfaceId"] for each in interfaces} == {each.id for each in vpc_flow_logs.INTERFACES}
    rules = orjson.loads(files["rules.json"])
    groups = {each["GroupId"] for each in rules["SecurityGroups"]}
    assert {rule["GroupId"] for rule in rules["SecurityGroupRules"]} == groups
    attached = {group["GroupId"] for each in interfaces for group in each["Groups"]}
    assert groups - attached == {vpc_flow_logs.LONELY}


# Alerts


def alerts(records):
    for record in records:
        body = payload(record)
        if body["messageType"] == "DATA_MESSAGE":
            for event in body["logEvents"]:
                yield record, event, orjson.loads(event["message"])


def test_alerts_are_ossecs_json_with_the_instance_as_log_stream():
    ids = set()
    for record, event, alert in alerts(usual("ossec-alerts")):
        assert alert["TimeStamp"] == event["timestamp"] <= record.time
        assert alert["id"].startswith(f"{alert['TimeStamp'] // 1000}.")
        assert {"rule", "location", "full_log", "hostname", "agent_name", "decoder"} <= set(alert)
        assert alert["rule"]["group"].endswith(",")
        ids.add((record.partition_key, alert["id"]))
    assert len(ids) == sum(1 for _ in alerts(usual("ossec-alerts")))


def test_an_alerts_record_is_of_one_log_stream():
    bodies = [(record.partition_key, payload(record)) for record in usual("ossec-alerts")[1:]]
    assert all(body["logStream"] == key for key, body in bodies)
    assert {body["logGroup"] for _, body in bodies} == {"hids-alerts-us-east-1"}


def test_all_kinds_of_the_sample_activity_are_there():
    found = {alert["rule"]["comment"] for *_, alert in alerts(made("ossec-alerts", 2 * HOUR, faults=()))}
    rules = (ossec_alerts.SUDO, ossec_alerts.BAD_REQUEST, ossec_alerts.SCAN, ossec_alerts.OPENED)
    rules += (ossec_alerts.CLOSED, ossec_alerts.INSTALLED, ossec_alerts.DELETED)
    assert {rule.comment for rule in rules} <= found


def test_every_host_speaks_every_minute_unless_it_is_silent():
    (silent,) = planned(ossec_alerts, "silent host")
    spoken = defaultdict(set)
    for record, event, _ in alerts(made("ossec-alerts", faults=[silent])):
        spoken[record.partition_key].add(event["timestamp"] // 60_000)
    for host in ossec_alerts.HOSTS:
        missing = 60 - len(spoken[host.instance])
        assert missing == (10 if host.instance == silent.about else 0)
        assert all(one < other for one, other in pairwise(sorted(spoken[host.instance])))


def test_a_silence_changes_nothing_of_other_hosts():
    (silent,) = planned(ossec_alerts, "silent host")
    usual, with_silence = (made("ossec-alerts", faults=faults) for faults in ((), [silent]))
    others = [record.time for record in usual if record.partition_key != silent.about]
    assert [record.time for record in with_silence if record.partition_key != silent.about] == others


def test_a_brute_force_comes_from_one_address_over_several_hosts():
    (attack,) = planned(ossec_alerts, "brute force")
    hosts = Counter()
    for record, event, alert in alerts(made("ossec-alerts", faults=[attack])):
        if alert.get("srcip") == ossec_alerts.ATTACKER:
            assert in_fault(attack, event["timestamp"])
            hosts[record.partition_key] += 1
    assert len(hosts) == 4
    assert min(hosts.values()) > 300
