"""CloudTrail records, whatever carries them: what every one of them says is fields, the rest is kept."""

import copy
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.decode.formats.cloudtrail import CloudTrail
from tests.service.pipeline.decode.events import ARRIVAL, SAMPLES, codes, decode, one

RECORDS = [json.loads(line) for line in (SAMPLES / "cloudtrail" / "records.jsonl").read_text().splitlines()]
ENVELOPES = (SAMPLES / "cloudtrail" / "envelopes.jsonl").read_bytes()
RUN, DENIED, OPENED, INTERNAL, ROOT, NO_LOGIN, BY_SERVICE, AS_TEXT, ODD, INSIGHT, SERVICE, READ = RECORDS


def fields(record):
    return one(CloudTrail(), record).fields


def payload(*records):
    events = [
        {"id": f"{number:056d}", "timestamp": ARRIVAL, "message": json.dumps(record)}
        for number, record in enumerate(records)
    ]
    around = {"messageType": "DATA_MESSAGE", "owner": "000000000042", "logGroup": "trail", "logStream": "s"}
    return gzip.compress(json.dumps({**around, "logEvents": events}).encode())


def test_an_api_call():
    event = one(CloudTrail(), RUN)
    assert event.time == 1795746010000
    assert event.identity.startswith(RUN["eventID"])
    found = event.fields
    assert (found["event.action"], found["event.provider"]) == ("RunInstances", "ec2.amazonaws.com")
    assert (found["event.outcome"], found["event.kind"]) == ("success", "event")
    assert (found["cloud.account.id"], found["cloud.region"]) == ("000000000042", "eu-west-1")
    assert (found["user.name"], found["user.type"], found["source.ip"]) == ("alice", "IAMUser", "203.0.113.9")
    assert found["aws.cloudtrail.read_only"] is False
    assert found["targets"] == ["ami-0123456789abcdef0", "ops", "i-0123456789abcdef0"]
    assert found["record"]["requestParameters"] == RUN["requestParameters"]
    assert json.loads(found["event.original"]) == RUN
    assert "record_omitted" not in found


@pytest.mark.parametrize(
    "carried",
    [
        *(json.dumps(RECORDS).encode(), json.dumps({"Records": RECORDS}).encode(), payload(*RECORDS)),
        "\n".join(map(json.dumps, RECORDS)).encode(),
        gzip.compress("".join(map(json.dumps, RECORDS)).encode()),
    ],
)
def test_it_is_the_same_whatever_carries_it(carried):
    found = decode(CloudTrail(), carried)
    assert found.refusals == []
    alone = [one(CloudTrail(), record) for record in RECORDS]
    assert [event.identity for event in found.events] == [event.identity for event in alone]
    for event, other in zip(found.events, alone, strict=True):
        assert event.time == other.time
        for name in event.fields.keys() & other.fields.keys() - {"event.original"}:
            assert event.fields[name] == other.fields[name]


def test_a_record_that_comes_twice_is_one_and_others_with_its_id_are_not():
    twice = decode(CloudTrail(), RUN, payload(RUN), {"detail-type": "AWS API Call via CloudTrail", "detail": RUN})
    other = one(CloudTrail(), RUN | {"eventName": "StopInstances"})
    assert len({event.identity for event in (*twice.events, other)}) == 2


def test_a_denied_call_of_a_role_with_mfa():
    found = fields(DENIED)
    assert (found["event.outcome"], found["error.code"]) == ("failure", "Client.UnauthorizedOperation")
    assert (found["user.name"], found["user.mfa"], found["user.type"]) == ("deploy", True, "AssumedRole")


def test_openings_to_the_world():
    assert fields(OPENED)["aws.cloudtrail.open_to_world"] is True
    assert "aws.cloudtrail.open_to_world" not in fields(INTERNAL)


def test_sign_ins():
    root, refused = fields(ROOT), fields(NO_LOGIN)
    assert (root["event.outcome"], root["user.mfa"], root["user.name"]) == ("success", False, "root")
    assert root["aws.cloudtrail.console_login"] == "Success"
    assert (refused["event.outcome"], refused["user.mfa"]) == ("failure", True)


def test_members_of_several_types():
    assert fields(BY_SERVICE)["aws.cloudtrail.read_only"] is False  # as text in the record
    assert fields(BY_SERVICE)["source.domain"] == "cloudformation.amazonaws.com"
    assert fields(AS_TEXT)["record"]["responseElements"] == "text, as some services answer"
    assert fields(AS_TEXT)["targets"] == ["logs", "arn:aws:s3:::logs"]
    assert fields(ODD)["record"]["requestParameters"] == ODD["requestParameters"]
    assert fields(RUN | {"readOnly": "perhaps"})["record"]["readOnly"] == "perhaps"
    assert fields(RUN | {"awsRegion": ["a", "b"]})["record"]["awsRegion"] == ["a", "b"]


def test_insights_service_events_and_services():
    insight = fields(INSIGHT)
    assert (insight["event.action"], insight["event.outcome"]) == ("CompleteLifecycleAction", "unknown")
    assert insight["aws.cloudtrail.insight_type"] == "ApiCallRateInsight"
    assert "user.name" not in insight
    assert (fields(SERVICE)["event.outcome"], fields(SERVICE)["user.name"]) == ("unknown", "AWS Internal")
    assert (fields(READ)["source.ip"], fields(READ)["user.name"]) == ("2001:db8::7", "autoscaling.amazonaws.com")


def test_envelopes_of_eventbridge():
    found = decode(CloudTrail(), ENVELOPES)
    assert found.refusals == []
    stop, state, scheduled = found.events
    assert stop.fields["aws.cloudtrail.detail_type"] == "AWS API Call via CloudTrail"
    assert state.fields["event.action"] == "EC2 Instance State-change Notification"
    assert state.fields["targets"][-1] == "i-0123456789abcdef0"
    assert (state.time, state.time_source) == (1795746012000, "envelope")
    assert (scheduled.time, scheduled.time_source) == (ARRIVAL, "arrival")
    assert scheduled.fields["event.outcome"] == "unknown"


def test_a_record_in_an_object_of_an_agent():
    wrapped = fields({"event": RUN, "agent": {"version": "1"}})
    assert wrapped["event.action"] == "RunInstances"
    assert wrapped["record"]["agent"] == {"version": "1"}
    assert fields({"message": json.dumps(RUN)})["event.action"] == "RunInstances"


def test_records_that_notifications_and_look_ups_hold():
    envelope = {"detail-type": "AWS API Call via CloudTrail", "id": "1", "detail": RUN}
    noted = {"Type": "Notification", "TopicArn": "arn", "MessageId": "2", "Timestamp": "2026-11-27T02:20:00Z"}
    bare = one(CloudTrail(), RUN)
    for data in (noted | {"Message": json.dumps(envelope)}, {"EventId": "3", "CloudTrailEvent": json.dumps(RUN)}):
        event = one(CloudTrail(), data)
        assert (event.time, event.identity) == (bare.time, bare.identity)
    assert codes(decode(CloudTrail(), noted | {"Message": "hello"})) == [(None, "not_json")]


def test_two_events_of_one_name_are_two():
    around = {"detail-type": "GuardDuty Finding", "id": "1", "source": "aws.guardduty", "time": "2026-11-27T02:20:00Z"}
    details = [{"type": "a", "severity": 2}, {"severity": 2, "type": "a"}, {"type": "b", "severity": 8.5}]
    first, again, other = decode(CloudTrail(), *(around | {"detail": each} for each in details)).events
    assert first.identity == again.identity != other.identity


def test_without_a_time_the_carrier_says_it():
    without = {name: value for name, value in RUN.items() if name != "eventTime"}
    assert one(CloudTrail(), payload(without)).time_source == "envelope"
    assert one(CloudTrail(), without).time_source == "arrival"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"a": 1}, "unknown_format"),
        ("a line of text", "not_json"),
        (RUN | {"eventTime": "yesterday"}, "bad_time"),
        (RUN | {"eventTime": 0}, "past_time"),
        (RUN | {"eventTime": "2036-01-01T00:00:00Z"}, "future_time"),
        (json.dumps(RUN)[:300], "not_json"),
    ],
)
def test_what_is_no_record(data, code):
    assert codes(decode(CloudTrail(), data)) == [(None, code)]


def test_what_is_too_large_or_too_deep_for_an_index_is_named_and_in_the_text():
    deep = "leaf"
    for _ in range(25):
        deep = {"a": deep}
    record = RUN | {"requestParameters": {"big": "x" * 40_000}, "responseElements": deep, "nul": {"\0": 1}}
    found = fields(record)
    assert sorted(found["record_omitted"]) == ["nul", "requestParameters", "responseElements"]
    assert found["record"]["userIdentity"] == RUN["userIdentity"]
    assert json.loads(found["event.original"]) == record


def test_the_free_part_is_measured_in_bytes():
    found = fields(json.dumps(RUN | {"requestParameters": {"emoji": "\N{GRINNING FACE}" * 5000}}, ensure_ascii=False))
    assert found["record_omitted"] == ["requestParameters"]


@given(st.data())
def test_any_change_of_a_record_is_a_document_or_refused(data):
    record = copy.deepcopy(data.draw(st.sampled_from(RECORDS)))
    odd = st.sampled_from([None, True, 0, -1.5, 2**70, 1e400, "", "x", "\0", [], [[]], {}, {"": {"a.b": []}}, ["a", 1]])
    for _ in range(data.draw(st.integers(1, 4))):
        place = record
        while isinstance(place, dict) and place:
            name = data.draw(st.sampled_from(sorted(place)))
            if isinstance(place[name], dict) and data.draw(st.booleans()):
                place = place[name]
                continue
            place[data.draw(st.sampled_from([name, "", "a.b", "\0"]))] = copy.deepcopy(data.draw(odd))
            break
    decode(CloudTrail(), record, payload(record))
