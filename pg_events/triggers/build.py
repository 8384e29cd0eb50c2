"""Builds: reads the catalog, plans what the settings require, and applies the plan."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import LiteralString, cast

import psycopg

from pg_events import sql
from pg_events.config.settings import Settings
from pg_events.db import trust
from pg_events.db.link import RawCursor
from pg_events.errors import ForeignCursor, NotPermitted, PgEventsError, UsageError
from pg_events.text import one_line
from pg_events.triggers import catalog, rules
from pg_events.triggers.apply import LOCK_TIMEOUT_SECONDS, Applied, OnStep, apply
from pg_events.triggers.catalog import Connection, Installed, Server, Table
from pg_events.triggers.conditions import check_names
from pg_events.triggers.plan import (
    ACCESS_EXCLUSIVE,
    Plan,
    Step,
    Wanted,
    fill,
    plan,
    quoted,
    restore,
    take_over,
    text_literal,
)
from pg_events.triggers.rules import Named

__all__ = [
    "LOCK_TIMEOUT_SECONDS",
    "Applied",
    "OnStep",
    "apply",
    "first_part",
    "forgotten",
    "grant_steps",
    "make_plan",
    "settled",
    "teardown_plan",
    "wanted",
]


def make_plan(connection: Connection, settings: Settings) -> Plan:
    """Plan of a build. Reads only, and locks no table.

    If the schema belongs to a role with fewer privileges, it is only the first part of a build, which takes over the
    schema; the rest is planned after that. Raises `NotPermitted` if the role cannot build at all, `PgEventsError` on a
    standby, `ForeignCursor` if the installation came from another cluster, `UsageError` for a condition that is not
    valid.
    """
    if (first := first_part(connection, settings)) is not None:
        return first
    server = catalog.server(connection, checks_owner=False)
    _check_rights(server)
    installed = catalog.installed(connection) if server.is_installed else Installed()
    if installed.is_from_elsewhere(server):
        raise ForeignCursor(
            f"what is installed in {server.database} was created on another cluster (a restored dump?): the "
            "transaction ids of its log are meaningless here; run pg_events teardown, then pg_events build "
            + ForeignCursor.BUT_UPGRADED
        )
    settings = _settled(settings, installed)
    tables = catalog.tables(connection, settings.include, settings.exclude, choices=rules.written(settings))
    invalid = tuple(_check_conditions(connection, tables, settings))
    made = plan(server, installed, tables, wanted(settings, server))
    found = (*_patterns_without_tables(settings, tables), *_unmatched(connection, settings, tables))
    return replace(made, warnings=(*made.warnings, *invalid, *found, *_published(connection)))


def first_part(connection: Connection, settings: Settings) -> Plan | None:
    """Plan of the steps that are required before reading the schema; None if it can be read.

    Raises `NotPermitted` if this role may not do them.
    """
    owner = trust.ask(connection)
    if owner is None:
        return None
    if owner.is_buildable:
        return _restored(connection, settings)
    server = catalog.server(connection, checks_owner=False)
    if server.is_standby:
        raise PgEventsError(f"{server.database} is a read-only standby; build on its primary")
    if owner.wrong or not owner.has_owners_rights:
        raise NotPermitted(f"{owner.problem}; remedy: {owner.remedy}")
    return take_over(server, owner.attached, owner.is_weaker, wanted(settings, server))


def _restored(connection: Connection, settings: Settings) -> Plan | None:
    """Plan for a schema that was restored without its data; None for any other."""
    server = catalog.server(connection, checks_owner=False)
    if not server.is_installed or not server.owns_schema or catalog.installed(connection).version:
        return None
    triggers = [trigger for table in catalog.tables(connection) for trigger in table.triggers]
    if settings.only_database and any("capture_chosen(" in (trigger.installed or "") for trigger in triggers):
        raise UsageError(
            "the schema pgevents was restored without its data, and what the settings chose for tables is lost with it; "
            "remedy: run pg_events build with the settings file"
        )
    return restore(wanted(settings, server))


def settled(connection: Connection, settings: Settings) -> Settings:
    """Settings of a build: if only a database was given, the options of the last build are kept.

    Tables must not lose their capture rules because of a build without the settings file. Raises `NotPermitted`.
    """
    trust.check(connection, builds=True)
    if settings.only_database and catalog.server(connection, checks_owner=False).is_installed:
        return _settled(settings, catalog.installed(connection))
    return settings


def _settled(settings: Settings, installed: Installed) -> Settings:
    kept = installed.settings
    if not settings.only_database or not kept:
        return settings
    kept_patterns = {name: tuple(json.loads(kept[name])) for name in ("include", "exclude")}
    return replace(
        rules.with_choices(settings, kept.get("choices", "{}")),
        only_database=False,
        query_characters=int(kept["query_characters"]),
        notify=kept["wake_up"] == "on",
        **kept_patterns,
    )


def forgotten(connection: Connection, settings: Settings) -> Iterator[str]:
    """Warnings for patterns of the last build, perhaps from options, that are missing in these settings."""
    trust.check(connection, builds=True)
    if settings.only_database or not catalog.server(connection, checks_owner=False).is_installed:
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
    """Settings as stored in the database."""
    return Wanted(
        {
            "include": json.dumps(list(settings.include)),
            "exclude": json.dumps(list(settings.exclude)),
            "choices": rules.written(settings),
            "query_characters": str(settings.query_characters),
            "wake_up": "on" if settings.notify else "off",
            "system_identifier": server.system_identifier,
            "database_oid": server.database_oid,
        },
        settings.query_characters,
    )


def _check_conditions(connection: Connection, tables: Iterable[Table], settings: Settings) -> Iterator[str]:
    """Warnings for tables for which a condition is not valid, although it is for another one.

    Raises `UsageError` for a condition that is not valid for any table, or that refers to anything outside the row.
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
    """Let the database plan the condition as for a written row."""
    with connection.transaction(force_rollback=True):
        connection.execute(
            "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),"
            " pg_catalog.set_config('standard_conforming_strings', 'on', true)"
        )
        row = RawCursor(connection).execute(sql.text("condition_columns.sql"), [table.oid]).fetchone()
        assert row is not None
        # Binary results need the extended protocol, in which a second statement after a semicolon is an error.
        text = fill(sql.text("condition.sql"), {"rows": row[0] or "", "condition": condition})
        connection.execute(cast("LiteralString", text), binary=True)


def _patterns_without_tables(settings: Settings, tables: Sequence[Table]) -> Iterator[str]:
    """Warnings for patterns of `include` and `exclude` that match no table, and if no table is left to capture."""
    for option, patterns in (("include", settings.include), ("exclude", settings.exclude)):
        for pattern in patterns:
            if not any(rules.matches(pattern, table.schema, table.name) for table in tables):
                yield f"PG_EVENTS_{option.upper()} or --{option}: no table matches {pattern!r}"
    is_any_wanted = any(trigger.wanted for table in tables for trigger in table.triggers)
    if settings.include and tables and not is_any_wanted:
        yield "PG_EVENTS_INCLUDE or --include leaves no table to capture"


def _unmatched(connection: Connection, settings: Settings, tables: Sequence[Table]) -> Iterator[str]:
    if not rules.choices(settings):
        return iter(())
    covered = [
        table for table in tables if table.oid == table.root and any(trigger.wanted for trigger in table.triggers)
    ]
    columns = dict(
        RawCursor(connection).execute(sql.text("columns_of_tables.sql"), ([t.oid for t in covered],)).fetchall()
    )
    return rules.unmatched(
        settings, [Named(table.schema, table.name, columns.get(table.oid, ()), table.choice) for table in covered]
    )


def _published(connection: Connection) -> Iterator[str]:
    for name, what in connection.execute(sql.text("publications.sql")).fetchall():
        yield f"{catalog.published(name, what)}; remedy: {catalog.UNPUBLISH}"


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
            f"role {server.role} does not own the schema pgevents, {server.owner} does; remedy: build as {server.owner}, or "
            "as a superuser"
        )


def teardown_plan(connection: Connection) -> Plan:
    """Steps that remove all objects of pg_events, beginning with the triggers of tables."""
    server = catalog.server(connection, checks_owner=False)
    steps: list[Step] = []
    if server.owner:  # nothing in the schema is read: its owner may have fewer privileges than this role
        _check_teardown(server)
        drop = "".join(f"drop event trigger if exists {name};\n" for name in catalog.EVENT_TRIGGERS)
        if makers := _makers(connection):
            if not_ours := [maker for maker, is_ours in makers if not is_ours]:
                raise NotPermitted(
                    f"the event triggers of pg_events are {not_ours[0]}'s, role {server.role} may not drop them; remedy: run "
                    f"teardown as {not_ours[0]}"
                )
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
    if server.owner:
        steps.append(Step("drop", "schema pgevents", None, sql.text("drop_schema.sql"), "", "teardown"))
    return Plan(tuple(steps), 0)


def _check_teardown(server: Server) -> None:
    if server.is_standby:
        raise PgEventsError(f"{server.database} is a read-only standby; run teardown on its primary")
    if not server.owns_schema:
        raise NotPermitted(
            f"role {server.role} does not own the schema pgevents, {server.owner} does; remedy: run teardown as "
            f"{server.owner}, or as a superuser"
        )


def _makers(connection: Connection) -> list[tuple[str, bool]]:
    """Creators of the event triggers, and whether this role may drop them."""
    return connection.execute(sql.text("event_trigger_makers.sql")).fetchall()


def grant_steps(connection: Connection, role: str, capability: str | None) -> list[Step]:
    """Steps that make a role a `reader`, an `emitter` or a `worker` (which is both), or, with None, revoke everything.

    Raises `UsageError` if there is no such role, or it owns the schema.
    """
    if connection.execute("select from pg_catalog.pg_roles where rolname = %s", [role]).fetchone() is None:
        raise UsageError(f"there is no role {role!r} to grant to; create it first")
    owner = catalog.server(connection, checks_owner=False).owner
    if role == owner:
        if capability is not None:
            return []  # it already has these privileges
        raise UsageError(f"role {role!r} owns the schema pgevents: its privileges cannot be revoked")
    values = {"role": text_literal(role), "capability": "null" if capability is None else text_literal(capability)}
    text = f"{fill(sql.text('record_grant.sql'), values)}\n{sql.whole('set_rights.sql')}"
    if capability is None:
        return [Step("revoke", f"everything from {role}", None, text, "", "--revoke")]
    what = {"reader": "reading", "emitter": "pgevents.emit()", "worker": "delivering"}[capability]
    return [Step("grant", f"{what} to {role}", None, text, "", f"--grant-{capability}")]
