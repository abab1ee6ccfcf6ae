"""Clients of streams."""

from contextlib import asynccontextmanager

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session


@asynccontextmanager
async def kinesis(endpoint_url):
    """A client with made-up credentials that does not try again by itself."""
    config = AioConfig(retries={"total_max_attempts": 1})
    session = get_session()
    async with session.create_client(
        "kinesis", region_name="us-east-1", endpoint_url=endpoint_url,
        aws_access_key_id="key", aws_secret_access_key="secret", config=config,
    ) as client:
        yield client
