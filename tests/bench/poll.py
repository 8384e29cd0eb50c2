"""5: a look that finds nothing: time and buffers, with few and with many events kept, an old transaction open or not.

One look is a question and an answer, and whether the kernel puts the two processes on one processor or on two changes it
by more than what is kept does: here they are kept on one, and the fastest of many rounds counts.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from lab import Lab
from psycopg import RawCursor
from psycopg.sql import SQL

from pg_events import sql
from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.log.listener import Listener
from pg_events.triggers import build

_FILL = (
    "insert into pgevents.event (kind, table_schema, table_name, query, new_data)"
    " select 'I', 'bench', 'pg_events', 'x', '{\"id\": 1}' from generate_series(1, %s)"
)
_CHUNK = 100_000
"""Rows a transaction: what is kept comes from many transactions."""
_POLLS = 300
_NAME = "bench poll"


def run(lab: Lab) -> None:
    levels = (1_000, 300_000) if lab.quick else (1_000, 1_000_000, 10_000_000)
    urls = {f"{kept:,} kept": _filled(lab, kept) for kept in levels}
    lab.tell("poll")
    _keep(lab, "idle poll: µs", _fastest(lab, urls))
    with ExitStack() as stack:
        for url in urls.values():
            old = stack.enter_context(psycopg.connect(url))
            old.execute("select pg_current_xact_id()")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(_FILL, [1_000])
        lab.tell("poll with an old transaction open")
        _keep(lab, "idle poll, an old transaction open: µs", _fastest(lab, urls))
    lab.keep("idle poll: buffers", {title: _buffers(url) for title, url in urls.items()})


def _filled(lab: Lab, kept: int) -> str:
    """A database with so many events; each its own, so that they can take turns."""
    url = lab.server.create_database(f"kept_{kept}")
    with connect(url, application_name="bench") as connection:
        assert not build.apply(url, build.make_plan(connection, Settings(database_url=url))).failed
    with psycopg.connect(url, autocommit=True) as connection:
        for there in range(0, kept, _CHUNK):
            lab.tell(f"poll with {kept:,} events kept: {there:,} written")
            connection.execute(_FILL, [min(_CHUNK, kept - there)])
        connection.execute("vacuum analyze pgevents.event")
        connection.execute("checkpoint")
    return url


def _fastest(lab: Lab, urls: dict[str, str]) -> dict[str, float]:
    found: dict[str, list[float]] = {title: [] for title in urls}
    with ExitStack() as stack:
        listeners = {title: stack.enter_context(Listener(url, application_name=_NAME)) for title, url in urls.items()}
        stack.enter_context(_on_one_processor(lab))
        for listener in listeners.values():
            _microseconds(listener)  # the first ones are for the plan
        for _ in range(3 * lab.rounds):
            for title, listener in listeners.items():
                found[title].append(_microseconds(listener))
    return {title: round(min(values), 1) for title, values in found.items()}


@contextmanager
def _on_one_processor(lab: Lab) -> Iterator[None]:
    """This process and the backends of the listeners."""
    backends = lab.connection.execute(
        "select pid from pg_stat_activity where application_name = %s", [_NAME]
    ).fetchall()
    everywhere = os.sched_getaffinity(0)
    one = {min(everywhere)}
    for pid in (0, *(pid for (pid,) in backends)):
        os.sched_setaffinity(pid, one)
    try:
        yield
    finally:
        os.sched_setaffinity(0, everywhere)


def _keep(lab: Lab, title: str, fastest: dict[str, float]) -> None:
    first, *_, last = fastest.values()
    lab.keep(title, fastest | {"last ÷ first": round(last / first, 2)})


def _microseconds(listener: Listener) -> float:
    begin = time.perf_counter()
    for _ in range(_POLLS):
        listener.poll()
    return (time.perf_counter() - begin) / _POLLS * 1e6


def _buffers(url: str) -> int:
    """Pages that one look touches, its first one apart: that one reads the catalog."""
    explain = SQL("explain (analyze, buffers, format json) ") + SQL(sql.text("window.sql"))
    with Listener(url) as listener, psycopg.connect(url) as connection:
        connection.execute("set enable_seqscan = off")
        for _ in range(2):
            row: Any = RawCursor(connection).execute(explain, (listener.cursor.snapshot, 1001)).fetchone()
    plan = row[0][0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
