"""Messages by e-mail, over SMTP."""

from __future__ import annotations

import asyncio
import hashlib
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import urlsplit

from service.settings.groups.notify import NotifyTable
from service.sinks.notify.message import Message
from service.sinks.notify.targets import SECONDS, NotSentError

_DOMAIN = "cutwater.invalid"  # of ids of messages; no host is meant


class MailTarget:
    """A mail server. Taken is what it answers with 250; messages of an incident are one conversation."""

    def __init__(self, table: NotifyTable) -> None:
        self._table = table

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing is kept."""

    async def send(self, message: Message) -> None:
        """Return when the server has taken it. Raises NotSentError."""
        mail = self._mail(message)
        try:
            async with asyncio.timeout(4 * SECONDS):
                await asyncio.to_thread(self._deliver, mail)
        except smtplib.SMTPRecipientsRefused as error:
            code = min((status for status, _ in error.recipients.values()), default=550)
            raise NotSentError(f"SMTP {code}: no recipient is taken", refused=code >= 500) from None
        except smtplib.SMTPResponseException as error:
            text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else ""
            raise NotSentError(f"SMTP {error.smtp_code}: {text}"[:200], refused=error.smtp_code >= 500) from None
        except (smtplib.SMTPException, OSError, TimeoutError) as error:
            raise NotSentError(f"no connection ({type(error).__name__})") from None

    def _deliver(self, mail: EmailMessage) -> None:
        """In a thread."""
        url = urlsplit(self._table.address)
        encrypted = url.scheme == "smtps"
        context = ssl.create_default_context()
        host, port = url.hostname or "", url.port or (465 if encrypted else 25)
        server = (
            smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=context)
            if encrypted
            else smtplib.SMTP(host, port, timeout=SECONDS)
        )
        with server:
            if not encrypted:
                server.ehlo()
                if self._table.user or server.has_extn("starttls"):
                    server.starttls(context=context)
            if self._table.user:
                server.login(self._table.user, self._table.secret.get_secret_value())
            server.send_message(mail, self._table.sender, list(self._table.recipients))

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"] = self._table.sender, ", ".join(self._table.recipients)
        mail["Subject"] = " ".join(message.title.split())[:200]
        mail["Date"] = formatdate()
        mail["Message-ID"] = _id(message.key)
        mail["In-Reply-To"] = mail["References"] = _id(message.incident)
        mail["X-Cutwater-Key"] = message.key
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text + (f"\n\n{message.link}" if message.link else "") + "\n")
        return mail


def _id(text: str) -> str:
    """An id as mail has it."""
    return f"<{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}@{_DOMAIN}>"
