"""A Kinesis client, and calls that are repeated until they work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioAssumeRoleCredentialFetcher, AioDeferredRefreshableCredentials
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from service import UserError, regions
from service.aws import INCOMPLETE, REMEDIES, THROTTLES, UNREACHABLE
from service.metrics import Metrics
from service.retry import Retrier
from service.settings.model import Settings
from service.source.response_parser import ParserFactory

T = TypeVar("T")

USUAL_THROTTLES = 5  # in a row, that are not worth a word where others read the stream, too

_THROTTLES = (
    *THROTTLES,
    "ResourceInUseException",  # a subscription soon after the last one, or a consumer that somebody else registers
)
_REMEDIES = REMEDIES | {
    "ResourceNotFoundException": "create the stream, or check the settings stream, region and endpoint_url",
    "AccessDeniedException": "allow what deploy/iam-policy.json lists for Kinesis",
    "InvalidClientTokenId": "check the AWS credentials",
}
_NO_ROLE = ("AccessDenied", "ValidationError", "InvalidClientTokenId", "SignatureDoesNotMatch")
_LET_US = "the role must trust these credentials, and they need sts:AssumeRole on it"


class StreamError(UserError):
    """The stream cannot be read and waiting will not help; the message names the remedy."""


class MissingError(StreamError):
    """The stream does not exist, or the shard no longer does."""


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Any]:
    """A Kinesis client; it leaves retries to its callers. A local stream needs no credentials.

    Raises StreamError if there are no credentials to assume the role with.
    """
    config = AioConfig(
        retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30, max_pool_connections=1000
    )
    session = get_session()
    session.register_component("response_parser_factory", ParserFactory())
    local = urlsplit(settings.endpoint_url).hostname in ("127.0.0.1", "localhost", "::1")
    made_up = {"aws_access_key_id": "local", "aws_secret_access_key": "local"} if local else {}
    if settings.role_arn:
        session._credentials, made_up = await _role(settings), {}
    async with session.create_client(
        "kinesis", region_name=settings.region, endpoint_url=settings.endpoint_url or None, config=config, **made_up
    ) as client:
        yield client


async def _role(settings: Settings) -> AioDeferredRefreshableCredentials:
    """Credentials of the role, asked for when they are first needed, and again before they end."""
    session = get_session()  # another one: ours reads times as Kinesis writes them
    own = await session.get_credentials()
    if own is None:
        raise StreamError(f"role_arn = {settings.role_arn!r}: no AWS credentials found to assume it with")
    fetcher = AioAssumeRoleCredentialFetcher(
        partial(session.create_client, region_name=settings.region),
        own,
        settings.role_arn,
        {"RoleSessionName": "cutwater"},
    )
    return AioDeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def stream_name(settings: Settings) -> dict[str, str]:
    """The parameter by which calls name the stream: its ARN if the settings have it, as for another account's."""
    return {"StreamARN": settings.stream_arn} if settings.stream_arn else {"StreamName": settings.stream}


class RetryingCaller:
    """Calls Kinesis until it answers. Throttling and lost connections are waited out.

    Args:
        settings: which stream, for messages.
        metrics: where throttled calls are counted.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._retrier = Retrier(f"stream {settings.stream!r}")

    @property
    def last_error(self) -> str | None:
        """Why the stream cannot be read at the moment, in one line; None if it can."""
        return self._retrier.last_error

    async def call(self, name: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Call until it works. Raises StreamError or RegionError, or ClientError if an iterator has expired."""
        throttled = 0

        def classify(error: Exception) -> str:
            nonlocal throttled
            if isinstance(error, ClientError):
                code = error.response["Error"]["Code"]
                if code == "ExpiredIteratorException":
                    raise error
                if code in _THROTTLES:
                    self._metrics.throttled.labels(name).inc()
                    throttled += 1
                    return f"{name}: {code}" if throttled > USUAL_THROTTLES else ""
                if not self._early(name, error):
                    self._raise_if_permanent(name, error)
                return f"{name}: {error.response['Error'].get('Message') or code}"
            if isinstance(error, INCOMPLETE):
                raise StreamError(f"{name}: {error}; set AWS credentials, or endpoint_url for a local stream") from None
            if isinstance(error, UNREACHABLE):
                doubt = regions.doubt(self._settings.region, error, answered=self._retrier.answered)
                return f"{name}: {str(error) or type(error).__name__}{doubt}"
            raise error

        return await self._retrier.call(attempt, classify)

    def _early(self, name: str, error: ClientError) -> bool:
        """Whether a start time lies ahead of the stream's clock, as after a first start on a machine that is fast."""
        return (
            name in ("GetShardIterator", "SubscribeToShard")
            and error.response["Error"]["Code"] == "InvalidArgumentException"
            and "timestamp" in error.response["Error"].get("Message", "").lower()
        )

    def _raise_if_permanent(self, name: str, error: ClientError) -> None:
        problem = error.response["Error"]
        if error.operation_name == "AssumeRole" and problem["Code"] in _NO_ROLE:
            raise StreamError(f"role_arn = {self._settings.role_arn!r}: {problem['Message']}; {_LET_US}") from None
        code = problem["Code"].removesuffix("Exception") + "Exception"
        if code == "ResourceNotFoundException":
            raise MissingError(self._complaint(name, problem, _REMEDIES[code])) from None
        if name != "GetRecords" and "StartingSequenceNumber" in problem.get("Message", ""):
            raise StreamError(
                f"stream {self._settings.stream!r} was deleted and made anew since its checkpoint, which is of the old "
                f"one ({problem['Message'].removesuffix('.')}); to read the new one from its start, use another "
                "data_dir, or another lease_table. Until then only those of its shards are read that the old one did "
                "not have"
            ) from None
        if remedy := _REMEDIES.get(code) or _REMEDIES.get(problem["Code"]):
            raise StreamError(self._complaint(name, problem, remedy)) from None

    def _complaint(self, name: str, problem: dict[str, Any], remedy: str) -> str:
        message = problem.get("Message") or problem["Code"]
        return f"{name} on stream {self._settings.stream!r}: {message}; {remedy}"
