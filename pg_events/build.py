"""Make it so: read the catalog, plan what the settings ask for, and carry it out."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import LiteralString, cast

import psycopg

from pg_events import catalog, choice, sql
from pg_events.apply import LOCK_TIMEOUT_SECONDS, Applied, OnStep, apply
from pg_events.catalog import Connection, Installed, Server, Table
from pg_events.choice import Named
from pg_events.condition import check_names
from pg_events.errors import ForeignCursor, NotPermitted, PgEventsError, UsageError
from pg_events.link import RawCursor
from pg_events.plan import ACCESS_EXCLUSIVE, Plan, Step, Wanted, fill, plan, quoted
from pg_events.settings import Settings
from pg_events.text import one_line

__all__ = [
    "LOCK_TIMEOUT_SECONDS",
    "Applied",
    "OnStep",
    "apply",
    "forgotten",
    "grant_steps",
    "make_plan",
    "settled",
    "teardown_plan",
    "wanted",
]


def make_plan(connection: Connection, settings: Settings) -> Plan:
    """What a build would do now. Reads only, and takes no lock on any table.

    Raises `NotPermitted` when the role could not even begin, `PgEventsError` on a standby, `ForeignCursor` when what
    is installed came here from another cluster, `UsageError` for a condition of the settings that is none.
    """
    server = catalog.server(connection)
    _check_rights(server)
    installed = catalog.installed(connection) if server.is_installed else Installed()
    if installed.settings.get("system_identifier", server.system_identifier) != server.system_identifier:
        raise ForeignCursor(
            f"what is installed in {server.database} was made on another cluster (a dump that was restored?): the "
            "transaction ids of its log mean nothing here; run pg_events teardown, then pg_events build "
            + ForeignCursor.BUT_UPGRADED
        )
    settings = _settled(settings, installed)
    tables = catalog.tables(connection, settings.include, settings.exclude, choices=choice.written(settings))
    invalid = tuple(_check_conditions(connection, tables, settings))
    made = plan(server, installed, tables, wanted(settings, server))
    found = (*_patterns_without_tables(settings, tables), *_unmatched(connection, settings, tables))
    return replace(made, warnings=(*made.warnings, *invalid, *found))


def settled(connection: Connection, settings: Settings) -> Settings:
    """The settings a build works with: where only a database was said, what the last build was told stays as it is.

    Tables must not lose what was chosen for them because somebody builds without the settings at hand. Raises
    `NotPermitted`.
    """
    if settings.only_database and catalog.server(connection).is_installed:
        return _settled(settings, catalog.installed(connection))
    return settings


def _settled(settings: Settings, installed: Installed) -> Settings:
    kept = installed.settings
    if not settings.only_database or not kept:
        return settings
    kept_patterns = {name: tuple(json.loads(kept[name])) for name in ("include", "exclude")}
    return replace(
        choice.with_choices(settings, kept.get("choices", "{}")),
        only_database=False,
        query_characters=int(kept["query_characters"]),
        wake_up=kept["wake_up"] == "on",
        **kept_patterns,
    )


def forgotten(connection: Connection, settings: Settings) -> Iterator[str]:
    """A line for the patterns of tables that the last build was told, maybe by options, and these settings do not have."""
    if settings.only_database or not catalog.server(connection).is_installed:
        return
    kept = catalog.installed(connection).settings
    for name, then in (("include", "covered only"), ("exclude", "left out")):
        patterns: list[str] = json.loads(kept.get(name, "[]"))
        now: tuple[str, ...] = getattr(settings, name)
        if gone := [one_line(pattern) for pattern in patterns if pattern not in now]:
            yield (
                f"the last build {then} {', '.join(map(repr, gone))}; {settings.source or 'the settings'} no longer: "
                f"to keep it, put it into PG_EVENTS_{name.upper()}"
            )


def wanted(settings: Settings, server: Server) -> Wanted:
    """What the settings ask for, as it is kept in the database."""
    return Wanted(
        {
            "include": json.dumps(list(settings.include)),
            "exclude": json.dumps(list(settings.exclude)),
            "choices": choice.written(settings),
            "query_characters": str(settings.query_characters),
            "wake_up": "on" if settings.wake_up else "off",
            "system_identifier": server.system_identifier,
        },
        settings.query_characters,
    )


def _check_conditions(connection: Connection, tables: Iterable[Table], settings: Settings) -> Iterator[str]:
    """A warning for each table that a condition of the settings is not valid for, though it is for another one.

    Raises `UsageError` for a condition that is valid for no table, or that reaches outside the row.
    """
    source = f"{settings.source or 'settings'}: PG_EVENTS_WHEN"
    refused: dict[str, list[tuple[Table, str]]] = {}
    valid: set[str] = set()
    for table in tables:
        for condition in table.choice.when if table.oid == table.root else ():
            try:
                check_names(condition)
                _check_condition(connection, table, condition)
                valid.add(condition)
            except UsageError as error:
                raise UsageError(f"{source}: {error}") from error
            except psycopg.Error as error:
                reason = one_line(error.diag.message_primary or str(error))
                refused.setdefault(condition, []).append((table, reason))
    for condition, found in refused.items():
        for table, reason in found:
            text = f"{source}: {one_line(condition)!r} is not a condition for {one_line(table.identity)}: {reason}"
            if condition not in valid:
                raise UsageError(text)
            yield f"{text}; all its changes are recorded"


def _check_condition(connection: Connection, table: Table, condition: str) -> None:
    """Let the database plan it as it will when a row is written."""
    with connection.transaction(force_rollback=True):
        connection.execute(
            "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),"
            " pg_catalog.set_config('standard_conforming_strings', 'on', true)"
        )
        row = RawCursor(connection).execute(sql.text("condition_columns.sql"), [table.oid]).fetchone()
        assert row is not None
        # Binary results need the protocol that takes one statement: a second one behind a semicolon is an error.
        text = fill(sql.text("condition.sql"), {"rows": row[0] or "", "condition": condition})
        connection.execute(cast("LiteralString", text), binary=True)


def _patterns_without_tables(settings: Settings, tables: Sequence[Table]) -> Iterator[str]:
    """A line for each pattern that tables are included or excluded by and that matches none, and for an include that leaves
    nothing to capture."""
    for option, patterns in (("include", settings.include), ("exclude", settings.exclude)):
        for pattern in patterns:
            if not any(choice.matches(pattern, table.schema, table.name) for table in tables):
                yield f"PG_EVENTS_{option.upper()} or --{option}: no table matches {pattern!r}"
    is_any_wanted = any(trigger.wanted for table in tables for trigger in table.triggers)
    if settings.include and tables and not is_any_wanted:
        yield "PG_EVENTS_INCLUDE or --include leaves no table to capture"


def _unmatched(connection: Connection, settings: Settings, tables: Sequence[Table]) -> Iterator[str]:
    if not choice.choices(settings):
        return iter(())
    covered = [
        table for table in tables if table.oid == table.root and any(trigger.wanted for trigger in table.triggers)
    ]
    columns = dict(
        RawCursor(connection).execute(sql.text("columns_of_tables.sql"), ([t.oid for t in covered],)).fetchall()
    )
    return choice.unmatched(
        settings, [Named(table.schema, table.name, columns.get(table.oid, ()), table.choice) for table in covered]
    )


def _check_rights(server: Server) -> None:
    if server.is_standby:
        raise PgEventsError(f"{server.database} is a read-only standby; build on its primary")
    if not server.is_installed and not server.may_create_schema:
        raise NotPermitted(
            f"role {server.role} may not create a schema; remedy: "
            f"grant create on database {quoted(server.database)} to {quoted(server.role)}"
        )
    if server.is_installed and not server.owns_schema:
        raise NotPermitted(
            f"role {server.role} does not own the schema pgevents; build as its owner, or: "
            f"grant the owner's role to {quoted(server.role)}"
        )


def teardown_plan(connection: Connection) -> Plan:
    """The steps that remove every trace, tables' triggers first."""
    server = catalog.server(connection)
    steps: list[Step] = []
    if server.is_installed:
        _check_rights(server)
        drop = "".join(f"drop event trigger if exists {name};\n" for name in catalog.EVENT_TRIGGERS)
        if catalog.installed(connection).event_triggers:
            steps.append(Step("drop", "event triggers", None, drop, "", "teardown"))
    steps += [
        Step(
            "drop",
            f"trigger {trigger.name}",
            table.identity,
            f"drop trigger if exists {quoted(trigger.name)} on {quoted(table.schema)}.{quoted(table.name)};\n",
            ACCESS_EXCLUSIVE,
            "teardown",
            table.oid,
            qualified=f"{quoted(table.schema)}.{quoted(table.name)}",
            needs_owner=True,
        )
        for table in catalog.tables(connection)
        for trigger in table.triggers
        if trigger.installed is not None
    ]
    if server.is_installed:
        steps.append(Step("drop", "schema pgevents", None, sql.text("drop_schema.sql"), "", "teardown"))
    return Plan(tuple(steps), 0)


def grant_steps(connection: Connection, role: str) -> list[Step]:
    """What a role needs to read (tui, listen, export, status). Raises `UsageError` when there is no such role."""
    if connection.execute("select from pg_roles where rolname = %s", [role]).fetchone() is None:
        raise UsageError(f"there is no role {role!r} to grant to; create it first")
    text = fill(sql.text("grant.sql"), {"role": quoted(role)})
    return [Step("grant", f"reading to {role}", None, text, "", "--grant")]
