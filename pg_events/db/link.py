"""Connection with pinned settings and an optional timeout for answers.

PostgreSQL resolves names by `search_path`, which the owner of the database or of the role controls: `to_json` can be their
function, run with our privileges. So every connection pins it. In a dedicated session that takes one statement at the
beginning. A pooler in transaction mode gives each transaction another session, and settings stay behind for the next
client: there every transaction sets them for itself, and a statement without a transaction gets one.

All statements pass through `Link.transaction()` and the two cursors here, which ensure that.
"""

import contextlib
import threading
from collections.abc import Generator, Mapping
from time import monotonic
from typing import Any, Final, LiteralString, Self

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.rows import Row, tuple_row
from psycopg.sql import SQL, Composed, Literal

SEARCH_PATH: Final = "pg_catalog, pg_temp"
SETTINGS: Final[Mapping[str, str]] = {
    "search_path": SEARCH_PATH,
    # Parsing and output of values must not depend on the role's settings.
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    # JIT compilation of our queries takes a hundred times as long as running them.
    "jit": "off",
    # As early as possible: the limit can be a few milliseconds.
    "idle_session_timeout": "0",
}
"""Settings for our statements, independent of those of the database and the role."""


class ServerSilent(psycopg.OperationalError):
    """Raised if the server does not answer in time: its process is frozen, or the network drops everything."""


class Link(psycopg.Connection[Any]):
    """Connection on which the settings hold, with or without a dedicated session.

    `silence_seconds` detects a stopped server process, which the timeouts of TCP do not.

    """

    database_url: str = ""
    """URL of the connection."""
    silence_seconds: float | None = None
    """Time without a single byte of an answer after which `ServerSilent` is raised and the connection closed."""
    is_proxied: bool = False
    """True if a pooler or proxy is between it and the server."""
    has_session: bool = True
    """True if settings persist; for a proxied connection only after `claim_session()`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._settings: dict[str, str] = {}
        self._turn = threading.RLock()
        """Lock of the thread that has an implicit transaction."""

    # --- settings -----------------------------------------------------------------------------------------------

    def settle(self, settings: Mapping[str, str]) -> None:
        """Add settings for all following statements. Call it between two transactions."""
        self._settings |= settings
        if self.has_session:
            self._set(settings, is_local=False)
        elif settings.get("default_transaction_read_only") == "off":
            self.read_only = False  # set within a transaction, it would only apply to the next

    def claim_session(self) -> None:
        """Note that the proxy gives this connection a dedicated session."""
        self.has_session = True
        self._set(self._settings, is_local=False)

    def _set(self, settings: Mapping[str, str], *, is_local: bool) -> str:
        """Apply the settings; return the former `search_path`. All names are qualified, because nothing is pinned yet."""
        calls = [
            SQL("pg_catalog.set_config({}, {}, {})").format(Literal(name), Literal(value), Literal(is_local))
            for name, value in settings.items()
        ]
        question = SQL("select pg_catalog.current_setting('search_path'), {}").format(SQL(", ").join(calls))
        return self.ask_first(question)[0]

    def ask_first(self, question: LiteralString | Composed, *parameters: object) -> tuple[Any, ...]:
        """Query a row before the settings hold; every name in the query must be qualified."""
        # Independent of the cursor and row factory that a user has set on the connection.
        cursor = psycopg.Cursor(self, row_factory=tuple_row)
        row = cursor.execute(question, parameters or None, prepare=False).fetchone()
        assert row is not None
        return row

    @property
    def _sets_each_time(self) -> bool:
        return bool(self._settings) and not self.has_session

    @contextlib.contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Generator[psycopg.Transaction]:
        """Open a transaction as in psycopg; the settings hold from its first statement on."""
        if not self._sets_each_time:
            with super().transaction(savepoint_name, force_rollback) as transaction:
                yield transaction
            return
        with self._turn:
            is_first = self._is_idle
            with super().transaction(savepoint_name, force_rollback) as transaction:
                if is_first:
                    self._set(self._settings, is_local=True)
                yield transaction

    @contextlib.contextmanager
    def for_statement(self) -> Generator[None]:
        """Apply the settings to the block, which sends one statement."""
        if not self._sets_each_time:
            yield
            return
        with self._turn:
            if not self._is_idle:
                yield
            elif self.autocommit:
                with self.transaction():
                    yield
            else:
                self._set(self._settings, is_local=True)
                yield

    @contextlib.contextmanager
    def interlude(self, settings: Mapping[str, str]) -> Generator[None]:
        """Run our statements inside a transaction of the user.

        Names resolve in the block as on our other connections, and afterwards as before. The settings hold until the
        transaction ends.
        """
        before = self._set({**settings, "search_path": SEARCH_PATH}, is_local=True)
        yield
        self._set({"search_path": before}, is_local=True)

    def alone(self, command: LiteralString) -> None:
        """Run a command outside a transaction, such as VACUUM.

        The settings do not hold, so it must not use names that need to be resolved.
        """
        psycopg.Cursor(self).execute(command)

    @property
    def _is_idle(self) -> bool:
        return self.pgconn.transaction_status == pq.TransactionStatus.IDLE

    # --- silence ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def patiently(self) -> Generator[None]:
        """Disable the timeout for slow queries in the block."""
        limit, self.silence_seconds = self.silence_seconds, None
        try:
            yield
        finally:
            self.silence_seconds = limit

    def wait(self, gen: PQGen[Any], *args: Any, **kwargs: Any) -> Any:
        """Wait for an answer; every query of psycopg passes through here."""
        if self.silence_seconds is None:
            return super().wait(gen, *args, **kwargs)
        try:
            return super().wait(_while_heard(gen, self.silence_seconds), *args, **kwargs)
        except ServerSilent:
            self.silence_seconds = None
            # A server that was only slow need not continue. A frozen one does not receive it, and is not asked twice.
            with contextlib.suppress(psycopg.Error):
                self.cancel_safe(timeout=2.0)
            self.close()
            raise


def _while_heard(waiting: PQGen[Any], seconds: float) -> Generator[Any, Any, Any]:
    """Wrap the generator to end if nothing is sent or received in time. Psycopg polls ten times a second."""
    heard = monotonic()
    try:
        wanted = next(waiting)
        while True:
            ready = yield wanted
            if ready:
                heard = monotonic()
            elif monotonic() - heard > seconds:
                raise ServerSilent(f"no answer for {seconds:.3g} s")
            wanted = waiting.send(ready)
    except StopIteration as done:
        return done.value


# --- cursors ------------------------------------------------------------------------------------------------------


def _for_statement(connection: object) -> contextlib.AbstractContextManager[None]:
    return connection.for_statement() if isinstance(connection, Link) else contextlib.nullcontext()


class Cursor(psycopg.Cursor[Row]):
    """Cursor of psycopg (`%s`) on which the settings of a `Link` hold."""

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Self:
        with _for_statement(self.connection):
            return super().execute(query, *args, **kwargs)


class RawCursor(psycopg.RawCursor[Row]):
    """Raw cursor of psycopg (`$1`) on which the settings of a `Link` hold."""

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Self:
        with _for_statement(self.connection):
            return super().execute(query, *args, **kwargs)
