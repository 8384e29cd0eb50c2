"""Database connection of a command."""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from pg_events.config.settings import Settings
from pg_events.db.connection import connect, translate
from pg_events.triggers.catalog import Connection


@contextmanager
def connected(chosen: Settings, command: str, *, checks_owner: bool = True) -> Generator[Connection]:
    """Open a connection for the block; errors of PostgreSQL become one line and an exit code."""
    assert chosen.database_url is not None
    with (
        connect(chosen.database_url, application_name=f"pg_events {command}", checks_owner=checks_owner) as connection,
        translated(chosen.database_url),
    ):
        yield connection


@contextmanager
def translated(database_url: str) -> Generator[None]:
    """Turn errors of PostgreSQL in the block into one line and an exit code."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, database_url) from error
