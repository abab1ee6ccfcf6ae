"""Messages to SNS and EventBridge, which moto plays, and to a mail server."""

import asyncio
import email
import json
import os
from contextlib import asynccontextmanager
from email.header import decode_header, make_header
from unittest.mock import patch

import boto3
import pytest

from service.settings.model import load
from service.sinks.notify.message import compose
from service.sinks.notify.targets import NotSentError, target_of
from tests.servers import aws
from tests.service.sinks.receiver import change

REGION = "eu-west-1"
MESSAGE = compose("incident", [change(1, sensor="pümp\n1")], "https://c.example")


@pytest.fixture
def boto():
    """Makes clients of moto, where the service's clients are led to as well."""
    servers = {f"AWS_ENDPOINT_URL_{name}": aws.moto() for name in ("SNS", "SQS", "EVENTBRIDGE")}
    with patch.dict(os.environ, aws.environment() | servers):
        yield lambda service: boto3.client(service, region_name=REGION)


def queue(boto, **attributes):
    """URL and ARN of a new queue."""
    name = aws.unique("queue") + (".fifo" if attributes else "")
    url = boto("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, boto("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def received(boto, url):
    return [
        json.loads(each["Body"])
        for each in boto("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    ]


async def send(table, *messages):
    (route,) = load({"notify": [{"name": "route", **table}]}, {}).notify
    target = target_of(route, "us-east-1")
    await target.open()
    try:
        for message in messages:
            await target.send(message)
    finally:
        await target.close()


@pytest.mark.parametrize("fifo", [False, True])
async def test_sns_gets_the_message_with_attributes_to_filter_by(boto, fifo):
    kind = {"FifoQueue": "true"} if fifo else {}
    url, arn = queue(boto, **kind)
    topic = boto("sns").create_topic(
        Name=aws.unique("topic") + (".fifo" if fifo else ""), Attributes={"FifoTopic": "true"} if fifo else {}
    )["TopicArn"]
    boto("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    await send({"to": "sns", "topic": topic}, MESSAGE)
    (body,) = received(boto, url)
    assert json.loads(body["Message"]) == MESSAGE.as_json()
    assert body["MessageAttributes"]["severity"] == {"Type": "Number", "Value": "80"}
    assert body["MessageAttributes"]["key"]["Value"] == MESSAGE.key
    assert body["Subject"] == "Alert: spike on p?mp 1, severity 80"


async def test_a_topic_that_is_not_there_refuses(boto):
    with pytest.raises(NotSentError, match="NotFound") as caught:
        await send({"to": "sns", "topic": f"arn:aws:sns:{REGION}:123456789012:nothing"}, MESSAGE)
    assert caught.value.refused


async def test_eventbridge_gets_an_event_that_rules_can_match(boto):
    url, arn = queue(boto)
    bus = boto("events").create_event_bus(Name=aws.unique("bus"))["EventBusArn"]
    pattern = {"source": ["cutwater"], "detail": {"severity": [{"numeric": [">=", 80]}]}}
    name = aws.unique("rule")
    boto("events").put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
    boto("events").put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "1", "Arn": arn}])
    await send({"to": "eventbridge", "bus": bus}, MESSAGE)
    (event,) = received(boto, url)
    assert event["detail"] == MESSAGE.as_json()
    assert (event["source"], event["detail-type"], event["time"][:16]) == (
        "cutwater",
        "Episode begin",
        MESSAGE.time[:16],
    )


async def test_aws_that_is_away_is_no_refusal():
    away = {"AWS_ENDPOINT_URL_SNS": "http://127.0.0.1:9"}
    with patch.dict(os.environ, aws.environment() | away), pytest.raises(NotSentError, match="no answer") as caught:
        await send({"to": "sns", "topic": f"arn:aws:sns:{REGION}:123456789012:t"}, MESSAGE)
    assert not caught.value.refused


@asynccontextmanager
async def mail_server(refusal=b""):
    """(port, mails): a server that speaks enough of SMTP, and what it has taken."""
    mails = []

    async def talk(reader, writer):
        async def say(text):
            writer.write(text + b"\r\n")
            await writer.drain()

        await say(b"220 mail.example")
        while line := await reader.readline():
            word = line[:4].upper()
            if word == b"DATA":
                await say(b"354 go on")
                lines = []
                while (line := await reader.readline()) != b".\r\n":
                    lines.append(line.removeprefix(b"."))
                mails.append(email.message_from_bytes(b"".join(lines)))
                await say(b"250 taken")
            elif word == b"RCPT" and refusal:
                await say(refusal)
            elif word == b"QUIT":
                await say(b"221 bye")
                break
            else:
                await say(b"250 mail.example" if word in (b"EHLO", b"HELO") else b"250 ok")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], mails


def mail(port, **more):
    return {"to": "mail", "url": f"smtp://127.0.0.1:{port}", "recipients": ["on-call@c.example", "b@c.example"], **more}


async def test_mails_of_an_incident_are_one_conversation():
    end = compose("incident", [change(1, "end")], "")
    async with mail_server() as (port, mails):
        await send(mail(port, sender="cutwater@c.example"), MESSAGE, MESSAGE, end)
    first, again, last = mails
    assert str(make_header(decode_header(first["Subject"]))) == "Alert: spike on pümp 1, severity 80"
    assert first["To"] == "on-call@c.example, b@c.example"
    assert first["Message-ID"] == again["Message-ID"] != last["Message-ID"]
    assert first["In-Reply-To"] == last["In-Reply-To"]
    assert first["X-Cutwater-Key"] == MESSAGE.key
    assert MESSAGE.link in first.get_payload(decode=True).decode()


@pytest.mark.parametrize(("refusal", "refused"), [(b"550 nobody here", True), (b"451 later", False)])
async def test_a_mail_server_that_refuses_says_whether_for_ever(refusal, refused):
    async with mail_server(refusal) as (port, mails):
        with pytest.raises(NotSentError, match=f"SMTP {refusal[:3].decode()}") as caught:
            await send(mail(port), MESSAGE)
    assert (caught.value.refused, mails) == (refused, [])


async def test_a_password_is_not_sent_in_the_clear():
    async with mail_server() as (port, mails):
        with pytest.raises(NotSentError, match="no connection"):
            await send(mail(port, user="me", secret="hush"), MESSAGE)
    assert mails == []
