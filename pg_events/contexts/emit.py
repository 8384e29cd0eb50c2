"""Events of the application, written to the log in the transaction of its changes."""

import json
from typing import Any, Final, LiteralString, Protocol

STATEMENT: Final = "select pgevents.emit(%s, %s::json, %s)"
"""Statement of `emit`, for drivers that it does not know: name, payload as JSON or NULL, key or NULL."""


class _Connection(Protocol):
    def execute(self, query: LiteralString, params: list[str | None], /) -> object: ...


def emit(connection: _Connection, name: str, payload: object = None, key: object = None) -> None:
    """Write an event of the application in the current transaction of a psycopg connection.

    `payload` is what JSON can express, else its `str()`. Events with the same name and key are delivered in order. The
    role needs `pg_events build --grant-emitter`. Raises what the connection raises; `TypeError` or `ValueError` for a
    payload that is not JSON. For an async connection await `connection.execute(*emit_statement(…))`.
    """
    connection.execute(*emit_statement(name, payload, key))


def emit_statement(name: str, payload: object = None, key: object = None) -> tuple[LiteralString, list[str | None]]:
    """Statement that writes an event of the application, with its parameters."""
    text: Any = None if payload is None else json.dumps(payload, ensure_ascii=False, default=str, allow_nan=False)
    return STATEMENT, [name, text, None if key is None else str(key)]
