"""The connection and the tables that tests share.

`db` is the connection to the test's database. A table is a fixture of its own, without a value: a module takes it by
`pytestmark = pytest.mark.usefixtures("items")`, and its tests begin with an empty log.
"""

from collections.abc import Callable, Iterator

import psycopg
import pytest


@pytest.fixture
def url(built_database_url: str) -> str:
    """URL of a database on which a build ran."""
    return built_database_url


@pytest.fixture
def db(url: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to `url`, as superuser."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def _tables(name: str, *commands: str) -> Callable[[psycopg.Connection], None]:
    """A fixture of that name: the tables, and a log without events."""

    def create(db: psycopg.Connection) -> None:
        for command in (*commands, "delete from pgevents.event"):
            db.execute(command.encode())

    create.__doc__ = "; ".join(commands)
    return pytest.fixture(name=name)(create)


numbers = _tables("numbers", "create table t (id integer)")
items = _tables("items", "create table item (id integer primary key, version integer)")
accounts = _tables("accounts", "create table account (id integer primary key, version integer)")
documents = _tables("documents", "create table t (id integer primary key, body text, raw json)")
wishes = _tables(
    "wishes",
    "create table item (id integer primary key, wish text)",
    "create table written (item integer)",
)
