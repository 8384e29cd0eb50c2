"""What the tests of options look at: what came of them in the log, in the triggers and in a plan."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.doctor.checks import examine
from pg_events.triggers import build as core
from pg_events.triggers import catalog, rules

Build = Callable[..., core.Applied]
Change = tuple[str, Any, Any]

ITEMS = "create table item (id integer primary key, v text)"
TREE = """
    create table tree (id integer primary key, v text) partition by range (id);
    create table low partition of tree for values from (0) to (10);
    create table high partition of tree for values from (10) to (20);
"""
USERS = "create table users (id integer primary key, email text, password_hash text, card text)"
BY_ROW = """
    create or replace function nothing() returns trigger language plpgsql as 'begin return null; end';
    create trigger mine after insert or update or delete on {} for each row execute function nothing();
"""


def changes(db: psycopg.Connection) -> list[Change]:
    """Data events since the last look: letter, old row, new row."""
    found = db.execute("select kind, old_data, new_data from pgevents.log where kind <> 'S' order by id").fetchall()
    db.execute("delete from pgevents.event")
    return found


def plan(url: str, **settings: Any) -> core.Plan:
    with connect(url, application_name="test") as connection:
        return core.make_plan(connection, Settings(url, **settings))


def states(url: str, **settings: Any) -> dict[str, str]:
    with connect(url, application_name="test") as connection:
        found = catalog.tables(connection, choices=rules.written(Settings(url, **settings)))
    return {table.name: table.state for table in found}


@contextmanager
def without_event_triggers(db: psycopg.Connection) -> Iterator[None]:
    """What is done in the block nobody sees: as where event triggers are not permitted."""
    for command in ("disable", "enable"):
        for name in catalog.EVENT_TRIGGERS:
            db.execute(f"alter event trigger {name} {command}".encode())
        if command == "disable":
            yield


def changes_of_tables(db: psycopg.Connection) -> list[tuple[str, str, Any, Any]]:
    """Data events since the last look: letter, table, old row, new row."""
    found = db.execute(
        "select kind, table_name, old_data, new_data from pgevents.log where kind <> 'S' order by id"
    ).fetchall()
    db.execute("delete from pgevents.event")
    return found


def table(url: str, name: str, **settings: Any) -> catalog.Table:
    """As `status` sees it after a build with those settings."""
    with connect(url, application_name="test") as connection:
        found = catalog.tables(connection, choices=rules.written(Settings(url, **settings)))
    return next(table for table in found if table.name == name)


def findings(url: str, **settings: Any) -> list[str]:
    return [one.text for one in examine(Settings(url, **settings)) if one.name == "settings" and one.state == "problem"]
