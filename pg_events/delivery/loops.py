"""Feedback: events that callbacks caused by what they wrote. They are known by the name of the connection and the role that
logged in, which are in each event; a worker can skip its own, and tells when events feed themselves.

Any client may choose its name, so the name alone hides no event: the role must be the worker's, or one that the settings name.
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from typing import Final

from pg_events.event import Record
from pg_events.log.listener import Cursor
from pg_events.text import one_line

log = logging.getLogger(__name__)

_PREFIX: Final = "pg_events callbacks "
_LENGTH: Final = 63
"""So many bytes of an application's name PostgreSQL keeps."""
_VARIABLE: Final = "PGAPPNAME"
_WINDOWS: Final = 20
"""In so many windows in a row next to nothing came from elsewhere: each was caused by the one before."""
_ELSEWHERE: Final = 0.05
"""Such a part of a window's events is next to nothing."""
_STRANGERS: Final = 10
"""Maximum roles of which it is told that they use the consumer's name."""


def mark(consumer: str) -> str:
    """The `application_name` of connections with which a consumer's callbacks write."""
    name = _PREFIX + consumer
    if len(name) <= _LENGTH and name.isascii() and name.isprintable():
        return name
    return _PREFIX + hashlib.sha256(consumer.encode(errors="surrogatepass")).hexdigest()[:16]


def mark_process(consumer: str) -> None:
    """From now on every connection that this process, or one that it starts, makes with libpq has the mark, unless it has
    a name already."""
    if not os.environ.get(_VARIABLE):
        os.environ[_VARIABLE] = mark(consumer)


class Feedback:
    """What a worker reads, looked at for events that its callbacks caused."""

    def __init__(self, consumer: str, ignore_own_changes: bool | tuple[str, ...]) -> None:
        """`ignore_own_changes`: skip the events of the consumer's own callbacks; a list names the roles that these log in as
        when that is not the worker's."""
        self._consumer = consumer
        self._own = mark(consumer) if ignore_own_changes else None
        self._needs_role = ignore_own_changes is True
        self._roles = frozenset(ignore_own_changes) if isinstance(ignore_own_changes, tuple) else frozenset[str]()
        self._told: set[str | None] = set()
        self._window: str | None = None
        self._events = self._caused = self._in_a_row = 0

    def learn_role(self, session_user: str) -> None:
        """The worker logged in as that role: its callbacks do so, too, unless the settings name others."""
        if self._needs_role:
            self._roles = frozenset((session_user,))

    def skips(self, record: Record) -> bool:
        """Is the event to be skipped, since this consumer's callbacks caused it?"""
        if self._own is None or record.application_name != self._own:
            return False
        if record.session_user in self._roles:
            return True
        if record.session_user not in self._told and len(self._told) < _STRANGERS:
            self._told.add(record.session_user)
            role = one_line(record.session_user or "")
            log.warning(
                "consumer %s: event %d bears the name of its callbacks' connections, but role %s wrote it: it is delivered; "
                "if callbacks log in as %s, set PG_EVENTS_IGNORE_OWN_CHANGES = [%r]",
                *(self._consumer, record.id, role, role, role),
                extra={"event_id": record.id},
            )
        return False

    def see(self, page: Sequence[Record], cursor: Cursor) -> None:
        """A page was read; `cursor` is behind it.

        All events of a window were visible before the first of them was handed over: what they cause is in later ones.
        So windows that hold nothing from elsewhere, one behind the other, are a chain of causes that does not end, while
        what a callback writes once for each event is in one window, however much it is.
        """
        window = cursor.window_end or cursor.snapshot
        if window != self._window:
            self._judge(page[0])
            self._window, self._events, self._caused = window, 0, 0
        for record in page:
            if not self.skips(record):
                self._events += 1
                self._caused += (record.application_name or "").startswith(_PREFIX)

    def _judge(self, next_record: Record) -> None:
        """A window has ended."""
        if not self._events:
            return
        if self._caused < self._events * (1 - _ELSEWHERE):
            if self._in_a_row >= _WINDOWS:
                log.info("over: consumer %s: events come from elsewhere again", self._consumer)
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._in_a_row == _WINDOWS:
            table = f"{next_record.table_schema}.{next_record.table_name}"
            log.warning(
                "consumer %s: callbacks cause the events that call them: in %d windows in a row next to nothing came from "
                "elsewhere, now event %d of %s; leave that table out (PG_EVENTS_EXCLUDE), let the callback pass by what "
                "it wrote, or set PG_EVENTS_IGNORE_OWN_CHANGES = True",
                *(self._consumer, _WINDOWS, next_record.id, table),
                extra={"event_id": next_record.id, "table": table},
            )
