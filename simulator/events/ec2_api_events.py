"""API calls of EC2 and sign-ins to the console, as EventBridge delivers what CloudTrail has recorded.

People work by day, automation around the clock; one call in forty is denied. Faults: somebody terminates instances by
the dozen; a security group is opened to the world; somebody calls what they never called; the root user makes calls; a
sign-in without a second factor, from an address that was never seen; a sign-in from another country.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simulator.events import EventRecord, Fault
from simulator.events.carriers import MINUTE, Dice, active, compact, iso, placed, rhythm

FAULTS = (
    "burst of terminations", "opening to the world", "first call", "root use", "sign-in without MFA", "another country",
)  # fmt: skip
RATE = 2.0
ACCOUNT, REGION = "123456789012", "us-east-1"
INTRUDER, ROOT_ADDRESS = "203.0.113.66", "198.51.100.14"
ABROAD = "133.11.0.1"  # Japan; the offices are in Germany

# Who calls, whether a person, and how often.
_CALLERS: tuple[tuple[str, bool, float], ...] = (
    ("alice", True, 3), ("bob", True, 3), ("carol", True, 2), ("dave", True, 1),
    ("deploy", False, 6), ("autoscaling", False, 6), ("backup", False, 4), ("monitoring", False, 3),
)  # fmt: skip
# What is called, and how often by people and by automation.
_CALLS: tuple[tuple[str, float, float], ...] = (
    ("RunInstances", 3, 8), ("TerminateInstances", 1, 6), ("StartInstances", 4, 2), ("StopInstances", 4, 2),
    ("RebootInstances", 2, 0), ("CreateTags", 4, 8), ("CreateSnapshot", 1, 8), ("DeleteSnapshot", 1, 6),
    ("CreateVolume", 2, 3), ("AttachVolume", 2, 3), ("ModifyVolume", 1, 0), ("CreateImage", 1, 1),
    ("AuthorizeSecurityGroupIngress", 2, 0), ("RevokeSecurityGroupIngress", 2, 0), ("CreateSecurityGroup", 1, 0),
    ("CreateRoute", 1, 0), ("DeleteKeyPair", 1, 0), ("CreateFlowLogs", 0.3, 0), ("ModifyVpcEndpoint", 0.3, 0),
)  # fmt: skip
_SIGN_INS = 0.06  # of a person's events


def plan(start: int, seconds: float) -> tuple[Fault, ...]:
    """One after the other in the second half of the stream."""
    return placed(
        start,
        seconds,
        (
            ("burst of terminations", 0.5, 4, "bob"),
            ("opening to the world", 0.65, 2, "dave"),
            ("first call", 0.73, 2, "alice"),
            ("root use", 0.8, 5, "root"),
            ("sign-in without MFA", 0.88, 3, "carol"),
            ("another country", 0.95, 2, "bob"),
        ),
    )


def files() -> Mapping[str, bytes]:
    """It needs none."""
    return {}


def generate(
    start: int, rate: float, seconds: float, seed: int, faults: Sequence[Fault] | None = None
) -> Iterator[EventRecord]:
    """Records in the order of their time, each an envelope of EventBridge; their partition key is the operation."""
    faults = plan(start, seconds) if faults is None else faults
    dice = Dice(seed)
    end = start + round(seconds * 1000)
    calls = [name for name, *_ in _CALLS]
    shares = {True: [weight for _, weight, _ in _CALLS], False: [weight for *_, weight in _CALLS]}
    for minute in range(start, end, MINUTE):
        length = min(MINUTE, end - minute)
        busy = rhythm(minute, 0.7)  # people by day; automation is half of all, and even
        events: list[tuple[int, dict[str, Any], str | None]] = []
        callers = [weight * (busy if person else 1.0) for _, person, weight in _CALLERS]
        for time in dice.times(dice.poisson(rate * length / 1000), minute, length):
            ((name, person, _),) = dice.choices(_CALLERS, callers)
            if person and dice.random() < _SIGN_INS:
                record = _sign_in(dice, time, name, _office(name), mfa=True, failed=dice.random() < 0.05)
            else:
                (call,) = dice.choices(calls, shares[person])
                record = _call(dice, time, call, _identity(name, person), _address(name, person))
                if dice.random() < 1 / 40:
                    record |= {
                        "errorCode": "Client.UnauthorizedOperation",
                        "errorMessage": "You are not authorized to perform this operation.",
                        "responseElements": None,
                    }
            events.append((time, record, None))
        events += _faulty(dice, faults, minute, length)
        for time, record, label in sorted(events, key=lambda each: each[0]):
            yield EventRecord(record["eventName"], compact(_envelope(record)), time // 1000 * 1000, label)


def _faulty(
    dice: Dice, faults: Sequence[Fault], minute: int, length: int
) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    if burst := active(faults, "burst of terminations", minute):
        for time in dice.times(45, minute, length):
            person = _identity(burst.about, True)
            yield time, _call(dice, time, "TerminateInstances", person, _office(burst.about)), burst.kind
    if (opening := active(faults, "opening to the world", minute)) and minute == opening.start:
        (time,) = dice.times(1, minute, length)
        person = _identity(opening.about, True)
        record = _call(dice, time, "AuthorizeSecurityGroupIngress", person, _office(opening.about))
        record["requestParameters"]["ipPermissions"]["items"][0]["ipRanges"]["items"] = [{"cidrIp": "0.0.0.0/0"}]
        yield time, record, opening.kind
    if root := active(faults, "root use", minute):
        for time in dice.times(3, minute, length):
            call = dice.choice(("CreateKeyPair", "AuthorizeSecurityGroupIngress", "RunInstances"))
            identity = {
                "type": "Root",
                "principalId": ACCOUNT,
                "arn": f"arn:aws:iam::{ACCOUNT}:root",
                "accountId": ACCOUNT,
                "accessKeyId": "",
            }
            yield time, _call(dice, time, call, identity, ROOT_ADDRESS), root.kind
    if (first := active(faults, "first call", minute)) and minute == first.start:
        (time,) = dice.times(1, minute, length)
        person = _identity(first.about, True)
        yield time, _call(dice, time, "ModifyInstanceAttribute", person, _office(first.about)), first.kind
    if (abroad := active(faults, "another country", minute)) and minute == abroad.start:
        (time,) = dice.times(1, minute, length)
        yield time, _sign_in(dice, time, abroad.about, ABROAD, mfa=True, failed=False), abroad.kind
    if (entry := active(faults, "sign-in without MFA", minute)) and minute == entry.start:
        (time,) = dice.times(1, minute, length)
        yield time, _sign_in(dice, time, entry.about, INTRUDER, mfa=False, failed=False), entry.kind


def _office(name: str) -> str:
    return f"62.157.20.{10 + sum(name.encode()) % 40}"


def _address(name: str, person: bool) -> str:
    return _office(name) if person else {"autoscaling": "autoscaling.amazonaws.com"}.get(name, "18.204.7.21")


def _identity(name: str, person: bool) -> dict[str, Any]:
    if name == "autoscaling":
        return {"type": "AWSService", "invokedBy": "autoscaling.amazonaws.com"}
    if person:
        return {
            "type": "IAMUser",
            "principalId": f"AIDA{name.upper():X<12}",
            "arn": f"arn:aws:iam::{ACCOUNT}:user/{name}",
            "accountId": ACCOUNT,
            "accessKeyId": f"ASIA{name.upper():X<12}",
            "userName": name,
            "sessionContext": {"attributes": {"creationDate": "2026-01-05T08:00:00Z", "mfaAuthenticated": "true"}},
        }
    role = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    return {
        "type": "AssumedRole",
        "principalId": f"AROA{name.upper():X<12}:{name}-session",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{name}-session",
        "accountId": ACCOUNT,
        "accessKeyId": f"ASIA{name.upper():X<12}",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": f"AROA{name.upper():X<12}",
                "arn": role,
                "accountId": ACCOUNT,
                "userName": name,
            },
            "attributes": {"creationDate": "2026-01-05T08:00:00Z", "mfaAuthenticated": "false"},
        },
    }


def _record(dice: Dice, time: int, source: str, name: str) -> dict[str, Any]:
    return {
        "eventVersion": "1.10",
        "eventTime": iso(time),
        "eventSource": source,
        "eventName": name,
        "awsRegion": REGION,
        "requestID": dice.uuid(),
        "eventID": dice.uuid(),
        "readOnly": False,
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    }


def _call(dice: Dice, time: int, name: str, identity: Mapping[str, Any], address: str) -> dict[str, Any]:
    instances = {"items": [{"instanceId": f"i-{dice.hexadecimal(17)}"}]}
    request: dict[str, Any] = {"instancesSet": instances}
    if "SecurityGroup" in name:
        port = dice.choice((22, 443, 5432))
        ranges = {"items": [{"cidrIp": "10.20.0.0/16"}]}
        permission = {"ipProtocol": "tcp", "fromPort": port, "toPort": port, "ipRanges": ranges}
        request = {"groupId": f"sg-{dice.hexadecimal(17)}", "ipPermissions": {"items": [permission]}}
    elif "Snapshot" in name:
        request = {"snapshotId": f"snap-{dice.hexadecimal(17)}"}
    elif "Volume" in name:
        request = {"volumeId": f"vol-{dice.hexadecimal(17)}"}
    elif "Tags" in name:
        request = {"resourcesSet": {"items": [{"resourceId": f"i-{dice.hexadecimal(17)}"}]}, "tagSet": {"items": []}}
    return _record(dice, time, "ec2.amazonaws.com", name) | {
        "userIdentity": dict(identity),
        "sourceIPAddress": address,
        "userAgent": "console.ec2.amazonaws.com" if identity["type"] in ("IAMUser", "Root") else "Boto3/1.40",
        "requestParameters": request,
        "responseElements": {"requestId": dice.uuid(), "_return": True},
        "eventType": "AwsApiCall",
    }


def _sign_in(dice: Dice, time: int, name: str, address: str, *, mfa: bool, failed: bool) -> dict[str, Any]:
    identity = {
        "type": "IAMUser",
        "principalId": f"AIDA{name.upper():X<12}",
        "arn": f"arn:aws:iam::{ACCOUNT}:user/{name}",
        "accountId": ACCOUNT,
        "userName": name,
    }
    return _record(dice, time, "signin.amazonaws.com", "ConsoleLogin") | {
        "userIdentity": identity,
        "sourceIPAddress": address,
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
        "requestParameters": None,
        "responseElements": {"ConsoleLogin": "Failure" if failed else "Success"},
        "additionalEventData": {
            "LoginTo": "https://console.aws.amazon.com/console/home",
            "MobileVersion": "No",
            "MFAUsed": "Yes" if mfa else "No",
        },
        "eventType": "AwsConsoleSignIn",
    }


def _envelope(record: Mapping[str, Any]) -> dict[str, Any]:
    """What EventBridge puts around a record of CloudTrail."""
    sign_in = record["eventType"] == "AwsConsoleSignIn"
    return {
        "version": "0",
        "id": record["requestID"],
        "detail-type": "AWS Console Sign In via CloudTrail" if sign_in else "AWS API Call via CloudTrail",
        "source": "aws.signin" if sign_in else "aws.ec2",
        "account": ACCOUNT,
        "time": record["eventTime"],
        "region": REGION,
        "resources": [],
        "detail": dict(record),
    }
