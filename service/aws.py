"""AWS's DynamoDB, S3 and EC2, called until they answer."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Literal

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, PartialCredentialsError

from service import StateError, regions
from service.retry import STATE_PAUSE, Retrier

_CREDENTIALS = "check the AWS credentials"
_KEY = "allow this role to use the KMS key (kms:Decrypt, kms:GenerateDataKey)"
_USABLE_KEY = "enable the KMS key, or use another one"
_REQUEST = "this is an error in the request; please report it"
REMEDIES = {  # about errors that waiting cannot mend, by their codes
    "UnrecognizedClientException": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": f"{_CREDENTIALS} and this machine's clock",
    "InvalidSignatureException": f"{_CREDENTIALS} and this machine's clock",
    "RequestExpired": f"{_CREDENTIALS} and this machine's clock",
    "RequestTimeTooSkewed": "set this machine's clock right",
    "KMSAccessDeniedException": _KEY,
    "KMSDisabledException": _USABLE_KEY,
    "KMSNotFoundException": _USABLE_KEY,
    "KMSInvalidStateException": _USABLE_KEY,
    "KMS.DisabledException": _USABLE_KEY,
    "KMS.NotFoundException": _USABLE_KEY,
    "KMS.KMSInvalidStateException": _USABLE_KEY,
    "KMSOptInRequired": "sign this account up for KMS",
    "ExpiredTokenException": "renew the AWS credentials",
    "ExpiredToken": "renew the AWS credentials",
    "ValidationException": _REQUEST,
    "InvalidArgumentException": _REQUEST,
    "UnknownOperationException": _REQUEST,
    "PermanentRedirect": "set region to the bucket's",
    "IllegalLocationConstraintException": "set region to the bucket's",
}
THROTTLES = (  # that come of much use, and pass
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "ThrottlingException",
    "KMSThrottlingException",
)
INCOMPLETE = (NoCredentialsError, PartialCredentialsError, NoRegionError)  # settings
Service = Literal["dynamodb", "s3", "ec2", "sns", "events"]
UNREACHABLE = (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError)


def client(service: Service, region: str) -> AbstractAsyncContextManager[Any]:
    """A client that tries once. AWS_ENDPOINT_URL_DYNAMODB, _S3 and _EC2 lead elsewhere."""
    config = AioConfig(
        retries={"total_max_attempts": 1},
        connect_timeout=3,
        read_timeout=3 if service == "dynamodb" else 60,
        max_pool_connections=64,
    )
    return _session().create_client(service, region_name=region, config=config)  # type: ignore[no-any-return]


@functools.cache
def _session() -> AioSession:
    """One for all, because reading the description of the API takes long."""
    return get_session()


class AWSStore:
    """One store at AWS: a connection, and calls over it.

    Guarantee: a call is tried again, with growing pauses, until it is answered. StateError and
    RegionError say what waiting cannot mend.
    """

    def __init__(self, service: Service, region: str, store: str, remedies: Mapping[str, str]) -> None:
        """``store``: its name in messages; ``remedies``: more of them, or better ones, for this store."""
        self._service = service
        self._region = region
        self._store = store
        self._remedies = REMEDIES | dict(remedies)
        self._retrier = Retrier(store, STATE_PAUSE)
        self._stack = AsyncExitStack()
        self._client: Any = None

    @property
    def last_error(self) -> str | None:
        """What the store complains of at the moment."""
        return self._retrier.last_error

    async def open(self) -> None:
        """Connect."""
        self._client = await self._stack.enter_async_context(client(self._service, self._region))

    async def close(self) -> None:
        """Let go of the connection."""
        await self._stack.aclose()

    async def _call(self, call: Any, *, expected: Collection[str] = (), **request: Any) -> dict[str, Any]:
        """The answer. ClientError is raised for the ``expected`` codes."""

        async def answered() -> dict[str, Any] | ClientError:
            try:
                return await call(**request)
            except ClientError as error:
                if error.response["Error"]["Code"] in expected:
                    return error
                raise

        def classify(error: Exception) -> str:
            if isinstance(error, ClientError):
                code: str = error.response["Error"]["Code"]
                self._raise_if_permanent(code, error)
                return code
            if isinstance(error, INCOMPLETE):
                raise StateError(f"{self._store}: {error}; set AWS credentials and region") from None
            if isinstance(error, UNREACHABLE):
                doubt = regions.doubt(self._region, error, answered=self._retrier.answered)
                return f"{str(error) or type(error).__name__}{doubt}"
            raise error

        answer = await self._retrier.call(answered, classify)
        if isinstance(answer, ClientError):
            raise answer
        return answer

    def _raise_if_permanent(self, code: str, error: ClientError) -> None:
        if remedy := self._remedies.get(code):
            message = error.response["Error"].get("Message") or code
            raise StateError(f"{self._store}: {message}; {remedy}") from None
