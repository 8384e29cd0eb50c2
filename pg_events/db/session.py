"""Detects poolers in transaction mode, and disables session timeouts.

A pooler in transaction mode assigns each transaction to any free server connection. LISTEN has no effect there, and SET
stays behind for the next client. It looks like a server, so it is detected by an echo: a token that a second connection
notifies is received by a dedicated session, but not behind such a pooler.
"""

import secrets
from collections.abc import Mapping
from time import monotonic
from typing import Final

import psycopg
from psycopg import sql as composed

from pg_events.db.connection import connect
from pg_events.db.link import Link
from pg_events.errors import PgEventsError

CHANNEL: Final = "pgevents"
ECHO_SECONDS: Final = 2.0
"""Maximum time for an echo. If it is too short, only speed is lost."""
SHARED: Final = (
    "connected through a pooler in transaction mode, which does not support notifications: polling twice a second; "
    "connect to the server directly for lower latency"
)

_SETTINGS: Final[Mapping[str, str]] = {
    # Timeouts that administrators set for a role, against forgotten sessions and runaway queries.
    "idle_in_transaction_session_timeout": "0",
    "statement_timeout": "0",
    "lock_timeout": "0",
    # One statement saves a cursor; it must see the current state.
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    # The indexes are the right choice, however stale the statistics are.
    "enable_seqscan": "off",
}
_SINCE_17: Final = {"transaction_timeout": "0"}


def is_shared(connection: Link, database_url: str) -> bool:
    """Return True behind a pooler in transaction mode, where transactions have different sessions.

    Requests an echo if a pooler or proxy is in between, and from then on listens on the channel of notifications.
    """
    if not connection.is_proxied:
        return False
    if not _hears(connection, database_url):
        return True
    connection.claim_session()
    return False


def _hears(connection: Link, database_url: str) -> bool:
    """Return True if the connection receives a notification from another one to the same URL."""
    token = secrets.token_hex(16)
    connection.execute(composed.SQL("listen ") + composed.Identifier(CHANNEL))
    try:
        with connect(
            database_url, application_name="pg_events echo", silence_seconds=ECHO_SECONDS, checks_owner=False
        ) as other:
            other.execute("select pg_catalog.pg_notify(%s, %s)", (CHANNEL, token))
    except (PgEventsError, psycopg.Error):
        return False  # a pooler of one connection in session mode, or no second connection is allowed
    deadline = monotonic() + ECHO_SECONDS
    while (left := deadline - monotonic()) > 0:
        if token in [heard.payload for heard in connection.notifies(timeout=left, stop_after=1)]:
            return True
    return False


def settle(connection: Link) -> None:
    """Prepare a connection for a long life: disable timeouts of the session and of transactions."""
    connection.settle(_SETTINGS if connection.info.server_version < 170_000 else {**_SETTINGS, **_SINCE_17})
