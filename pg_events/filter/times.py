"""Parses times of a filter: `5m` ago, `14:00`, `2026-08-22`, `2026-08-22T14:00`, and ranges of them. Pure."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeVar

_T = TypeVar("_T")

_AGO = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DAY: Final = timedelta(days=1)


def span(
    text: str, now: datetime, *, day: date | None = None, latest_passed: bool = False
) -> tuple[datetime, datetime]:
    """Start and end of the second, minute or day that the text names, in UTC; local time without a zone.

    A time without a date is on `day`, or else today; with `latest_passed`, yesterday if it is still in the future.
    """
    try:
        if match := _AGO.fullmatch(text):
            start = (now - timedelta(seconds=int(match[1]) * _SECONDS[match[2]])).astimezone(UTC)
            return start, start + timedelta(microseconds=1)
        if _DATE.fullmatch(text):
            start = datetime.fromisoformat(text)
            return start.astimezone(UTC), (start + _DAY).astimezone(UTC)
        if _DATE.match(text) and text[10] in "T ":
            return _clock_span(text[11:], date.fromisoformat(text[:10]))
        found = _clock_span(text, day or now.date())
        return _clock_span(text, now.date() - _DAY) if latest_passed and found[0] > now else found
    except (ValueError, OverflowError, OSError, IndexError):
        raise ValueError(f"{text} is not a valid time; use 5m, 14:00, 2026-08-22 or 2026-08-22T14:00") from None


def _clock_span(text: str, day: date) -> tuple[datetime, datetime]:
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValueError(text)
    hour, minute, second, fraction, zone = match.groups()
    start = datetime.fromisoformat(
        f"{day.isoformat()}T{hour:0>2}:{minute}:{second or '00'}.{fraction or '0':0<6}{zone or ''}"
    )
    length = timedelta(microseconds=1) if fraction else timedelta(seconds=1) if second else timedelta(minutes=1)
    return start.astimezone(UTC), (start + length).astimezone(UTC)


def time_range(text: str, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Range such as `14:01..14:03`, from the start of the first to the end of the last. A side may be open."""
    first, dots, last = text.partition("..")
    if not dots or text == "..":
        return span(text, now, latest_passed=True)
    start = span(first, now, latest_passed=True)[0] if first else None
    if start is None or not last:
        return start, span(last, now)[1] if last else None
    day = start.astimezone().date()
    end = span(last, now, day=day)[1]
    if end <= start and _CLOCK.fullmatch(last):
        end = span(last, now, day=day + _DAY)[1]
    if end <= start:
        raise ValueError(f"{text} ends before it begins")
    return start, end


def counted_from(now: Callable[[], datetime | None] | None, read: Callable[[datetime], _T]) -> _T:
    """Call `read` with the reference time, aware and local: the current time, or the result of `now`.

    `now` is called only if the result depends on it; None stands for the current time.
    """
    clock = datetime.now().astimezone()
    found = read(clock)
    # A time that is relative to a moment, or to its day, differs if the moment is a day and a half later.
    if now is None or found == read(clock + timedelta(hours=36)):
        return found
    told = now()
    return found if told is None else read(told.astimezone())


def moment(text: str) -> datetime:
    """Time of the text as in `since:`, aware. Raises `ValueError` of one line."""
    return span(text, datetime.now().astimezone(), latest_passed=True)[0]


def moment_after(text: str, *, now: Callable[[], datetime | None] | None = None) -> datetime:
    """End of the second, minute or day that the text names, as in `at:`. Raises `ValueError` of one line."""
    return counted_from(now, lambda moment: span(text, moment)[1])
