"""Finds the holder of a lock that a connection waits for, by a second connection during the wait."""

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Final

import psycopg

from pg_events import sql
from pg_events.db.connection import connect
from pg_events.db.link import Link, RawCursor
from pg_events.errors import PgEventsError
from pg_events.text import clean, one_line, shorten

_SECONDS: Final = 0.02
"""Interval between queries."""
_SHOWN: Final = 3


class Watch:
    """Blocking sessions, as of the last query that found any."""

    words: str = "a long transaction (pg_events doctor names it)"


@contextmanager
def watched(connection: Link) -> Generator[Watch]:
    """Watch for the holder of a lock that the block waits for, in the open transaction of the connection.

    Raises no errors of its own; without a second connection, no holder is named.
    """
    watch = Watch()
    try:
        # It reads nothing in the schema, and a build can be about to change its owner.
        other = connect(
            connection.database_url, application_name="pg_events blockers", connect_timeout=2, checks_owner=False
        )
    except PgEventsError:
        yield watch
        return
    ended = threading.Event()
    with other:
        row = connection.execute("select pg_backend_pid()").fetchone()
        thread = threading.Thread(target=_look, args=(watch, other, row, ended), name="pg_events blockers", daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            ended.set()
            thread.join()


def _look(watch: Watch, other: Link, session: tuple[int], ended: threading.Event) -> None:
    with suppress(psycopg.Error):
        while not ended.wait(_SECONDS):
            found = RawCursor(other).execute(sql.text("blockers.sql"), session).fetchall()
            if found:
                more = [f"{len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
                watch.words = " and ".join([*(_words(*row) for row in found[:_SHOWN]), *more])


def _words(pid: int, role: str | None, application: str | None, since: datetime | None) -> str:
    if pid == 0:
        return "a prepared transaction (pg_events doctor names it)"
    told = [f"role {role}" if role else "", f"application {application}" if application else ""]
    if since is not None:
        told.append(f"its transaction began {since.astimezone():%Y-%m-%d %H:%M:%S}")
    shown = ", ".join(shorten(clean(one_line(one)), 60) for one in told if one)
    return f"pid {pid} ({shown})" if shown else f"pid {pid}"
