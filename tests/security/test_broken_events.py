"""Rows of the log that no capture wrote end nothing: the worker keeps them as failed, every reader says so and goes on."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Worker
from pg_events.event import BROKEN, record
from pg_events.log.listener import EVERYTHING, Cursor, Listener

FOLD = "\x1e"
HOSTILE: dict[str, dict[str, object]] = {
    "an unknown kind": {"kind": "Z", "new_data": '{"id": 1}'},
    "the console's own kind": {"kind": "N", "new_data": '{"id": 1}'},
    "no kind": {"kind": "", "new_data": '{"id": 1}'},
    "no object": {"kind": "I", "new_data": "[1]"},
    "a number": {"kind": "I", "new_data": "5"},
    "no JSON": {"kind": "I", "new_rows": f"<html>{FOLD}<html>", "folded": 2},
    "too few rows": {"kind": "I", "new_rows": '{"id": 1}', "folded": 2},
    "too many rows": {"kind": "I", "new_rows": FOLD.join(['{"id": 1}'] * 3), "folded": 2},
    "many rows": {"kind": "I", "new_rows": FOLD.join(['{"id": 1}'] * 101), "folded": 101},
    "no rows": {"kind": "I", "folded": 5},
    "no table": {"kind": "I", "table_name": None, "new_data": '{"id": 1}'},
    "no time": {"kind": "I", "at": "infinity", "new_data": '{"id": 1}'},
    "before Christ": {"kind": "I", "at": "0044-03-15 BC", "new_data": '{"id": 1}'},
    "year 200,000": {"kind": "I", "at": "200000-01-01", "new_data": '{"id": 1}'},
    "no description": {"kind": "S", "ddl": "[5]"},
    "several descriptions": {"kind": "S", "ddl": "{}", "old_rows": "{}", "folded": 1},
}


@pytest.fixture(params=HOSTILE.values(), ids=HOSTILE)
def url(request: pytest.FixtureRequest, built_database_url: str) -> str:
    """A log with two events, and one between them that is none."""
    row = {"table_schema": "public", "table_name": "item", **request.param}
    columns, values = ", ".join(row), ", ".join(["%s"] * len(row))
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table item (id integer primary key)")
        connection.execute("truncate pgevents.event")
        connection.execute("insert into item values (1)")
        connection.execute(f"insert into pgevents.event ({columns}) values ({values})".encode(), [*row.values()])
        connection.execute("insert into item values (2)")
    return built_database_url


def failed(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("select state, error, payload from pgevents.failed order by event_id").fetchall()


@pytest.mark.parametrize("settings", [{}, {"on_failure": "stop"}, {"on_failure": "hold"}, {"concurrency": 4}], ids=str)
def test_a_worker_keeps_it_as_failed_and_goes_on(url: str, settings: dict[str, Any]) -> None:
    ids: list[int] = []

    def note(payload: str) -> None:
        ids.append(json.loads(payload)["new_data"]["id"])

    async def note_side_by_side(payload: str) -> None:
        note(payload)

    callback = note_side_by_side if "concurrency" in settings else note
    wanted = Settings(url, callback, retry_seconds=0, **settings)

    first = Worker(wanted, start=OLDEST).run(once=True)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("update pgevents.failed set state = 'retry'")
    again = Worker(wanted).run(once=True)

    assert sorted(ids) == [1, 2]
    assert (first.delivered, first.failed) == (2, 1)
    assert (again.delivered, again.failed) == (0, 1)
    [(state, error, payload)] = failed(url)
    assert state == "failed"
    assert error.startswith("BrokenEvent: its ") or error == "BrokenEvent: it names no table"
    assert record(payload).kind == BROKEN


@pytest.fixture
def listener(url: str) -> Iterator[Listener]:
    with Listener(url, Cursor(EVERYTHING), wake_up=False) as listener:
        yield listener


def test_every_way_to_read_the_log_gives_it_once(url: str, listener: Listener) -> None:
    found = listener.poll()
    paged = Listener(url, Cursor(EVERYTHING), wake_up=False, page_events=1)
    with paged:
        by_pages = [one for page in paged.pages() for one in page]
    recent = listener.recent(10)

    assert [one.kind for one in found] == ["I", BROKEN, "I"]
    assert by_pages == found
    assert [one.id for one in recent][-1] == found[-1].id


def test_commands_say_so_and_go_on(url: str, call: Any) -> None:
    where = ("--database-url", url)

    heard = call("listen", "--since", "oldest", "--limit", "3", "--format", "pretty", *where)
    exported = call("export", "log.jsonl", "--overwrite", *where)
    told = call("history", "item", "2", *where)
    planned = call("replay", "log", "--plan", *where)

    assert heard.code == 0
    assert "Traceback" not in heard.err + exported.err + told.err + planned.err
    assert told.out.count("INSERT") == 1
    assert planned.code in (0, 1)
    assert "broken" in heard.out
    assert exported.code == 1
    assert "1 event of the log could not be read" in exported.err
    assert "2 events written" in exported.err
