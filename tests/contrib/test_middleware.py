"""`PG_EVENTS_MIDDLEWARE`: around every call, in the callback's thread or task, by the worker and by replays."""

import asyncio
import contextvars
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

import pg_events
from pg_events import RetryAfter, Router
from pg_events.callbacks.middleware import Call
from pg_events.config.settings import Settings
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Report, Worker
from pg_events.errors import UsageError

SEEN: list[object] = []
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("of_the_middleware", default="none")


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


def outer(call: Call) -> Iterator[None]:
    token = VARIABLE.set(str(call.events[0].id))
    SEEN.append(
        ("outer", call.callback.partition(":")[2], call.consumer, call.attempt, call.is_batch, len(call.events))
    )
    try:
        yield
    except ValueError as error:
        SEEN.append(f"outer saw {error}")
        raise
    finally:
        VARIABLE.reset(token)  # raises in another context than that in which it was set
        SEEN.append("outer ends")


class Inner:
    """A context manager that is a class."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __enter__(self) -> None:
        SEEN.append("inner")

    def __exit__(self, *_: object) -> None:
        SEEN.append("inner ends")


def note(value: str) -> None:
    SEEN.append((value, VARIABLE.get() != "none", threading.current_thread() is threading.main_thread()))


def single(payload: str) -> None:
    note("single")


async def single_later(payload: str) -> None:
    await asyncio.sleep(0)
    note("single")


def batch(payloads: list[str]) -> None:
    note("batch")


def connected(payload: str, connection: psycopg.Connection) -> None:
    assert connection.execute("select 1").fetchone() == (1,)
    note("single")


WAYS: Final[dict[str, tuple[Callable[..., object], dict[str, Any]]]] = {
    "sync": (single, {}),
    "async": (single_later, {}),
    "concurrent": (single_later, {"concurrency": 4}),
    "batch": (batch, {}),
    "transactional": (connected, {"transactional": True}),
}


def run(url: str, callback: object, *middleware: object, **settings: Any) -> Report:
    together = {"retry_seconds": 0.01, "max_attempts": 2} | settings
    return Worker(Settings(url, data_update_callback=callback, middleware=middleware, **together), start=OLDEST).run(
        once=True
    )


@pytest.mark.parametrize("way", [*WAYS])
def test_every_call_is_surrounded_in_its_own_context(db: psycopg.Connection, url: str, way: str) -> None:
    callback, settings = WAYS[way]
    db.execute("insert into note values (1), (2)" if way == "batch" else "insert into note values (1)")

    report = run(url, callback, outer, Inner, **settings)

    is_batch = way == "batch"
    assert report.failed == 0
    assert [
        ("outer", callback.__name__, "default", 1, is_batch, 2 if is_batch else 1),
        "inner",
        ("batch" if is_batch else "single", True, way != "concurrent"),
        "inner ends",
        "outer ends",
    ] == SEEN


def test_a_router_of_sync_and_async_functions_is_surrounded_as_a_whole(db: psycopg.Connection, url: str) -> None:
    router = Router()
    router.on("note")(lambda _event: note("first"))

    @router.on("note")
    async def second(_event: object) -> None:
        await asyncio.sleep(0)
        note("second")

    db.execute("insert into note values (1)")

    assert run(url, router, outer).delivered == 1
    assert [each for each in SEEN if each != "outer ends"][1:] == [("first", True, True), ("second", True, True)]
    assert SEEN[-1] == "outer ends"


def test_a_middleware_sees_failures_and_can_make_something_else_of_them(db: psycopg.Connection, url: str) -> None:
    calls = list[int]()

    def fail(payload: str, attempt: int) -> None:
        calls.append(attempt)
        raise ValueError("no") if len(calls) < 4 else KeyError("fatal")

    @contextmanager
    def patient(call: Call) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise RetryAfter(0) from error

    @contextmanager
    def lenient(call: Call) -> Iterator[None]:
        try:
            yield
        except KeyError:
            SEEN.append("ignored")

    db.execute("insert into note values (1)")

    report = run(url, fail, lenient, patient, outer)

    assert (report.delivered, report.postponed, report.failed) == (1, 3, 0)
    assert calls == [1, 1, 1, 1]
    assert SEEN.count("outer saw no") == 3
    assert SEEN[-1] == "ignored"


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_middleware_that_raises_is_a_failed_attempt(db: psycopg.Connection, url: str, way: str) -> None:
    def broken(call: Call) -> Iterator[None]:
        raise LookupError("no middleware today")
        yield

    db.execute("insert into note values (1)")

    report = run(url, WAYS[way][0], broken)

    assert (report.delivered, report.retried, report.failed) == (0, 1, 1)
    assert SEEN == []
    assert db.execute("select error from pgevents.failed").fetchone() == ("LookupError: no middleware today",)


MODULE = """
import pg_events

PG_EVENTS_DATA_UPDATE_CALLBACK = "reactions.callback"
PG_EVENTS_MIDDLEWARE = ["reactions.around"]
"""
REACTIONS = """
def around(call):
    print(f"before {call.attempt} {call.consumer} {call.events[0].new_data['id']}", flush=True)
    yield
    print("after", flush=True)


def callback(payload):
    print("called", flush=True)
"""


def command(folder: Path, url: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pg_events", *arguments, "--settings", "their_settings", "--database-url", url],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("isolated", [False, True])
def test_the_settings_name_it_for_worker_and_replay(
    db: psycopg.Connection, url: str, tmp_path: Path, isolated: bool
) -> None:
    (tmp_path / "their_settings.py").write_text(MODULE)
    (tmp_path / "reactions.py").write_text(REACTIONS)
    db.execute("insert into note values (7)")

    delivered = command(tmp_path, url, "worker", "--once", "--from", "oldest", *["--isolate"] * isolated)
    replayed = command(tmp_path, url, "replay", "log", "--where", "table:note op:I")

    assert [line for line in delivered.splitlines() if line in ("called", "after") or line.startswith("before")] == [
        "before 1 default 7",
        "called",
        "after",
    ]
    assert "before 1 None 7" in replayed
    assert replayed.index("before") < replayed.index("called") < replayed.index("after")


async def wrong_kind(call: Call) -> None:
    pass


def takes_nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("middleware", "reason"),
    [
        ("nothing.here", "no module 'nothing'"),
        (wrong_kind, "wrong_kind' is async; write a generator function with 'def'"),
        (takes_nothing, "takes_nothing' cannot be called with the call .*; write 'def middleware\\(call\\)"),
        ("json.__version__", "is not callable"),
    ],
)
def test_what_cannot_be_a_middleware_is_one_line_at_the_start(url: str, middleware: object, reason: str) -> None:
    with pytest.raises(UsageError, match=f"PG_EVENTS_MIDDLEWARE.*{reason}"):
        run(url, single, middleware)


def test_events_are_parsed_when_they_are_looked_at() -> None:
    payload = json.dumps({"id": 7, "xid": 1, "at": "2026-11-23T09:29:26+00:00", "table_schema": "public",
                          "table_name": "t", "session_user": "app", "method": "INSERT", "new_data": {"id": 1}})  # fmt: skip
    call = Call("x:y", None, 1, [payload, "broken", payload])

    assert call.events[0] == call.events[-1] == pg_events.parse(payload)
    assert list(call.events[0:1]) == [pg_events.parse(payload)]
    with pytest.raises(ValueError, match="Expecting value"):
        call.events[1]
