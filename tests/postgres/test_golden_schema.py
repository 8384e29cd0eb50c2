"""The installed schema, as a file: a change of it shows in the diff. `PG_EVENTS_TEST_WRITE=1 pytest` of this file writes it."""

import os
from pathlib import Path

import psycopg

GOLDEN = Path(__file__).with_name("schemas") / "installed.txt"
QUESTION = GOLDEN.with_suffix(".sql").read_text()


def test_the_installed_schema_is_the_one_on_file(db: psycopg.Connection) -> None:
    db.execute("set search_path = pg_catalog")
    found = "\n".join(line for (line,) in db.execute(QUESTION).fetchall()) + "\n"
    if os.environ.get("PG_EVENTS_TEST_WRITE"):
        GOLDEN.write_text(found)

    assert found == GOLDEN.read_text()
