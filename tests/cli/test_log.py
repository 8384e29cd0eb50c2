"""Log lines: text for people, JSON for programs; harmless, bounded, without passwords."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pg_events.cli.log import set_up_log

URL = "postgresql://app:Hidden%2FWord@db/shop"
HOSTILE = "\x1b[2J\x00\x9b \u202e [/] \ud800 é\nERROR forged"


@pytest.fixture(autouse=True)
def _leave_the_log_alone() -> Iterator[None]:
    logger = logging.getLogger("pg_events")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_json_line_has_stable_keys_and_the_fields_that_apply(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_log(verbose=False, form="json", about={"consumer": "mail"})
    extra = {"event_id": 7, "table": "public.orders", "attempt": 2, "seconds": 0.5, "other": "no field of ours"}

    logging.getLogger("pg_events.delivery.worker").warning("%s, %d", "so", 1, extra=extra)
    logging.getLogger("pg_events.delivery.worker").debug("a detail")

    (line,) = lines(capsys)
    at = datetime.fromisoformat(line.pop("at"))
    assert at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    assert list(line.items()) == [
        ("level", "warning"),
        ("logger", "pg_events.delivery.worker"),
        ("message", "so, 1"),
        ("consumer", "mail"),
        ("event_id", 7),
        ("table", "public.orders"),
        ("attempt", 2),
        ("seconds", 0.5),
    ]


@pytest.mark.parametrize("form", ["text", "json"])
def test_hostile_text_stays_in_its_line_and_is_bounded(capsys: pytest.CaptureFixture[str], form: str) -> None:
    set_up_log(verbose=False, form=form, about={"consumer": HOSTILE})
    extra = {"table": HOSTILE, "traceback": HOSTILE + "x" * 1_000_000}

    logging.getLogger("pg_events").error("%s %s", HOSTILE, "y" * 1_000_000, extra=extra)

    raw = capsys.readouterr().err
    assert len(raw) < 60_000
    assert not any(sign in raw for sign in ("\x1b", "\x00", "\x9b", "\u202e", "\ud800"))
    if form == "text":
        assert "␛[2J" in raw
        assert not raw.splitlines()[0].endswith("ERROR forged")
        assert raw.count("\n") <= 6
    else:
        assert raw.isascii()
        (line,) = raw.splitlines()
        assert json.loads(line)["table"].startswith("␛[2J")


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "spelling", ["Hidden/Word", "Hidden%2FWord", URL, "password=Hidden/Word", "host=db password='Hidden/Word'"]
)
def test_the_password_is_in_no_line(capsys: pytest.CaptureFixture[str], form: str, spelling: str) -> None:
    set_up_log(verbose=True, form=form, database_url=URL)
    logger = logging.getLogger("pg_events.delivery.worker")

    try:
        raise ValueError(f"connecting with {spelling} failed")
    except ValueError as error:
        logger.exception("%s", error, extra={"error": str(error), "callback": spelling})
        logger.error("gave up", extra={"traceback": f"Traceback\n  {spelling}\nValueError: {spelling}"})

    raw = capsys.readouterr().err
    assert "gave up" in raw
    assert raw.count("***") >= 3
    assert "Hidden" not in raw
