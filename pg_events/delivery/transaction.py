"""Transactional mode: the writes of callbacks and the consumer's cursor commit together, or not at all.

Calls share a transaction, each in its own savepoint, for a short time: a commit costs more than ten savepoints, and a
server slows down with more than 64 of them. The cursor is saved last, by the statement that fails for a stale worker, in
which case nothing commits.

Calls that were rolled back are repeated with one transaction each, because one of them may have been the cause:

| state  | transaction                                      | a call sets     | `commit()`    | `abandon()`, connection lost       |
|--------|--------------------------------------------------|-----------------|---------------|------------------------------------|
| IDLE   | none; all calls are committed                    | SHARED, SINGLE  | IDLE          | IDLE                               |
| SHARED | open, with up to 50 calls                        | SHARED          | IDLE, UNDONE  | UNDONE, and the next 50 are SINGLE |
| SINGLE | open, with one event that is repeated            | SINGLE          | IDLE, UNDONE  | UNDONE, and the next 50 are SINGLE |
| UNDONE | none; calls were rolled back, or may have been   | SHARED, SINGLE  | IDLE, UNDONE  | UNDONE                             |

UNDONE ends with `resume()`, after the worker has read the saved state again. A connection lost in the first call of a
transaction is a failure of that call alone: the state is IDLE, not UNDONE.
"""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from enum import Enum, auto
from typing import Any, Final

import psycopg
from psycopg import IsolationLevel, Rollback
from psycopg.pq import TransactionStatus

from pg_events.callbacks.batch import Payloads
from pg_events.callbacks.callback import Callback, Failure, describe_failure
from pg_events.contexts.current import context_statement, enter_call
from pg_events.db.connection import connect, translate
from pg_events.db.link import Link
from pg_events.delivery.attempts import attempt
from pg_events.errors import DatabaseUnreachable, PgEventsError

log = logging.getLogger(__name__)

_CALLS: Final = 50
_SECONDS: Final = 0.1
"""Maximum duration of a transaction; it is committed after this time or `_CALLS` calls."""
_PATIENTLY: Final = "set local idle_in_transaction_session_timeout = 0"
_PATIENTLY_SINCE_17: Final = f"{_PATIENTLY}; set local transaction_timeout = 0"
_CHECK: Final = "set constraints all immediate"
"""Statement that fails if the commit would."""


class ConnectionMisused(PgEventsError):
    """Raised when a callback ended its transaction, so that its writes and the cursor no longer commit together."""


class Undone(DatabaseUnreachable):
    """Raised when the writes of several calls could not be committed; the worker reconnects and repeats them."""


class State(Enum):
    """State of the transaction; the table above says what changes it."""

    IDLE = auto()
    """No transaction; all calls are committed."""
    SHARED = auto()
    """Open, for several calls."""
    SINGLE = auto()
    """Open, for one event, because calls were rolled back before."""
    UNDONE = auto()
    """No transaction; calls since the last commit were rolled back, or the outcome of the commit is unknown."""

    @property
    def is_open(self) -> bool:
        return self in (State.SHARED, State.SINGLE)


class JointTransaction:
    """Connection on which callbacks write, and its transaction. Not thread-safe."""

    def __init__(self, database_url: str, application_name: str) -> None:
        self._database_url = database_url
        self._application_name = application_name
        self._connection: Link | None = None
        self._open = ExitStack()
        self._state = State.IDLE
        self._calls = 0
        """Number of calls, and of saves, in the current transaction."""
        self._began_at = 0.0
        self._singles_left = 0
        """Number of following transactions that hold only one event."""

    @property
    def state(self) -> State:
        return self._state

    @property
    def is_due(self) -> bool:
        """True if the transaction should be committed."""
        if not self._state.is_open:
            return False
        is_old = self._state is State.SINGLE or time.monotonic() - self._began_at > _SECONDS
        return self._calls >= _CALLS or is_old

    def attempt(self, callback: Callback, payload: Payloads, number: int) -> Failure | None:
        """Make one call with the connection; return its failure, or None. Writes of a failed call are rolled back.

        A connection lost in the first call since the last commit is a failure of that call and affects no other. Lost
        in a later call, or before one, it raises `DatabaseUnreachable`: nothing since the last commit counts.
        Raises `ConnectionMisused`.
        """
        is_first = not self._state.is_open
        connection = self._open_transaction()
        failure: Failure | None = None
        is_called = False
        try:
            with connection.transaction():
                if callback.consumer is not None:
                    enter_call(callback.consumer, payload)
                    connection.execute(*context_statement())
                is_called = True
                failure = attempt(callback, payload, number, connection)
                self._check(connection, callback)
                if failure is None and connection.info.transaction_status == TransactionStatus.INERROR:
                    failure = _UNTOLD
                if failure is None and self._state is State.SINGLE and not connection.broken:
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
                raise DatabaseUnreachable(f"{self._application_name}: the connection of the callbacks was lost")
            self.resume()
            return failure or _CUT
        return failure

    def commit(self, save: Callable[[Link], None]) -> None:
        """Call `save` with the connection, and commit its writes together with those of the callbacks.

        Raises the errors of `save`, and `DatabaseUnreachable` if the connection is lost and the outcome is unknown.
        `Undone` is a `DatabaseUnreachable`, too.
        """
        connection = self._open_transaction()
        try:
            # A worker that is frozen between the next two steps must not block the one that takes over.
            with connection.interlude({"idle_in_transaction_session_timeout": "5s"}):
                save(connection)
            self._open.close()
        except psycopg.Error as error:
            is_single, reason = self._state is State.SINGLE, self._lost(error)
            if is_single or isinstance(reason, DatabaseUnreachable):
                raise reason from error
            raise Undone(f"{reason}; the writes since the last commit are rolled back and repeated") from error
        except BaseException:  # Ctrl-C too must leave no transaction open; raised again
            self.abandon()
            raise
        self._calls, self._state = 0, State.IDLE

    def abandon(self) -> None:
        """Discard everything since the last commit and close the connection; the next call opens another."""
        connection, self._connection = self._connection, None
        if self._state.is_open:
            self._state, self._singles_left = State.UNDONE, _CALLS
        self._calls = 0
        # Closed first, so that leaving the transaction cannot commit anything.
        if connection is not None:
            connection.close()
        with suppress(psycopg.Error):
            self._open.close()
        self._open = ExitStack()

    close = abandon

    def resume(self) -> None:
        """Continue after the saved state was read from the server again."""
        self._state = State.IDLE

    def connect(self) -> None:
        """Open a connection for the next call if there is none. Raises `DatabaseUnreachable`."""
        if self._connection is None:
            connection = connect(self._database_url, application_name=self._application_name, plain=True)
            connection.autocommit = False
            # One statement saves the cursor; it must see the current state.
            connection.isolation_level, connection.read_only = IsolationLevel.READ_COMMITTED, False
            self._connection = connection

    # --- the transaction ----------------------------------------------------------------------------------------

    def _open_transaction(self) -> Link:
        self.connect()
        assert self._connection is not None
        if not self._state.is_open:
            self._began_at = time.monotonic()
            try:
                # Within it psycopg refuses commit() and rollback().
                self._open.enter_context(self._connection.transaction())
                # A callback may pause between two statements.
                is_17 = self._connection.info.server_version >= 170_000
                self._connection.execute(_PATIENTLY_SINCE_17 if is_17 else _PATIENTLY)
            except psycopg.Error as error:
                raise self._lost(error) from error
            self._state = State.SINGLE if self._singles_left else State.SHARED
            self._singles_left = max(0, self._singles_left - 1)
        self._calls += 1
        return self._connection

    def _check(self, connection: psycopg.Connection[Any], callback: Callback) -> None:
        """Check that the transaction still exists, unless the connection was lost. Raises `ConnectionMisused`."""
        is_there = connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
        if not (is_there or connection.broken):
            raise self._misused(callback)

    def _misused(self, callback: Callback) -> ConnectionMisused:
        self.abandon()
        return ConnectionMisused(
            f"{callback.name} ended the transaction of its connection, or closed it; worker stopped: writes since its "
            "last commit may be repeated. Do not use COMMIT, ROLLBACK or close(); "
            "use connection.transaction() to roll back a part"
        )

    def _lost(self, error: psycopg.Error) -> Exception:
        self.abandon()
        return translate(error, self._database_url)


def _checked(connection: psycopg.Connection[Any]) -> Failure | None:
    """Failure of deferred constraints, checked now; None if there is none."""
    try:
        connection.execute(_CHECK)
    except psycopg.Error as error:
        return describe_failure(error)
    return None


_GONE: Final = (psycopg.errors.InvalidSavepointSpecification, psycopg.errors.NoActiveSqlTransaction, Rollback)
"""Errors raised if the savepoint no longer exists when it is released or, the last one, rolled back."""
_CUT: Final = Failure(
    "psycopg.OperationalError",
    "its connection was lost during the call: its server process, or the server, was terminated",
    "",
)
_UNTOLD: Final = Failure(
    "psycopg.errors.InFailedSqlTransaction",
    "a statement on its connection failed, but it returned; wrap such a statement in connection.transaction()",
    "",
)
