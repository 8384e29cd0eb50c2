"""The context with the writes of Django's connections, by the driver that Django uses."""

# pyright: basic
# Django has no types.

import contextlib
from typing import Any

from django.db import transaction

from pg_events.contexts.current import STATEMENT
from pg_events.contexts.sent import Sent
from pg_events.contexts.statements import read_statement

_IDLE, _IN_ERROR = 0, 3
"""Values of `TRANSACTION_STATUS_…` of psycopg2."""


def attach(database: Any) -> None:
    """Send the context with the writes of an open connection of Django, if its database is a PostgreSQL."""
    if database.vendor != "postgresql":
        return
    driver: Any = database.connection
    if type(driver).__module__.startswith("psycopg2"):
        if not any(isinstance(wrapper, _Writes) for wrapper in database.execute_wrappers):
            database.execute_wrappers.append(_Writes())
        return
    from pg_events.contrib.psycopg import attach as attach_connection

    attach_connection(driver)


class _Writes:
    """Wrapper of every statement for psycopg2, which has no pipeline: the context is a statement of its own."""

    def __init__(self) -> None:
        self._sent = Sent()

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        database: Any = context["connection"]
        status = database.connection.info.transaction_status
        if status == _IDLE:
            self._sent.end()
        if self._sent.is_silent or status == _IN_ERROR:
            return execute(sql, params, many, context)
        statement = read_statement(sql if isinstance(sql, str) else sql.as_string(database.connection))
        text = self._sent.due(statement, ascii_only=not _is_utf8(database.connection))
        is_alone = text is not None and database.get_autocommit()
        if is_alone and not statement.fits_block:
            text = None
        block: Any = transaction.atomic(using=database.alias) if is_alone and text else contextlib.nullcontext()
        with block:
            if text is not None:
                with database.connection.cursor() as cursor:
                    cursor.execute(STATEMENT, [text])
                self._sent.note(text)
            result = execute(sql, params, many, context)
            self._sent.follow(statement)
        return result


def _is_utf8(connection: Any) -> bool:
    return {connection.encoding, connection.get_parameter_status("server_encoding")} == {"UTF8"}
