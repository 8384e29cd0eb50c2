"""Files that the console writes describe their database as those of the commands do."""

import psycopg

from pg_events.cli.recording import header_of
from pg_events.config.settings import Settings
from pg_events.log.listener import Listener
from pg_events.triggers.build import apply, make_plan
from pg_events_tui.model.backend import Database


def test_a_header_of_the_console_has_the_columns_and_their_types(
    db: psycopg.Connection, built_database_url: str
) -> None:
    db.execute("create table priced (id int primary key, price numeric)")
    settings = Settings(built_database_url)
    apply(built_database_url, make_plan(db, settings))

    header = Database(settings).journal_header()

    assert header.columns["public.priced"] == {"id": "integer", "price": "numeric"}
    with Listener(built_database_url) as listener:
        of_command = header_of(listener)
    assert (header.tables, header.columns) == (of_command.tables, of_command.columns)
