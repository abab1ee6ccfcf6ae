"""The settings of who may use the page and the API, and of how they are served."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from service.settings.table import Table


class AccessSettings(Table):
    """Where page and API listen, and for whom."""

    model_config = ConfigDict(title="Page and API")

    host: str = "127.0.0.1"
    """Address that API and page listen on. Other than a loopback address it needs api_token, or api_open."""
    port: int = Field(8080, ge=0, le=65535)
    """Port that API and page listen on; 0: any free one."""
    api_token: SecretStr = SecretStr("")
    """Token that API and page ask for, 16 characters or more; it also allows changes. See docs/how-to/access.md."""
    api_read_token: SecretStr = SecretStr("")
    """Second token, which only allows reading."""
    api_open: bool = False
    """Whether API and page need no token, for everyone who reaches host."""
    root_path: str = Field("", pattern=r"^(/[A-Za-z0-9._~-]+)*$", examples=["/cutwater"])
    """Prefix of the paths behind a proxy, such as /cutwater, whether or not the proxy removes it."""
    tls_certificate: Path | None = None
    """PEM file of the certificate for HTTPS, with the intermediate ones."""
    tls_key: Path | None = None
    """PEM file of the certificate's key, if it is separate."""

    @field_validator("api_token", "api_read_token")
    @classmethod
    def _some_token(cls, value: SecretStr) -> SecretStr:
        if (token := value.get_secret_value()) and not re.fullmatch(r"[!-~]{16,}", token):
            raise ValueError("must be 16 or more letters, digits and signs of ASCII, without blanks")
        return value

    @model_validator(mode="after")
    def _some_access(self) -> Self:
        operate, read = self.api_token.get_secret_value(), self.api_read_token.get_secret_value()
        if operate and operate == read:
            raise ValueError("api_read_token: must differ from api_token, or who reads could change things, too")
        if self.api_open and (operate or read):
            raise ValueError("api_open = true: the token would have no effect; set one of the two")
        if self.tls_key and not self.tls_certificate:
            raise ValueError("tls_key needs tls_certificate")
        return self
