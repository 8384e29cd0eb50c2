"""Workers that share the rows of a table whose key is not captured as it is still keep the order of each row."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pg_events.delivery import shares
from pg_events.delivery.row_key import RowKeys
from pg_events.event import json_object
from pg_events.log.listener import EVERYTHING, Cursor, Listener

ROWS = 20


def slots(url: str, connection: psycopg.Connection) -> dict[str, set[int]]:
    """Row, by a name that is captured whatever the settings say -> the slots its events fall to."""
    connection.execute("insert into pgevents.consumer (name, system_identifier) values ('default', '')")

    def ask(question: str, parameters: Any) -> list[tuple[Any, ...]]:
        return psycopg.RawCursor(connection).execute(shares.sql.text(question), parameters).fetchall()

    keys = RowKeys(ask, "default")
    found: dict[str, set[int]] = defaultdict(set)
    with Listener(url, Cursor(EVERYTHING)) as listener:
        for page in listener.pages():
            for record in page:
                if record.table_name == "account":
                    row = json_object(record.new_data or record.old_data or "{}")
                    found[row["name"]].add(keys.slot(record))
    return found


@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize(
    ("settings", "is_told_apart"),
    [
        ({}, True),
        ({"redact": {"account": {"id": "hash"}}}, True),
        ({"redact": {"account": {"tenant": "hash", "id": "hash"}}}, True),
        ({"redact": {"account": {"id": "mask", "tenant": "mask"}}}, False),
        ({"redact": {"account": {"id": "drop"}}}, False),
        ({"exclude_columns": {"account": ["id", "tenant"]}}, False),
        ({"include_columns": {"account": ["name", "tenant"]}}, False),
    ],
)
def test_all_events_of_a_row_go_to_one_worker(
    database_url: str, build: Callable[..., Any], settings: dict[str, Any], is_told_apart: bool, by_row: bool
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "create table account (tenant integer, id integer, name text, version integer, primary key (tenant, id))"
        )
        if by_row:
            connection.execute("create function follow() returns trigger language plpgsql as 'begin return null; end'")
            connection.execute("create trigger follow after insert on account for each row execute function follow()")
        assert not build(database_url, **settings).failed
        connection.execute(f"insert into account select 1, n, n::text, 1 from generate_series(1, {ROWS}) n".encode())
        for number in range(1, ROWS + 1):
            connection.execute("update account set version = 2 where id = %s", [number])
        connection.execute("update account set version = 3")
        connection.execute("delete from account")

        found = slots(database_url, connection)

    assert len(found) == ROWS
    assert {len(of_one_row) for of_one_row in found.values()} == {1}
    assert (len(set.union(*found.values())) > 1) is is_told_apart
