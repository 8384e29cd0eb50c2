"""What the console asks of a database beside its events: coverage, and building it. Blocking; called in threads."""

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
    """One who reads the log, and how far behind."""

    name: str
    is_running: bool
    delivered: int
    behind_events: int
    behind_seconds: float
    failed: int


@dataclass(frozen=True)
class Failed:
    """An event whose callback gave up."""

    consumer: str
    event_id: int
    failed_at: datetime
    state: str
    """`failed`, or `retry` when a worker was asked to deliver it again."""
    attempts: int
    error: str
    payload: str
    """As much as a person reads, like the traceback."""
    traceback: str


@dataclass(frozen=True)
class Activity:
    """A transaction that is open for long, or waits for a lock."""

    pid: int
    """0 of a prepared one."""
    user_name: str | None
    application_name: str | None
    state: str | None
    seconds: float
    """How long it has been open."""
    waits_for: str
    """The kind of lock; empty when it does not wait."""
    blocked_by: Sequence[int]
    query: str | None


@dataclass(frozen=True)
class DatabaseHealth:
    """What the database tells about the pipeline, at one moment."""

    server_version: str
    role: str
    answer_seconds: float
    """How long the smallest question took."""
    log_events: int
    log_bytes: int
    consumers: Sequence[Consumer]
    failed: Sequence[Failed]
    """The newest `MAX_FAILED`, newest first."""
    activity: Sequence[Activity]
    """The longest first."""


MAX_FAILED: Final = 200
LONG_SECONDS: Final = 5.0
"""A transaction open for longer is shown."""


class Backend(Protocol):
    """The questions and the few changes. Every method raises `PgEventsError` with a line to show."""

    @property
    def name(self) -> str:
        """The database for the header: `shop@db01:5432`."""
        ...

    @property
    def absent(self) -> str:
        """Why there is no database to ask; empty when there is one."""
        ...

    def coverage(self) -> Sequence[Table]: ...

    def plan(
        self, relations: Collection[int] | None, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> Plan:
        """What a build would do; with OIDs, only for those tables (and what has to be there for them).

        `include` and `exclude` are the tables that the user added here, or left out, beside the settings.
        """
        ...

    def choose(self, *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        """From now on these tables are wanted, or left out, beside what the settings say."""
        ...

    def writers(self) -> Mapping[int, int]:
        """OID of a table -> transactions that a build would have to wait for there, now."""
        ...

    def health(self) -> DatabaseHealth: ...

    def discard(self, consumer: str, event_id: int) -> None:
        """Forget a failed event."""
        ...

    def retry(self, consumer: str, event_id: int) -> None:
        """Ask the consumer's worker to deliver a failed event again."""
        ...

    def journal_header(self) -> journal.Header:
        """What a file of this database's events begins with."""
        ...

    def apply(self, plan: Plan, on_step: OnStep) -> Applied:
        """Carry it out; what is done stays done when it fails later."""
        ...


class Database:
    """The real one: a connection for each question, so that none can be in a bad state."""

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
                # Only from here on is something said beside the database: what the last build was told holds beside it.
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

    def _change_failed(self, statement: str, consumer: str, event_id: int) -> None:
        with self._connected() as connection, RawCursor(connection) as cursor:
            if not cursor.execute(sql.text(statement), ([consumer], [event_id])).fetchall():
                raise PgEventsError(f"event {event_id} is not among the failed ones of {consumer} any more")

    def journal_header(self) -> journal.Header:
        with self._connected() as connection:
            return journal.Header(connection.info.dbname, catalog.fingerprints(connection))

    @contextmanager
    def _connected(self) -> Generator[catalog.Connection]:
        """A link for a few questions; what goes wrong is told as the commands tell it."""
        with closing(connect(self._url, application_name=APPLICATION_NAME)) as connection:
            try:
                yield connection
            except psycopg.Error as error:
                raise translate(error, self._url) from error

    def apply(self, plan: Plan, on_step: OnStep) -> Applied:
        return build.apply(self._url, plan, on_step)


class DatabaseFeed(Listener):
    """The log as the console's feed. It learns what tells the rows of each table apart, again after DDL."""

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
        """The schema's OID: one that was dropped and made again has another."""
        return self._one("select 'pgevents'::regnamespace::oid")

    def _one(self, question: LiteralString) -> int | None:
        try:
            row = self.connection.execute(question).fetchone()
        except psycopg.Error as error:
            raise translate(error, self.database_url) from error
        return row[0] if row else None


class NoDatabase:
    """Stands where a saved log has no database: every question is answered with the reason."""

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

    coverage = plan = choose = writers = health = discard = retry = apply = _refuse

    def journal_header(self) -> journal.Header:
        return journal.Header(self._name)


def chosen(settings: Settings, include: Sequence[str], exclude: Sequence[str]) -> Settings:
    """The settings with tables added or left out. What is named here is stronger than what stood there before."""
    wanted = tuple(one for one in settings.include if one not in exclude)
    unwanted = tuple(one for one in settings.exclude if one not in include)
    return replace(
        settings,
        include=tuple(dict.fromkeys((*wanted, *include))) if settings.include else (),
        exclude=tuple(dict.fromkeys((*unwanted, *exclude))),
    )


def problem_line(error: Exception) -> str:
    """What a backend raised, as a line to show: with the name of what nobody expected."""
    text = one_line(str(error))
    return text if isinstance(error, PgEventsError) else f"{type(error).__name__}: {text}"


def for_tables(plan: Plan, relations: Collection[int]) -> Plan:
    """The plan's steps for some tables, and those that belong to no table: without them their triggers could not run."""
    return replace(
        plan, steps=tuple(step for step in plan.steps if step.relation is None or step.relation in relations)
    )


def database_name(database_url: str) -> str:
    """`shop@db01:5432`, never with a password; raises nothing."""
    try:
        parts = conninfo_to_dict(database_url)
    except Exception:  # noqa: BLE001 - libpq's message quotes the URL, password included
        return "database"
    host = str(parts.get("host") or parts.get("hostaddr") or "local")
    where = "local" if host.startswith("/") else host
    port = parts.get("port")
    return f"{parts.get('dbname') or parts.get('user') or 'postgres'}@{where}{f':{port}' if port else ''}"
