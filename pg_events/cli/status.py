"""`status`: coverage, consumers, and the size of the log."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click
from psycopg.rows import dict_row
from rich.text import Text

from pg_events import sql
from pg_events.cli.database import connected
from pg_events.cli.page import Page, plain, table
from pg_events.cli.terminal import say
from pg_events.config.fields import FULL_QUERY
from pg_events.config.settings import Settings, load
from pg_events.db.link import RawCursor
from pg_events.doctor import findings
from pg_events.log.listener import checked_version
from pg_events.text import clean, counted
from pg_events.text.formatting import format_bytes, format_duration
from pg_events.triggers import catalog
from pg_events.triggers.catalog import OPERATIONS, Connection, Table

_SIGNS = {"yes": "✓", "no": "-", "disabled": "o", "outdated": "~", "-": "·"}
_STYLES = {"covered": "green", "excluded": "dim", "unsupported": "dim"}
_NOT_WANTED = ("excluded", "unsupported")


@dataclass(frozen=True)
class _Status:
    """State of the database."""

    server_version: str
    schema_events: bool
    """True if DDL is recorded."""
    schema_events_permitted: bool
    """True if DDL could be recorded: a role that builds here may create event triggers, or did."""
    event_triggers_off: Sequence[str]
    """Roles whose DDL fires no event trigger."""
    origin: Sequence[findings.Finding]
    """Problems with the origin of the log."""
    tables: Sequence[Table]
    query_characters: int
    """Maximum length of the client's SQL text that an event keeps."""
    last_event_at: Mapping[tuple[str, str], datetime]
    """Time of the last event by (schema, table)."""
    consumers: Sequence[Mapping[str, Any]]
    log: Mapping[str, int]
    owner: str
    """Role that builds."""
    roles: Mapping[str, str]
    """`reader` or `worker`, by role."""

    @property
    def drift(self) -> list[Table]:
        """Tables that are not as they should be."""
        return [table for table in self.tables if table.state not in ("covered", *_NOT_WANTED)]


def status(settings: str | None, database_url: str | None, check: bool, problems: bool, as_json: bool) -> int:
    """Show whether each table is covered and why not, how far behind each consumer is, and the log's size."""
    with connected(load(settings, database_url), "status") as connection:
        found = _ask(connection)
    if as_json:
        click.echo(json.dumps(_as_json(found, found.drift if problems else found.tables)))
    else:
        _show(found, found.drift if problems else found.tables)
    if not found.schema_events_permitted:
        say("event triggers are not permitted here: DDL is not recorded, new tables are covered by the next build")
    if found.event_triggers_off:
        who = ", ".join(found.event_triggers_off)
        say(f"event_triggers is off for {who}: DDL is not recorded there, and new tables are not covered")
    for finding in found.origin:
        say(f"{finding.text}; remedy: {finding.remedy}")
    missing = _missing(found)
    if not check or not (missing or found.origin):
        return 0
    if missing:
        say(f"{' and '.join(missing)}; run: pg_events build")
    return 1


def _missing(found: _Status) -> list[str]:
    """Messages for what a build would repair."""
    words: list[str] = []
    if found.schema_events_permitted and not found.schema_events:
        words.append("DDL is not recorded")
    if found.drift:
        words.append(f"{counted(len(found.drift), 'table')} not covered as they should be")
    return words


def _ask(connection: Connection) -> _Status:
    server = catalog.server(connection)
    installed = catalog.installed(connection)
    checked_version(installed.version, server.database)
    patterns = [json.loads(installed.settings.get(name, "[]")) for name in ("include", "exclude")]
    choices = installed.settings.get("choices", "{}")
    with RawCursor(connection, row_factory=dict_row) as cursor:
        last = cursor.execute(sql.text("last_events.sql")).fetchall()
        consumers = cursor.execute(sql.text("consumers.sql")).fetchall()
        log = cursor.execute(sql.text("log_size.sql")).fetchone()
    assert log is not None
    return _Status(
        server.version,
        all(installed.event_triggers.get(name) in ("O", "A") for name in catalog.EVENT_TRIGGERS),
        server.event_triggers_permitted or bool(installed.event_triggers),
        catalog.event_triggers_off(connection),
        [finding for finding in findings.origin(server, installed) if finding.state != "ok"],
        catalog.tables(connection, *patterns, choices=choices),
        int(installed.settings.get("query_characters", Settings.query_characters)),
        {(row["table_schema"], row["table_name"]): row["at"] for row in last},
        consumers,
        log,
        server.owner,
        installed.capabilities,
    )


def _as_json(found: _Status, tables: Sequence[Table]) -> dict[str, Any]:
    return {
        "server_version": found.server_version,
        "schema_events": found.schema_events,
        "schema_events_off_for": [*found.event_triggers_off],
        "tables": [_table_as_json(table, found) for table in tables],
        "consumers": [
            {key: row[key] for key in ("name", "behind_events", "behind_seconds", "failed")} for row in found.consumers
        ],
        "log": {name: value for name, value in found.log.items() if name != "estimated" or value},
        "roles": {found.owner: "owner", **found.roles},
    }


def _table_as_json(table: Table, found: _Status) -> dict[str, Any]:
    at = found.last_event_at.get((table.schema, table.name))
    query = found.query_characters if table.choice.keeps_query else 0
    return {
        "schema": table.schema,
        "name": table.name,
        "state": table.state,
        **{operation: table.operation(operation) == "yes" for operation in OPERATIONS},
        "last_event_at": at and at.isoformat(),
        "kind": table.kind,
        "reason": table.reason,
        "options": table.choice.as_json() | {"query": {0: "off", FULL_QUERY: "full"}.get(query, query)},
    }


# --- for people ---------------------------------------------------------------------------------------------------


def _show(found: _Status, tables: Sequence[Table]) -> None:
    page = Page()
    if tables:
        if page.is_terminal:
            page.print(_tables(found, tables, page.width))
        else:
            click.echo(plain(*_cells(found, tables, page.width)))
        page.print()
    page.print(Text(_summary(found)))
    page.print(Text(clean(_roles(found))))
    if found.consumers:
        page.print()
        page.print(consumers_table(found.consumers))
    else:
        say("no consumer yet: start a worker")


_NARROW = 60
"""Maximum width of a terminal that has room only for the name and the state."""


def _cells(found: _Status, tables: Sequence[Table], width: int) -> tuple[list[str], list[list[Text]]]:
    """Headers, and one row per table."""
    now = datetime.now(UTC)
    headers = ["table", "I U D T", "state"]
    if width >= _NARROW:
        headers += ["last event"] + ["why"] * any(each.reason for each in tables)
    rows: list[list[Text]] = []
    for each in tables:
        at = found.last_event_at.get((each.schema, each.name))
        cells = [
            Text(clean(each.identity)),
            Text(" ".join(_SIGNS[each.operation(operation)] for operation in OPERATIONS)),
            Text(each.state, _STYLES.get(each.state, "bold red")),
            Text(_ago((now - at).total_seconds()) if at else "none kept", "" if at else "dim"),
            Text(clean(each.reason)),
        ]
        rows.append(cells[: len(headers)])
    return headers, rows


def _tables(found: _Status, tables: Sequence[Table], width: int) -> Any:
    headers, rows = _cells(found, tables, width)
    grid = table(*headers)
    for column in grid.columns[1:4]:
        column.no_wrap = True
    reserved = len("  I U D T  unsupported")
    if width >= _NARROW:
        reserved += len("  last event  ") + 14
    grid.columns[0].overflow = "fold"
    grid.columns[0].max_width = max(16, width - reserved)
    for row in rows:
        grid.add_row(*row)
    return grid


def consumers_table(consumers: Sequence[Mapping[str, Any]]) -> Any:
    """Table of consumers from the rows of consumers.sql."""
    grid = table("consumer", "worker", "behind", "failed")
    grid.columns[0].overflow = "fold"
    for row in consumers:
        events = row["behind_events"]
        grid.add_row(
            Text(clean(row["name"])),
            _worker_state(row),
            f"{counted(events, 'event')}, {format_duration(row['behind_seconds'])}" if events else "0",
            Text(_failed(row), "bold red" if row["failed"] else ""),
        )
    return grid


def _worker_state(row: Mapping[str, Any]) -> Text:
    workers = row["workers"]
    text = "stopped" if not row["is_running"] else "running" if workers == 1 else f"{workers:,} running"
    if row.get("is_paused"):
        return Text(f"{text}, paused", "bold yellow")
    return Text(text, "bold red" if row["behind_events"] and not row["is_running"] else "")


def _failed(row: Mapping[str, Any]) -> str:
    return f"{row['failed']:,}, {row['held']:,} held" if row["held"] else f"{row['failed']:,}"


def _summary(found: _Status) -> str:
    states = Counter(each.state for each in found.tables)
    wanted = len(found.tables) - sum(states[state] for state in _NOT_WANTED)
    parts = [
        f"{states['covered']:,} of {counted(wanted, 'table')} covered",
        *(f"{states[state]:,} {state}" for state in _NOT_WANTED if states[state]),
        _ddl(found),
        f"{'about ' if found.log['estimated'] else ''}{counted(found.log['events'], 'event')}, {format_bytes(found.log['bytes'])}",
        *_query_text(found.query_characters),
        f"PostgreSQL {found.server_version}",
    ]
    return " · ".join(parts)


def _ddl(found: _Status) -> str:
    if not found.schema_events:
        return "DDL NOT recorded"
    off_for = ", ".join(map(clean, found.event_triggers_off))
    return f"DDL NOT recorded for {off_for}" if off_for else "DDL recorded"


def _roles(found: _Status) -> str:
    """Roles and what they may do."""
    parts = [f"{found.owner} builds"]
    for capability, verb in (("worker", "delivers"), ("reader", "reads"), ("emitter", "emits")):
        if names := sorted(role for role, may in found.roles.items() if capability in may.split()):
            parts.append(f"{', '.join(names)} {verb if len(names) == 1 else verb.removesuffix('s')}")
    return " · ".join(parts)


def _query_text(characters: int) -> list[str]:
    """Note on how much SQL text is kept, unless it is the default."""
    if characters == Settings.query_characters:
        return []
    return [
        {0: "no SQL text", FULL_QUERY: "SQL text in full"}.get(characters, f"SQL text up to {characters:,} characters")
    ]


def _ago(seconds: float) -> str:
    return f"{format_duration(max(0.0, seconds))} ago"
