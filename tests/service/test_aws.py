"""A call to AWS is tried again until it is answered, and an error may be the answer."""

import asyncio

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from service import StateError
from service.aws import AWSStore

MISSING = ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")


class Store(AWSStore):
    def __init__(self):
        super().__init__("s3", "us-east-1", "store", {})

    async def call(self, function, **options):
        return await self._call(function, **options)


async def away():
    raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")


async def missing():
    raise MISSING


async def test_an_expected_error_is_an_answer():
    store = Store()
    with pytest.raises(ClientError, match="NoSuchKey"):
        await store.call(missing, expected=("NoSuchKey",))
    assert store.last_error is None


async def test_an_answer_to_one_call_does_not_hide_that_another_gets_none():
    store = Store()
    calling = asyncio.create_task(store.call(away))
    while "Could not connect" not in (store.last_error or ""):  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)
    with pytest.raises(ClientError):
        await store.call(missing, expected=("NoSuchKey",))
    assert store.last_error is not None
    assert "Could not connect" in store.last_error
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("RequestExpired", "this machine's clock"),
        ("RequestTimeTooSkewed", "this machine's clock"),
        ("KMSAccessDeniedException", "allow this role to use the KMS key"),
        ("KMS.DisabledException", "enable the KMS key"),
    ],
)
async def test_what_somebody_must_mend_is_said_at_once(code, remedy):
    async def refused():
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "PutObject")

    with pytest.raises(StateError, match=remedy):
        await Store().call(refused)
