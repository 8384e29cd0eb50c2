"""What is there: the server, what a build installed in it, and the triggers of every table."""

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
    """The server, and what the role that asks may do there."""

    version: str
    version_number: int
    """As `server_version_num`: 180004 for 18.4."""
    database: str
    role: str
    is_superuser: bool
    may_create_event_triggers: bool
    """It is a superuser, or what a managed service has in its place."""
    may_create_schema: bool
    is_standby: bool
    system_identifier: str
    """Tells one cluster from another: transaction ids mean nothing outside theirs."""
    is_installed: bool
    """The schema `pgevents` is there."""
    owns_schema: bool
    """The role owns it, or is a member of the role that does."""
    event_triggers_permitted: bool
    """The role may create event triggers, or the schema's owner may."""
    database_oid: str = "1"
    """Tells a database from its copy in the same cluster."""
    owner: str = ""
    """Of the schema `pgevents`; empty where there is none."""
    builds_as: str = ""
    """The role that a build acts as: the owner, when the role is a member of it."""
    may_read: bool = True
    """It may read the log: console, listen, export, history, status."""
    may_deliver: bool = True
    """It may do what a worker does."""


@dataclass(frozen=True)
class Installed:
    """What a build left in the database."""

    version: int = 0
    """Of the schema: the highest migration that was run."""
    settings: dict[str, str] = field(default_factory=dict[str, str])
    recorded: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Function -> digest of its file and of what the database made of it, both as of the build."""
    functions: dict[str, str] = field(default_factory=dict[str, str])
    """Function -> digest of its definition now."""
    event_triggers: dict[str, str] = field(default_factory=dict[str, str])
    """Event trigger -> `O` enabled, `D` disabled, `R` on replicas only, `A` always."""
    lent_event_triggers: dict[str, str] = field(default_factory=dict[str, str])
    """Event trigger -> the role that made it, where its function belongs to another one."""
    misowned: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    """Kind, name as SQL writes it, and owner of what does not belong to the schema's owner."""
    rights: list[tuple[str, bool, str, str]] = field(default_factory=list[tuple[str, bool, str, str]])
    """Role, whether no build gave it, privilege and object: of rights that are there and should not be, or are missing."""
    has_unnoted: bool = False
    """There are tables whose columns were never noted."""

    @property
    def capabilities(self) -> dict[str, str]:
        """Role -> `reader` or `worker`, as builds were told."""
        return json.loads(self.settings.get("grants", "{}"))

    def is_from_elsewhere(self, server: Server) -> bool:
        """Whether the log was made on another cluster, or does not say where: it came without its settings."""
        return bool(self.version) and self.settings.get("system_identifier") != server.system_identifier


@dataclass(frozen=True)
class Trigger:
    """One of the triggers of a table: what it should be and what it is."""

    operation: str
    """`insert`, `update`, `delete` or `truncate`; or `replicated`, for the rows that are applied from elsewhere."""
    name: str
    wanted: str | None
    """`CREATE TRIGGER …` as the database spells it; None when there should be none. `; ALTER TABLE … ENABLE …` follows when
    it shall fire also, or only, for what is applied from elsewhere."""
    installed: str | None
    is_disabled: bool

    @property
    def state(self) -> str:
        """`yes` when the operation is captured; else `no`, `disabled`, `outdated`, or `-` when it should not be."""
        if self.wanted is None:
            return "-" if self.installed is None else "outdated"
        if self.installed is None:
            return "no"
        if self.installed != self.wanted:
            return "outdated"
        return "disabled" if self.is_disabled else "yes"


@dataclass(frozen=True)
class Table:
    """A table, a partition or a view, and whether its changes are captured."""

    oid: int
    schema: str
    name: str
    kind: str
    """`table`, `partitioned table`, `partition`, `view`, `materialized view` or `foreign table`."""
    state: str
    """`covered`, `partial`, `missing`, `disabled`, `outdated`, `excluded` or `unsupported`."""
    reason: str
    """Why it is not covered, or what covers it in its place; empty when there is nothing to say."""
    triggers: tuple[Trigger, ...] = ()
    root: int = 0
    """OID of the partitioned table above all; of any other table its own."""
    choice: Choice = EVERYTHING
    """What is captured of it."""

    @property
    def identity(self) -> str:
        """`schema.table`, as shown to people; not quoted for SQL."""
        return f"{self.schema}.{self.name}"

    def operation(self, name: str) -> str:
        """The state of one operation: see `Trigger.state`."""
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
    """Ask what the server is. Needs no right beyond CONNECT.

    Raises `NotPermitted` when the session must not use what is in the schema (see `trust`), unless the caller looks at
    its owner itself.
    """
    with connection.cursor(row_factory=class_row(Server)) as cursor:
        found = cursor.execute(sql.whole("server.sql")).fetchone()
    assert found is not None
    if checks_owner and found.owner:
        trust.check(connection)  # in this order: what was not there when the server was asked is not read either
    return found


def installed(connection: Connection) -> Installed:
    """Ask what a build left behind. Raises `NotInstalled` when there is no schema `pgevents`, `NotPermitted`."""
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
    """For whom the server was told to fire no event triggers: `role app`, `this database`; nobody as a rule."""
    return [who for (who,) in connection.execute(sql.text("event_triggers_off.sql")).fetchall()]


def tables(
    connection: Connection,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    relation: int | None = None,
    choices: str = "{}",
) -> list[Table]:
    """Every table that is or could be covered, by schema and name; takes no lock on any of them.

    `include` and `exclude` are globs on `schema.table`; `relation` (an OID) asks for one table;
    `choices` is what `choice.written()` made of the settings.
    Views and the like come along with the reason why they are not covered. Needs no right beyond CONNECT.
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
    """`schema.table` -> column -> its type, in the table's order, of every table whose changes are captured."""
    rows = connection.execute(sql.text("columns.sql")).fetchall()
    return {f"{schema}.{name}": dict(json.loads(pairs)) for schema, name, _, pairs in rows}


def fingerprints(connection: Connection) -> dict[str, str]:
    """`schema.table` -> digest of its columns' names and types, of every table whose changes are captured."""
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
    """How a covered table differs from others, and what of its changes is not seen."""
    yield chosen.words
    if row.by_row is not None:
        yield f"row by row: {row.by_row}"
    elif row.relation_kind == "partitioned table":
        yield "but not rows that a MERGE moves to another partition"
    if row.oid in subscriptions and not chosen.replicated:
        yield f"but not what the subscription {subscriptions[row.oid]} applies"


def _state(kind: str, not_wanted: str | None, triggers: Iterable[Trigger]) -> tuple[str, str]:
    """The one word for a table, and the reason."""
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
    "publish a list of tables or schemas in its place, or give subscribers the schema: "
    "pg_dump --schema-only --schema pgevents"
)


def published(name: str, what: str) -> str:
    """A publication with our tables in it, and what comes of it."""
    return (
        f"publication {name} is for {what}, so the log's tables are sent to its subscribers: one that does not have the schema "
        "pgevents stops"
    )
