"""The proof: what the demo's shop did under load, recorded, rebuilds its tables somewhere else, to the last digit."""

import signal
import sqlite3
from collections import Counter
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

import pg_events
from pg_events.demo.traffic import Traffic
from pg_events.event import raw_members as members_of
from tests.waiting import until

BUSY = """
select
    count(*) filter (where kind = 'I') > 1000
    and count(*) filter (where kind = 'U') > 100
    and count(*) filter (where kind = 'D') > 5
from pgevents.log
"""


class Replica:
    """The tables in SQLite: rows and columns as the events tell them, each value as the JSON it is."""

    def __init__(self) -> None:
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        self.columns: dict[str, list[str]] = {}
        self.types: set[str] = set()
        self.methods: Counter[str] = Counter()

    def __call__(self, payload: str) -> None:
        event = pg_events.parse(payload)
        if isinstance(event, pg_events.SchemaEvent):
            self.change(event)
            return
        self.methods[event.method] += 1
        parts = dict(members_of(payload))
        old, new = (dict(members_of(parts[side])) if side in parts else None for side in ("old_data", "new_data"))
        table = f"{event.table_schema}.{event.table_name}"
        match event.method:
            case "INSERT":
                self.insert(table, new)
            case "UPDATE":
                self.delete(table, old)
                self.insert(table, new)
            case "DELETE":
                self.delete(table, old)
            case _:
                self.run(f"delete from {quoted(table)}")

    def change(self, event: pg_events.SchemaEvent) -> None:
        """Columns that come and go."""
        table = f"{event.schema_name}.{event.object_name}"
        for column in (event.columns or {}).get("added", ()):
            self.types.add(column["type"])
            if table in self.columns:
                self.run(f"alter table {quoted(table)} add column {quoted(column['name'])} text default 'null'")
                self.columns[table].append(column["name"])
        for column in (event.columns or {}).get("removed", ()):
            if table in self.columns:
                self.run(f"alter table {quoted(table)} drop column {quoted(column['name'])}")
                self.columns[table].remove(column["name"])

    def insert(self, table: str, row: dict[str, str]) -> None:
        if table not in self.columns:
            self.columns[table] = list(row)
            self.run(f"create table {quoted(table)} ({', '.join(f'{quoted(name)} text' for name in row)})")
            self.run(f"create index {quoted(table + ' first')} on {quoted(table)} ({quoted(next(iter(row)))})")
        assert set(row) == set(self.columns[table]), (table, row)
        places = ", ".join("?" * len(row))
        self.run(f"insert into {quoted(table)} ({', '.join(map(quoted, row))}) values ({places})", *row.values())

    def delete(self, table: str, row: dict[str, str]) -> None:
        """One row that is like this in every column."""
        condition = " and ".join(f"{quoted(name)} = ?" for name in row)
        found = self.run(
            f"delete from {quoted(table)} where rowid in (select rowid from {quoted(table)} where {condition} limit 1)",
            *row.values(),
        )
        assert found.rowcount == 1, (table, row)

    def rows(self, table: str, columns: list[str]) -> Counter:
        if table not in self.columns:
            return Counter()
        assert set(columns) == set(self.columns[table])
        return Counter(self.run(f"select {', '.join(map(quoted, columns))} from {quoted(table)}").fetchall())

    def run(self, statement: str, *values: str) -> sqlite3.Cursor:
        return self.database.execute(statement, values)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def tables(url: str) -> dict[str, tuple[list[str], Counter]]:
    """Table -> its columns and its rows, as JSON."""
    found: dict[str, tuple[list[str], Counter]] = {}
    with psycopg.connect(url) as connection:
        connection.adapters.register_loader("json", psycopg.types.string.TextLoader)
        names = connection.execute(
            "select c.oid::regclass::text, c.relname::text,"
            " array(select a.attname::text from pg_attribute a"
            "  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum)"
            " from pg_class c where c.relnamespace = 'shop'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition"
        ).fetchall()
        for _, name, columns in names:
            table = sql.Identifier("shop", name)
            rows = connection.execute(sql.SQL("select row_to_json(t.*) from {} t").format(table)).fetchall()
            counted = Counter(tuple(dict(members_of(row)).values()) for (row,) in rows)
            found[f"shop.{name}"] = (columns, counted)
    return found


@pytest.fixture
def recorded(database_url, build, start) -> str:
    """A shop that is built first, so that every row of it is an event, and was busy while it was recorded."""
    assert not build(database_url).failed
    process = start("listen", "--since", "oldest", "--output", "live.jsonl.gz", "--database-url", database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(files("pg_events.demo").joinpath("shop.sql").read_text("utf-8"))
    traffic = Traffic(database_url, rate=150, seed=7)
    traffic.start()
    with psycopg.connect(database_url, autocommit=True) as connection:
        until(lambda: connection.execute(BUSY).fetchone() == (True,), "the shop is busy")
    traffic.stop()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table shop.products add column hue text")
        connection.execute("update shop.products set hue = 'red' where id <= 3")
        connection.execute("truncate shop.carts")
        connection.execute(
            "insert into shop.carts (customer_id, items) select id, '[1.50]' from shop.customers limit 3"
        )
        (last,) = connection.execute("select max(id) from pgevents.log").fetchone()
    while not Path("live.jsonl.gz").exists() or last not in (event.id for event in pg_events.read("live.jsonl.gz")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.answer().code == 130
    return database_url


def test_a_recorded_log_rebuilds_the_tables_in_sqlite(call, recorded) -> None:
    assert call("export", "exported.jsonl", "--database-url", recorded).code == 0
    expected = tables(recorded)
    assert sum(sum(rows.values()) for _, rows in expected.values()) > 500
    for source in ("live.jsonl.gz", "exported.jsonl", recorded):
        replica = Replica()

        report = pg_events.replay(source, replica)

        assert report.failures == ()
        assert report.ok
        assert replica.methods.keys() == {"INSERT", "UPDATE", "DELETE", "TRUNCATE"}
        for table, (columns, rows) in expected.items():
            assert replica.rows(table, columns) == rows, table
