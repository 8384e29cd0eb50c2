"""A connection of ours: its statements see our settings and nobody else's, and silence on it can have a limit.

PostgreSQL looks names up along `search_path`, which the owner of the database or of the role decides: `to_json` can be
their function, run with our rights. So every connection pins it. In a session of its own that is one statement at the
beginning. A pooler in transaction mode gives each transaction another session, and what is set in one stays behind for
the next client: there every transaction sets it for itself, and a statement without a transaction gets one.

All statements pass through `Link.transaction()` and the two cursors here, which see to it.
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
    # How the database reads and spells what it is asked for must not depend on the role's settings.
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    # To compile what is asked takes a hundred times as long as to answer it.
    "jit": "off",
    # As early as can be: a few milliseconds can be the limit.
    "idle_session_timeout": "0",
}
"""What statements of ours see, whatever is set for the database and the role."""


class ServerSilent(psycopg.OperationalError):
    """The server owed an answer for too long: its process is frozen, or the way to it swallows everything."""


class Link(psycopg.Connection[Any]):
    """A connection on which settings hold, with or without a session. TCP's own limits on silence do not see a process
    that was stopped: `silence_seconds` does.
    """

    database_url: str = ""
    """What it was made with."""
    silence_seconds: float | None = None
    """A question that brings not one byte for so long is given up with `ServerSilent`, and the connection closed."""
    is_proxied: bool = False
    """Something stands between it and the server."""
    has_session: bool = True
    """What is set on it stays set; of one that is proxied that is believed only after `claim_session()`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._settings: dict[str, str] = {}
        self._turn = threading.RLock()
        """Of a thread that has a transaction which it does not know of."""

    # --- settings -----------------------------------------------------------------------------------------------

    def settle(self, settings: Mapping[str, str]) -> None:
        """Let every statement from now on see these settings as well. For between two transactions."""
        self._settings |= settings
        if self.has_session:
            self._set(settings, is_local=False)
        elif settings.get("default_transaction_read_only") == "off":
            self.read_only = False  # set within a transaction it would only be for the next

    def claim_session(self) -> None:
        """What stands between gives this connection a session of its own."""
        self.has_session = True
        self._set(self._settings, is_local=False)

    def _set(self, settings: Mapping[str, str], *, is_local: bool) -> str:
        """Set them, and tell what `search_path` was before. Qualified throughout: nothing else may be set yet."""
        calls = [
            SQL("pg_catalog.set_config({}, {}, {})").format(Literal(name), Literal(value), Literal(is_local))
            for name, value in settings.items()
        ]
        question = SQL("select pg_catalog.current_setting('search_path'), {}").format(SQL(", ").join(calls))
        return self.ask_first(question)[0]

    def ask_first(self, question: LiteralString | Composed, *parameters: object) -> tuple[Any, ...]:
        """Ask for a row before any of our settings holds: every name in the question has to be qualified."""
        # Whatever cursor and rows a user has chosen for the connection.
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
        """As psycopg's; the settings hold from its first statement on."""
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
        """The settings hold in the block, which sends one statement."""
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
        """Statements of ours amid a transaction of a user's: names mean in the block what they mean on other connections
        of ours, and afterwards again what they meant before. The settings hold until the transaction ends.
        """
        before = self._set({**settings, "search_path": SEARCH_PATH}, is_local=True)
        yield
        self._set({"search_path": before}, is_local=True)

    def alone(self, command: LiteralString) -> None:
        """A command that runs in no transaction, such as VACUUM. The settings do not hold: it must not name anything that is
        looked up.
        """
        psycopg.Cursor(self).execute(command)

    @property
    def _is_idle(self) -> bool:
        return self.pgconn.transaction_status == pq.TransactionStatus.IDLE

    # --- silence ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def patiently(self) -> Generator[None]:
        """For questions that may take their time: silence has no limit in the block."""
        limit, self.silence_seconds = self.silence_seconds, None
        try:
            yield
        finally:
            self.silence_seconds = limit

    def wait(self, gen: PQGen[Any], *args: Any, **kwargs: Any) -> Any:
        """Every question of psycopg's passes through here."""
        if self.silence_seconds is None:
            return super().wait(gen, *args, **kwargs)
        try:
            return super().wait(_while_heard(gen, self.silence_seconds), *args, **kwargs)
        except ServerSilent:
            self.silence_seconds = None
            # Should the server only have been slow, it need not go on. A frozen one does not hear it, nor is it asked twice.
            with contextlib.suppress(psycopg.Error):
                self.cancel_safe(timeout=2.0)
            self.close()
            raise


def _while_heard(waiting: PQGen[Any], seconds: float) -> Generator[Any, Any, Any]:
    """The same generator, ended when nothing came in or went out for so long. Psycopg looks ten times a second."""
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
    """Psycopg's cursor (`%s`), on which the settings of a `Link` hold."""

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Self:
        with _for_statement(self.connection):
            return super().execute(query, *args, **kwargs)


class RawCursor(psycopg.RawCursor[Row]):
    """Psycopg's raw cursor (`$1`), on which the settings of a `Link` hold."""

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Self:
        with _for_statement(self.connection):
            return super().execute(query, *args, **kwargs)
