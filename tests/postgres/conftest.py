"""A database on which a build ran, and a connection to it."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.postgres.choosing import BY_ROW


@pytest.fixture
def url(built_database_url: str) -> str:
    return built_database_url


@pytest.fixture
def db(url: str) -> Iterator[psycopg.Connection]:
    """As superuser, autocommit."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture(params=["statement", "row"])
def captured_by(request: pytest.FixtureRequest, db: psycopg.Connection) -> Callable[[str], None]:
    """`captured_by("users")` has that table captured by statement, or row by row: the test is run for both."""

    def captured_by(table: str) -> None:
        if request.param == "row":
            db.execute(BY_ROW.format(table).encode())

    return captured_by
