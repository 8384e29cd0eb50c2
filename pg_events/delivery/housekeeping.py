"""Housekeeping of a worker: prunes the log, and reports what holds back events, vacuum or notifications.

Runs in its own thread and on its own connection, so that no event waits for it. Every worker with a retention prunes,
one at a time. The leader, the worker that has been running longest, runs the checks of the doctor and logs each problem
once when it begins and once when it ends. Only the leader keeps its connection between rounds: servers have few.
"""

import logging
import shlex
import threading
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from typing import Final

import psycopg

from pg_events.config.settings import Settings
from pg_events.db import session
from pg_events.db.connection import connect, translate
from pg_events.db.link import Link
from pg_events.doctor import checks
from pg_events.doctor.findings import Finding
from pg_events.errors import PgEventsError
from pg_events.log import retention
from pg_events.log.retention import Limit, Pruner, Unread
from pg_events.text import counted, one_line

log = logging.getLogger(__name__)

SECONDS: Final = 10.0
"""Interval between rounds. Each also reads the notification queue, which lets the server clean it up."""
_DEAD: Final = (20_000, 0.2)
"""Minimum number of deleted rows, and their minimum ratio to live rows, for a vacuum of the log."""


class Housekeeping:
    """Housekeeping thread, from `start()` to `close()`."""

    def __init__(
        self, settings: Settings, consumer: str, is_first: Callable[[], bool], *, seconds: float = SECONDS
    ) -> None:
        """Prepare the thread; `is_first` returns True if no other worker has been running longer."""
        assert settings.database_url is not None
        self._database_url = settings.database_url
        self._link_seconds = settings.server_timeout_seconds
        self._consumer = consumer
        self._is_first = is_first
        self._seconds = seconds
        self._limit = Limit(settings.retention, settings.retention_bytes, not settings.retain_unread)
        self._pruner = Pruner(self._limit) if self._limit.is_one else None
        self._told = _Told()
        self._held = _Told()
        self._said: str | None = None
        self._connection: Link | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pg_events housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread after the current batch; a running vacuum is cancelled."""
        self._ended.set()
        if not self._thread.is_alive():
            return
        if (connection := self._connection) is not None:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=2.0)
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._round()
                self._said = None
            except (psycopg.Error, PgEventsError) as error:
                self._disconnect()
                self._failed(error)
            self._ended.wait(self._seconds)
        self._disconnect()

    def _round(self) -> None:
        is_first = self._is_first()
        if self._pruner is not None:
            self._prune(self._connected(), self._pruner)
        if is_first:
            self._told.tell(checks.hindrances(self._connected()))
        else:
            self._disconnect()

    def _connected(self) -> Link:
        if self._connection is None:
            connection = connect(
                self._database_url,
                application_name=f"pg_events housekeeping {self._consumer}",
                silence_seconds=self._link_seconds,
            )
            self._connection = connection
            session.settle(connection)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _failed(self, error: psycopg.Error | PgEventsError) -> None:
        """Log a failure once per reason; the worker itself reports a lost connection."""
        told = translate(error, self._database_url) if isinstance(error, psycopg.Error) else error
        again = self._ended.is_set() or str(told) == self._said
        log.log(logging.DEBUG if again else logging.WARNING, "housekeeping: %s", told)
        self._said = str(told)

    def _prune(self, connection: Link, pruner: Pruner) -> None:
        done = pruner.prune(connection, self._ended.wait)
        if done is None:
            return
        if done.deleted:
            log.debug("pruned %s", counted(done.deleted, "event"), extra={"pruned": done.deleted})
        if self._limit.unread:
            for consumer, lost in done.unread.items():
                log.warning("%s", _lost(consumer, lost), extra={"reader": consumer, **lost._asdict()})
        else:
            self._held.tell(_kept(consumer, held) for consumer, held in done.unread.items())
        least, part = _DEAD
        if pruner.dead >= least and pruner.dead >= part * retention.live_rows(connection):
            with connection.patiently():
                pruner.vacuum(connection)


class _Told:
    """Current problems, each logged once when it begins and once when it ends."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Finding] = {}

    def tell(self, found: Iterable[Finding]) -> None:
        now = {_identity(finding): finding for finding in found}
        for identity in now.keys() - self._known.keys():
            finding = now[identity]
            log.warning("%s; %s", one_line(finding.text), one_line(finding.remedy), extra={"check": finding.name})
        for identity in self._known.keys() - now.keys():
            finding = self._known[identity]
            log.info("resolved: %s", one_line(finding.text), extra={"check": finding.name})
        self._known = {identity: self._known.get(identity, finding) for identity, finding in now.items()}


def _identity(finding: Finding) -> Hashable:
    """Identity of a problem, independent of its growing age."""
    return finding.name, next(
        (finding.data[key] for key in ("pid", "gid", "slot", "consumer") if key in finding.data), None
    )


def _kept(consumer: str, held: Unread) -> Finding:
    return Finding(
        "retention",
        "problem",
        f"at least {_span(held)} would be pruned, but are kept: consumer {consumer} has not received them",
        f"see pg_events status; if the consumer is no longer used: pg_events consumers drop {shlex.quote(consumer)}",
        {"consumer": consumer},
    )


def _lost(consumer: str, lost: Unread) -> str:
    return one_line(
        f"pruned {_span(lost)} that consumer {consumer} has not received and never will, "
        "because of PG_EVENTS_RETAIN_UNREAD = False"
    )


def _span(unread: Unread) -> str:
    return f"{counted(unread.events, 'event')} (ids {unread.first_id} to {unread.last_id})"
