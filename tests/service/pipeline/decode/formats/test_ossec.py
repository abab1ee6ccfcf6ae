"""Alerts of OSSEC and Wazuh in all their shapes become documents of one."""

import copy
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.decode.formats.ossec import OSSEC
from tests.service.pipeline.decode.events import ARRIVAL, SAMPLES, codes, decode, one

FOLDER = SAMPLES / "ossec"


def lines(name):
    return (FOLDER / name).read_text().splitlines()


OPENED, SCAN, NO_LEVEL, CHANGED, WEB = lines("ossec-3.jsonl")
(OLD_WAZUH,) = lines("wazuh-1.jsonl")
BRUTE, WINDOWS = lines("wazuh-4.jsonl")
ALERTS = (FOLDER / "alerts.log").read_bytes()
JSON = [OPENED, SCAN, NO_LEVEL, CHANGED, WEB, OLD_WAZUH, BRUTE, WINDOWS]


def fields(alert, **settings):
    return one(OSSEC(**settings), alert).fields


def payload(*messages):
    events = [{"id": f"{n:056d}", "timestamp": ARRIVAL - 9, "message": text} for n, text in enumerate(messages)]
    around = {"messageType": "DATA_MESSAGE", "owner": "000000000042", "logGroup": "hids", "logStream": "i-0abc"}
    return gzip.compress(json.dumps({**around, "logEvents": events}).encode())


def test_an_alert_of_ossec():
    event = one(OSSEC(), OPENED)
    assert (event.time, event.time_source) == (1795746000000, "event")
    found = event.fields
    assert (found["rule.id"], found["rule.level"], found["rule.description"]) == ("5501", 3, "Login session opened.")
    assert found["rule.groups"] == ["pam", "syslog", "authentication_success"]
    assert found["rule.compliance.pci_dss"] == ["10.2.5"]
    assert (found["user.name"], found["process.name"], found["ossec.decoder"]) == ("root", "sudo", "pam")
    assert (found["host.name"], found["log.file.path"]) == ("web-1", "/var/log/secure")
    assert found["event.original"] == OPENED
    assert found["record"]["decoder_desc"] == {"name": "pam"}


def test_the_place_of_an_agents_alert():
    found = fields(SCAN)
    assert (found["host.name"], found["agent.name"], found["host.ip"]) == ("junction", "junction", "192.168.17.17")
    assert (found["log.file.path"], found["host.hostname"]) == ("/var/log/maillog", "junction")
    assert (found["source.ip"], found["source.port"]) == ("10.10.10.10", 40022)
    assert found["ossec.location"] == "(junction) 192.168.17.17->/var/log/maillog"


def test_a_level_that_is_left_out_is_0():
    assert fields(NO_LEVEL)["rule.level"] == 0


def test_files_that_changed():
    assert (fields(CHANGED)["file.path"], fields(CHANGED)["file.hash.md5"][:4]) == ("/etc/hosts", "fedc")
    assert fields(CHANGED)["record"]["SyscheckFile"]["md5_before"][:4] == "0123"
    assert "log.file.path" not in fields(CHANGED)
    assert fields(WINDOWS)["file.path"] == "C:\\Windows\\hosts"


def test_a_source_that_is_no_address_is_a_name():
    assert fields(WEB)["source.domain"] == "not-an-address"
    assert (fields(WEB)["ossec.status"], fields(WEB)["ossec.data"]) == ("404", "text")


def test_an_alert_of_wazuh():
    event = one(OSSEC(), BRUTE)
    assert event.time == 1795746006123
    found = event.fields
    assert (found["rule.id"], found["rule.level"], found["rule.frequency"]) == ("5712", 10, 8)
    assert found["rule.mitre.technique"] == ["Brute Force"]
    assert (found["host.name"], found["host.ip"], found["agent.id"]) == ("db-1", "10.0.0.7", "003")
    assert (found["source.ip"], found["source.port"], found["source.user.name"]) == ("198.51.100.7", 5022, "x")
    assert found["record"]["data"] == {"aws": {"region": ["a", 1]}}
    assert one(OSSEC(), WINDOWS).time == 1795742407000


@pytest.mark.parametrize(
    ("zone", "carried", "time", "source"),
    [
        ("Europe/Berlin", False, 1795746005000, "local"),
        ("UTC", True, 1795749605000, "local"),
        ("", True, ARRIVAL - 9, "envelope"),
        ("", False, ARRIVAL, "arrival"),
    ],
)
def test_the_first_wazuh_tells_a_local_time(zone, carried, time, source):
    event = one(OSSEC(zone), payload(OLD_WAZUH) if carried else OLD_WAZUH, max_future=3_600_000)
    assert (event.time, event.time_source) == (time, source)
    assert (event.fields["rule.id"], event.fields["ossec.decoder"]) == ("5716", "sshd")


def test_its_id_tells_the_seconds_where_no_zone_is_set():
    alert = json.loads(OLD_WAZUH) | {"id": "1795746005.77"}
    assert (one(OSSEC(), alert).time, one(OSSEC(), alert).time_source) == (1795746005000, "event")


def test_blocks_of_alerts_log():
    found = decode(OSSEC(), ALERTS)
    assert codes(found) == [(2, "not_an_alert")]
    failed, closed = found.events
    assert failed.time == 1795746008000
    assert (failed.fields["rule.id"], failed.fields["rule.level"]) == ("5716", 5)
    assert failed.fields["rule.groups"] == ["syslog", "sshd", "authentication_failed"]
    assert (failed.fields["source.ip"], failed.fields["user.name"]) == ("10.10.10.10", "bob")
    assert failed.fields["host.name"] == "junction"
    assert failed.fields["message"].endswith("\nNov 27 02:20:08 junction sshd[5]: and a second line")
    assert closed.fields["rule.description"] == "Login session closed."


def test_a_block_whose_lines_are_log_events_is_one_alert():
    whole = decode(OSSEC(), ALERTS)
    lines = ALERTS.decode().splitlines()
    found = decode(OSSEC(), payload(SCAN, *lines, OPENED))
    assert codes(found) == [(3, "not_an_alert")]
    assert [event.fields["rule.id"] for event in found.events] == ["5706", "5716", "5502", "5501"]
    for event, other in zip(found.events[1:3], whole.events, strict=True):
        assert event.time == other.time
        assert event.fields["message"] == other.fields["message"]
    (again,) = decode(OSSEC(), *(refusal.data for refusal in found.refusals)).refusals
    assert again.reason == found.refusals[0].reason


def test_a_line_without_its_alert_says_what_to_do():
    for line in ("Rule: 5716 (level 5) -> 'SSHD'", "2026 Nov 27 02:20:08 web->/var/log/secure", "Src IP: 10.0.0.1"):
        (refusal,) = decode(OSSEC(), line).refusals
        assert (refusal.code, "send alerts.json" in refusal.reason) == ("not_an_alert", True)


def test_a_block_about_a_file():
    block = (
        "** Alert 1795746008.1: mail  - ossec,syscheck,\n2026 Nov 27 02:20:08 (web) 10.0.0.7->syscheck\n"
        "Rule: 550 (level 7) -> 'Integrity checksum changed.'\nIntegrity checksum changed for: '/etc/passwd'\n"
        f"Old md5sum was: '{'a' * 32}'\nNew md5sum is : '{'b' * 32}'\nNew sha1sum is : '{'c' * 40}'\n"
    )
    found = fields(block)
    assert (found["file.path"], found["file.hash.md5"], found["file.hash.sha1"]) == ("/etc/passwd", "b" * 32, "c" * 40)


def test_sources_of_windows_and_cloud_alerts():
    around = {"rule": {"level": 5, "id": "1"}, "timestamp": "2026-11-27T02:20:00.000+0000"}
    found = fields(around | {"data": {"win": {"eventdata": {"ipAddress": "10.0.0.9", "targetUserName": "bob"}}}})
    assert (found["source.ip"], found["user.name"]) == ("10.0.0.9", "bob")
    assert fields(around | {"data": {"aws": {"source_ip_address": "10.0.0.8"}}})["source.ip"] == "10.0.0.8"
    nowhere = fields(around | {"srcip": "(none)", "data": {"srcip": "-"}})
    assert not {"source.ip", "source.domain"} & nowhere.keys()
    assert fields({"_index": "wazuh", "_source": around})["rule.id"] == "1"


def test_log_events_say_which_instance_it_was():
    first, *_ = decode(OSSEC(), payload(*JSON)).events
    assert (first.fields["host.id"], first.fields["aws.cloudwatch.log_stream"]) == ("i-0abc", "i-0abc")
    assert first.fields["aws.cloudwatch.event_id"] == f"{0:056d}"
    assert first.identity


def test_the_oldest_form_and_wrappers():
    flat = {"rule": 5712, "level": 6, "comment": "x", "id": "1795746001.1", "file": {"path": "/a", "md5_after": "b"}}
    assert (fields(flat)["rule.id"], fields(flat)["rule.level"], fields(flat)["file.path"]) == ("5712", 6, "/a")
    assert fields({"message": SCAN})["rule.id"] == "5706"
    assert fields("Nov 27 02:20:01 host ossec: " + SCAN)["rule.id"] == "5706"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Nov 27 02:20:01 host sshd: nothing", "not_an_alert"),
        ('Nov 27 host app: {"a": {"rule": 1}}', "not_an_alert"),
        (SCAN[:200], "not_json"),
        ({"rule": {}}, "not_an_alert"),
        ({"rule": {"level": 17, "id": 1}}, "bad_value"),
        ({"rule": {"level": "high", "id": 1}}, "bad_value"),
        (json.loads(SCAN) | {"TimeStamp": "soon"}, "bad_time"),
        (json.loads(SCAN) | {"TimeStamp": 0}, "past_time"),
        (json.loads(OLD_WAZUH) | {"timestamp": "2026 Nov 31 00:00:00"}, "bad_time"),
    ],
)
def test_what_is_no_alert(message, code):
    assert codes(decode(OSSEC("UTC"), message)) == [(None, code)]


def test_an_array_and_a_bad_element():
    found = decode(OSSEC(), f"[{SCAN}, 1, {OPENED}]")
    assert (found.ordinals, codes(found)) == ([0, 2], [(1, "not_a_message")])


def test_there_is_no_such_zone():
    with pytest.raises(ValueError, match="no time zone"):
        OSSEC("Mars/Olympus")


@given(st.data())
def test_any_change_of_an_alert_is_a_document_or_refused(data):
    alert = copy.deepcopy(json.loads(data.draw(st.sampled_from(JSON))))
    kept = copy.deepcopy(alert)
    odd = st.sampled_from(
        [None, True, -1.5, 2**70, 1e400, "", "x", "\0", "(a) b->", [], [[]], {}, {"": {"a": []}}, ["a", 1]]
    )
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.sampled_from([alert, *(each for each in alert.values() if isinstance(each, dict))]))
        if place:
            place[data.draw(st.sampled_from(sorted(place)))] = copy.deepcopy(data.draw(odd))
    before = copy.deepcopy(alert)
    decode(OSSEC(data.draw(st.sampled_from(["", "Europe/Berlin"]))), [alert, kept], payload(json.dumps(alert)))
    assert json.dumps(alert) == json.dumps(before)


@given(st.text(alphabet="*Alert0123456789.:- \n>'()RulevSIPcs,", max_size=120))
def test_any_block_is_a_document_or_refused(text):
    decode(OSSEC("UTC"), "** Alert 1795746008.6000: - a,\n2026 Nov 27 02:20:08 " + text, "** Alert " + text)
