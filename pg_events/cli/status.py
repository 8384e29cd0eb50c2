"""`status`: what is covered, who reads, how large the log is."""

import json
from typing import Any

import click
from psycopg import RawCursor
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from pg_events import catalog, sql
from pg_events.catalog import OPERATIONS, Table
from pg_events.cli import database_options, say
from pg_events.connection import connect
from pg_events.settings import load
from pg_events.text import clean

_LETTERS = {"yes": "✓", "no": "-", "disabled": "o", "outdated": "~", "-": "·"}
_STYLES = {"covered": "green", "excluded": "dim", "unsupported": "dim"}


@click.command()
@database_options
@click.option("--check", is_flag=True, help="Exit with 1 when a table is not covered as it should be.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def status(settings: str | None, database_url: str | None, check: bool, as_json: bool) -> int:
    """Show for each table whether it is covered, and why not; consumers and how far behind; the log's size.

    Reads only.
    """
    chosen = load(settings, database_url)
    assert chosen.database_url is not None
    with connect(chosen.database_url, application_name="pg_events status") as connection:
        server = catalog.server(connection)
        installed = catalog.installed(connection)
        patterns = [json.loads(installed.settings.get(name, "[]")) for name in ("include", "exclude")]
        tables = catalog.tables(connection, *patterns)
        with RawCursor(connection, row_factory=dict_row) as cursor:
            last = {
                (row["table_schema"], row["table_name"]): row["at"]
                for row in cursor.execute(sql.text("last_events.sql"))
            }
            consumers = cursor.execute(sql.text("consumers.sql")).fetchall()
            log = cursor.execute(sql.text("log_size.sql")).fetchone()
    records_ddl = all(installed.event_triggers.get(name) in ("O", "A") for name in catalog.EVENT_TRIGGERS)
    report = {
        "server_version": server.version,
        "schema_events": records_ddl,
        "tables": [_table(table, last) for table in tables],
        "consumers": [
            {key: row[key] for key in ("name", "behind_events", "behind_seconds", "failed")} for row in consumers
        ],
        "log": log,
    }
    if as_json:
        click.echo(json.dumps(report, default=str))
    else:
        _show(report, {table.identity: table for table in tables}, consumers)
    drift = [table for table in tables if table.state not in ("covered", "excluded", "unsupported")]
    return 1 if check and (drift or not records_ddl) else 0


def _table(table: Table, last: dict[tuple[str, str], Any]) -> dict[str, Any]:
    at = last.get((table.schema, table.name))
    return {
        "schema": table.schema,
        "name": table.name,
        "state": table.state,
        **{operation: table.operation(operation) == "yes" for operation in OPERATIONS},
        "last_event_at": at and at.isoformat(),
        "kind": table.kind,
        "reason": table.reason,
    }


def _show(report: dict[str, Any], tables: dict[str, Table], consumers: list[dict[str, Any]]) -> None:
    console = Console()
    grid = RichTable("table", "I U D T", "state", "last event", "why", box=None, header_style="bold", pad_edge=False)
    for row in report["tables"]:
        table = tables[f"{row['schema']}.{row['name']}"]
        letters = " ".join(_LETTERS[table.operation(operation)] for operation in OPERATIONS)
        state = Text(table.state, _STYLES.get(table.state, "bold red"))
        last = (row["last_event_at"] or "never")[:19].replace("T", " ")
        grid.add_row(Text(clean(table.identity)), letters, state, last, Text(clean(table.reason)))
    console.print(grid)
    covered = sum(row["state"] == "covered" for row in report["tables"])
    console.print(
        Text(
            f"\n{covered} of {len(report['tables'])} covered · DDL {'recorded' if report['schema_events'] else 'NOT recorded'}"
            f" · log {report['log']['events']:,} events, {report['log']['bytes'] / 1e6:,.1f} MB"
            f" · PostgreSQL {report['server_version']}"
        )
    )
    for row in consumers:
        running = "running" if row["is_running"] else "stopped"
        console.print(
            Text(
                f"consumer {clean(row['name'])}: {running}, {row['behind_events']:,} events behind"
                f" ({row['behind_seconds']:.0f} s), {row['failed']} failed"
            )
        )
    if not consumers:
        say("no consumer yet: start a worker")
