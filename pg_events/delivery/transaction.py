"""The transactional mode: what callbacks write and the consumer's cursor commit together, or neither does.

Calls share a transaction, each in a savepoint of its own, for as long as an event is waited for at most: a commit costs
more than ten savepoints do, and a server slows down with more than 64 of them. The cursor is saved last of all, by the
statement that a stale worker's save changes nothing with: then nothing commits.

What was undone is done again with a transaction for each call: one of them may have been the reason.
"""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, Final

import psycopg
from psycopg import IsolationLevel, Rollback
from psycopg.pq import TransactionStatus

from pg_events.callbacks.callback import Callback, Failure, describe_failure
from pg_events.db.connection import connect, translate
from pg_events.db.link import Link
from pg_events.delivery.attempts import attempt
from pg_events.errors import DatabaseUnreachable, PgEventsError

log = logging.getLogger(__name__)

_CALLS: Final = 50
_SECONDS: Final = 0.1
"""After so many calls, or so long, what was written is committed."""
_PATIENTLY: Final = "set local idle_in_transaction_session_timeout = 0"
_PATIENTLY_SINCE_17: Final = f"{_PATIENTLY}; set local transaction_timeout = 0"
_CHECK: Final = "set constraints all immediate"
"""Fails where the commit would."""


class ConnectionMisused(PgEventsError):
    """A callback ended the transaction that it was lent: what it wrote and the cursor no longer go together."""


class Undone(DatabaseUnreachable):
    """What several calls wrote could not be committed; the link is made anew for the next try."""


class JointTransaction:
    """A connection for callbacks to write with, and the transaction on it. For one thread."""

    def __init__(self, database_url: str, application_name: str) -> None:
        self._database_url = database_url
        self._application_name = application_name
        self._connection: Link | None = None
        self._open = ExitStack()
        self._calls = 0
        self._began_at = 0.0
        self._single = 0
        """So many transactions yet are for one call each;"""
        self._is_single = False
        """such as this one."""
        self.is_undone = False
        """Calls that returned since the last commit were undone, or the commit was not answered: only the server knows
        what counts. Until `go_on()`."""

    @property
    def is_due(self) -> bool:
        """It is time to commit."""
        is_old = self._is_single or time.monotonic() - self._began_at > _SECONDS
        return self._calls >= _CALLS or (self._calls > 0 and is_old)

    def attempt(self, callback: Callback, payload: str, number: int) -> Failure | None:
        """One call, lent the connection; what came of it. What a call that failed had written is undone.

        A link that is lost in the first call since the last commit is a failure of that call, and undoes no other's. Lost
        in a later one, or before a call, it raises `DatabaseUnreachable`: nothing since the last commit counts.
        Raises `ConnectionMisused`.
        """
        is_first = not self._calls
        connection = self._begun()
        failure: Failure | None = None
        is_called = False
        try:
            with connection.transaction():
                is_called = True
                failure = attempt(callback, payload, number, connection)
                self._check(connection, callback)
                if failure is None and connection.info.transaction_status == TransactionStatus.INERROR:
                    failure = _UNTOLD
                if failure is None and self._is_single and not connection.broken:
                    failure = _checked(connection)
                if failure is not None and not connection.broken:
                    raise Rollback  # noqa: TRY301 - psycopg undoes the savepoint, and goes on
        except (psycopg.Error, Rollback) as error:
            self._check(connection, callback)
            if isinstance(error, _GONE):
                if not connection.broken:
                    raise self._misused(callback) from error
            elif not (is_called and connection.broken):
                raise self._lost(error) from error
        except BaseException:  # Ctrl-C too must leave no transaction open; raised again
            self.abandon()
            raise
        if connection.broken:
            self.abandon()
            if not is_first:
                raise DatabaseUnreachable(f"{self._application_name}: the link of the callbacks was lost")
            self.is_undone = False
            return failure or _CUT
        return failure

    def commit(self, save: Callable[[Link], None]) -> None:
        """Have `save` note on the connection what was done, and commit that with what callbacks wrote.

        Raises what `save` does, and `DatabaseUnreachable` when the link is lost: then only the server knows whether it
        was committed. `Undone` is that, too.
        """
        connection = self._begun()
        try:
            # A worker that is frozen between the two next steps must not hold back whoever takes over.
            with connection.interlude({"idle_in_transaction_session_timeout": "5s"}):
                save(connection)
            self._open.close()
        except psycopg.Error as error:
            is_single, reason = self._is_single, self._lost(error)
            if is_single or isinstance(reason, DatabaseUnreachable):
                raise reason from error
            raise Undone(f"{reason}; what was written since the last commit is undone, and done again") from error
        except BaseException:  # Ctrl-C too must leave no transaction open; raised again
            self.abandon()
            raise
        self._calls = 0

    def abandon(self) -> None:
        """Nothing since the last commit counts. Ends the connection; the next call makes another."""
        connection, self._connection = self._connection, None
        if self._calls:
            self.is_undone, self._single = True, _CALLS
        self._calls = 0
        # Closed first: then there is nothing that leaving the transaction could commit.
        if connection is not None:
            connection.close()
        with suppress(psycopg.Error):
            self._open.close()
        self._open = ExitStack()

    close = abandon

    def go_on(self) -> None:
        """What the server says counts is known again."""
        self.is_undone = False

    def connect(self) -> None:
        """Have a connection, for the next call. Raises `DatabaseUnreachable`."""
        if self._connection is None:
            connection = connect(self._database_url, application_name=self._application_name, plain=True)
            connection.autocommit = False
            # The cursor is saved by one statement, which must see what is there now.
            connection.isolation_level, connection.read_only = IsolationLevel.READ_COMMITTED, False
            self._connection = connection

    # --- the transaction ----------------------------------------------------------------------------------------

    def _begun(self) -> Link:
        self.connect()
        assert self._connection is not None
        if not self._calls:
            self._began_at = time.monotonic()
            try:
                # Within it psycopg refuses commit() and rollback().
                self._open.enter_context(self._connection.transaction())
                # A callback may take its time between two statements.
                is_17 = self._connection.info.server_version >= 170_000
                self._connection.execute(_PATIENTLY_SINCE_17 if is_17 else _PATIENTLY)
            except psycopg.Error as error:
                raise self._lost(error) from error
            self._is_single, self._single = self._single > 0, max(0, self._single - 1)
        self._calls += 1
        return self._connection

    def _check(self, connection: psycopg.Connection[Any], callback: Callback) -> None:
        """Is the transaction still there, or the link lost with it? Raises `ConnectionMisused`."""
        is_there = connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
        if not (is_there or connection.broken):
            raise self._misused(callback)

    def _misused(self, callback: Callback) -> ConnectionMisused:
        self.abandon()
        return ConnectionMisused(
            f"{callback.name} ended the transaction of its connection, or closed it; worker stopped: what was written since "
            "the last commit of its own may be written again. Leave COMMIT, ROLLBACK and close() out; "
            "connection.transaction() undoes a part"
        )

    def _lost(self, error: psycopg.Error) -> Exception:
        self.abandon()
        return translate(error, self._database_url)


def _checked(connection: psycopg.Connection[Any]) -> Failure | None:
    """What constraints that were to be checked with the commit have against what was written."""
    try:
        connection.execute(_CHECK)
    except psycopg.Error as error:
        return describe_failure(error)
    return None


_GONE: Final = (psycopg.errors.InvalidSavepointSpecification, psycopg.errors.NoActiveSqlTransaction, Rollback)
"""What it raises when the savepoint is not there to be released or, the last, to be undone."""
_CUT: Final = Failure(
    "psycopg.OperationalError",
    "the connection it was lent was cut during the call: its server process was ended, or the server",
    "",
)
_UNTOLD: Final = Failure(
    "psycopg.errors.InFailedSqlTransaction",
    "a statement on its connection failed and it returned all the same; put such a statement into connection.transaction()",
    "",
)
