"""Times of a filter mean one exact range, in the local zone of whoever asks and in UTC for whoever compares."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pg_events.filter.times import counted_from, moment, moment_after, span, time_range

NOW = datetime(2026, 8, 22, 14, 3, 21, 250_000, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
REMEDY = "is not a valid time; use 5m, 14:00, 2026-08-22 or 2026-08-22T14:00"


def local(*numbers: int) -> datetime:
    """Local time, as a time without a zone is read, in UTC."""
    return datetime(*numbers).astimezone(UTC)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200), ("3d", 259_200), ("1w", 604_800), ("0s", 0)]
)
def test_a_time_ago_is_one_microsecond_long(text: str, seconds: int) -> None:
    start, end = span(text, NOW)

    assert start == NOW - timedelta(seconds=seconds)
    assert end == start + MICROSECOND
    assert start.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-08-20", local(2026, 8, 20), local(2026, 8, 21)),
        ("9:05", local(2026, 8, 22, 9, 5), local(2026, 8, 22, 9, 6)),
        ("09:05", local(2026, 8, 22, 9, 5), local(2026, 8, 22, 9, 6)),
        ("09:05:07", local(2026, 8, 22, 9, 5, 7), local(2026, 8, 22, 9, 5, 8)),
        ("09:05:07.5", local(2026, 8, 22, 9, 5, 7, 500_000), local(2026, 8, 22, 9, 5, 7, 500_001)),
        ("09:05:07.000012", local(2026, 8, 22, 9, 5, 7, 12), local(2026, 8, 22, 9, 5, 7, 13)),
        ("2026-08-20T09:05", local(2026, 8, 20, 9, 5), local(2026, 8, 20, 9, 6)),
        ("2026-08-20 09:05", local(2026, 8, 20, 9, 5), local(2026, 8, 20, 9, 6)),
        ("09:05Z", datetime(2026, 8, 22, 9, 5, tzinfo=UTC), datetime(2026, 8, 22, 9, 6, tzinfo=UTC)),
        ("09:05+02", datetime(2026, 8, 22, 7, 5, tzinfo=UTC), datetime(2026, 8, 22, 7, 6, tzinfo=UTC)),
        ("09:05-03:30", datetime(2026, 8, 22, 12, 35, tzinfo=UTC), datetime(2026, 8, 22, 12, 36, tzinfo=UTC)),
    ],
)
def test_a_time_is_as_long_as_its_smallest_unit(text: str, start: datetime, end: datetime) -> None:
    assert span(text, NOW) == (start, end)
    assert {at.tzinfo for at in span(text, NOW)} == {UTC}


def test_a_time_of_day_is_on_the_day_asked_for() -> None:
    assert span("09:05", NOW, day=date(2026, 1, 2))[0] == local(2026, 1, 2, 9, 5)


def test_only_a_time_still_to_come_is_yesterdays() -> None:
    now = datetime(2026, 8, 22, 14, 3).astimezone()

    assert span("14:03", now, latest_passed=True)[0] == local(2026, 8, 22, 14, 3)
    assert span("14:04", now, latest_passed=True)[0] == local(2026, 8, 21, 14, 4)
    assert span("14:04", now)[0] == local(2026, 8, 22, 14, 4)


@pytest.mark.parametrize(
    "text",
    ["", "x", "5", "5y", "5m5", "24:00", "9:5", "09:60", "2026-13-01", "2026-08-20X09:05", "2026-08-20T", "999999999w"],
)
def test_what_is_not_a_time_is_an_error_that_names_the_forms(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        span(text, NOW)

    assert str(refused.value) == f"{text} {REMEDY}"


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("9:00..9:30", local(2026, 8, 22, 9), local(2026, 8, 22, 9, 31)),
        ("9:00..9:00", local(2026, 8, 22, 9), local(2026, 8, 22, 9, 1)),
        ("9:00..", local(2026, 8, 22, 9), None),
        ("..9:00", None, local(2026, 8, 22, 9, 1)),
        ("23:50..", local(2026, 8, 21, 23, 50), None),
        ("..23:50", None, local(2026, 8, 22, 23, 51)),
        ("23:50", local(2026, 8, 21, 23, 50), local(2026, 8, 21, 23, 51)),
        ("23:50..23:55", local(2026, 8, 21, 23, 50), local(2026, 8, 21, 23, 56)),
        ("23:50..00:10", local(2026, 8, 21, 23, 50), local(2026, 8, 22, 0, 11)),
        ("2026-08-01T10:00..11:00", local(2026, 8, 1, 10), local(2026, 8, 1, 11, 1)),
        ("2026-08-01T10:00..09:59", local(2026, 8, 1, 10), local(2026, 8, 2, 10)),
        ("2026-08-01T10:00..2026-08-03", local(2026, 8, 1, 10), local(2026, 8, 4)),
        # The last ends in the moment the first begins: the next day's is meant.
        ("2026-08-01T10:00..09:59:59", local(2026, 8, 1, 10), local(2026, 8, 2, 10)),
    ],
)
def test_a_range_is_from_the_first_start_to_the_last_end(
    text: str, start: datetime | None, end: datetime | None
) -> None:
    now = datetime(2026, 8, 22, 14, 3).astimezone()

    assert time_range(text, now) == (start, end)


@pytest.mark.parametrize("text", ["2026-08-02..2026-08-01", "2026-08-02..2026-08-01T23:59", "2026-08-02T10:00..5w"])
def test_a_range_that_ends_before_it_begins_is_an_error(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        time_range(text, NOW)

    assert str(refused.value) == f"{text} ends before it begins"


def test_two_dots_alone_are_not_a_range() -> None:
    with pytest.raises(ValueError) as refused:
        time_range("..", NOW)

    assert str(refused.value) == f".. {REMEDY}"


@given(st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)))
def test_a_time_in_full_is_itself_and_ends_a_microsecond_later(at: datetime) -> None:
    text = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    assert span(text, NOW) == (at.replace(tzinfo=UTC), at.replace(tzinfo=UTC) + MICROSECOND)


def test_a_reference_time_is_local_and_asked_for_only_when_the_result_depends_on_it() -> None:
    def never() -> datetime:
        raise AssertionError("asked")

    assert counted_from(never, lambda _now: "fixed") == "fixed"
    assert counted_from(lambda: NOW, lambda now: now) == NOW
    assert counted_from(lambda: NOW, lambda now: now).utcoffset() == NOW.astimezone().utcoffset()


@pytest.mark.parametrize("now", [None, lambda: None])
def test_without_a_reference_time_the_current_one_counts(now: None) -> None:
    before = datetime.now(UTC)
    at = counted_from(now, lambda clock: clock)

    assert before <= at <= datetime.now(UTC)
    assert at.utcoffset() == at.astimezone().utcoffset()


def test_a_reference_time_is_asked_for_if_only_the_day_matters() -> None:
    now = datetime(2020, 2, 3, 4, 5, tzinfo=UTC)

    assert counted_from(lambda: now, lambda clock: clock.date()) == now.astimezone().date()


def test_a_moment_is_the_start_of_its_span_and_never_still_to_come() -> None:
    before = datetime.now(UTC)
    ago = moment("5m")
    soon = (datetime.now() + timedelta(minutes=2)).strftime("%H:%M")

    assert before <= ago + timedelta(minutes=5) <= datetime.now(UTC)
    assert moment("2026-08-20T09:05Z") == datetime(2026, 8, 20, 9, 5, tzinfo=UTC)
    assert moment(soon) < datetime.now(UTC)


def test_a_moment_after_is_the_end_of_its_span_counted_from_the_reference_time() -> None:
    assert moment_after("2026-08-20T09:05Z") == datetime(2026, 8, 20, 9, 6, tzinfo=UTC)
    assert moment_after("5m", now=lambda: NOW) == NOW - timedelta(minutes=5) + MICROSECOND
    assert moment_after("9:05", now=lambda: NOW) == span("9:05", NOW.astimezone())[1]
