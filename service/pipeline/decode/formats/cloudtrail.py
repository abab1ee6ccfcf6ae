"""CloudTrail: API calls, sign-ins, insights and service events, and other events of AWS services by EventBridge.

Records of CloudTrail have thousands of different members, some with several types. So the index knows those that all
records have; request, response and the rest are the free part. The text of the whole record is kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from service.pipeline.decode.decoded import DecodeError
from service.pipeline.decode.fields import describe
from service.pipeline.decode.formats.values import (
    LOG_ALIASES,
    LOG_FIELDS,
    as_object,
    canonical,
    fit,
    free_part,
    identity_of,
    is_address,
    log_fields,
    text_of,
)
from service.pipeline.decode.payloads import YEAR_2000
from service.pipeline.events import Envelope, Event, FieldType, Message, TimeSource
from service.pipeline.times import TimeError, parse_time

_MOST_TARGETS = 100
_TARGET = re.compile(
    r"(?:acl|ami|cgw|dopt|eipalloc|eipassoc|eni|fl|i|igw|lt|nat|pcx|r|rtb|rtbassoc|sg|sgr|snap|subnet|tgw|vgw|vol|vpc"
    r"|vpce|vpn)-[0-9a-f]{8,17}"
)
_NAMED_TARGETS = frozenset(("keyName", "bucketName", "functionName", "trailName"))
_ANYWHERE = re.compile(r'"(?:0\.0\.0\.0/0|::/0)"')
_OPENS = ("AuthorizeSecurityGroupIngress", "ModifySecurityGroupRules")

# Members of a record that are fields as they are.
_PLAIN: dict[str, tuple[str, FieldType]] = {
    "eventName": ("event.action", "keyword"),
    "eventSource": ("event.provider", "keyword"),
    "awsRegion": ("cloud.region", "keyword"),
    "userAgent": ("user_agent.original", "keyword"),
    "errorCode": ("error.code", "keyword"),
    "errorMessage": ("error.message", "text"),
    "eventID": ("aws.cloudtrail.event_id", "keyword"),
    "eventType": ("aws.cloudtrail.event_type", "keyword"),
    "eventVersion": ("aws.cloudtrail.event_version", "keyword"),
    "eventCategory": ("aws.cloudtrail.event_category", "keyword"),
    "requestID": ("aws.cloudtrail.request_id", "keyword"),
    "readOnly": ("aws.cloudtrail.read_only", "boolean"),
    "managementEvent": ("aws.cloudtrail.management_event", "boolean"),
    "apiVersion": ("aws.cloudtrail.api_version", "keyword"),
    "recipientAccountId": ("aws.cloudtrail.recipient_account_id", "keyword"),
    "sharedEventID": ("aws.cloudtrail.shared_event_id", "keyword"),
    "vpcEndpointId": ("aws.cloudtrail.vpc_endpoint_id", "keyword"),
    "sessionCredentialFromConsole": ("aws.cloudtrail.session_credential_from_console", "boolean"),
}
_IDENTITY = {
    "type": "user.type",
    "principalId": "user.id",
    "arn": "aws.cloudtrail.user_identity.arn",
    "accountId": "aws.cloudtrail.user_identity.account_id",
    "accessKeyId": "aws.cloudtrail.user_identity.access_key_id",
    "invokedBy": "aws.cloudtrail.user_identity.invoked_by",
}
_OLD = {
    **{name: field for name, (field, _) in _PLAIN.items()},
    **{f"userIdentity.{name}": field for name, field in _IDENTITY.items()},
    "userIdentity.userName": "user.name",
    "sourceIPAddress": "source.ip",
    "eventTime": "@timestamp",
    "responseElements.ConsoleLogin": "aws.cloudtrail.console_login",
}


class CloudTrail:
    """Reads CloudTrail records, and what else comes in an envelope of EventBridge.

    The event time is ``eventTime``; without one the envelope's time, the record's arrival. A record that is
    delivered twice, by whatever carrier, is one document.
    """

    name = "cloudtrail"
    mapping: Mapping[str, FieldType] = {
        **dict(_PLAIN.values()),
        **dict.fromkeys(_IDENTITY.values(), "keyword"),
        **LOG_FIELDS,
        "event.kind": "keyword",
        "event.outcome": "keyword",
        "event.original": "stored",
        "user.name": "keyword",
        "user.mfa": "boolean",
        "source.ip": "ip",
        "source.domain": "keyword",
        "targets": "keyword",
        "aws.cloudtrail.console_login": "keyword",
        "aws.cloudtrail.detail_type": "keyword",
        "aws.cloudtrail.insight_type": "keyword",
        "aws.cloudtrail.insight_state": "keyword",
        "aws.cloudtrail.open_to_world": "boolean",
        "aws.cloudtrail.resources": "keyword",
        "record": "object",
        "record_omitted": "keyword",
    }
    aliases: Mapping[str, str] = {
        **_OLD,
        **{f"detail.{name}": field for name, field in _OLD.items()},
        "detail-type": "aws.cloudtrail.detail_type",
        "account": "cloud.account.id",
        "region": "cloud.region",
        "time": "@timestamp",
        "@time": "@timestamp",
        **LOG_ALIASES,
    }

    def read(self, message: Message, envelope: Envelope, arrival: int) -> Event | None:
        """The event of a record. Raises DecodeError."""
        body, original = as_object(message), text_of(message)
        rest: dict[str, Any] = {}
        if not envelope.detail_type and not _is_record(body):
            body, rest = _unwrapped(body)
        fields = log_fields(envelope)
        for name, value in body.items():
            if value is None or name == "eventTime":
                continue
            if name not in _PLAIN:
                rest[name] = value
            elif (fitting := fit(value, _PLAIN[name][1])) is not None and type(fitting) is not list:
                fields[_PLAIN[name][0]] = fitting
            else:
                rest[name] = value
        time, source = _time(body, envelope, arrival)
        _add_who(fields, body)
        _add_where(fields, body, envelope, rest)
        _add_what(fields, body, envelope)
        targets = list(dict.fromkeys(_targets(body, envelope)))[:_MOST_TARGETS]
        if targets:
            fields["targets"] = targets
        if fields["event.action"] in _OPENS and _ANYWHERE.search(original):
            fields["aws.cloudtrail.open_to_world"] = True
        fields["event.original"] = original
        free_part(fields, rest, len(original) if original.isascii() and original else None)
        return Event(time, fields, source, _identity(body, envelope))


def _is_record(body: Mapping[str, Any]) -> bool:
    """Whether an object has what all records of CloudTrail have some of."""
    return sum(name in body for name in ("eventVersion", "eventSource", "eventName", "eventTime", "eventType")) > 1


def _unwrapped(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The record in an object of an agent's own, and the other members. Raises DecodeError if there is none."""
    for name, value in body.items():
        if name in ("message", "CloudTrailEvent") and type(value) is str and value.lstrip().startswith("{"):
            value = as_object(value)
        if type(value) is dict and _is_record(value):
            return value, {other: each for other, each in body.items() if other != name and other not in value}
    names = ", ".join(sorted(body)[:5])
    raise DecodeError(
        "unknown_format", f"neither a CloudTrail record nor in an envelope of EventBridge; its names: {names[:200]}"
    )


def _time(body: Mapping[str, Any], envelope: Envelope, arrival: int) -> tuple[int, TimeSource]:
    value = body.get("eventTime")
    if value is not None:
        try:
            time = parse_time(value)
        except TimeError as error:
            raise DecodeError("bad_time", f"eventTime: {error}") from None
        if time < YEAR_2000:
            raise DecodeError("past_time", f"eventTime = {describe(value)} lies before the year 2000")
        return time, "event"
    return (arrival, "arrival") if envelope.time is None else (envelope.time, "envelope")


def _add_who(fields: dict[str, Any], body: Mapping[str, Any]) -> None:
    """Whose call it was."""
    identity = _member(body, "userIdentity")
    for name, field in _IDENTITY.items():
        if type(value := identity.get(name)) is str and value:
            fields[field] = value
    context = _member(identity, "sessionContext")
    issuer = _member(context, "sessionIssuer")
    arn = fields.get("aws.cloudtrail.user_identity.arn", "")
    names = (
        identity.get("userName"),
        issuer.get("userName"),
        re.split("[/:]", arn)[-1],
        fields.get("aws.cloudtrail.user_identity.invoked_by"),
    )
    if name := next((name for name in names if type(name) is str and name), ""):
        fields["user.name"] = name
    used = _member(body, "additionalEventData").get("MFAUsed")
    mfa = {"Yes": True, "No": False}.get(used) if type(used) is str else None
    if mfa is None:
        mfa = fit(_member(context, "attributes").get("mfaAuthenticated"), "boolean")
    if type(mfa) is bool:
        fields["user.mfa"] = mfa


def _add_where(fields: dict[str, Any], body: Mapping[str, Any], envelope: Envelope, rest: dict[str, Any]) -> None:
    """In which account and Region, and from which address."""
    account = (
        fields.get("aws.cloudtrail.recipient_account_id")
        or fields.get("aws.cloudtrail.user_identity.account_id")
        or envelope.owner
    )
    if account:
        fields["cloud.account.id"] = account
    if envelope.region:
        fields.setdefault("cloud.region", envelope.region)
    address = rest.pop("sourceIPAddress", None)
    if type(address) is str and address:
        fields["source.ip" if is_address(address) else "source.domain"] = address
    elif address is not None:
        rest["sourceIPAddress"] = address


def _add_what(fields: dict[str, Any], body: Mapping[str, Any], envelope: Envelope) -> None:
    """What was done, to which end."""
    insight = _member(body, "insightDetails")
    for field, name in (
        ("event.action", "eventName"),
        ("event.provider", "eventSource"),
        ("aws.cloudtrail.insight_type", "insightType"),
        ("aws.cloudtrail.insight_state", "state"),
    ):
        if type(value := insight.get(name)) is str and value:
            fields.setdefault(field, value)
    if envelope.source:
        fields.setdefault("event.provider", envelope.source)
    if envelope.detail_type:
        fields["aws.cloudtrail.detail_type"] = envelope.detail_type
    if envelope.resources:
        fields["aws.cloudtrail.resources"] = list(envelope.resources[:_MOST_TARGETS])
    if not fields.get("event.action"):
        kind = fields.get("aws.cloudtrail.insight_type") or envelope.detail_type
        fields["event.action"] = kind or fields.get("aws.cloudtrail.event_type") or "unknown"
    fields["event.kind"] = "event"
    fields["event.outcome"] = _outcome(fields, body)


def _outcome(fields: dict[str, Any], body: Mapping[str, Any]) -> str:
    """As ECS names it; unknown where a record cannot tell."""
    response = _member(body, "responseElements")
    for name in ("ConsoleLogin", "CheckMfa", "PasswordUpdated", "SwitchRole", "ExternalIdPDirectoryLogin"):
        if type(said := response.get(name)) is str:
            if name == "ConsoleLogin":
                fields["aws.cloudtrail.console_login"] = said
            if said in ("Success", "Failure"):
                return said.lower()
    if "error.code" in fields or "error.message" in fields or body.get("errorCode"):
        return "failure"
    if "insightDetails" in body or fields.get("aws.cloudtrail.event_type") == "AwsServiceEvent":
        return "unknown"
    return "success" if _is_record(body) else "unknown"


def _targets(body: Mapping[str, Any], envelope: Envelope) -> Iterator[str]:
    """Ids of what an event is about, as far as they can be told from their form, and some names."""
    yield from envelope.resources
    waiting: list[tuple[str, Any]] = [
        (name, value)
        for name, value in body.items()
        if name in ("requestParameters", "responseElements", "serviceEventDetails", "resources")
        or (envelope.detail_type and name not in _PLAIN and name != "userIdentity")
    ]
    waiting.reverse()
    while waiting:
        name, value = waiting.pop()
        if type(value) is dict:
            waiting += reversed(value.items())
        elif type(value) is list:
            waiting += [(name, each) for each in reversed(value)]
        elif type(value) is str and (
            _TARGET.fullmatch(value) or (name in _NAMED_TARGETS and value) or (name in ("ARN", "arn") and value)
        ):
            yield value


def _identity(body: Mapping[str, Any], envelope: Envelope) -> str:
    """What tells a record from others: its ``eventID``, and its content, for there are records with made-up ids."""
    if type(identity := body.get("eventID")) is not str or not identity:
        return identity_of(envelope, body)
    return f"{identity}\0{hashlib.blake2b(canonical(body), digest_size=16).hexdigest()}"


def _member(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A member that is an object; an empty one if it is none."""
    value = body.get(name)
    return value if type(value) is dict else {}
