"""What a session of the database can rely on: that it is one at all, and that nothing in it ends it.

A pooler in transaction mode hands each transaction to whichever server connection is free. LISTEN goes unheard there,
and a SET stays behind for the next client. It looks like a server, so it is recognised by an echo: a token that a
second connection notifies is heard by a session, and by nobody behind such a pooler.
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
"""How long an echo may take. Taken too early for unheard it costs speed, nothing else."""
SHARED: Final = (
    "a pooler in transaction mode stands between; it passes no wake-ups on, so this reader looks twice a second; "
    "with the address of the server itself it would be quicker"
)

_SETTINGS: Final[Mapping[str, str]] = {
    # What an administrator sets for a role, to end sessions that are forgotten and questions that run away.
    "idle_in_transaction_session_timeout": "0",
    "statement_timeout": "0",
    "lock_timeout": "0",
    # A cursor is saved by one statement, which must see what is there now.
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    # The indexes are right whatever the statistics say, and however stale they are.
    "enable_seqscan": "off",
}
_SINCE_17: Final = {"transaction_timeout": "0"}


def is_shared(connection: Link, database_url: str) -> bool:
    """Is each transaction somebody else's session? True behind a pooler in transaction mode.

    Asks for an echo when something stands between, and listens on the channel of the wake-ups from then on.
    """
    if not connection.is_proxied:
        return False
    if not _hears(connection, database_url):
        return True
    connection.claim_session()
    return False


def _hears(connection: Link, database_url: str) -> bool:
    """Does the connection hear what another one to the same URL says?"""
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
    """Make a connection fit for a long life: no timeout ends its session or its transactions."""
    connection.settle(_SETTINGS if connection.info.server_version < 170_000 else {**_SETTINGS, **_SINCE_17})
