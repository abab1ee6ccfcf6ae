"""The settings of notifications: who is told of episodes, and how."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

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
    """A route: which episodes are told to whom, and when."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", examples=["on-call"])
    """Name of the route, in metrics, in the log and for `cutwater notify test`."""
    to: Kind
    """Kind of receiver. webhook: JSON to any address; mail: SMTP."""
    url: SecretStr = SecretStr("")
    """Address of the receiver. For mail: smtp://HOST:PORT (encrypted if the server can) or smtps://HOST:PORT.
    `env:NAME` reads it from the environment."""
    secret: SecretStr = SecretStr("")
    """For webhook: the key that signs requests (HMAC); for pagerduty: the routing key; for opsgenie: the API key; for
    mail: the password. `env:NAME` reads it from the environment."""
    template: str = ""
    """For webhook: JSON to send instead. Its texts may hold {title}, {text}, {severity}, {sensor}, {kind}, {stage},
    {key}, {incident}, {time}, {link}, {stream}."""
    topic: str = Field(
        "",
        pattern=r"^(arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:\S+)?$",
        examples=["arn:aws:sns:eu-west-1:123456789012:on-call"],
    )
    """For sns: ARN of the topic."""
    bus: str = "default"
    """For eventbridge: name or ARN of the bus."""
    user: str = ""
    """For mail: user, with secret as password. The connection is then always encrypted."""
    sender: str = "cutwater@localhost"
    """For mail: From address."""
    recipients: tuple[str, ...] = ()
    """For mail: To addresses."""
    sensors: tuple[str, ...] = ()
    """Only episodes of sensors whose names fit (* is any text). Default: all."""
    kinds: tuple[str, ...] = ()
    """Only episodes of these kinds, such as spike, silent."""
    min_severity: int = Field(0, ge=0, le=100)
    """Only episodes of at least this severity."""
    labels: dict[str, str] = Field({}, examples=["LABEL=VALUE"])
    """Only episodes with these labels (* is any text)."""
    stages: tuple[Literal["begin", "update", "end"], ...] = ("begin", "update", "end")
    """Which changes are told: an episode begins, changes, ends."""
    group: str = "minute"
    """Which episodes are told together. minute: those that begin in the same minute of event time; a label's name:
    those that also have the same value of it; none: each alone."""
    group_seconds: float = Field(3.0, ge=0, le=600)
    """Seconds to wait for others of the same incident."""
    quiet: tuple[Span, ...] = ()
    """Times of the day in which nothing is sent. What happened is told afterwards."""
    zone: str = "UTC"
    """Time zone of `quiet`, such as Europe/Berlin."""
    most_per_minute: int = Field(10, ge=1, le=1000)
    """More messages in a minute become one that counts them."""
    give_up_hours: float = Field(24.0, gt=0, le=24 * 14)
    """How long a receiver that is down is tried. Then the message becomes a dead letter."""

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

    model_config = ConfigDict(title="Notifications")

    notify: tuple[NotifyTable, ...] = Field((), max_length=50)
    """Whom to tell of episodes: a table for each route. See docs/how-to/alerts.md."""
    page_url: str = Field("", pattern=r"^(https?://\S+)?$", examples=["https://cutwater.example"])
    """Address of the page for people, such as https://cutwater.example. Notifications link to it."""

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
