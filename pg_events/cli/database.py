"""The database of a command."""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from pg_events.catalog import Connection
from pg_events.connection import connect, translate
from pg_events.settings import Settings


@contextmanager
def connected(chosen: Settings, command: str) -> Generator[Connection]:
    """A connection for the block. What PostgreSQL refuses in it becomes one line and an exit code."""
    assert chosen.database_url is not None
    with connect(chosen.database_url, application_name=f"pg_events {command}") as connection:
        try:
            yield connection
        except psycopg.Error as error:
            raise translate(error, chosen.database_url) from error
