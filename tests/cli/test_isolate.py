"""`worker --isolate`: callbacks that hang, crash or flood cost attempts, and the worker goes on."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

HOOKS = """
import ctypes, json, os, sys, threading

def tell(payload, attempt):
    number = json.loads(payload)["new_data"]["id"]
    print("got", number, "at attempt", attempt)
    if number == 1: threading.Event().wait()
    if number == 2: os._exit(7)
    if number == 3: ctypes.string_at(0)
    if number == 4: raise KeyError("\\x1b[31mno")
    if number == 5 and attempt == 1: os.kill(os.getpid(), 9)

async def tell_later(payload):
    await (asyncio.sleep(0) if json.loads(payload)["new_data"]["id"] > 1 else asyncio.Event().wait())
    print("got", json.loads(payload)["new_data"]["id"])

import asyncio, pg_events

events = pg_events.Router()

@events.on("note", "INSERT", where="new.id>1")
async def inserted(event, attempt):
    print(event.method, event.row["id"], attempt)

@events.on(tag="ALTER TABLE")
def altered(event):
    print(event.object_identity)

def wait(payload):
    open("pid", "w").write(str(os.getpid()))
    print("waiting")
    open("go").close()  # a pipe: waits for whoever opens its other end
"""


@pytest.fixture
def settings(url, tmp_path: Path) -> Callable[..., str]:
    """`settings("tell", "PG_EVENTS_… = …", …)`: the name of settings whose callback for data that is."""
    (tmp_path / "hooks.py").write_text(HOOKS)

    def settings(function: str, *more: str) -> str:
        lines = [
            f"PG_EVENTS_DATABASE_URL = {url!r}",
            f"PG_EVENTS_DATA_UPDATE_CALLBACK = 'hooks.{function}'",
            "PG_EVENTS_MAX_ATTEMPTS = 2",
            "PG_EVENTS_RETRY_SECONDS = 0",
            *more,
        ]
        (tmp_path / "settings.py").write_text("\n".join(lines))
        return "settings.py"

    return settings


ONCE = ("worker", "--once", "--from", "oldest", "--settings")
LIMIT = "PG_EVENTS_CALLBACK_TIMEOUT_SECONDS = 1"


def test_each_kind_of_end_costs_its_attempts_and_no_other_event(run, call, settings, url, execute) -> None:
    execute(url, "insert into note values (0), (1), (2), (3), (4), (5), (6)")

    answer = run(*ONCE, settings("tell", LIMIT), "--isolate")
    rows = map(json.loads, call("failed", "list", "--json", "--database-url", url).out.splitlines())

    assert answer.code == 1
    assert "delivered 3, failed 4, retried 5\nthe last failure: hooks:tell: Crashed: " in answer.err
    assert "got 0 at attempt 1\n" in answer.out
    assert "got 5 at attempt 2\ngot 6 at attempt 1\n" in answer.out
    assert sorted(row["error"] for row in rows) == [
        "Crashed: its process ended with exit code 7 before it returned",
        "Crashed: its process was terminated by SIGSEGV before it returned",
        "KeyError: '\\x1b[31mno'",
        "TimeoutError: it did not return within the time limit of 1 s; its process was killed",
    ]
    assert "\x1b" not in answer.err + answer.out


def test_the_setting_does_what_the_option_does(call, settings, url, execute) -> None:
    execute(url, "insert into note values (2), (6)")

    answer = call(*ONCE, settings("tell", "PG_EVENTS_ISOLATE = True"))

    assert answer.out.endswith("got 6 at attempt 1\n")
    assert "ended with exit code 7" in answer.err


@pytest.mark.parametrize("isolate", [(), ("--isolate",)])
def test_a_router_serves_both_settings(call, settings, url, execute, isolate) -> None:
    execute(url, "insert into note values (1), (2)", "delete from note", "alter table note add more text")

    answer = call(*ONCE, settings("events", "PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK = 'hooks.events'"), *isolate)

    assert answer.out == "INSERT 2 1\npublic.note\n"
    assert answer.code == 0


@pytest.mark.parametrize("isolate", [(), ("--isolate",)])
def test_an_async_callback_is_cancelled_at_its_limit(call, settings, url, execute, isolate) -> None:
    execute(url, "insert into note values (1), (2)")

    answer = call(*ONCE, settings("tell_later", "PG_EVENTS_CALLBACK_TIMEOUT_SECONDS = 0.3"), *isolate)

    assert answer.out == "got 2\n"
    assert "delivered 1, failed 1, retried 1\nthe last failure: hooks:" in answer.err
    assert "TimeoutError: it did not return within the time limit of 0.3 s" in answer.err
    assert "in tell_later" in answer.err


def test_a_limit_for_a_function_that_cannot_be_stopped_is_refused(call, settings) -> None:
    answer = call(*ONCE, settings("tell", LIMIT))

    assert answer.code == 2
    assert answer.line.endswith(
        "PG_EVENTS_CALLBACK_TIMEOUT_SECONDS = 1: hooks:tell is not an async function, so "
        "it can only be stopped in a separate process; "
        "set PG_EVENTS_ISOLATE = True, or start the worker with --isolate"
    )


def test_sigterm_to_every_process_lets_the_event_in_hand_finish(
    start, call, settings, url, execute, tmp_path: Path
) -> None:
    execute(url, "insert into note values (5), (6)")
    os.mkfifo(tmp_path / "go")
    process = start("worker", "--from", "oldest", "--isolate", "--settings", settings("wait"))
    assert process.stdout.readline() == "waiting\n"

    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    (tmp_path / "go").open("w").close()
    answer = process.answer()

    assert (answer.code, answer.out) == (0, "")
    assert answer.err.endswith("delivered 1, failed 0, retried 0\n")
    assert call("worker", "--once", "--settings", settings("tell")).out == "got 6 at attempt 1\n"


def test_a_second_ctrl_c_ends_the_callback_too(in_terminal, settings, url, execute, tmp_path: Path) -> None:
    execute(url, "insert into note values (6)")
    os.mkfifo(tmp_path / "go")
    terminal = in_terminal("worker", "--from", "oldest", "--isolate", "--settings", settings("wait"))
    terminal.until("waiting")

    terminal.type("\x03")
    terminal.until("once more to stop at once")
    terminal.type("\x03")

    assert terminal.end() == 130
    assert "Traceback" not in terminal.raw
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
