"""Runs the checks of the doctor on a database. A query that is not permitted becomes a finding that says so."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from pg_events import sql
from pg_events.config.settings import Settings
from pg_events.db import session, trust
from pg_events.db.connection import connect, translate
from pg_events.db.link import RawCursor
from pg_events.doctor import findings as doctor
from pg_events.doctor.findings import Finding
from pg_events.errors import PgEventsError
from pg_events.triggers import build, catalog
from pg_events.triggers.catalog import Connection, Server
from pg_events.triggers.plan import plan

SILENCE_SECONDS = 30.0


def examine(settings: Settings) -> list[Finding]:
    """All findings, in the order to display them. Changes nothing.

    Raises `DatabaseUnreachable` or `NotPermitted` if the connection fails, at the beginning or later.
    """
    assert settings.database_url is not None
    with connect(
        settings.database_url,
        application_name="pg_events doctor",
        silence_seconds=SILENCE_SECONDS,
        checks_owner=False,
    ) as connection:
        server = catalog.server(connection, checks_owner=False)
        return _Examination(settings, connection, server, trust.ask(connection)).findings()


@dataclass(frozen=True)
class _Examination:
    settings: Settings
    connection: Connection
    server: Server
    owner: trust.Owner | None

    @property
    def is_readable(self) -> bool:
        """True if pg_events is installed and nothing in its schema would run with privileges that its owner lacks."""
        return self.server.is_installed and self.owner is not None and self.owner.is_trusted

    def findings(self) -> list[Finding]:
        found = [*doctor.server(self.server), *self._try("pooler", self._link)]
        checks: list[tuple[str, Callable[[], list[Finding]]]]
        if self.owner is not None:
            found += doctor.owner(self.owner)
        if self.is_readable:
            checks = [
                ("rights", self._rights),
                ("origin", lambda: doctor.origin(self.server, catalog.installed(self.connection))),
                ("drift", self._drift),
                ("publications", lambda: doctor.publications(self._rows("publications.sql"))),
                ("DDL", self._event_triggers),
                ("consumers", lambda: doctor.consumers(self._rows("consumers.sql"))),
                ("log", partial(_log_size, self.connection)),
            ]
        else:
            if self.owner is None:
                found += doctor.not_installed(self.server)
            checks = []
        checks += [
            *((name, partial(check, self.connection)) for name, check in _HINDRANCES),
            ("settings", self._settings),
            ("clock", self._clock),
        ]
        for name, check in checks:
            found += self._try(name, check)
        return found

    def _try(self, name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
        """Findings of the check, or one that says why it could not be made. A lost connection ends the examination."""
        try:
            return check()
        except (psycopg.Error, PgEventsError) as error:
            assert self.settings.database_url is not None
            told = translate(error, self.settings.database_url) if isinstance(error, psycopg.Error) else error
            if self.connection.closed:
                raise told from error
            reason = error.diag.message_primary if isinstance(error, psycopg.Error) else None
            return [Finding(name, "unknown", f"could not be checked: {reason or told}")]

    def _rows(self, question: str, *parameters: object) -> list[dict[str, Any]]:
        return _rows(self.connection, question, *parameters)

    def _link(self) -> list[Finding]:
        assert self.settings.database_url is not None
        # The echo uses LISTEN, which stays in a pooled session: so on a separate connection that ends.
        with connect(self.settings.database_url, application_name="pg_events doctor", checks_owner=False) as other:
            return doctor.link(other.is_proxied, session.is_shared(other, self.settings.database_url))

    def _rights(self) -> list[Finding]:
        may_read = self.server.may_read or self.server.owns_schema
        wanted = (
            [table.oid for table in self._tables() if any(trigger.wanted for trigger in table.triggers)]
            if may_read
            else []
        )
        without = [each["relation"] for each in self._rows("doctor_no_trigger.sql", wanted)]
        capabilities = catalog.installed(self.connection).capabilities if may_read else {}
        return doctor.rights(self.server, capabilities, without)

    def _tables(self) -> list[catalog.Table]:
        chosen = build.settled(self.connection, self.settings)
        return catalog.tables(
            self.connection,
            chosen.include,
            chosen.exclude,
            choices=build.wanted(chosen, self.server).settings["choices"],
        )

    def _drift(self) -> list[Finding]:
        chosen = build.settled(self.connection, self.settings)
        wanted = build.wanted(chosen, self.server)
        installed = catalog.installed(self.connection)
        kept = installed.settings
        if not installed.version or any(
            wanted.settings[name] != kept.get(name, wanted.settings[name])
            for name in ("system_identifier", "database_oid")
        ):
            return []  # the finding about the origin says it all
        return doctor.drift(plan(self.server, installed, self._tables(), wanted))

    def _event_triggers(self) -> list[Finding]:
        installed = catalog.installed(self.connection)
        return doctor.event_triggers(self.server, installed, catalog.event_triggers_off(self.connection))

    def _settings(self) -> list[Finding]:
        row = self._rows("doctor_settings.sql")[0]
        roles = json.loads(row.pop("replica_roles"))
        here = self._one(
            "select count(*) as prepared from pg_catalog.pg_prepared_xacts where database = current_database()"
        )
        settings = self.settings
        if self.is_readable:
            settings = build.settled(self.connection, settings)
        return doctor.settings(row, roles, settings.capture_replicated, settings.notify, here["prepared"] > 0)

    def _clock(self) -> list[Finding]:
        begin = monotonic()
        before = datetime.now(UTC)
        there = self._one("select clock_timestamp() as now")["now"]
        took = monotonic() - begin
        return doctor.clock((there - before).total_seconds() - took / 2, took)

    def _one(self, question: Any) -> dict[str, Any]:
        return _one(self.connection, question)


def hindrances(connection: Connection) -> list[Finding]:
    """Problems that hold back events, vacuum or notifications. Requires that pg_events is installed."""
    checks = (*(check for _, check in _HINDRANCES), _log_size)
    return [finding for check in checks for finding in check(connection) if finding.state == "problem"]


def _queue(connection: Connection) -> list[Finding]:
    usage = _one(connection, "select pg_catalog.pg_notification_queue_usage() as usage")["usage"]
    return doctor.queue(usage, _rows(connection, "doctor_transactions.sql", 0.0) if usage >= doctor.FULL_QUEUE else ())


def _transactions(connection: Connection) -> list[Finding]:
    return doctor.transactions(_rows(connection, "doctor_transactions.sql", doctor.OLD_SECONDS))


def _prepared(connection: Connection) -> list[Finding]:
    return doctor.prepared(_rows(connection, "doctor_prepared.sql", doctor.OLD_SECONDS))


def _slots(connection: Connection) -> list[Finding]:
    return doctor.slots(_rows(connection, "doctor_slots.sql", doctor.HELD_TRANSACTIONS))


def _log_size(connection: Connection) -> list[Finding]:
    return doctor.log_size(_rows(connection, "doctor_log.sql")[0])


_HINDRANCES: Final = (
    ("queue", _queue),
    ("transactions", _transactions),
    ("prepared", _prepared),
    ("slots", _slots),
)
"""Checks for problems that hold back events, vacuum or notifications, in the whole cluster."""


def _rows(connection: Connection, question: str, *parameters: object) -> list[dict[str, Any]]:
    with RawCursor(connection, row_factory=dict_row) as cursor:
        return cursor.execute(sql.text(question), parameters).fetchall()


def _one(connection: Connection, question: Any) -> dict[str, Any]:
    with RawCursor(connection, row_factory=dict_row) as cursor:
        row = cursor.execute(question).fetchone()
    assert row is not None
    return row
