"""Flow logs of all versions and formats: every line is a document, or a dead letter that says why."""

import gzip
import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.decode.formats.flow_log import DEFAULT_FORMAT, FlowLog, field_names
from service.pipeline.decode.formats.values import is_address
from tests.service.pipeline.decode.events import ARRIVAL, SAMPLES, codes, decode, one

LINE = "2 000000000042 eni-1 203.0.113.9 10.1.2.3 51514 443 6 12 3400 1795746420 1795746478 ACCEPT OK"
ALL = (SAMPLES / "flow-log" / "v2.log").read_text()


def sample(name):
    return (SAMPLES / "flow-log" / name).read_bytes()


def test_a_line_of_the_default_format():
    event = one(FlowLog(), LINE)
    assert event.time == 1795746478000
    assert (event.time_source, event.identity) == ("event", "")
    assert event.fields == {
        "aws.vpcflow.version": 2,
        "cloud.account.id": "000000000042",
        "aws.vpcflow.interface_id": "eni-1",
        "source.ip": "203.0.113.9",
        "destination.ip": "10.1.2.3",
        "source.port": 51514,
        "destination.port": 443,
        "network.iana_number": "6",
        "network.transport": "tcp",
        "network.packets": 12,
        "network.bytes": 3400,
        "event.start": "2026-11-27T02:27:00.000Z",
        "event.end": "2026-11-27T02:27:58.000Z",
        "event.action": "ACCEPT",
        "aws.vpcflow.log_status": "OK",
        "event.kind": "event",
    }


def test_every_line_of_a_file_is_a_document_also_without_data():
    found = decode(FlowLog(), ALL)
    assert found.refusals == []
    assert found.ordinals == [0, 1, 2, 3, 4, 5]
    status = [event.fields["aws.vpcflow.log_status"] for event in found.events]
    assert status == ["OK"] * 4 + ["NODATA", "SKIPDATA"]
    assert found.events[4].fields["cloud.account.id"] == "unknown"
    assert found.events[4].time == 1795746480000
    assert "source.ip" not in found.events[4].fields
    assert found.events[2].fields["source.ip"] == "2001:db8::5"
    assert found.events[3].fields["destination.ip"] == "10.1.2.4"  # two blanks between fields


def test_a_header_line_says_how_the_lines_after_it_are_read():
    found = decode(FlowLog(), sample("v5-header.log"))
    assert codes(found) == [(2, "unknown_format")]
    assert found.ordinals == [1, 3]
    assert found.dropped == {"header line": 1}
    first, second = (event.fields for event in found.events)
    assert first["aws.vpcflow.tcp_flags"] == 2
    assert first["aws.vpcflow.flow_direction"] == "egress"
    assert first["aws.vpcflow.traffic_path"] == 1
    assert second["aws.vpcflow.pkt_src_aws_service"] == "DYNAMODB"
    assert "aws.vpcflow.traffic_path" not in second
    assert found.events[0].time == 1795746479000  # milliseconds in the line


def test_a_refused_line_can_be_sent_again_with_its_header():
    (refusal,) = decode(FlowLog(), sample("v5-header.log")).refusals
    assert codes(decode(FlowLog(), refusal.data)) == [(1, "unknown_format")]


def test_formats_without_version_and_time():
    found = decode(FlowLog(), sample("nat-header.log"))
    assert [event.time_source for event in found.events] == ["arrival", "arrival"]
    assert found.events[0].time == ARRIVAL
    assert found.events[0].fields["aws.vpcflow.pkt_dstaddr"] == "203.0.113.5"
    assert found.events[1].fields["cloud.instance.id"] == "i-00000000000000bbb"


def test_transit_gateways_and_fields_that_nobody_knows():
    (event,) = decode(FlowLog(), sample("tgw-header.log")).events
    assert event.fields["aws.vpcflow.packets_lost_blackhole"] == 3
    assert event.fields["aws.vpcflow.tgw_src_vpc_account_id"] == "000000000043"
    assert event.fields["record"] == {"made-up-field": "something"}


def test_containers_and_reasons():
    (event,) = decode(FlowLog(), sample("ecs-header.log")).events
    assert event.fields["aws.vpcflow.ecs_service_name"] == "checkout"
    assert event.fields["aws.vpcflow.reject_reason"] == "BPA"


@pytest.mark.parametrize(
    "format_",
    ["${version} ${srcaddr} ${new-field} ${end}", "version srcaddr new-field end", "version, srcaddr,new-field,end"],
)
def test_a_custom_format_by_its_text(format_):
    event = one(FlowLog(format_), "7 10.0.0.1 hello 1795746420")
    assert event.fields["source.ip"] == "10.0.0.1"
    assert event.fields["aws.vpcflow.version"] == 7
    assert event.fields["record"] == {"new-field": "hello"}


def test_a_header_line_of_the_format_that_is_set():
    found = decode(FlowLog("srcaddr dstaddr"), "srcaddr dstaddr", "10.0.0.1 10.0.0.2")
    assert (len(found.events), found.dropped) == (1, {"header line": 1})


@pytest.mark.parametrize("format_", ["${srcaddr", "$ {}", "srcaddr srcaddr", "${a b}"])
def test_what_is_no_format(format_):
    with pytest.raises(ValueError, match=r"names no fields|is there twice"):
        field_names(format_)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("bogus line", "unknown_format"),
        ("bogus start line", "unknown_format"),
        (LINE + " more", "unknown_format"),
        (LINE[:40], "unknown_format"),
        ("3" + LINE[1:], "unknown_format"),
        (" ".join(["-"] * 14), "empty"),
        (LINE.replace("10.1.2.3", "10.1.2.300"), "bad_value"),
        (LINE.replace("10.1.2.3", "10.1.2.03"), "bad_value"),
        (LINE.replace("10.1.2.3", "fe80::1%eth0"), "bad_value"),
        (LINE.replace(" 443 ", " 65536 "), "bad_value"),
        (LINE.replace(" 443 ", " -1 "), "bad_value"),
        (LINE.replace(" 443 ", " 4_3 "), "bad_value"),
        (LINE.replace(" 443 ", " +443 "), "bad_value"),
        (LINE.replace(" 443 ", " \N{ARABIC-INDIC DIGIT FOUR} "), "bad_value"),
        (LINE.replace(" 3400 ", " 9223372036854775808 "), "bad_value"),
        (LINE.replace(" 3400 ", f" {'9' * 5000} "), "bad_value"),
        (LINE.replace(" 6 ", " 256 "), "bad_value"),
        (LINE.replace("1795746478", "999999999999999"), "bad_value"),
        (LINE.replace("ACCEPT", "accept"), "bad_value"),
        (LINE.replace("OK", "FINE"), "bad_value"),
        (LINE.replace("1795746478", "1895746478"), "future_time"),
        (LINE.replace("1795746478", "1000"), "past_time"),
        ('{"message": 5}', "unknown_format"),
        ('{"srcaddr": "10.0.0.1", "dstaddr": "10.0.0.2", "bytes": [1]}', "bad_value"),
        ('{"srcaddr": "10.0.0.1", "dstaddr": "no", "bytes": 1}', "bad_value"),
    ],
)
def test_what_is_no_flow(line, code):
    found = decode(FlowLog(), f"{LINE}\n{line}\n{LINE}" if not line.startswith("{") else f"[{line}]")
    assert [refusal.code for refusal in found.refusals] == [code]
    assert len(found.events) == (0 if line.startswith("{") else 2)


def test_one_bad_line_alone_is_its_record():
    (refusal,) = decode(FlowLog(), b"bogus").refusals
    assert (refusal.ordinal, refusal.data) == (None, b"bogus")


def test_lines_in_objects_and_their_fields_as_objects():
    assert one(FlowLog(), {"message": LINE}).fields == one(FlowLog(), LINE).fields
    names = DEFAULT_FORMAT.split()
    members = dict(zip(names, LINE.split(), strict=True))
    assert one(FlowLog(), members).fields == one(FlowLog(), LINE).fields
    typed = {name.replace("-", "_"): int(text) if text.isdigit() and name != "account-id" else text
             for name, text in members.items()}  # fmt: skip
    assert one(FlowLog(), typed).fields == one(FlowLog(), LINE).fields


def test_objects_of_older_pipelines_have_other_names_and_more():
    members = {
        "@timestamp": "2026-11-27T02:30:00Z", "srcaddr": "10.0.0.1", "destaddr": "10.0.0.2", "bytes": 1e3,
        "start": "2026-11-27T02:20:00Z", "end": None, "security-group-ids": ["sg-1"], "tags": {"a": [1]},
    }  # fmt: skip
    event = one(FlowLog(), members)
    assert (event.time, event.fields["event.start"]) == (1795746000000, "2026-11-27T02:20:00.000Z")
    assert (event.fields["source.ip"], event.fields["destination.ip"]) == ("10.0.0.1", "10.0.0.2")
    assert event.fields["network.bytes"] == 1000
    assert event.fields["record"] == {name: members[name] for name in ("@timestamp", "security-group-ids", "tags")}


@pytest.mark.parametrize("change", [str.upper, lambda name: name.replace("-", "_"), "${{{}}}".format, '"{}"'.format])
def test_header_lines_as_other_tools_write_them(change):
    for header in (DEFAULT_FORMAT, "srcaddr dstaddr account-id"):
        values = LINE if header == DEFAULT_FORMAT else "10.0.0.1 10.0.0.2 007"
        found = decode(FlowLog(), " ".join(map(change, header.split())) + "\n" + values)
        assert (len(found.events), found.dropped, found.refusals) == (1, {"header line": 1}, [])


def test_default_formats_beside_a_custom_one():
    gateway = (
        "6 TransitGateway 007 tgw-1 tgw-attach-1 1 2 vpc-1 vpc-2 subnet-1 subnet-2 eni-1 eni-2 use1-az1 use1-az2 "
        "tgw-attach-2 10.0.0.1 10.1.0.1 4242 443 6 3 99 1795746418 1795746478 OK IPv4 0 0 1 0 19 us-east-1 egress - -"
    )
    for format_ in (FlowLog(), FlowLog("srcaddr dstaddr pkt-srcaddr")):
        interface, transit = decode(format_, LINE, gateway).events
        assert interface.fields == one(FlowLog(), LINE).fields
        assert transit.time == 1795746478000
        assert transit.fields["aws.vpcflow.tgw_pair_attachment_id"] == "tgw-attach-2"
        assert transit.fields["aws.vpcflow.packets_lost_mtu_exceeded"] == 1
        assert "aws.vpcflow.pkt_src_aws_service" not in transit.fields


def test_lines_that_cloudwatch_logs_has_exported():
    assert one(FlowLog(), f"2026-11-27T02:29:00.000Z {LINE}").fields == one(FlowLog(), LINE).fields
    event = one(FlowLog("srcaddr dstaddr"), "2026-11-27T02:29:00.000Z 10.0.0.1 10.0.0.2")
    assert (event.time, event.time_source) == (1795746540000, "envelope")


def test_log_events_have_identities_and_places():
    event = {"id": "1" * 56, "timestamp": ARRIVAL - 5, "message": "10.0.0.1 10.0.0.2"}
    payload = {"messageType": "DATA_MESSAGE", "owner": "000000000042", "logGroup": "g", "logStream": "s"}
    found = decode(
        FlowLog("srcaddr dstaddr"), gzip.compress(json.dumps({**payload, "logEvents": [event] * 2}).encode())
    )
    first, second = found.events
    assert (first.time, first.time_source) == (ARRIVAL - 5, "envelope")
    assert first.identity == second.identity != ""
    assert first.fields["cloud.account.id"] == "000000000042"
    assert first.fields["aws.cloudwatch.log_group"] == "g"


def test_two_texts_under_one_name_are_two_events():
    payload = {"messageType": "DATA_MESSAGE", "owner": "0", "logGroup": "g", "logStream": "s"}
    events = [{"id": "1", "timestamp": ARRIVAL, "message": text} for text in (LINE, LINE.replace("443", "444"), LINE)]
    first, second, again = decode(FlowLog(), {**payload, "logEvents": events}).events
    assert first.identity == again.identity != second.identity


def test_fields_that_a_filter_of_cloudwatch_logs_has_cut_out():
    names = {"version": "5", "srcaddr": "10.0.0.1", "dst_port": "443", "dstaddr": "10.0.0.2", "account_id": "007"}
    event = {"id": "1", "timestamp": ARRIVAL, "message": " ".join(names.values()), "extractedFields": names}
    payload = {"messageType": "DATA_MESSAGE", "owner": "0", "logGroup": "g", "logStream": "s", "logEvents": [event]}
    found = one(FlowLog(), payload).fields
    assert (found["source.ip"], found["cloud.account.id"], found["record"]) == ("10.0.0.1", "007", {"dst_port": "443"})


@given(st.ip_addresses().map(str) | st.from_regex(r"[0-9a-f:.]{1,20}", fullmatch=True))
def test_an_address_is_what_python_takes_for_one(text):
    try:
        ipaddress.ip_address(text)
        expected = True
    except ValueError:
        expected = False
    assert is_address(text) == expected


tokens = st.sampled_from([*LINE.split(), "-", "", "\0", "é", "1e5", "0x1", *DEFAULT_FORMAT.split()]) | st.text(
    max_size=5
)


@given(st.lists(tokens, min_size=12, max_size=16).map(" ".join), st.sampled_from(["", DEFAULT_FORMAT, "a b srcaddr"]))
def test_any_line_is_a_document_or_refused(line, format_):
    decode(FlowLog(format_), f"{LINE}\n{line}".encode())


@given(st.integers(0, 13), tokens.filter(lambda token: token.split() == [token]))
def test_a_changed_token_is_kept_or_refused_but_never_changed_in_silence(place, token):
    parts = LINE.split()
    parts[place] = token
    for event in decode(FlowLog(), " ".join(parts)).events:
        shown = " ".join(str(value) for value in event.fields.values())
        assert token == "-" or token in shown or token.lstrip("0") in shown or place in (10, 11)
