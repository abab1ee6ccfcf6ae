"""Real servers that tests talk to."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """Skip the test because this machine lacks what it needs; on the build server, where nothing may lack, fail."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"CI must not skip: {reason}", pytrace=False)
    pytest.skip(reason)
