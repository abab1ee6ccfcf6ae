"""Messages by HTTP: JSON to any address, and as Slack, Teams, PagerDuty and Opsgenie want it."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
import orjson

from service import __version__
from service.settings.groups.notify import NotifyTable
from service.sinks.notify.message import Message
from service.sinks.notify.targets import SECONDS, NotSentError

_LATER = frozenset({408, 425, 429})  # a receiver that says so may take it yet
_ANSWER = 10_000  # bytes of an answer that are looked at
_FIELD = re.compile(r"\{([a-z]+)\}")
_FIELDS = ("title", "text", "severity", "sensor", "kind", "stage", "key", "incident", "time", "link", "stream")


class Request(NamedTuple):
    """What is posted."""

    url: str
    body: Any
    headers: Mapping[str, str] = {}


class WebhookTarget:
    """Posts JSON. Taken is what is answered with a status of 200 to 299, and by Slack and PagerDuty in their words."""

    def __init__(self, table: NotifyTable) -> None:
        self._table = table
        self._session: aiohttp.ClientSession | None = None
        self._template = orjson.loads(table.template) if table.template else None

    async def open(self) -> None:
        """Prepare to send."""
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        agent = {"User-Agent": f"cutwater/{__version__}"}
        self._session = aiohttp.ClientSession(timeout=timeout, headers=agent, cookie_jar=aiohttp.DummyCookieJar())

    async def close(self) -> None:
        """Let go of connections."""
        if self._session:
            await self._session.close()

    async def send(self, message: Message) -> None:
        """Return when the receiver has taken it. Raises NotSentError."""
        assert self._session is not None
        made = _REQUESTS[self._table.to](self, message)
        body = orjson.dumps(made.body)
        headers = {"Content-Type": "application/json", **made.headers, **self._signature(message, body)}
        try:
            async with self._session.post(made.url, data=body, headers=headers, allow_redirects=False) as answer:
                text = (await answer.content.read(_ANSWER)).decode("utf-8", "replace")
                self._judge(answer.status, text)
        except TimeoutError:
            raise NotSentError(f"no answer within {SECONDS:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # An address may hold a secret, and a library's message the address.
            raise NotSentError(f"no connection ({type(error).__name__})") from None

    def _judge(self, status: int, text: str) -> None:
        """Raises NotSentError unless the answer says that the message was taken."""
        if not 200 <= status < 300:
            refused = 300 <= status < 500 and status not in _LATER
            raise NotSentError(f"HTTP {status}" + (f": {_line(text)}" if text.strip() else ""), refused=refused)
        kind = self._table.to
        if kind == "slack" and text.strip() not in ("ok", ""):
            raise NotSentError(f"HTTP {status}, but the answer is {_line(text)!r}", refused=True)
        if kind == "pagerduty":
            try:
                said = orjson.loads(text)["status"]
            except (orjson.JSONDecodeError, LookupError, TypeError):
                said = None
            if said != "success":
                raise NotSentError(f"HTTP {status}, but the answer is {_line(text)!r}")

    def _signature(self, message: Message, body: bytes) -> dict[str, str]:
        """The key, and what proves that we sent it: HMAC-SHA256 of the time, a dot and the body."""
        headers = {"X-Cutwater-Key": message.key, "Idempotency-Key": message.key}
        secret = self._table.secret.get_secret_value()
        if self._table.to == "webhook" and secret:
            headers["X-Cutwater-Signature"] = sign(secret, round(time.time()), body)
        return headers

    def generic(self, message: Message) -> Request:
        """Ours, or the template's."""
        body = message.as_json() if self._template is None else _fill(self._template, message)
        return Request(self._table.address, body)

    def slack(self, message: Message) -> Request:
        """An incoming webhook of Slack, or of what takes the same."""
        title, text = (_escaped(part) for part in (message.title, message.text))
        link = f"\n<{message.link}|Open the page>" if message.link else ""
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": f"*{title}*\n{text}{link}"[:3000]}}]
        return Request(self._table.address, {"text": title, "blocks": blocks})

    def teams(self, message: Message) -> Request:
        """An adaptive card, as the workflows of Teams take it."""
        lines = [{"type": "TextBlock", "text": message.title, "weight": "Bolder", "size": "Medium", "wrap": True}]
        lines += [{"type": "TextBlock", "text": line, "wrap": True} for line in message.text.splitlines()]
        opens = [{"type": "Action.OpenUrl", "title": "Open the page", "url": message.link}]
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": lines,
            "actions": opens if message.link else [],
        }
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        return Request(self._table.address, {"type": "message", "attachments": [attachment]})

    def pagerduty(self, message: Message) -> Request:
        """Events API v2: the incident is the key by which PagerDuty joins events."""
        body: dict[str, Any] = {
            "routing_key": self._table.secret.get_secret_value(),
            "event_action": "resolve" if message.stage == "end" else "trigger",
            "dedup_key": message.incident,
            "client": "Cutwater",
            "payload": {
                "summary": message.title[:1024],
                "source": message.sensor or message.stream or "cutwater",
                "severity": _level(message.severity, ("info", "warning", "error", "critical")),
                "timestamp": message.time,
                "component": message.stream,
                "class": message.kind,
                "custom_details": {"text": message.text, "key": message.key, "stage": message.stage},
            },
            "links": [{"href": message.link, "text": "Open the page"}] if message.link else [],
        }
        return Request(self._table.address, body)

    def opsgenie(self, message: Message) -> Request:
        """Alert API: the incident is the alias by which Opsgenie joins alerts."""
        headers = {"Authorization": f"GenieKey {self._table.secret.get_secret_value()}"}
        if message.stage == "end":
            url = f"{self._table.address}/{quote(message.incident, safe='')}/close?identifierType=alias"
            return Request(url, {"source": "Cutwater", "note": message.text[:25_000]}, headers)
        body = {
            "message": message.title[:130],
            "alias": message.incident,
            "description": message.text[:15_000],
            "priority": _level(message.severity, ("P4", "P3", "P2", "P1")),
            "source": "Cutwater",
            "entity": message.sensor[:512],
            "tags": [message.kind] if message.kind else [],
            "details": {"key": message.key, "stage": message.stage, "link": message.link},
        }
        return Request(self._table.address, body, headers)


_REQUESTS: dict[str, Callable[[WebhookTarget, Message], Request]] = {
    "webhook": WebhookTarget.generic,
    "slack": WebhookTarget.slack,
    "teams": WebhookTarget.teams,
    "pagerduty": WebhookTarget.pagerduty,
    "opsgenie": WebhookTarget.opsgenie,
}


def sign(secret: str, moment: int, body: bytes) -> str:
    """The header ``X-Cutwater-Signature`` of a body, sent at a time in seconds since 1970."""
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def _fill(template: Any, message: Message) -> Any:
    """A template with the message's fields in its texts; a text that is one field alone becomes its value."""
    if isinstance(template, dict):
        return {name: _fill(value, message) for name, value in template.items()}
    if isinstance(template, list):
        return [_fill(value, message) for value in template]
    if not isinstance(template, str):
        return template
    if (alone := _FIELD.fullmatch(template)) and alone[1] in _FIELDS:
        return getattr(message, alone[1])
    return _FIELD.sub(lambda found: str(getattr(message, found[1])) if found[1] in _FIELDS else found[0], template)


def _level(severity: int, words: tuple[str, str, str, str]) -> str:
    """One of four words, the last for the severest."""
    return words[(severity >= 40) + (severity >= 70) + (severity >= 90)]


def _escaped(text: str) -> str:
    """Text in Slack's markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _line(text: str) -> str:
    """The beginning of an answer in one line."""
    return " ".join(text.split())[:200]
