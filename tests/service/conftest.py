"""Stores of documents to test against."""

import pytest

from service.stores import opened
from tests.servers import opensearch
from tests.service.stores import SPECS, ServerStore, SQLiteStore


@pytest.fixture(params=["sqlite", *SPECS])
def store(request, tmp_path):
    """Every store there is."""
    return SQLiteStore(tmp_path) if request.param == "sqlite" else ServerStore(SPECS[request.param])


@pytest.fixture(params=list(SPECS))
def remote(request):
    """Every server."""
    return ServerStore(SPECS[request.param])


@pytest.fixture(params=list(SPECS))
def mortal(request):
    """Every server, one of the test's own that it may kill."""
    with opensearch.Server(SPECS[request.param]) as server:
        yield ServerStore(server.spec, server)


@pytest.fixture
async def index(store):
    """The store's index, open."""
    async with opened(store.index()) as index:
        yield index


@pytest.fixture
async def remote_index(remote):
    """The server's index, open."""
    async with opened(remote.index()) as index:
        yield index


@pytest.fixture
async def mortal_index(mortal):
    """The index of the server that may be killed, open."""
    async with opened(mortal.index()) as index:
        yield index
