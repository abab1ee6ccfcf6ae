"""Tests of the connection to Kinesis: whose credentials sign its calls."""

import re

import pytest
from aiohttp import web
from botocore.exceptions import ClientError

from service.metrics import Metrics
from service.settings.model import Settings, load
from service.source.client import StreamError, connect
from service.source.kinesis import Stream
from tests.servers import applications, aws

ROLE = "arn:aws:iam::123456789012:role/reader"


@pytest.fixture
async def endpoint():
    """A server that refuses everything and remembers whose keys signed, as an address and a list of keys."""
    keys = []

    async def refuse(request):
        keys.append(re.search("Credential=([^/]+)/", request.headers["Authorization"])[1])
        return web.json_response({"__type": "LimitExceededException", "message": "later"}, status=400)

    app = web.Application()
    app.router.add_post("/", refuse)
    async with applications.serve(app) as address:
        yield address, keys


async def test_a_role_signs_what_the_stream_is_asked(endpoint, monkeypatch):
    address, keys = endpoint
    with aws.here():
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.moto())
        async with connect(Settings(endpoint_url=address, role_arn=ROLE)) as client:
            for _ in range(2):
                with pytest.raises(ClientError, match="later"):
                    await client.list_shards(StreamName="S")
    assert len(keys) == 2
    assert keys[0] == keys[1]  # assumed once
    assert keys[0].startswith("ASIA")


async def test_without_a_role_a_local_stream_needs_no_credentials(endpoint, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    address, keys = endpoint
    async with connect(Settings(endpoint_url=address)) as client:
        with pytest.raises(ClientError, match="later"):
            await client.list_shards(StreamName="S")
    assert keys == ["local"]


async def test_a_role_that_does_not_trust_us_is_named(monkeypatch):
    async def refuse(_):
        body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>"
        return web.Response(status=403, text=body, content_type="text/xml")

    app = web.Application()
    app.router.add_post("/", refuse)
    settings = Settings(role_arn=ROLE)
    async with applications.serve(app) as address:
        with aws.here():
            monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
            async with connect(settings) as client:
                with pytest.raises(StreamError, match=f"role_arn = '{ROLE}': not you; the role must trust these"):
                    await Stream(client, settings, Metrics()).shards()


def test_regions_of_index_and_state_are_checked_like_the_streams():
    settings = load({"opensearch_region": "eu-west-1", "state_region": "eu-central-1"}, {})
    assert (settings.region, settings.opensearch_region) == ("us-east-1", "eu-west-1")
    for name in ("opensearch_region", "state_region"):
        with pytest.raises(Exception, match=f"--{name.replace('_', '-')} = 'eu west 1': is no AWS region"):
            load({name: "eu west 1"}, {})
