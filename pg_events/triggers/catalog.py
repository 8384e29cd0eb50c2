"""Reads the catalog: the server, the installed objects, and the triggers of every table."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import psycopg
from psycopg.rows import class_row, namedtuple_row

from pg_events import sql
from pg_events.db import trust
from pg_events.db.link import Link, RawCursor
from pg_events.errors import NotInstalled, NotPermitted
from pg_events.triggers import rules as choice
from pg_events.triggers.rules import EVERYTHING, Choice

Connection = Link

OPERATIONS: Final = ("insert", "update", "delete", "truncate")
EVENT_TRIGGERS: Final = ("pgevents_schema_changed", "pgevents_schema_dropped")


@dataclass(frozen=True)
class Server:
    """Server, and the privileges of the current role."""

    version: str
    version_number: int
    """Version as in `server_version_num`: 180004 for 18.4."""
    database: str
    role: str
    is_superuser: bool
    may_create_event_triggers: bool
    """True for a superuser, or its equivalent of a managed service."""
    may_create_schema: bool
    is_standby: bool
    system_identifier: str
    """Identifier of the cluster, outside of which transaction ids are meaningless."""
    is_installed: bool
    """True if the schema `pgevents` exists."""
    owns_schema: bool
    """True if the role owns the schema, or is a member of its owner."""
    event_triggers_permitted: bool
    """True if the role or the schema's owner may create event triggers."""
    database_oid: str = "1"
    """OID of the database, which differs for its copy in the same cluster."""
    owner: str = ""
    """Owner of the schema `pgevents`; empty if there is none."""
    builds_as: str = ""
    """Role that a build acts as: the owner, if the role is a member of it."""
    may_read: bool = True
    """True if the role may read the log: console, listen, export, history, status."""
    may_deliver: bool = True
    """True if the role may deliver as a worker does."""


@dataclass(frozen=True)
class Installed:
    """Objects that a build installed in the database."""

    version: int = 0
    """Version of the schema: the highest applied migration."""
    settings: dict[str, str] = field(default_factory=dict[str, str])
    recorded: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Digests by function, as of the build: of its file, and of its definition in the database."""
    functions: dict[str, str] = field(default_factory=dict[str, str])
    """Digest of the current definition, by function."""
    event_triggers: dict[str, str] = field(default_factory=dict[str, str])
    """State by event trigger: `O` enabled, `D` disabled, `R` on replicas only, `A` always."""
    lent_event_triggers: dict[str, str] = field(default_factory=dict[str, str])
    """Creator by event trigger, if its function belongs to another role."""
    misowned: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    """Kind, SQL name and owner of objects that do not belong to the schema's owner."""
    rights: list[tuple[str, bool, str, str]] = field(default_factory=list[tuple[str, bool, str, str]])
    """Wrong or missing privileges: role, whether it is surplus, privilege and object."""
    has_unnoted: bool = False
    """True if the columns of a table were never recorded."""

    @property
    def capabilities(self) -> dict[str, str]:
        """`reader` or `worker` by role, as granted by builds."""
        return json.loads(self.settings.get("grants", "{}"))

    def is_from_elsewhere(self, server: Server) -> bool:
        """Return True if the log was created on another cluster, or lacks its settings and so its origin."""
        return bool(self.version) and self.settings.get("system_identifier") != server.system_identifier


@dataclass(frozen=True)
class Trigger:
    """Trigger of a table: wanted and installed definition."""

    operation: str
    """Operation: `insert`, `update`, `delete` or `truncate`; or `replicated`, for replicated rows."""
    name: str
    wanted: str | None
    """Wanted `CREATE TRIGGER …` as the database writes it; None if there should be none.

    `; ALTER TABLE … ENABLE …` follows if it is to fire also, or only, for replicated changes.
    """
    installed: str | None
    is_disabled: bool

    @property
    def state(self) -> str:
        """State of the operation: `yes` if captured; else `no`, `disabled`, `outdated`, or `-` if not wanted."""
        if self.wanted is None:
            return "-" if self.installed is None else "outdated"
        if self.installed is None:
            return "no"
        if self.installed != self.wanted:
            return "outdated"
        return "disabled" if self.is_disabled else "yes"


@dataclass(frozen=True)
class Table:
    """Table, partition or view, and whether its changes are captured."""

    oid: int
    schema: str
    name: str
    kind: str
    """`table`, `partitioned table`, `partition`, `view`, `materialized view` or `foreign table`."""
    state: str
    """`covered`, `partial`, `missing`, `disabled`, `outdated`, `excluded` or `unsupported`."""
    reason: str
    """Reason why it is not covered, or what covers it instead; empty if there is nothing to say."""
    triggers: tuple[Trigger, ...] = ()
    root: int = 0
    """OID of the topmost partitioned table; of any other table its own."""
    choice: Choice = EVERYTHING
    """Capture rules of the table."""

    @property
    def identity(self) -> str:
        """`schema.table` for display; not quoted for SQL."""
        return f"{self.schema}.{self.name}"

    def operation(self, name: str) -> str:
        """State of one operation, see `Trigger.state`."""
        return next((trigger.state for trigger in self.triggers if trigger.operation == name), "-")

    @property
    def insert(self) -> str:
        return self.operation("insert")

    @property
    def update(self) -> str:
        return self.operation("update")

    @property
    def delete(self) -> str:
        return self.operation("delete")

    @property
    def truncate(self) -> str:
        return self.operation("truncate")


def server(connection: Connection, *, checks_owner: bool = True) -> Server:
    """Read the properties of the server. Needs no privilege beyond CONNECT.

    Raises `NotPermitted` if the session must not use the objects of the schema (see `trust`), unless the caller checks
    its owner itself.
    """
    with connection.cursor(row_factory=class_row(Server)) as cursor:
        found = cursor.execute(sql.whole("server.sql")).fetchone()
    assert found is not None
    if checks_owner and found.owner:
        trust.check(connection)  # in this order: objects missing in the first query are not read later either
    return found


def installed(connection: Connection) -> Installed:
    """Read the installed objects. Raises `NotInstalled` if there is no schema `pgevents`, `NotPermitted`."""
    try:
        row = connection.execute(sql.whole("installed.sql")).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise NotInstalled("no pg_events in this database; run: pg_events build") from error
    except psycopg.errors.InsufficientPrivilege as error:
        role = connection.info.user
        raise NotPermitted(
            f"role {role} may not read the log; remedy: pg_events build --grant-reader {role}"
        ) from error
    assert row is not None
    version, settings, recorded, functions, event_triggers, has_unnoted, misowned, lent, rights = row
    return Installed(
        version,
        json.loads(settings),
        {name: (source, definition) for name, (source, definition) in json.loads(recorded).items()},
        json.loads(functions),
        json.loads(event_triggers),
        json.loads(lent),
        [(kind, name, owner) for kind, name, owner in json.loads(misowned)],
        [(role, is_foreign, privilege, name) for role, is_foreign, privilege, name in json.loads(rights)],
        has_unnoted,
    )


def event_triggers_off(connection: Connection) -> list[str]:
    """Targets for which event triggers are off, such as `role app` or `this database`; usually empty."""
    return [who for (who,) in connection.execute(sql.text("event_triggers_off.sql")).fetchall()]


def tables(
    connection: Connection,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    relation: int | None = None,
    choices: str = "{}",
) -> list[Table]:
    """All tables that are or could be covered, by schema and name; locks none of them.

    `include` and `exclude` are globs on `schema.table`; `relation` (an OID) selects one table; `choices` is the result
    of `choice.written()`. Views and the like are included with the reason why they are not covered. Needs no privilege
    beyond CONNECT.
    """
    with RawCursor(connection, row_factory=namedtuple_row) as cursor:
        rows: list[Any] = cursor.execute(
            sql.coverage(with_options=choices != "{}", of_all_tables=True),
            (list(include), list(exclude), None if relation is None else [relation], choices),
        ).fetchall()
        subscriptions: dict[int, str] = dict(cursor.execute(sql.text("subscriptions.sql")).fetchall())
        found = [_table(list(group), subscriptions) for _, group in groupby(rows, key=attrgetter("oid"))]
        is_open = [table.oid for table in found if table.state in ("missing", "partial", "disabled")]
        not_coverable: dict[int, str] = dict(
            cursor.execute(sql.text("coverable.sql"), (is_open,)).fetchall() if is_open else ()
        )
    return [
        replace(table, reason=_not_coverable(table, not_coverable[table.oid])) if table.oid in not_coverable else table
        for table in found
    ]


def _not_coverable(table: Table, builder: str) -> str:
    what = table.reason.partition("; run: ")[0]
    return f"{what}, and {builder} may not create them; remedy: grant trigger on {table.identity} to {builder}"


def columns(connection: Connection) -> dict[str, dict[str, str]]:
    """Types by column, in the table's order, by `schema.table`, for every captured table."""
    rows = connection.execute(sql.text("columns.sql")).fetchall()
    return {f"{schema}.{name}": dict(json.loads(pairs)) for schema, name, _, pairs in rows}


def fingerprints(connection: Connection) -> dict[str, str]:
    """Digest of the names and types of columns by `schema.table`, for every captured table."""
    rows = connection.execute(sql.text("columns.sql")).fetchall()
    return {f"{schema}.{name}": hashlib.sha256(text.encode()).hexdigest()[:16] for schema, name, text, _ in rows}


def _table(rows: list[Any], subscriptions: Mapping[int, str]) -> Table:
    first = rows[0]
    triggers = tuple(
        Trigger(row.operation, row.trigger_name, row.wanted, row.installed, bool(row.disabled)) for row in rows
    )
    chosen = choice.parse(first.options)
    state, reason = _state(first.relation_kind, first.not_wanted, triggers)
    if state == "covered":
        reason = " · ".join(filter(None, _particulars(first, chosen, subscriptions)))
    return Table(
        first.oid,
        first.table_schema,
        first.table_name,
        first.relation_kind,
        state,
        reason,
        triggers,
        first.root,
        chosen,
    )


def _particulars(row: Any, chosen: Choice, subscriptions: Mapping[int, str]) -> Iterator[str]:
    """Particulars of a covered table, and changes of it that are not captured."""
    yield chosen.words
    if row.by_row is not None:
        yield f"row by row: {row.by_row}"
    elif row.relation_kind == "partitioned table":
        yield "but not rows that a MERGE moves to another partition"
    if row.oid in subscriptions and not chosen.replicated:
        yield f"but not what the subscription {subscriptions[row.oid]} applies"


def _state(kind: str, not_wanted: str | None, triggers: Iterable[Trigger]) -> tuple[str, str]:
    """State of a table, and the reason."""
    states = {trigger.operation: trigger.state for trigger in triggers}
    if not_wanted is not None:
        if "outdated" in states.values():
            return "outdated", f"{not_wanted}, but still has triggers; run: pg_events build"
        return ("unsupported" if kind in ("view", "materialized view", "foreign table") else "excluded"), not_wanted
    wanted = {operation: state for operation, state in states.items() if state != "-"}
    if set(wanted.values()) <= {"yes"}:
        return "covered", ""
    if set(wanted.values()) == {"no"}:
        return "missing", "no triggers; run: pg_events build"
    if set(wanted.values()) == {"disabled"}:
        return "disabled", "its triggers are disabled; run: pg_events build"
    for state, word in (("no", "partial"), ("disabled", "partial"), ("outdated", "outdated")):
        operations = [operation for operation, found in wanted.items() if found == state]
        if operations:
            what = {"no": "not captured", "disabled": "disabled", "outdated": "not as this release installs it"}[state]
            return word, f"{', '.join(operations)}: {what}; run: pg_events build"
    return "covered", ""


# --- publications -------------------------------------------------------------------------------------------------

UNPUBLISH: Final = (
    "publish a list of tables or schemas instead, or give subscribers the schema: "
    "pg_dump --schema-only --schema pgevents"
)


def published(name: str, what: str) -> str:
    """Message for a publication that contains the tables of the log."""
    return (
        f"publication {name} is for {what}, so the log's tables are sent to its subscribers: one that does not have the schema "
        "pgevents stops"
    )
