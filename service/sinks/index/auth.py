"""Authentication and TLS of the index server's client."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from opensearchpy import AIOHttpConnection, AsyncHttpConnection

from service.settings.model import Settings
from service.sinks.index import IndexSetupError
from service.sinks.index.failures import ErrorAnswers


@dataclass(frozen=True, slots=True)
class Auth:
    """How to reach a server that does not let everybody in. Secrets do not show in ``repr``.

    Attributes:
        user, password: basic authentication.
        api_key: Elasticsearch's encoded API key.
        ca: file with the certificates to trust instead of the system's.
        client_certificate, client_key: files of the client's certificate and its key; one may hold both.
        aws: sign requests with AWS credentials for a domain (``es``) or a serverless collection (``aoss``).
        region: AWS region to sign for.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    ca: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    aws: Literal["", "es", "aoss"] = ""
    region: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Auth:
        """As the settings say."""
        return cls(
            user=settings.opensearch_user,
            password=settings.opensearch_password.get_secret_value(),
            api_key=settings.opensearch_api_key.get_secret_value(),
            ca=settings.opensearch_ca,
            client_certificate=settings.opensearch_client_cert,
            client_key=settings.opensearch_client_key,
            aws="" if settings.opensearch_aws == "off" else settings.opensearch_aws,
            region=settings.opensearch_region or settings.region,
        )

    def authenticates(self, url: str) -> bool:
        """Whether requests to ``url`` carry credentials."""
        return bool(self.user or self.api_key or self.aws or self.client_certificate or urlsplit(url).username)

    def client_options(self, url: str) -> dict[str, Any]:
        """As opensearch-py's client takes them. Raises IndexSetupError."""
        if sum(map(bool, (self.user or "@" in url, self.api_key, self.aws))) > 1:
            raise IndexSetupError("set one of opensearch_user, opensearch_api_key and opensearch_aws, not several")
        if (self.ca or self.client_certificate) and not url.startswith("https://"):
            raise IndexSetupError("opensearch_ca and opensearch_client_cert need an opensearch_url with https://")
        options: dict[str, Any] = {"connection_class": _Connection}
        if self.user:
            options["http_auth"] = (self.user, self.password)
        elif self.aws:
            options["http_auth"] = Signer(_credentials(), self.aws, self.region)
            options["connection_class"] = _SigningConnection  # the other one takes no signer
        if self.api_key:
            options["headers"] = {"authorization": f"ApiKey {self.api_key}"}
        if url.startswith("https://"):
            options["ssl_context"] = self._tls()
        return options

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        except (OSError, ssl.SSLError) as error:
            raise IndexSetupError(f"opensearch_ca = {str(self.ca)!r}: {_why(error)}; name a PEM file") from None
        if self.client_certificate:
            try:
                context.load_cert_chain(self.client_certificate, self.client_key)
            except (OSError, ssl.SSLError) as error:
                named = f"opensearch_client_cert = {str(self.client_certificate)!r}"
                raise IndexSetupError(f"{named}: {_why(error)}; name PEM files of a certificate and its key") from None
        return context


class _Connection(ErrorAnswers, AIOHttpConnection):
    """The client's own, which knows of user and password."""


class _SigningConnection(ErrorAnswers, AsyncHttpConnection):
    """The client's other one, which takes a signer."""


class Signer:
    """Signs requests by AWS Signature Version 4.

    Only the host, the date, the token and the hash of the body are signed: what proxies and clients add or change does
    not matter. Credentials that come from a role are renewed when they are about to end.
    """

    def __init__(self, credentials: Any, service: str, region: str, *, hash_header: bool = True) -> None:
        """``hash_header``: announce the body's hash; serverless collections need it, domains do not mind."""
        self._credentials, self._service, self._region = credentials, service, region
        self._hash_header = hash_header

    def __call__(self, method: str, url: str, body: bytes | str | None, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers to add to a request."""
        data = body.encode() if isinstance(body, str) else body or b""
        own = {"X-Amz-Content-SHA256": hashlib.sha256(data).hexdigest()} if self._hash_header else {}
        request = AWSRequest(method, url, headers=own, data=data)
        SigV4Auth(self._credentials.get_frozen_credentials(), self._service, self._region).add_auth(request)
        return dict(request.headers.items())


def _credentials() -> Any:
    credentials = botocore.session.get_session().get_credentials()
    if credentials is None:
        raise IndexSetupError("opensearch_aws: no AWS credentials found; give the task a role, or set AWS_PROFILE")
    return credentials


def _why(error: OSError | ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no certificate found").replace("_", " ").lower()
    return error.strerror or str(error)
