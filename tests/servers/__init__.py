"""Real servers that tests talk to, and where what these are made of is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest


def cache() -> Path:
    """The folder of what one run of the tests fetches or makes for all later ones, which may not be there yet."""
    return Path(os.environ.get("CUTWATER_TEST_CACHE") or Path.home() / ".cache" / "cutwater-tests")


def unavailable(reason: str) -> NoReturn:
    """Skip the test because this machine lacks what it needs; on the build server, where nothing may lack, fail."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"CI must not skip: {reason}", pytrace=False)
    pytest.skip(reason)
