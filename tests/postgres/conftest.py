"""Both ways to capture a table."""

from collections.abc import Callable

import psycopg
import pytest

from tests.postgres.choosing import BY_ROW


@pytest.fixture(params=["statement", "row"])
def captured_by(request: pytest.FixtureRequest, db: psycopg.Connection) -> Callable[[str], None]:
    """`captured_by("users")` has that table captured by statement, or row by row: the test is run for both."""

    def captured_by(table: str) -> None:
        if request.param == "row":
            db.execute(BY_ROW.format(table).encode())

    return captured_by
