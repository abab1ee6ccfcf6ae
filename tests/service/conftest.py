"""Stores of documents to test against."""

import pytest

from service.stores import opened
from tests.service.stores import SPECS, ServerStore, SQLiteStore


@pytest.fixture(params=["sqlite", *SPECS])
def store(request, tmp_path):
    """Every store there is."""
    return SQLiteStore(tmp_path) if request.param == "sqlite" else ServerStore(SPECS[request.param])


@pytest.fixture(params=list(SPECS))
def remote(request):
    """Every server."""
    return ServerStore(SPECS[request.param])


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
