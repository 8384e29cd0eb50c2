"""psycopg: the current context goes with the first write of each transaction.

    connection = psycopg.connect()
    attach(connection)

For the connections of a pool: `ConnectionPool(url, configure=attach)`.
"""

import asyncio
import contextlib
import ipaddress
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import Enum, auto
from functools import cache
from typing import Any, Final, cast

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.sql import Composable

from pg_events.contexts.current import STATEMENT
from pg_events.contexts.sent import Sent
from pg_events.contexts.statements import Statement, read_statement

AnyConnection = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]


def attach(connection: AnyConnection, *, pipeline: bool | None = None) -> None:
    """Send the current context with the writes of this connection, sync or async, from now on; twice does no harm.

    With `pipeline` the context travels with the write, without a round trip of its own; without, it is a statement before
    it. None chooses: over a network the pipeline, to a server on the same machine the statement, which takes less of Python.
    Cursors of `connection.cursor()`, `connection.execute()` and the pool have it, those of `psycopg.Cursor(connection)` do not.
    """
    if _LINK in vars(connection):
        return
    vars(connection)[_LINK] = _Link(pipeline)
    # A subclass for the connection that exists: it may come from a pool, an engine, or a framework that opened it.
    connection.cursor_factory = _cursor_class(cast("type[Any]", connection.cursor_factory))
    connection.__class__ = _connection_class(type(connection))


_LINK: Final = "_pg_events_link"


class _Way(Enum):
    """Way of the context to the server, for one statement."""

    NONE = auto()
    BEFORE = auto()
    PIPELINE = auto()
    BLOCK = auto()
    """In a transaction block around the statement, which autocommit mode lacks."""


class _Link:
    """State of one connection: the context of its transaction, and its way of sending one."""

    def __init__(self, pipeline: bool | None) -> None:
        self.sent = Sent()
        self.lock = threading.RLock()
        self.async_lock = asyncio.Lock()
        self._pipeline = pipeline

    def way(self, connection: AnyConnection, statement: Statement, text: str | None, *, simple: bool) -> _Way:
        """Way of a context that is due; `simple` if the statement allows no pipeline, as COPY."""
        status = connection.pgconn.transaction_status
        if text is None or status in (TransactionStatus.INERROR, TransactionStatus.UNKNOWN):
            return _Way.NONE
        is_pipeline = connection.pgconn.pipeline_status != PipelineStatus.OFF
        alone = connection.autocommit and status != TransactionStatus.INTRANS
        if alone and not statement.fits_block:
            return _Way.NONE
        if is_pipeline:
            return _Way.BEFORE
        if statement.is_single and not simple and self._uses_pipeline(connection):
            return _Way.PIPELINE
        return _Way.BLOCK if alone else _Way.BEFORE

    def _uses_pipeline(self, connection: AnyConnection) -> bool:
        if self._pipeline is None:
            self._pipeline = not _is_near(connection)
        return self._pipeline and psycopg.Capabilities().has_pipeline()

    def look(self, connection: AnyConnection) -> None:
        """Forget what was sent if no transaction is open."""
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            self.sent.end()

    def done(self, connection: AnyConnection, statement: Statement) -> None:
        self.sent.follow(statement)
        if connection.autocommit and connection.pgconn.pipeline_status != PipelineStatus.OFF:
            # In the user's pipeline: what is one transaction there ends at a point that is not seen here.
            self.sent.lose()


def _link(connection: AnyConnection) -> _Link:
    return vars(connection)[_LINK]


def _is_near(connection: AnyConnection) -> bool:
    address = connection.info.hostaddr
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(address).is_loopback
    return True


def _is_utf8(connection: AnyConnection) -> bool:
    # A server in another encoding rejects, or cannot convert, characters that it lacks.
    return connection.info.encoding == "utf-8" and connection.info.parameter_status("server_encoding") in (
        "UTF8",
        "SQL_ASCII",
    )


def _text(connection: AnyConnection, query: object) -> str:
    if isinstance(query, str):
        return query
    if isinstance(query, Composable):
        return query.as_string(connection)
    if isinstance(query, bytes):
        return query.decode("utf-8", "replace")
    return " ".join(map(str, getattr(query, "strings", ())))  # a template string


# --- sync ---------------------------------------------------------------------------------------------------------


@contextmanager
def _given(connection: psycopg.Connection[Any], query: object, *, simple: bool = False) -> Generator[None]:
    """Send the context, if it is due, for a statement that is executed within the block."""
    link = _link(connection)
    with link.lock:
        link.look(connection)
        if link.sent.is_silent:
            yield
            return
        statement = read_statement(_text(connection, query))
        text = link.sent.due(statement, ascii_only=not _is_utf8(connection))
        way = link.way(connection, statement, text, simple=simple)
        with contextlib.ExitStack() as stack:
            if way is _Way.PIPELINE:
                stack.enter_context(connection.pipeline())
            elif way is _Way.BLOCK:
                stack.enter_context(connection.transaction())
            if way is not _Way.NONE:
                psycopg.Cursor(connection).execute(STATEMENT, [text])
                link.sent.note(cast("str", text))
            yield
        link.done(connection, statement)


class _Cursor(psycopg.Cursor[Any]):
    """Cursor of an attached connection."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        with _given(self.connection, query):
            return super().execute(query, params, **options)

    def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        with _given(self.connection, query):
            super().executemany(query, params_seq, **options)

    def stream(self, query: Any, params: Any = None, **options: Any) -> Iterator[Any]:
        with _given(self.connection, query, simple=True):
            yield from super().stream(query, params, **options)

    @contextmanager
    def copy(self, statement: Any, params: Any = None, **options: Any) -> Generator[psycopg.Copy]:
        with _given(self.connection, statement, simple=True), super().copy(statement, params, **options) as copy:
            yield copy


class _Connection(psycopg.Connection[Any]):
    """Attached connection: it sees where its transactions end."""

    def commit(self) -> None:
        super().commit()
        _link(self).look(self)

    def rollback(self) -> None:
        super().rollback()
        _link(self).look(self)

    def tpc_commit(self, xid: Any = None) -> None:
        super().tpc_commit(xid)
        _link(self).look(self)

    def tpc_rollback(self, xid: Any = None) -> None:
        super().tpc_rollback(xid)
        _link(self).look(self)

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Generator[psycopg.Transaction]:
        link = _link(self)
        link.look(self)
        before = link.sent.mark()
        undone = force_rollback
        try:
            with super().transaction(savepoint_name, force_rollback) as transaction:
                try:
                    yield transaction
                except BaseException:  # whatever ends the block, Ctrl-C too, undoes it; raised again
                    undone = True
                    raise
        finally:
            link.sent.leave(before, undone=undone)
            link.look(self)


# --- async --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _given_async(
    connection: psycopg.AsyncConnection[Any], query: object, *, simple: bool = False
) -> AsyncGenerator[None]:
    """Send the context, if it is due, for a statement that is executed within the block."""
    link = _link(connection)
    async with link.async_lock:
        link.look(connection)
        if link.sent.is_silent:
            yield
            return
        statement = read_statement(_text(connection, query))
        text = link.sent.due(statement, ascii_only=not _is_utf8(connection))
        way = link.way(connection, statement, text, simple=simple)
        async with contextlib.AsyncExitStack() as stack:
            if way is _Way.PIPELINE:
                await stack.enter_async_context(connection.pipeline())
            elif way is _Way.BLOCK:
                await stack.enter_async_context(connection.transaction())
            if way is not _Way.NONE:
                await psycopg.AsyncCursor(connection).execute(STATEMENT, [text])
                link.sent.note(cast("str", text))
            yield
        link.done(connection, statement)


class _AsyncCursor(psycopg.AsyncCursor[Any]):
    """Cursor of an attached async connection."""

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        async with _given_async(self.connection, query):
            return await super().execute(query, params, **options)

    async def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        async with _given_async(self.connection, query):
            await super().executemany(query, params_seq, **options)

    async def stream(self, query: Any, params: Any = None, **options: Any) -> AsyncIterator[Any]:
        async with _given_async(self.connection, query, simple=True):
            async for row in super().stream(query, params, **options):
                yield row

    @asynccontextmanager
    async def copy(self, statement: Any, params: Any = None, **options: Any) -> AsyncGenerator[psycopg.AsyncCopy]:
        async with (
            _given_async(self.connection, statement, simple=True),
            super().copy(statement, params, **options) as copy,
        ):
            yield copy


class _AsyncConnection(psycopg.AsyncConnection[Any]):
    """Attached async connection: it sees where its transactions end."""

    async def commit(self) -> None:
        await super().commit()
        _link(self).look(self)

    async def rollback(self) -> None:
        await super().rollback()
        _link(self).look(self)

    async def tpc_commit(self, xid: Any = None) -> None:
        await super().tpc_commit(xid)
        _link(self).look(self)

    async def tpc_rollback(self, xid: Any = None) -> None:
        await super().tpc_rollback(xid)
        _link(self).look(self)

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncGenerator[psycopg.AsyncTransaction]:
        link = _link(self)
        link.look(self)
        before = link.sent.mark()
        undone = force_rollback
        try:
            async with super().transaction(savepoint_name, force_rollback) as transaction:
                try:
                    yield transaction
                except BaseException:  # whatever ends the block, Ctrl-C too, undoes it; raised again
                    undone = True
                    raise
        finally:
            link.sent.leave(before, undone=undone)
            link.look(self)


# --- classes ------------------------------------------------------------------------------------------------------


@cache
def _cursor_class(base: type[Any]) -> type[Any]:
    ours: type[Any] = _AsyncCursor if psycopg.AsyncCursor in base.__mro__ else _Cursor
    return _combined(ours, base)


@cache
def _connection_class(base: type[Any]) -> type[Any]:
    ours: type[Any] = _AsyncConnection if psycopg.AsyncConnection in base.__mro__ else _Connection
    return _combined(ours, base)


def _combined(ours: type[Any], base: type[Any]) -> type[Any]:
    """Class of a connection or cursor as it was, with these methods before its own."""
    return type(base.__name__, (ours, base), {"__module__": base.__module__})
