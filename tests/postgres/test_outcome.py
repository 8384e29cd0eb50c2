"""How a call says that it ended: `RetryAfter` and `Discard`, in every way of delivery."""

import asyncio
import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import psycopg
import pytest

from pg_events import Discard, FailedEvent, RetryAfter
from pg_events.config.settings import Settings
from pg_events.delivery.attempts import CallbackGaveUp
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Report, Worker
from pg_events.errors import UsageError

pytestmark = pytest.mark.usefixtures("wishes")

WAYS: Final[dict[str, dict[str, Any]]] = {
    "sync": {},
    "async": {},
    "concurrent": {"concurrency": 8},
    "transactional": {"transactional": True, "ignore_own_changes": True},
    "isolated": {"isolate": True},
}


CALLS: Counter[int] = Counter()
"""Calls by event; of this process, or of the one that has the callbacks."""
ATTEMPTS: list[tuple[int, int]] = []
"""Row and number of the attempt, of each call in this process."""


def act(payload: str, attempt: int) -> None:
    """End as the row wishes: the expression of an exception is raised, a number before it says how often."""
    event = json.loads(payload)
    CALLS[event["id"]] += 1
    if event["table_name"] != "item" or event.get("new_data") is None:
        return
    ATTEMPTS.append((event["new_data"]["id"], attempt))
    times, _, wish = event["new_data"]["wish"].partition(" ")
    if wish and CALLS[event["id"]] <= int(times):
        raise eval(wish, {"Discard": Discard, "RetryAfter": RetryAfter, "timedelta": timedelta, "psycopg": psycopg})


async def act_later(payload: str, attempt: int) -> None:
    act(payload, attempt)


def act_and_write(payload: str, attempt: int, connection: psycopg.Connection) -> None:
    event = json.loads(payload)
    if event["table_name"] == "item":
        connection.execute("insert into written values (%s)", [event["new_data"]["id"]])
    act(payload, attempt)


CALLBACKS: Final[dict[str, Callable[..., object]]] = {
    "sync": act,
    "async": act_later,
    "concurrent": act_later,
    "transactional": act_and_write,
    "isolated": act,
}

Run = Callable[..., Report]


@pytest.fixture
def run(request: pytest.FixtureRequest, built_database_url: str, db: psycopg.Connection) -> Run:
    """`run("1 Discard('no')", …)`: a row with each wish is inserted, and delivered in the way of the parameter."""
    way = getattr(request, "param", "sync")
    CALLS.clear()
    ATTEMPTS.clear()

    def run(*wishes: str, **more: Any) -> Report:
        for number, wish in enumerate(wishes, 1):
            db.execute(
                "insert into item values (%s, %s) on conflict (id) do update set wish = excluded.wish", [number, wish]
            )
        settings = Settings(
            built_database_url, data_update_callback=CALLBACKS[way], **{"retry_seconds": 0.01} | WAYS[way] | more
        )
        return Worker(settings, start=OLDEST).run(once=True)

    return run


def kept(db: psycopg.Connection) -> list[tuple[Any, ...]]:
    return db.execute(
        "select (payload::json #>> '{new_data,id}')::int, state, discarded, attempts, error, holds"
        " from pgevents.failed order by event_id"
    ).fetchall()


every_way = pytest.mark.parametrize("run", WAYS, indirect=True)


@every_way
def test_retry_after_is_called_again_and_uses_up_no_attempt(db: psycopg.Connection, run: Run) -> None:
    report = run("3 RetryAfter(0)", "0 ", max_attempts=2)

    assert report == Report(delivered=2, postponed=3)
    assert kept(db) == []
    assert {attempt for _, attempt in ATTEMPTS} <= {1}


@every_way
def test_a_discarded_event_is_kept_as_such_and_called_once(db: psycopg.Connection, run: Run) -> None:
    report = run("9 Discard('not for us')", "0 ")

    assert report == Report(delivered=1, discarded=1)
    assert kept(db) == [(1, "failed", True, 1, "pg_events.Discard: not for us", False)]


@pytest.mark.parametrize("run", ["transactional"], indirect=True)
def test_writes_of_a_call_that_did_not_deliver_are_rolled_back(db: psycopg.Connection, run: Run) -> None:
    run("9 Discard()", "2 RetryAfter(0)", "0 ")

    assert db.execute("select item from written order by item").fetchall() == [(2,), (3,)]


@every_way
@pytest.mark.parametrize("on_failure", ["hold", "stop"])
def test_a_discarded_event_blocks_nothing_and_stops_nothing(db: psycopg.Connection, run: Run, on_failure: str) -> None:
    assert run("9 Discard()", on_failure=on_failure) == Report(discarded=1)

    assert run("0 ", on_failure=on_failure) == Report(delivered=1)


@every_way
def test_waiting_is_bounded_and_then_costs_attempts(db: psycopg.Connection, run: Run) -> None:
    report = run("99 RetryAfter(30)", retry_after_max_seconds=0.3, max_attempts=2)

    assert report == Report(failed=1, postponed=1, retried=1)
    assert [row[1:4] for row in kept(db)] == [("failed", False, 2)]


@every_way
@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ("RetryAfter(-1)", "ValueError: RetryAfter(-1): the number of seconds must be 0 or more, and finite"),
        (
            "RetryAfter(float('nan'))",
            "ValueError: RetryAfter(nan): the number of seconds must be 0 or more, and finite",
        ),
        ("RetryAfter('soon')", "TypeError: RetryAfter takes a number of seconds or a timedelta, not str"),
        ("RetryAfter(True)", "TypeError: RetryAfter takes a number of seconds or a timedelta, not bool"),
    ],
)
def test_retry_after_nonsense_is_a_failed_attempt_that_says_why(
    db: psycopg.Connection, run: Run, wish: str, error: str
) -> None:
    assert run(f"9 {wish}", max_attempts=2) == Report(failed=1, retried=1)

    assert kept(db) == [(1, "failed", False, 2, error, False)]


def test_a_group_of_one_exception_is_that_exception(db: psycopg.Connection, run: Run) -> None:
    """A task group raises its only failure as a group."""
    report = run(
        "9 ExceptionGroup('', [ExceptionGroup('', [Discard('inside')])])",
        "9 ExceptionGroup('', [Discard(), ValueError()])",
        max_attempts=1,
    )

    assert report == Report(discarded=1, failed=1)


def test_retry_after_takes_a_timedelta_and_a_reason(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pg_events")

    report = run("1 RetryAfter(timedelta(milliseconds=100), 'the service is busy')")

    assert report == Report(delivered=1, postponed=1)
    (line,) = [record for record in caplog.records if "again" in record.message]
    assert "asked to be called with event" in line.message
    assert "(the service is busy), in 0.1 s" in line.message
    assert line.levelno == logging.INFO


def test_a_discard_is_logged_with_its_reason(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pg_events")
    run("9 Discard('spam')")

    (line,) = [record for record in caplog.records if "discarded" in record.message]
    assert line.message.endswith("of item: spam")
    assert line.levelno == logging.INFO


def test_a_failed_event_that_is_retried_may_be_discarded_then(db: psycopg.Connection, run: Run) -> None:
    run("1 ValueError('bad')", max_attempts=1)
    db.execute("update pgevents.failed set state = 'retry', payload = replace(payload, '1 ValueError', '9 Discard')")

    assert run() == Report(discarded=1)
    assert kept(db) == [(1, "failed", True, 2, "pg_events.Discard: bad", False)]


def test_a_retry_that_asks_to_wait_is_kept_and_uses_up_no_attempt(db: psycopg.Connection, run: Run) -> None:
    """The user who asked for the retry sees the outcome at once."""
    run("1 ValueError('bad')", max_attempts=1)
    db.execute(
        "update pgevents.failed set state = 'retry', payload = replace(payload, '1 ValueError(', '9 RetryAfter(60,')"
    )

    assert run() == Report(failed=1)
    assert kept(db) == [(1, "failed", False, 1, "pg_events.RetryAfter: bad", False)]


def test_blocked_events_wait_and_are_discarded_as_others(db: psycopg.Connection, run: Run) -> None:
    run("9 ValueError()", max_attempts=1, on_failure="hold")
    run("1 RetryAfter(0)", on_failure="hold")
    run("9 Discard()", on_failure="hold")
    run("0 ", on_failure="hold")
    db.execute("delete from pgevents.failed where state = 'failed'")

    assert run(on_failure="hold") == Report(delivered=2, postponed=1, discarded=1)
    assert [row[1:3] for row in kept(db)] == [("failed", True)]


@every_way
def test_exception_classes_decide_whether_to_retry(db: psycopg.Connection, run: Run) -> None:
    """A class stands for its subclasses, by name and as the class."""
    report = run(
        "9 KeyError()",
        "1 ConnectionResetError()",
        "1 psycopg.errors.DeadlockDetected()",
        "9 ExceptionGroup('', [KeyError()])",
        retry_on=["OSError", psycopg.OperationalError],
        max_attempts=3,
    )

    assert report == Report(delivered=2, failed=2, retried=2)
    assert [row[3] for row in kept(db)] == [1, 1]


def test_give_up_on_wins_over_retry_on(db: psycopg.Connection, run: Run) -> None:
    report = run("9 ConnectionResetError()", "1 TimeoutError()", retry_on=["OSError"], give_up_on=["ConnectionError"])

    assert report == Report(delivered=1, failed=1, retried=1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("TimeoutEror", "PG_EVENTS_GIVE_UP_ON: 'TimeoutEror' is not an exception class; write 'TimeoutError'"),
        ("json.dumps", "PG_EVENTS_GIVE_UP_ON: 'json.dumps' is not an exception class"),
        ("json.JSONDecodeEror", "did you mean 'JSONDecodeError'?"),
        ("no_such_module.Error", "no_such_module"),
    ],
)
def test_a_name_that_is_not_an_exception_class_is_an_error_at_the_start(run: Run, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        run(give_up_on=[name])


GIVEN_UP: list[FailedEvent] = []


def note(event: FailedEvent) -> None:
    GIVEN_UP.append(event)


async def note_later(event: FailedEvent) -> None:
    await asyncio.sleep(0)
    GIVEN_UP.append(event)


@every_way
@pytest.mark.parametrize("hook", [note, note_later, "tests.postgres.test_outcome.note"])
def test_the_hook_gets_what_was_given_up_and_nothing_else(db: psycopg.Connection, run: Run, hook: object) -> None:
    GIVEN_UP.clear()

    run("9 ValueError('no')", "1 ValueError()", "9 Discard()", "0 ", max_attempts=2, on_give_up=hook)

    (event,) = GIVEN_UP
    assert (event.consumer, event.attempts, event.error, event.message) == ("default", 2, "ValueError", "no")
    assert json.loads(event.payload)["id"] == event.event_id
    assert "in act" in event.traceback
    assert event.callback.startswith("tests.postgres.test_outcome:act")


def test_a_hook_that_fails_is_logged_and_changes_nothing(
    db: psycopg.Connection, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_event: FailedEvent) -> None:
        sys.exit("hook")

    report = run("9 ValueError()", "0 ", max_attempts=1, on_give_up=broken)

    assert report == Report(delivered=1, failed=1)
    (line,) = [record.message for record in caplog.records if "PG_EVENTS_ON_GIVE_UP" in record.message]
    assert line.endswith("SystemExit: hook")


def test_the_hook_is_called_before_the_worker_stops_and_for_a_failed_retry(db: psycopg.Connection, run: Run) -> None:
    GIVEN_UP.clear()
    with pytest.raises(CallbackGaveUp):
        run("9 ValueError()", max_attempts=1, on_failure="stop", on_give_up=note)
    run(max_attempts=1, on_give_up=note)
    db.execute("update pgevents.failed set state = 'retry'")
    run(on_give_up=note)

    assert [event.attempts for event in GIVEN_UP] == [1, 2, 3]


def test_a_hook_that_cannot_be_called_is_an_error_at_the_start(run: Run) -> None:
    with pytest.raises(UsageError, match="PG_EVENTS_ON_GIVE_UP"):
        run(on_give_up="no_such_module.hook")
