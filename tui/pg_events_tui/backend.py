"""What the console asks of a database beside its events: coverage, and building it. Blocking; called in threads."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Protocol

from psycopg.conninfo import conninfo_to_dict

from pg_events import build, catalog, choice
from pg_events.build import Applied
from pg_events.catalog import Table
from pg_events.connection import connect
from pg_events.errors import PgEventsError, UsageError
from pg_events.plan import Plan, Step
from pg_events.settings import Settings
from pg_events.text import one_line

APPLICATION_NAME = "pg_events tui"

OnStep = Callable[[Step, str], None]


class Backend(Protocol):
    """The questions and the one change. Every method raises `PgEventsError` with a line to show."""

    @property
    def name(self) -> str:
        """The database for the header: `shop@db01:5432`."""
        ...

    def coverage(self) -> Sequence[Table]: ...

    def plan(self, relation: int | None) -> Plan:
        """What a build would do; with an OID, only for that table (and what has to be there for it)."""
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

    def coverage(self) -> Sequence[Table]:
        with closing(connect(self._url, application_name=APPLICATION_NAME)) as connection:
            settings = build.settled(connection, self._settings)
            return catalog.tables(connection, settings.include, settings.exclude, choices=choice.written(settings))

    def plan(self, relation: int | None) -> Plan:
        with closing(connect(self._url, application_name=APPLICATION_NAME)) as connection:
            whole = build.make_plan(connection, self._settings)
        return whole if relation is None else for_table(whole, relation)

    def apply(self, plan: Plan, on_step: OnStep) -> Applied:
        return build.apply(self._url, plan, on_step)


def problem_line(error: Exception) -> str:
    """What a backend raised, as a line to show: with the name of what nobody expected."""
    text = one_line(str(error))
    return text if isinstance(error, PgEventsError) else f"{type(error).__name__}: {text}"


def for_table(plan: Plan, relation: int) -> Plan:
    """The plan's steps for one table, and those that belong to no table: without them its triggers could not run."""
    return replace(plan, steps=tuple(step for step in plan.steps if step.relation in (None, relation)))


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
