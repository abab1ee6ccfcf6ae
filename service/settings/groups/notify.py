"""The settings of notifications: who is told of episodes, and how."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from pydantic import Field, SecretStr, field_validator, model_validator

from service.settings.table import Table

Kind = Literal["webhook", "slack", "teams", "pagerduty", "opsgenie", "sns", "eventbridge", "mail"]
Span = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")]
_URLS = {
    "pagerduty": "https://events.pagerduty.com/v2/enqueue",
    "opsgenie": "https://api.opsgenie.com/v2/alerts",
}
_NEEDED = {"webhook": "url", "slack": "url", "teams": "url", "pagerduty": "secret", "opsgenie": "secret", "mail": "url"}
_ENVIRONMENT = "env:"


class NotifyTable(Table):
    """A route: which episodes are told, to whom, when."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    """What the route is called, in metrics, in the log and in `cutwater notify test`."""
    to: Kind
    """What is at the other end. webhook: JSON to any address; mail: SMTP."""
    url: SecretStr = SecretStr("")
    """Address of the receiver; of mail, smtp://HOST:PORT (encrypted if the server can) or smtps://HOST:PORT.
    `env:NAME` takes it from the environment."""
    secret: SecretStr = SecretStr("")
    """Of webhook: what requests are signed with (HMAC); of pagerduty: the routing key; of opsgenie: the API key; of
    mail: the password. `env:NAME` takes it from the environment."""
    template: str = ""
    """Of webhook: JSON to send instead of the usual one; its texts may hold {title}, {text}, {severity}, {sensor},
    {kind}, {stage}, {key}, {incident}, {time}, {link}, {stream}."""
    topic: str = Field("", pattern=r"^(arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:\S+)?$")
    """Of sns: the topic's ARN."""
    bus: str = "default"
    """Of eventbridge: the bus, its name or ARN."""
    user: str = ""
    """Of mail: the user, with secret as password; such a connection is always encrypted."""
    sender: str = "cutwater@localhost"
    """Of mail: the address in From."""
    recipients: tuple[str, ...] = ()
    """Of mail: the addresses to send to."""
    sensors: tuple[str, ...] = ()
    """Only episodes of sensors of such names (* is any text); by default all."""
    kinds: tuple[str, ...] = ()
    """Only episodes of these kinds, such as spike, silent."""
    min_severity: int = Field(0, ge=0, le=100)
    """Only episodes of at least this severity."""
    labels: dict[str, str] = Field({})
    """Only episodes with these labels (* is any text)."""
    stages: tuple[Literal["begin", "update", "end"], ...] = ("begin", "update", "end")
    """What of an episode is told: that it began, changed, ended."""
    group: str = "minute"
    """What makes one incident of episodes that begin in the same minute of event time: "minute": that alone; a label's
    name: its value, too; "none": each is told alone."""
    group_seconds: float = Field(3.0, ge=0, le=600)
    """How long others are waited for that belong to the same incident."""
    quiet: tuple[Span, ...] = ()
    """Spans of the day in which nothing is sent; what happened meanwhile is told afterwards."""
    zone: str = "UTC"
    """Time zone of `quiet`, such as Europe/Berlin."""
    most_per_minute: int = Field(10, ge=1, le=1000)
    """More messages a minute become one that counts them."""
    give_up_hours: float = Field(24.0, gt=0, le=24 * 14)
    """How long a receiver that is down is tried; then the message goes to the dead letters."""

    @field_validator("url", "secret", mode="before")
    @classmethod
    def _from_environment(cls, value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith(_ENVIRONMENT):
            return value
        name = value.removeprefix(_ENVIRONMENT)
        if name not in os.environ:
            raise ValueError(f"there is no {name} in the environment")
        return os.environ[name]

    @field_validator("zone")
    @classmethod
    def _some_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is no time zone such as Europe/Berlin") from None
        return value

    @field_validator("template")
    @classmethod
    def _some_template(cls, value: str) -> str:
        if value:
            try:
                orjson.loads(value)
            except orjson.JSONDecodeError as error:
                raise ValueError(f'is not JSON such as {{"message": "{{title}}"}}: {error}') from None
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = _NEEDED.get(self.to)
        if needed and not getattr(self, needed).get_secret_value():
            raise ValueError(f'{self.name}: to = "{self.to}" needs {needed} (or {needed}_file)')
        if self.to == "sns" and not self.topic:
            raise ValueError(f'{self.name}: to = "sns" needs topic')
        if self.to == "mail" and not (self.recipients and re.match(r"smtps?://[^/@]+$", self.address)):
            raise ValueError(f'{self.name}: to = "mail" needs recipients, and a url such as smtp://mail.example:587')
        if self.to not in ("mail", "sns", "eventbridge") and not re.match(r"https?://\S+$", self.address):
            raise ValueError(f"{self.name}: url must begin with http:// or https://")
        return self

    @property
    def address(self) -> str:
        """Where it goes, as a URL."""
        return self.url.get_secret_value() or _URLS.get(self.to, "")


class NotifySettings(Table):
    """Who is told."""

    notify: tuple[NotifyTable, ...] = Field((), max_length=50)
    """Who is told of episodes, a table for each route. See docs/how-to/alerts.md."""
    page_url: str = Field("", pattern=r"^(https?://\S+)?$")
    """Address of the page as people reach it, such as https://cutwater.example; notifications link to it."""

    @model_validator(mode="after")
    def _different_routes(self) -> Self:
        names = [each.name for each in self.notify]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"notify: two routes are called {name!r}; a name belongs to one")
        return self


def only_of_labels(routes: tuple[NotifyTable, ...], labels: Mapping[str, str]) -> None:
    """Raises ValueError for a route that names a label which no document has."""
    for route in routes:
        for name in (*route.labels, *({route.group} - {"minute", "none"})):
            if name not in labels:
                known = ", ".join(labels) or "none"
                raise ValueError(f"notify: {route.name}: there is no label {name}; label_fields has {known}")
