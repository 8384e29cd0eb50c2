"""Callbacks that write to covered tables: what they cause is recognised, passed by if that is wanted, and a loop is told of."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from pg_events.delivery.loops import mark

HOOKS = """
import json, psycopg

URL = {url!r}

def again(payload):
    print(json.loads(payload)["application_name"], flush=True)
    with psycopg.connect(URL) as connection:
        connection.execute("update note set text = text || '.' where id = 0")

def fan_out(payload):
    event = json.loads(payload)
    print(event["table_name"], event["new_data"], flush=True)
    if event["table_name"] == "note":
        with psycopg.connect(URL) as connection:
            connection.execute("insert into copy select generate_series(1, 50)")
"""

UNNAMED = {"PGAPPNAME": ""}


@pytest.fixture
def settings(url, execute, tmp_path: Path) -> Callable[..., str]:
    execute(url, "create table copy (id integer)", "delete from pgevents.event")
    (tmp_path / "hooks.py").write_text(HOOKS.format(url=url))

    def settings(function: str, *lines: str) -> str:
        callback = f"PG_EVENTS_DATA_UPDATE_CALLBACK = 'hooks.{function}'"
        (tmp_path / "settings.py").write_text("\n".join((f"PG_EVENTS_DATABASE_URL = {url!r}", callback, *lines)))
        return "settings.py"

    return settings


def test_a_callback_that_feeds_itself_is_told_of(start, settings, url, execute) -> None:
    worker = start("worker", "--settings", settings("again"), environment=UNNAMED)
    worker.until_said("delivering")

    execute(url, "insert into note values (0, '')")

    line = worker.until_said("callbacks cause the events that call them").splitlines()[-1]
    assert "consumer default" in line
    assert "of public.note" in line
    assert "PG_EVENTS_IGNORE_OWN_CHANGES" in line


@pytest.mark.parametrize("isolate", [False, True])
def test_what_its_own_callbacks_cause_is_passed_by_when_that_is_wanted(run, settings, url, execute, isolate) -> None:
    execute(url, "insert into note values (0, '')")
    options = ("--isolate",) if isolate else ()
    wanted = settings("again", "PG_EVENTS_IGNORE_OWN_CHANGES = True")

    once = ("worker", "--once", "--from", "oldest", "--settings", wanted, "--name")
    first = run(*once, "loop", *options, environment=UNNAMED)
    others = run(*once, "other", environment=UNNAMED)

    assert first.out == "\n"
    assert first.err.endswith("delivered 1, failed 0, retried 0\n")
    assert others.out == f"\n{mark('loop')}\n"


def test_many_events_of_one_cause_are_no_loop(start, settings, url, execute) -> None:
    worker = start("worker", "--settings", settings("fan_out"), environment=UNNAMED)
    worker.until_said("delivering")
    for number in range(25):
        execute(url, f"insert into note values ({number})")
        while "'id': 50" not in worker.stdout.readline():
            pass
    worker.terminate()

    assert "callbacks cause" not in worker.answer().err


@pytest.mark.parametrize("consumer", ["default", "a" * 43, "a" * 44, "größe", "two\nlines", "\x1b[31m"])
def test_the_server_keeps_a_mark_as_it_is(url, consumer: str) -> None:
    with psycopg.connect(url, application_name=mark(consumer)) as connection:
        kept = connection.execute("show application_name").fetchone()

    assert kept == (mark(consumer),)
    assert mark(consumer) != mark(consumer + "x")
    assert json.dumps(mark(consumer)).isascii()
