"""Make it so: read the catalog, plan, and carry the plan out without ever being in the users' way.

What touches no table of theirs runs first, in one transaction. Then one table a transaction, in the order of the names,
each with a short lock timeout: a writer never waits longer for a build than that, and two builds, or a build and an
application, cannot deadlock for longer either. A table whose lock was not to be had is tried again later, after the
others. A build that was interrupted is simply run again.
"""

import json
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, LiteralString, cast

import psycopg
from psycopg import RawCursor

from pg_events import catalog, choice, sql
from pg_events.catalog import Connection, Installed, Server, Table
from pg_events.choice import Named
from pg_events.connection import connect, translate
from pg_events.errors import ForeignCursor, NotPermitted, PgEventsError, UsageError
from pg_events.plan import ACCESS_EXCLUSIVE, Plan, Step, Wanted, fill, plan, quoted
from pg_events.settings import Settings
from pg_events.text import one_line

LOCK_TIMEOUT_SECONDS: Final = 0.2
"""The longest a build makes a writer wait."""
TRIES: Final = 30
"""How often a table is tried whose lock is not to be had."""

OnStep = Callable[[Step, str], None]
"""Called after each step with `done`, `waiting` (its table is busy, it is tried again) or the reason why it failed."""


@dataclass
class Applied:
    """What came of a plan."""

    applied: int = 0
    failed: list[tuple[Step, str]] = field(default_factory=list[tuple[Step, str]])
    """Steps that could not be carried out, each with the reason in one line."""


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
            "transaction ids of its log mean nothing here; run pg_events teardown, then pg_events build"
        )
    settings = _settled(settings, installed)
    tables = catalog.tables(connection, settings.include, settings.exclude, choices=choice.written(settings))
    _check_conditions(connection, tables, settings)
    made = plan(server, installed, tables, wanted(settings, server))
    return replace(made, warnings=(*made.warnings, *_unmatched(connection, settings, tables)))


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


def _check_conditions(connection: Connection, tables: Iterable[Table], settings: Settings) -> None:
    for table in tables:
        for condition in table.choice.when if table.oid == table.root else ():
            try:
                _check_condition(connection, table, condition)
            except psycopg.Error as error:
                raise UsageError(
                    f"{settings.source or 'settings'}: PG_EVENTS_WHEN: {one_line(condition)!r} is no condition for "
                    f"{one_line(table.identity)}: {one_line(error.diag.message_primary or str(error))}"
                ) from error


def _check_condition(connection: Connection, table: Table, condition: str) -> None:
    """Let the database read it as it will when a row is written, with the rights of the role that captures then."""
    values = {"table": f"{quoted(table.schema)}.{quoted(table.name)}", "condition": condition}
    with connection.transaction(force_rollback=True):
        connection.execute(
            "select set_config('search_path', 'pg_catalog, pg_temp', true),"
            " set_config('plan_cache_mode', 'force_generic_plan', true)"
        )
        # Binary results need the protocol that takes one statement: a second one behind a semicolon is an error.
        connection.execute(cast("LiteralString", fill(sql.text("condition.sql"), values)), binary=True)
        try:
            with connection.transaction():
                _become_confined(connection)
                connection.execute("explain execute pgevents_condition (null)")
        finally:
            connection.execute("deallocate pgevents_condition")


def _become_confined(connection: Connection) -> None:
    """For the rest of the transaction, if it can be: else what is asked is asked with the builder's rights."""
    try:
        with connection.transaction():
            connection.execute("set local role pgevents_capture")
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue):
        pass


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


def apply(
    database_url: str, plan: Plan, on_step: OnStep | None = None, lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS
) -> Applied:
    """Carry a plan out; what is done stays done when it is interrupted. Blocks until all is done or given up.

    A step that fails does not stop those of other tables; see `Applied.failed`. Raises `NotPermitted` or another
    `PgEventsError` when the schema itself could not be made: then nothing was changed.
    """
    told = on_step or _tell_nobody
    result = Applied()
    before, tables, after = _phases(plan.steps)
    with connect(database_url, application_name="pg_events build") as connection:
        _quiet(connection)
        try:
            _apply_together(connection, before, told, result)
            _apply_by_table(connection, tables, told, result, lock_timeout_seconds)
            if result.failed:
                # The schema must not be dropped under triggers that are still there; a grant does no harm.
                kept = [step for step in after if step.action == "drop"]
                _give_up(kept, "tables still have triggers; run it again", told, result)
                after = [step for step in after if step.action != "drop"]
            _apply_together(connection, after, told, result)
        except psycopg.Error as error:
            raise translate(error, database_url) from error
    return result


def _tell_nobody(_step: Step, _outcome: str) -> None:
    pass


def _phases(steps: Iterable[Step]) -> tuple[list[Step], list[list[Step]], list[Step]]:
    """Steps before those on tables, those on tables (a list for each), and those after."""
    before: list[Step] = []
    tables: dict[int, list[Step]] = {}
    after: list[Step] = []
    for step in steps:
        if step.relation is not None:
            tables.setdefault(step.relation, []).append(step)
        else:
            (after if tables else before).append(step)
    return before, list(tables.values()), after


def _quiet(connection: Connection) -> None:
    """A build's own settings: names must be spelt in full, and notices about what exists are not for people.

    The role's own limits are for its usual work.
    """
    connection.execute("set search_path = pg_catalog, pg_temp")
    connection.execute("set quote_all_identifiers = off")
    connection.execute("set statement_timeout = 0")
    connection.execute("set default_transaction_read_only = off")
    connection.execute("set client_min_messages = warning")


def _apply_together(connection: Connection, steps: list[Step], told: OnStep, result: Applied) -> None:
    """Steps that touch no table of the users': all of them or none, one build at a time."""
    if not steps:
        return
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('pgevents.build'))")
        version = _version(connection)
        for step in steps:
            if step.migration is None or step.migration > version:
                _run(connection, step)
    for step in steps:
        result.applied += 1
        told(step, "done")


def _version(connection: Connection) -> int:
    """Of the schema, now that this build is alone; 0 when there is none."""
    if connection.execute("select to_regclass('pgevents.migration')").fetchone() == (None,):
        return 0
    row = connection.execute("select coalesce(max(version), 0) from pgevents.migration").fetchone()
    assert row is not None
    return row[0]


def _apply_by_table(
    connection: Connection, tables: list[list[Step]], told: OnStep, result: Applied, lock_timeout_seconds: float
) -> None:
    queue = deque((steps, 1) for steps in tables)
    while queue:
        steps, tries = queue.popleft()
        try:
            with connection.transaction():
                connection.execute(
                    "select set_config('lock_timeout', %s, true)", [f"{int(lock_timeout_seconds * 1000)}ms"]
                )
                for step in steps:
                    _run(connection, step)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if tries < TRIES:
                told(steps[0], "waiting")
                queue.append((steps, tries + 1))
                if len(queue) == 1 or tries > 1:
                    # Let the writers through that queued behind this build; not all builds at the same moment.
                    time.sleep(random.uniform(0.5, 1.5) * lock_timeout_seconds)  # noqa: S311 - jitter
                continue
            _give_up(steps, f"its lock was not to be had in {TRIES} tries of {lock_timeout_seconds} s", told, result)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            _give_up(steps, "the table is gone; build again", told, result)
        except psycopg.errors.InsufficientPrivilege as error:
            _give_up(steps, _missing_right(steps, connection.info.user, error), told, result)
        except psycopg.Error as error:
            if connection.broken:
                raise
            _give_up(steps, error.diag.message_primary or type(error).__name__, told, result)
        else:
            for step in steps:
                result.applied += 1
                told(step, "done")


def _missing_right(steps: list[Step], role: str, error: psycopg.Error) -> str:
    message = error.diag.message_primary or str(error)
    if any(step.action == "drop" for step in steps):
        return f"{message}; remedy: run it as the table's owner"
    return f"{message}; remedy: grant trigger on {steps[0].table} to {role}, and usage on its schema"


def _give_up(steps: list[Step], reason: str, told: OnStep, result: Applied) -> None:
    for step in steps:
        result.failed.append((step, reason))
        told(step, reason)


def _run(connection: Connection, step: Step) -> None:
    # The text is ours, with quoted names in it. Several statements in one go need the simple protocol: no parameters.
    connection.execute(cast("LiteralString", step.sql))
