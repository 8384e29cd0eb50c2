"""SQLAlchemy 2: the current context goes with the first write of each transaction of an engine, sync or async.

engine = create_async_engine("postgresql+asyncpg://…")
attach(engine)
"""

import contextlib
import logging
from typing import Any, Final, Protocol, cast

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.interfaces import ExceptionContext

from pg_events.contexts.current import STATEMENT
from pg_events.contexts.sent import Sent
from pg_events.contexts.statements import Statement, read_statement

log = logging.getLogger(__name__)


class AsyncEngine(Protocol):
    """Engine of `sqlalchemy.ext.asyncio`."""

    @property
    def sync_engine(self) -> Engine: ...


def attach(engine: Engine | AsyncEngine) -> None:
    """Send the current context with the writes of this engine's connections from now on; twice does no harm.

    With psycopg the context needs no round trip of its own over a network: see `pg_events.contrib.psycopg`. With other
    drivers it is a statement before the first write of a transaction.
    """
    engine = engine if isinstance(engine, Engine) else engine.sync_engine
    if engine.dialect.name != "postgresql":
        log.warning("the context is not sent to a database of %s, which is not PostgreSQL", engine.dialect.name)
        return
    if engine.dialect.driver in ("psycopg", "psycopg_async"):
        if not event.contains(engine, "checkout", _attach_driver):
            event.listen(engine, "checkout", _attach_driver)
        return
    for name, function in _LISTENERS.items():
        if not event.contains(engine, name, function):
            event.listen(engine, name, function)


def _attach_driver(_connection: object, record: Any, _proxy: object) -> None:
    from pg_events.contrib.psycopg import attach as attach_connection  # only if this driver is used

    attach_connection(record.driver_connection)


# --- other drivers: a statement before the write --------------------------------------------------------------------

_PARAMETERS: Final = {"numeric_dollar": "$1", "format": "%s", "pyformat": "%s"}
"""Spelling of the parameter by `paramstyle` of the driver."""


class _Link:
    """State of one connection of the pool."""

    def __init__(self) -> None:
        self.sent = Sent()
        self.following: Statement | None = None
        """Statement that is being executed."""
        self.has_block = False
        """True while a statement is executed in a transaction block of ours."""


def _link(connection: Connection) -> _Link:
    return cast("_Link", connection.info.setdefault("pg_events", _Link()))


def _ended(connection: Connection, *_: object) -> None:
    if not connection.invalidated:
        _link(connection).sent.end()


def _before(
    connection: Connection, _cursor: object, statement: str, _parameters: object, context: Any, _many: bool
) -> None:
    link = _link(connection)
    link.following = None
    if link.sent.is_silent:
        return
    driver: Any = connection.connection.driver_connection
    link.following = known = read_statement(statement)
    text = link.sent.due(known, ascii_only=not _is_utf8(driver))
    if text is None:
        return
    is_alone = _is_alone(connection, driver)
    if is_alone and (not known.fits_block or getattr(context, "_is_server_side", False)):
        return
    try:
        if is_alone:
            _execute(connection, "begin")
            link.has_block = True
        parameter = _PARAMETERS[connection.dialect.paramstyle]
        _execute(connection, STATEMENT.replace("%s", parameter), text)
    except Exception as error:  # noqa: BLE001 - the statement itself fails, too, and its error is one of SQLAlchemy
        log.warning("the context cannot be sent (%s)", type(error).__name__)
    else:
        link.sent.note(text)


def _after(connection: Connection, *_: object) -> None:
    link = _link(connection)
    if link.has_block:
        link.has_block = False
        link.sent.end()
        _execute(connection, "commit")
    elif link.following is not None:
        link.sent.follow(link.following)


def _failed(context: ExceptionContext) -> None:
    connection = context.connection
    if connection is None or connection.invalidated or not (link := _link(connection)).has_block:
        return
    link.has_block = False
    link.sent.end()
    with contextlib.suppress(Exception):  # the connection may be lost
        _execute(connection, "rollback")


_LISTENERS: Final = {
    "before_cursor_execute": _before,
    "after_cursor_execute": _after,
    "handle_error": _failed,
    "begin": _ended,
    "begin_twophase": _ended,
    "commit": _ended,
    "rollback": _ended,
}


def _execute(connection: Connection, text: str, *parameters: str) -> None:
    cursor: Any = connection.connection.cursor()
    try:
        cursor.execute(text, parameters) if parameters else cursor.execute(text)
    finally:
        cursor.close()


def _is_alone(connection: Connection, driver: Any) -> bool:
    """Return whether a statement is a transaction of its own: in autocommit mode, unless the application sent BEGIN."""
    if not getattr(connection.connection.dbapi_connection, "autocommit", False):
        return False
    if hasattr(driver, "is_in_transaction"):  # asyncpg
        return not driver.is_in_transaction()
    return getattr(getattr(driver, "info", None), "transaction_status", 0) == 0  # psycopg2


def _is_utf8(driver: Any) -> bool:
    if hasattr(driver, "get_settings"):  # asyncpg, whose client encoding is always UTF-8
        return driver.get_settings().server_encoding in ("UTF8", "SQL_ASCII")
    if hasattr(driver, "get_parameter_status"):  # psycopg2
        return {driver.encoding, driver.get_parameter_status("server_encoding")} == {"UTF8"}
    return False
