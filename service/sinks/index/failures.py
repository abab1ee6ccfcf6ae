"""What a failed request means, in one line for people and without a secret."""

from __future__ import annotations

import os
import re
import ssl
from typing import Any, NoReturn

import aiohttp
import orjson
from opensearchpy.exceptions import HTTP_EXCEPTIONS, ConnectionTimeout, SSLError, TransportError
from opensearchpy.exceptions import ConnectionError as ClientConnectionError

_TITLE = re.compile(r"<title>([^<]*)</title>", re.IGNORECASE)


class ErrorAnswers:
    """How a connection of opensearch-py reads an error's answer, whatever a proxy puts there: the client fails at some.

    Its name for the error is the ``type`` that servers give, else all the text.
    """

    def _raise_error(self, status_code: int, raw_data: str | bytes, content_type: str | None = None) -> NoReturn:
        try:
            info = orjson.loads(raw_data)
        except orjson.JSONDecodeError:
            info = None
        error = info.get("error") if isinstance(info, dict) else None
        name = error.get("type", raw_data) if isinstance(error, dict) else error or raw_data
        raise HTTP_EXCEPTIONS.get(status_code, TransportError)(status_code, name, info)


def explain(error: TransportError) -> str:
    """The failure as ``status type: reason`` or as what went wrong with the connection."""
    if isinstance(error, ClientConnectionError):
        return _connection(error)
    reason = _server_reason(error.info)
    return f"{error.status_code} {_one_line(error.error)}".strip() + (f": {reason}" if reason else "")


def remedy_for(error: TransportError) -> str | None:
    """What to do about a failure that waiting does not mend; None if it may."""
    if isinstance(error, ClientConnectionError):
        return _tls_remedy(error)
    if error.status_code == 401:
        return "user, password or key is not accepted; check the credentials"
    if error.status_code == 403:
        return "docs/how-to/opensearch.md lists the privileges that `cutwater run` and `cutwater setup` need"
    if error.status_code in (404, 405, 410):
        return "is this the root address of an OpenSearch or Elasticsearch 7.10 or newer? Check opensearch_url"
    if isinstance(error.status_code, int) and 300 <= error.status_code < 500 and error.status_code not in (408, 429):
        return "check opensearch_url"
    return None


def _connection(error: TransportError) -> str:
    cause: Any = error.info
    if isinstance(error, ConnectionTimeout):
        return "no answer in time"
    if problem := _tls_error(error):
        return problem
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return f"the host name {cause.host} is not known"
    if isinstance(cause, aiohttp.ClientConnectorError):
        number = cause.os_error.errno
        return f"cannot connect to {cause.host}:{cause.port} ({os.strerror(number) if number else 'no address'})"
    if isinstance(cause, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return "the server closed the connection (if it speaks TLS, write https:// in opensearch_url)"
    return f"the connection failed ({type(cause).__name__})"


def _tls_error(error: TransportError) -> str | None:
    cause: Any = error.info
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        inner = cause.certificate_error
        return f"TLS: {(getattr(inner, 'verify_message', '') or str(inner)).removesuffix('.')}"
    if isinstance(cause, aiohttp.ClientConnectorSSLError):
        inner = cause.os_error
        return f"TLS: {getattr(inner, 'reason', None) or 'handshake failed'}"
    if isinstance(cause, ssl.SSLError) or isinstance(error, SSLError):
        return f"TLS: {getattr(cause, 'reason', None) or 'failed'}"
    return None


def _tls_remedy(error: TransportError) -> str | None:
    problem = _tls_error(error)
    if problem is None:
        return None
    if isinstance(error.info, aiohttp.ClientConnectorCertificateError):
        if "expired" in problem:
            return "renew the server's certificate"
        if "mismatch" in problem:
            return "write the name that the certificate bears in opensearch_url, or give the server one for this name"
        return "set opensearch_ca to the file of the authority that signed the server's certificate"
    if "WRONG_VERSION_NUMBER" in problem or "RECORD_LAYER" in problem:
        return "the server does not speak TLS; write http:// in opensearch_url"
    return "check the client certificate and the server's TLS settings"


def _one_line(answer: Any) -> str:
    """An answer's text, of a web page its title, in at most 200 characters."""
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
    if title := _TITLE.search(text):
        text = f"(a web page: {title[1].strip()})"
    return " ".join(text.split())[:200]


def _server_reason(info: Any) -> str:
    """The ``reason`` that OpenSearch and Elasticsearch give, if it is their answer."""
    if not isinstance(info, dict):
        return ""
    error = info.get("error")
    return str(error.get("reason") or "")[:300] if isinstance(error, dict) else ""
