"""Times as requests may write them, and what is unknown."""

from contextlib import suppress

import pytest
from fastapi import HTTPException
from hypothesis import given
from hypothesis import strategies as st

from service.api import params

NOW = 1_795_780_800_000


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr(params, "now", lambda: NOW)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-27T02:00:00Z", 1_795_744_800_000),
        ("2026-11-27T02:00:00+01:00", 1_795_741_200_000),
        ("2026-11-27T02:00:00 01:00", 1_795_741_200_000),
        ("2026-11-27T02:00:00.5 0100", 1_795_741_200_500),
        ("20261127T020000 0100", 1_795_741_200_000),
        ("2026-11-27 02:00:00 01:00", 1_795_741_200_000),
        ("2026-11-27 02:00", 1_795_744_800_000),
        ("20261127", 1_795_737_600_000),
        ("1795740000", 1_795_740_000_000),
        ("1795740000123", 1_795_740_000_123),
        ("1795740000123456789", 1_795_740_000_123),
        (1_795_740_000_123, 1_795_740_000_123),
        ("now", NOW),
        ("-1h", NOW - 3_600_000),
        ("now-15m", NOW - 900_000),
        ("now-90s", NOW - 90_000),
        ("now-2w", NOW - 14 * 86_400_000),
        ("now+1d", NOW + 86_400_000),
        ("now 1d", NOW + 86_400_000),
    ],
)
def test_times_are_understood(text, moment):
    assert params.moment("since", text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "99999999999999999999999",
        "-99999999999999999",
        "now-",
        "now-1y",
        "1h",
        "--1h",
        "\0",
        "now-999999w",
    ],
)
def test_what_is_no_time_is_refused_with_the_parameter(text):
    with pytest.raises(HTTPException, match="since: ") as error:
        params.moment("since", text)
    assert error.value.status_code == 422


@given(st.text() | st.integers() | st.from_regex(params._RELATIVE, fullmatch=True))
def test_any_value_is_a_time_of_the_calendar_or_refused(value):
    with suppress(HTTPException):
        assert -62_135_596_800_000 <= params.moment("since", value) < 253_402_300_800_000


@given(st.sampled_from(params.TIME_NUMBERS), st.data())
def test_numbers_that_are_described_as_times_are_times_and_their_neighbours_are_not(span, data):
    first, last = span
    for text in (first, last, data.draw(st.integers(first, last))):
        params.moment("since", text)
    for text in (first - 1, last + 1):
        with pytest.raises(HTTPException):
            params.moment("since", text)
