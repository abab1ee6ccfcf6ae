"""The receivers: what sends a message, and what is known of one that was not taken."""

from __future__ import annotations

from typing import Protocol

from service.settings.groups.notify import NotifyTable
from service.sinks.notify.message import Message

SECONDS = 10.0  # until an attempt counts as failed


class NotSentError(Exception):
    """A receiver has not taken a message; ``refused``: it says that it never will. Holds no secret."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


class Target(Protocol):
    """A receiver. It may be told a message twice, with the same key."""

    async def open(self) -> None:
        """Prepare to send."""
        ...

    async def send(self, message: Message) -> None:
        """Return when the receiver has acknowledged the message. Raises NotSentError."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def target_of(table: NotifyTable, region: str) -> Target:
    """The receiver of a route."""
    if table.to == "mail":
        from service.sinks.notify.mail import MailTarget

        return MailTarget(table)
    if table.to in ("sns", "eventbridge"):
        from service.sinks.notify.events import EventBridgeTarget, SNSTarget

        return SNSTarget(table, region) if table.to == "sns" else EventBridgeTarget(table, region)
    from service.sinks.notify.webhook import WebhookTarget

    return WebhookTarget(table)
