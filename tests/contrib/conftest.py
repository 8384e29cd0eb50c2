"""A table of notes on a database on which a build ran, the contexts of its events, and the statements that were sent."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pg_events.demo.server import Server
from tests.conftest import GivenServer


@pytest.fixture
def url(built_database_url: str) -> str:
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table note (id integer primary key, body text)")
    return built_database_url


Contexts = Callable[[], list[tuple[int, Any]]]


@pytest.fixture
def contexts(db: psycopg.Connection) -> Contexts:
    """`contexts()` lists the notes that were written, and the context of each event."""

    def contexts() -> list[tuple[int, Any]]:
        rows = db.execute(
            "select coalesce(new_data, old_data) ->> 'id', context from pgevents.log"
            " where table_name = 'note' and kind <> 'S' order by pgevents.log.id"
        ).fetchall()
        return [(int(number), json.loads(context) if context else None) for number, context in rows]

    return contexts


class Statements:
    """Statements that the server executed in a database, by its own log."""

    def __init__(self, server: Server, url: str) -> None:
        self._server = server
        with psycopg.connect(url, autocommit=True) as connection:
            name = sql.Identifier(connection.info.dbname)
            connection.execute(sql.SQL("alter database {} set log_statement = 'all'").format(name))
        self._start = len(server.log_text())

    def matching(self, part: str) -> list[str]:
        text = self._server.log_text()[self._start :]
        lines = [line for line in text.splitlines() if " LOG:  " in line]
        return [line for line in lines if part in line and ("statement:" in line or "execute " in line)]

    @property
    def sent(self) -> int:
        """How many times a context was sent."""
        return len(self.matching("set_config('pgevents.context'"))


@pytest.fixture
def statements(server: Server | GivenServer, url: str) -> Statements:
    """Statements of connections that are opened from now on."""
    return Statements(server, url)  # type: ignore[arg-type] - another's server skips the test
