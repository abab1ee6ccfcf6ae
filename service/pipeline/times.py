"""The one reader of times: whatever a record, a table, a request or a flag calls a time, in milliseconds since 1970.

A number and the same number as text are read alike. What could be two things, such as days since 1900, is refused: a
time is never guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_1, _YEAR_10000 = -62_135_596_800_000, 253_402_300_800_000  # ms
_DAY = 86_400_000  # ms
LONGEST = 200  # characters of a time as text

_DATE = r"(?P<date>[0-9]{4}-?[0-9]{2}-?[0-9]{2}|[0-9]{4}-?W[0-9]{2}-?[1-7])"
_CLOCK = r"(?P<hour>[0-9]{2})(?::?(?P<minute>[0-9]{2})(?::?(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?)?"
_ZONE = r" ?(?P<zone>Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?(?:\[[^\]]*\])?)"
_ISO = re.compile(rf"{_DATE}(?:(?:T| +){_CLOCK}(?:{_ZONE})?)?", re.IGNORECASE)
_COMPACT = re.compile(rf"(?P<date>(?:19|20|21)[0-9]{{6}}){_CLOCK.replace(':?', '')}(?:{_ZONE})?", re.IGNORECASE)
_COMPACT_NUMBER = re.compile(r"(?:19|20|21)(?:[0-9]{6}|[0-9]{8}|[0-9]{10}|[0-9]{12}|[0-9]{15}|[0-9]{18})")
_YEAR = re.compile(r"(?:19|20|21)[0-9]{2}(?:[0-9]{3})?")  # 2026, 2026331
_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]*)?(?:E[+-]?[0-9]+)?", re.IGNORECASE)

_SCALES = (
    (10**11, 1),
    (10**14, 1000),
    (10**17, 10**6),
    (10**21, 10**9),
)  # below which a number counts so many a second
_OTHER_SCALES = (  # numbers from and below which nobody can say whether they are seconds or nanoseconds since 1970
    (30_000, 70_000, "days since 1900, as spreadsheets count"),
    (190_001, 220_000, "a year and a month"),
    (700_000, 780_000, "days since the year 0"),
    (2_440_000, 2_490_000, "a Julian day"),
    (3_000_000_000, 4_100_000_000, "seconds since 1900 or 1904"),
    (10**17, 15 * 10**16, "ticks of 100 ns since 1601"),
    (62 * 10**16, 67 * 10**16, "ticks of 100 ns since the year 1"),
)


class TimeError(ValueError):
    """A value is no time, or could be several; the message quotes it and says why."""


def parse_time(value: Any, formats: Sequence[str] = ()) -> int:
    """Milliseconds since 1970 of a time as text or as a number; without an offset it is in UTC.

    Text is ISO 8601, extended (2026-11-27T02:30:00.5+01:00, with a blank for T, with " UTC") or basic (20261127T0230Z,
    20261127, 2026112702, 202611270230, 20261127023000). A number, or a number as text, counts seconds, milli-, micro-
    or nanoseconds since 1970, told apart by their size; 20261127 and the like are dates all the same.

    Args:
        value: text, an integer or a float.
        formats: of ``datetime.strptime``, which are tried first.

    Raises:
        TimeError: it is none of these, could be several, or lies outside of the years 1 to 9999.
    """
    if isinstance(value, str):
        if not formats and value[10:11] in ("T", " ") and value[4:5] == value[7:8] == "-" and value[13:14] == ":":
            try:
                return _since_1970(datetime.fromisoformat(value))
            except ValueError:
                pass  # 24:00, a leap second, a zone by name
        return _text(value, formats)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TimeError(f"{show(value)} is neither text nor a number")
    return _text(repr(value), formats) if formats and abs(value) < 10**50 else _number(value)


def parse_moment(text: str) -> int:
    """As ``parse_time``, of what a person writes: 2026 alone is no second of 1970. Raises TimeError."""
    if _YEAR.fullmatch(text.strip()):
        raise TimeError(f"{show(text)} may be a year or a day of one, or seconds since 1970; write it as 2026-01-31")
    return parse_time(text)


def check_format(format_: str) -> None:
    """Raises TimeError if a format of ``datetime.strptime`` cannot tell a day."""
    moments = [datetime(2026, 11, 27, 2, 30, tzinfo=UTC), datetime(2019, 4, 5, 2, 30, tzinfo=UTC)]
    if "%Z" in format_:
        raise TimeError(f"{format_!r}: names of zones are not understood; offsets such as +0100 are %z")
    try:
        days = [datetime.strptime(moment.strftime(format_), format_).date() for moment in moments]
    except (ValueError, re.error) as error:
        raise TimeError(f"{format_!r} is no format of times such as %d.%m.%Y %H:%M:%S: {error}") from None
    if days != [moment.date() for moment in moments]:
        raise TimeError(f"{format_!r} does not say year, month and day as %d.%m.%Y %H:%M:%S does")


def show(value: Any) -> str:
    """A value as a message may quote it, whatever it is: on one line, and short."""
    if isinstance(value, int) and abs(value) >= 10**50:
        return "a number of more than 50 digits"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"  # they may be as deep as they like
    text = repr(value[:61] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:59] + "…"


def _text(text: str, formats: Sequence[str]) -> int:
    if len(text) > LONGEST:
        raise TimeError(f"{show(text)} is too long for a time")
    stripped = text.strip()
    for format_ in formats:
        try:
            return _since_1970(datetime.strptime(stripped, format_))
        except TimeError:
            raise
        except ValueError:
            continue
    plain = stripped.replace("\N{MINUS SIGN}", "-")
    if plain.isascii():
        if _NUMBER.fullmatch(plain) and not (plain.isdigit() and plain.startswith("0") and len(plain) > 1):
            return _digits(plain)
        if found := _ISO.fullmatch(plain) or _COMPACT.fullmatch(plain):
            return _calendar(found, text)
    if formats:
        raise TimeError(f"{show(text)} is neither of the form {' nor '.join(map(repr, formats))} nor ISO 8601")
    raise TimeError(
        f"{show(text)} is not a time: neither ISO 8601 such as 2026-01-31T12:00:00Z, nor seconds or ms since 1970"
    )


def _digits(text: str) -> int:
    """A number as text; with a fraction, it may still be a date and a clock."""
    number = text.replace(",", ".")
    whole, _, fraction = number.partition(".")
    if not fraction.strip("0") and whole.lstrip("+-").isdigit():
        return _number(int(whole))
    if len(whole) == 14 and (found := _COMPACT.fullmatch(number)):
        return _calendar(found, text)
    return _number(float(number))


def _number(value: float) -> int:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TimeError(f"{value} is not a time")
        if not value.is_integer():
            found = _COMPACT.fullmatch(repr(float(value))) if 10**13 < value < 10**14 else None
            return _calendar(found, repr(value)) if found else _since_epoch(value)
        value = int(value)
    if 10**7 <= value < 10**20 and _COMPACT_NUMBER.fullmatch(str(value)):
        return _compact(str(value), value)
    return _since_epoch(value)


def _compact(digits: str, value: int) -> int:
    """A date, and an hour, a minute, a second and its fraction if there are so many digits."""
    clock = digits[8:14]
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        day = None
    pairs = [int(clock[at : at + 2]) for at in range(0, len(clock), 2)]
    if day is None or any(pair >= limit for pair, limit in zip(pairs, (24, 60, 60), strict=False)):
        if len(digits) == 10:
            return _since_epoch(value)  # seconds of the years 2030 to 2039
        raise TimeError(f"{value} looks like a date, but is none of the calendar")
    if len(digits) == 10 and not 2000 <= day.year < 2030:
        raise TimeError(f"{value} may be a date and an hour, or seconds since 1970")
    hour, minute, second = (*pairs, 0, 0, 0)[:3]
    fraction = _rounded(int(digits[14:]), 10 ** (len(digits) - 17)) if digits[14:] else 0
    return _within((day - _EPOCH.date()).days * _DAY + ((hour * 60 + minute) * 60 + second) * 1000 + fraction, value)


def _since_epoch(value: float) -> int:
    """A number of seconds, or of their parts, by its size."""
    for low, high, name in _OTHER_SCALES:
        if low <= value < high:
            raise TimeError(f"{value} may be {name} as well as a time since 1970; write it as ISO 8601")
    size = abs(value)
    for limit, rate in _SCALES:
        if size < limit:
            if isinstance(value, int):
                return _within(value * 1000 if rate == 1 else _rounded(value, rate // 1000), value)
            return _within(round(value * 1000 if rate == 1 else value / (rate // 1000)), value)
    raise _outside(value)


def _calendar(found: re.Match[str], text: str) -> int:
    """What a match of _ISO or _COMPACT says."""
    part = found.groupdict()
    hour, minute, second = (int(part[name] or 0) for name in ("hour", "minute", "second"))
    fraction = part["fraction"] or ""
    try:
        days = (date.fromisoformat(part["date"].upper()) - _EPOCH.date()).days
    except ValueError:
        raise TimeError(f"{show(text)} is no day of the calendar") from None
    midnight = hour == 24 and not minute and not second and not fraction.strip("0")
    if (hour > 23 and not midnight) or minute > 59 or second > 60:
        raise TimeError(f"{show(text)} is no time of the day")
    offset = _offset(part["zone"] or "Z", text)
    minutes = hour * 60 + minute - offset
    if second == 60 and minutes % 1440 != 1439:
        raise TimeError(f"{show(text)}: a leap second is 23:59:60 in UTC")
    milliseconds = (
        _rounded(int(fraction), 10 ** (len(fraction) - 3)) if len(fraction) > 3 else int(fraction.ljust(3, "0"))
    )
    return _within(days * _DAY + minutes * 60_000 + second * 1000 + milliseconds, text)


def _offset(zone: str, text: str) -> int:
    """A zone's offset in minutes."""
    if zone[0] not in "+-":
        return 0
    digits = zone.partition("[")[0].replace(":", "")
    hours, minutes = int(digits[1:3]), int(digits[3:5] or 0)
    if hours > 23 or minutes > 59:
        raise TimeError(f"{show(text)}: {zone} is no offset from UTC")
    return (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)


def _since_1970(moment: datetime) -> int:
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    time = since.days * _DAY + since.seconds * 1000 + round(since.microseconds / 1000)
    return time if _YEAR_1 <= time < _YEAR_10000 else _within(time, moment.isoformat())


def _rounded(value: int, by: int) -> int:
    """``value / by``, to the nearest integer; a half goes to the even one."""
    whole, rest = divmod(value, by)
    return whole + (2 * rest > by or (2 * rest == by and whole % 2))


def _within(milliseconds: int, value: Any) -> int:
    if not _YEAR_1 <= milliseconds < _YEAR_10000:
        raise _outside(value)
    return milliseconds


def _outside(value: Any) -> TimeError:
    return TimeError(f"{show(value)} lies outside of the calendar's years 1 to 9999")
