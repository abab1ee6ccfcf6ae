"""Every way to write a time that can be told has one meaning; what could mean two things is refused."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.times import TimeError, check_format, parse_time

MOMENT = 1_795_746_600_000  # 2026-11-27T02:30:00Z
DAY = 1_795_737_600_000  # 2026-11-27T00:00:00Z

offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)


def since_1970(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-27T02:30:00Z", "2026-11-27T02:30:00", "2026-11-27t02:30:00z", "2026-11-27 02:30:00",
        "2026-11-27T02:30",
        "2026-11-27T02:30:00 UTC", "2026-11-27 02:30:00 GMT", "2026-11-27T02:30:00utc", " 2026-11-27T02:30:00Z\n",
        "2026-11-27T03:30:00+01:00", "2026-11-27T03:30:00+0100", "2026-11-27 03:30:00 +01", "2026-11-26T21:00:00-05:30",
        "2026-11-27T01:30:00\N{MINUS SIGN}01:00", "2026-11-27T03:30:00+01:00[Europe/Berlin]",
        "2026-11-27T02:30:00,000", "2026-11-27T02:30:00.000000000Z", "2026-W48-5T02:30Z",
        "20261127T023000Z", "20261127T0230", "20261127t023000z", "20261127T033000+0100", "20261127 023000",
        "20261127023000Z", "20261127023000", "202611270230", "20261127033000+0100", "20261127023000.000",
        "20261127023000000",
        "1795746600", "1795746600.0", "1795746600,0", "1.7957466e9", "1795746600000", "1795746600000000",
        "1795746600000000000",
    ],
)  # fmt: skip
def test_a_moment_has_many_spellings(text):
    assert parse_time(text) == MOMENT


@pytest.mark.parametrize("text", ["2026-11-27", "20261127", "2026112700", "2026-11-26T24:00", "20261126T240000Z"])
def test_a_day_begins_at_midnight_in_utc(text):
    assert parse_time(text) == DAY


@pytest.mark.parametrize(
    "number",
    [
        1_795_746_600,
        1_795_746_600.0,
        MOMENT,
        1_795_746_600_000_000,
        1_795_746_600_000_000_000,
        20261127023000,
        202611270230,
    ],
)
def test_a_number_counts_by_its_size_or_is_a_compact_date(number):
    assert parse_time(number) == MOMENT


def test_a_day_as_a_number_is_a_day():
    assert parse_time(20261127) == parse_time(20261127.0) == DAY


@pytest.mark.parametrize("text", ["2016-12-31T23:59:60Z", "2017-01-01T00:59:60+01:00", "20161231T235960Z"])
def test_a_leap_second_is_the_next_day_s_first(text):
    assert parse_time(text) == 1_483_228_800_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-27T02:30:00.123456789Z", MOMENT + 123),
        ("2026-11-27t02:30:00.1239z", MOMENT + 124),
        ("2026-11-27T02:30:00,5", MOMENT + 500),
        ("20261127023000.25", MOMENT + 250),
        ("20261127023000125", MOMENT + 125),
        (20261127023000.125, MOMENT + 125),
        (1_795_746_600.25, MOMENT + 250),
        (1_795_746_600_123_456, MOMENT + 123),
        (1_795_746_600_123_956_789, MOMENT + 124),
        (0, 0),
        (12, 12_000),
        (-86_400, -86_400_000),
        (4_102_444_800, 4_102_444_800_000),  # the year 2100
    ],
)
def test_parts_of_a_second_and_times_far_away(value, expected):
    assert parse_time(value) == expected


@pytest.mark.parametrize(
    "value", [46_027, 46_027.5, "46027", 739_947.1, 2_461_372, 3_862_656_000, 202_611, 134_000_000 * 10**9]
)
def test_other_scales_than_since_1970_are_refused_by_name(value):
    with pytest.raises(TimeError, match=r"may be .* as well as a time since 1970"):
        parse_time(value)


@pytest.mark.parametrize("value", [2_034_112_702, "1990010112"])
def test_a_date_and_hour_that_may_be_seconds_is_refused(value):
    with pytest.raises(TimeError, match="may be a date and an hour, or seconds since 1970"):
        parse_time(value)


def test_seconds_of_2034_that_are_no_date_are_seconds():
    assert parse_time(2_034_556_677) == 2_034_556_677_000


@pytest.mark.parametrize(
    "value",
    [
        20_261_327, "20260230", 202_611_272_460, "20261127246000",  # no date, no clock
        "2026-02-30T00:00", "2026-11-27T25:00", "2026-11-27T24:01", "2026-11-27T02:60", "2026-11-27T02:30:60Z",
        "2026-11-27T02:30:00+24:00", "20261127T023000+0160", "2026-11-27T02:30:00 CET", "2026-11-27_02:30",
        "27.11.2026 02:30", "11/27/2026", "0000-01-01", "0001-01-01T00:00:00+01:00", "9999-12-31T24:00",
        "9999-12-31T23:59:59.9999", "yesterday", "", " ", "nan", "inf", "1e999", "0x10", "1_000", "00012", "2026-1127",
        "\N{ARABIC-INDIC DIGIT TWO}026-11-27", "1" * 150, "1" * 10_000, "9" * 5_000, 10**70, -(10**4_000), 1e300,
        float("nan"), float("-inf"), True, None, [], {}, b"2026-11-27",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_in_one_short_line(value):
    with pytest.raises(TimeError) as error:
        parse_time(value)
    assert len(str(error.value)) < 250
    assert "\n" not in str(error.value)


@given(moments, offsets)
def test_whatever_datetime_writes_comes_back(moment, offset):
    there = moment.astimezone(offset)
    expected = since_1970(moment)
    assert parse_time(there.isoformat()) == expected
    assert parse_time(there.isoformat(" ", "milliseconds")) == expected
    assert parse_time(there.strftime("%Y").rjust(4, "0") + there.strftime("%m%dT%H%M%S.%f%z")) == expected


@given(st.integers(1_000_000_000, 1_899_999_999), st.integers(0, 999_999_999))
def test_seconds_and_their_parts_come_back_as_numbers_and_as_text(seconds, nanoseconds):
    whole, milliseconds = seconds * 1000, seconds * 1000 + nanoseconds // 10**6
    for number, expected in (
        (seconds, whole),
        (milliseconds, milliseconds),
        (milliseconds * 1000, milliseconds),
        (milliseconds * 10**6, milliseconds),
    ):
        assert parse_time(number) == parse_time(str(number)) == expected
    assert parse_time(seconds + 0.5) == whole + 500


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)))
def test_compact_dates_come_back_as_numbers_and_as_text(moment):
    for form in ("%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S"):
        text = moment.strftime(form)
        expected = since_1970(datetime.strptime(text, form).replace(tzinfo=UTC))
        assert parse_time(text) == parse_time(int(text)) == expected


@given(
    st.text() | st.integers() | st.floats() | st.text("0123456789-:TZ+., ") | st.integers(10**6, 10**20),
    st.sampled_from([(), ("%d.%m.%Y %H:%M",), ("%d%m%y", "%m/%d/%Y")]),
)
def test_anything_is_a_time_of_the_calendar_or_a_time_error(value, formats):
    with contextlib.suppress(TimeError):
        assert -62_135_596_800_000 <= parse_time(value, formats) < 253_402_300_800_000


def test_formats_of_one_s_own_come_first():
    day_first = ("%d.%m.%Y %H:%M", "%d%m%Y%H%M")
    assert parse_time("27.11.2026 02:30", day_first) == MOMENT
    assert parse_time(271120260230, day_first) == parse_time("271120260230", day_first) == MOMENT
    assert parse_time("2026-11-27T02:30Z", day_first) == parse_time(MOMENT, day_first) == MOMENT
    with pytest.raises(TimeError, match=r"'2026/11/27' is neither of the form '%d.%m.%Y %H:%M' nor .* nor ISO 8601"):
        parse_time("2026/11/27", day_first)
    assert parse_time("27/Nov/2026:03:30:00 +0100", ["%d/%b/%Y:%H:%M:%S %z"]) == MOMENT


@pytest.mark.parametrize("form", ["%H:%M", "%d.%m. %H:%M", "", "%Q", "%", "today", "%Y-%m-%d %H:%M %Z"])
def test_a_format_must_tell_the_day(form):
    with pytest.raises(TimeError):
        check_format(form)


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%m/%d/%y %I:%M %p", "%Y %j", "%c", "%d%b%Y:%H:%M:%S"])
def test_formats_that_tell_the_day(form):
    check_format(form)
