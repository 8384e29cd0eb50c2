"""Queries of the console to a database besides its events: health, coverage and builds. Blocking; called in threads."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter
from typing import Any, Final, LiteralString, NoReturn, Protocol

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from pg_events import sql
from pg_events.config.settings import Settings
from pg_events.db.connection import connect, translate
from pg_events.db.link import RawCursor
from pg_events.errors import PgEventsError, UsageError
from pg_events.event import SCHEMA, Record
from pg_events.files import journal
from pg_events.log.listener import Listener, check_log
from pg_events.text import one_line
from pg_events.triggers import build, catalog, rules
from pg_events.triggers.build import Applied
from pg_events.triggers.catalog import Table
from pg_events.triggers.plan import Plan, Step
from pg_events_tui.model import row_keys

APPLICATION_NAME = "pg_events tui"

OnStep = Callable[[Step, str], None]


@dataclass(frozen=True)
class Consumer:
    """Reader of the log, and its lag."""

    name: str
    is_running: bool
    delivered: int
    behind_events: int
    behind_seconds: float
    failed: int
    is_paused: bool = False


@dataclass(frozen=True)
class Failed:
    """Event whose callback gave up."""

    consumer: str
    event_id: int
    failed_at: datetime
    state: str
    """State: `failed`, or `retry` if a worker was asked to deliver it again."""
    attempts: int
    error: str
    payload: str
    """Payload, limited like the traceback to a readable length."""
    traceback: str


@dataclass(frozen=True)
class Activity:
    """Transaction that has been open for long, or waits for a lock."""

    pid: int
    """Process id; 0 for a prepared transaction."""
    user_name: str | None
    application_name: str | None
    state: str | None
    seconds: float
    """Time since the transaction began."""
    waits_for: str
    """Kind of the lock that it waits for; empty if it does not wait."""
    blocked_by: Sequence[int]
    query: str | None


@dataclass(frozen=True)
class DatabaseHealth:
    """State of the pipeline as reported by the database, at one moment."""

    server_version: str
    role: str
    answer_seconds: float
    """Response time of a trivial query."""
    log_events: int
    log_bytes: int
    consumers: Sequence[Consumer]
    failed: Sequence[Failed]
    """Latest failed events, at most `MAX_FAILED`, newest first."""
    activity: Sequence[Activity]
    """Transactions, the longest first."""


MAX_FAILED: Final = 200
LONG_SECONDS: Final = 5.0
"""Age from which an open transaction is shown."""


class Backend(Protocol):
    """Queries and changes of the console. Every method raises `PgEventsError` with a message for the user."""

    @property
    def name(self) -> str:
        """Database as shown in the header: `shop@db01:5432`."""
        ...

    @property
    def absent(self) -> str:
        """Reason why there is no database; empty if there is one."""
        ...

    def coverage(self) -> Sequence[Table]: ...

    def plan(
        self, relations: Collection[int] | None, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> Plan:
        """Return the plan of a build; with OIDs, only for those tables (and their prerequisites).

        `include` and `exclude` are the tables that the user added here, or left out, besides the settings.
        """
        ...

    def choose(self, *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        """Include or exclude tables from now on, besides the settings."""
        ...

    def writers(self) -> Mapping[int, int]:
        """Number of transactions that a build would have to wait for now, by the table's OID."""
        ...

    def health(self) -> DatabaseHealth: ...

    def discard(self, consumer: str, event_id: int) -> None:
        """Discard a failed event."""
        ...

    def retry(self, consumer: str, event_id: int) -> None:
        """Ask the consumer's worker to deliver a failed event again."""
        ...

    def set_paused(self, consumer: str, is_paused: bool) -> None:
        """Pause a consumer, whose workers finish their current calls, or resume it."""
        ...

    def journal_header(self) -> journal.Header:
        """Header of a file with events of this database."""
        ...

    def apply(self, plan: Plan, on_step: OnStep) -> Applied:
        """Carry out the plan; completed steps remain if a later one fails."""
        ...


class Database:
    """Backend of a real database. Opens a connection for each query, so that none can be in a bad state."""

    def __init__(self, settings: Settings) -> None:
        if settings.database_url is None:
            raise UsageError("no database: give --database-url or PG_EVENTS_DATABASE_URL")
        self._settings = settings
        self._url = settings.database_url
        self._name = database_name(settings.database_url)

    @property
    def name(self) -> str:
        return self._name

    @property
    def absent(self) -> str:
        return ""

    def coverage(self) -> Sequence[Table]:
        with self._connected() as connection:
            settings = build.settled(connection, self._settings)
            return catalog.tables(connection, settings.include, settings.exclude, choices=rules.written(settings))

    def plan(
        self, relations: Collection[int] | None, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> Plan:
        with self._connected() as connection:
            settings = self._settings
            if include or exclude:
                # The settings now add to those of the database, so the ones of the last build are included.
                settings = replace(build.settled(connection, settings), only_database=False)
            whole = build.make_plan(connection, chosen(settings, include, exclude))
        return whole if relations is None else for_tables(whole, relations)

    def choose(self, *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        if not self._settings.only_database:  # else the database itself remembers it
            self._settings = chosen(self._settings, include, exclude)

    def writers(self) -> Mapping[int, int]:
        with self._connected() as connection, RawCursor(connection) as cursor:
            return dict(cursor.execute(sql.text("writers.sql")).fetchall())

    def health(self) -> DatabaseHealth:
        with self._connected() as connection:
            began = perf_counter()
            connection.execute("select 1")
            answer_seconds = perf_counter() - began
            server = catalog.server(connection)
            check_log(connection)

            def ask(question: str, *parameters: object) -> list[dict[str, Any]]:
                with RawCursor(connection, row_factory=dict_row) as cursor:
                    return cursor.execute(sql.text(question), parameters).fetchall()

            consumers = [
                Consumer(**{name: row[name] for name in Consumer.__dataclass_fields__}) for row in ask("consumers.sql")
            ]
            log = ask("log_size.sql")[0]
            return DatabaseHealth(
                server.version, server.role, answer_seconds, log["events"], log["bytes"], consumers,
                [Failed(**row) for row in ask("failed_newest.sql", MAX_FAILED)],
                [Activity(**row) for row in ask("activity.sql", LONG_SECONDS)],
            )  # fmt: skip

    def discard(self, consumer: str, event_id: int) -> None:
        self._change_failed("failed_discard.sql", consumer, event_id)

    def retry(self, consumer: str, event_id: int) -> None:
        self._change_failed("failed_retry.sql", consumer, event_id)

    def set_paused(self, consumer: str, is_paused: bool) -> None:
        with self._connected() as connection, RawCursor(connection) as cursor:
            statement = "consumer_pause.sql" if is_paused else "consumer_resume.sql"
            if not cursor.execute(sql.text(statement), (consumer,)).fetchall():
                raise PgEventsError(f"there is no consumer {consumer} any more")

    def _change_failed(self, statement: str, consumer: str, event_id: int) -> None:
        with self._connected() as connection, RawCursor(connection) as cursor:
            if not cursor.execute(sql.text(statement), ([consumer], [event_id])).fetchall():
                raise PgEventsError(f"event {event_id} is not among the failed ones of {consumer} any more")

    def journal_header(self) -> journal.Header:
        with self._connected() as connection:
            return journal.Header(connection.info.dbname, catalog.fingerprints(connection), catalog.columns(connection))

    @contextmanager
    def _connected(self) -> Generator[catalog.Connection]:
        """Open a connection for a few queries. Errors are reported as in the commands."""
        with closing(connect(self._url, application_name=APPLICATION_NAME)) as connection:
            try:
                yield connection
            except psycopg.Error as error:
                raise translate(error, self._url) from error

    def apply(self, plan: Plan, on_step: OnStep) -> Applied:
        return build.apply(self._url, plan, on_step)


class DatabaseFeed(Listener):
    """Log as the console's feed. Learns the key columns of each table, and again after DDL."""

    def connect(self) -> None:
        super().connect()
        self._learn_keys()

    def poll(self) -> list[Record]:
        records = super().poll()
        if any(record.kind == SCHEMA for record in records):
            self._learn_keys()
        return records

    def _learn_keys(self) -> None:
        try:
            row_keys.learn(self.connection.execute(sql.text("keys_of_tables.sql")).fetchall())
        except psycopg.Error as error:
            raise translate(error, self.database_url) from error

    def oldest(self) -> int | None:
        return self._one("select min(id) from pgevents.event")

    def log(self) -> int | None:
        """OID of the schema, which differs after it was dropped and created again."""
        return self._one("select 'pgevents'::regnamespace::oid")

    def _one(self, question: LiteralString) -> int | None:
        try:
            row = self.connection.execute(question).fetchone()
        except psycopg.Error as error:
            raise translate(error, self.database_url) from error
        return row[0] if row else None


class NoDatabase:
    """Backend of a saved log without a database: every query fails with the reason."""

    def __init__(self, name: str) -> None:
        self._name = name
        row_keys.forget()

    @property
    def name(self) -> str:
        return self._name

    @property
    def absent(self) -> str:
        return "this is a saved log: there is no database to ask"

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise UsageError(self.absent)

    coverage = plan = choose = writers = health = discard = retry = set_paused = apply = _refuse

    def journal_header(self) -> journal.Header:
        return journal.Header(self._name)


def chosen(settings: Settings, include: Sequence[str], exclude: Sequence[str]) -> Settings:
    """Return the settings with tables added or left out. The tables given here override the former ones."""
    wanted = tuple(one for one in settings.include if one not in exclude)
    unwanted = tuple(one for one in settings.exclude if one not in include)
    return replace(
        settings,
        include=tuple(dict.fromkeys((*wanted, *include))) if settings.include else (),
        exclude=tuple(dict.fromkeys((*unwanted, *exclude))),
    )


def problem_line(error: Exception) -> str:
    """Format an error of a backend as one line, with the type of an unexpected one."""
    text = one_line(str(error))
    return text if isinstance(error, PgEventsError) else f"{type(error).__name__}: {text}"


def for_tables(plan: Plan, relations: Collection[int]) -> Plan:
    """Return the plan's steps for some tables, and those of no table, which the triggers need."""
    return replace(
        plan, steps=tuple(step for step in plan.steps if step.relation is None or step.relation in relations)
    )


def database_name(database_url: str) -> str:
    """Return the database as `shop@db01:5432`, never with a password. Raises nothing."""
    try:
        parts = conninfo_to_dict(database_url)
    except Exception:  # noqa: BLE001 - libpq's message quotes the URL, password included
        return "database"
    host = str(parts.get("host") or parts.get("hostaddr") or "local")
    where = "local" if host.startswith("/") else host
    port = parts.get("port")
    return f"{parts.get('dbname') or parts.get('user') or 'postgres'}@{where}{f':{port}' if port else ''}"
