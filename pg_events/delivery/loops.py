"""Loop detection: recognises events that callbacks caused by their own writes.

The context of an event names the consumer and the event that caused it, if the callback's connection sends its context
(`pg_events.contrib`, and the connection of the transactional mode); else the name of its connection has the consumer. By
these a worker can skip its own events, and stops events that cause each other without end. Any client may claim both, so
neither alone hides or stops an event: the role must be the worker's, or one that the settings name.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from pg_events.callbacks.callback import Failure
from pg_events.contexts.cause import cause_in, cause_of
from pg_events.event import Record
from pg_events.log.listener import Cursor
from pg_events.text import one_line

log = logging.getLogger(__name__)

_PREFIX: Final = "pg_events callbacks "
_LENGTH: Final = 63
"""Maximum bytes of an `application_name` in PostgreSQL."""
_VARIABLE: Final = "PGAPPNAME"
_WINDOWS: Final = 20
"""Number of consecutive self-caused windows that count as a loop."""
_ELSEWHERE: Final = 0.05
"""Windows with less than 5 % foreign events count as self-caused."""
_SHOWN_STEPS: Final = 4
"""Maximum number of callbacks named in the message about a loop."""
_STRANGERS: Final = 10
"""Maximum number of roles reported for using the consumer's name."""


def mark(consumer: str) -> str:
    """`application_name` of the connections on which a consumer's callbacks write."""
    name = _PREFIX + consumer
    if len(name) <= _LENGTH and name.isascii() and name.isprintable():
        return name
    return _PREFIX + hashlib.sha256(consumer.encode(errors="surrogatepass")).hexdigest()[:16]


def mark_process(consumer: str) -> None:
    """Mark every new libpq connection of this process and its children, unless the connection has a name."""
    if not os.environ.get(_VARIABLE):
        os.environ[_VARIABLE] = mark(consumer)


class Feedback:
    """Detector of events that the worker's own callbacks caused."""

    def __init__(
        self,
        consumer: str,
        ignore_own_changes: bool | tuple[str, ...],
        max_depth: int,
        ask: Callable[[str, Sequence[object]], list[tuple[Any, ...]]],
    ) -> None:
        """Watch the events of a consumer; those caused by more than `max_depth` callbacks in a row are a loop.

        `ignore_own_changes` skips the events of its own callbacks; a list names the roles that these log in as, if
        they differ from the worker's. `ask` runs a packaged query.
        """
        self._consumer = consumer
        self._max_depth = max_depth
        self._ask = ask
        self._own = mark(consumer) if ignore_own_changes else None
        self._needs_role = ignore_own_changes is True
        self._roles = frozenset(ignore_own_changes) if isinstance(ignore_own_changes, tuple) else frozenset[str]()
        self._trusted = self._roles
        """Roles whose claims about a cause are believed."""
        self._told: set[str | None] = set()
        self._window: str | None = None
        self._events = self._caused = self._in_a_row = 0

    def learn_role(self, session_user: str) -> None:
        """Set the role of the worker; its callbacks use the same role unless the settings name others."""
        self._trusted = self._roles | {session_user}
        if self._needs_role:
            self._roles = frozenset((session_user,))

    @property
    def may_skip(self) -> bool:
        """True if events can be skipped because this consumer caused them."""
        return self._own is not None

    def skips(self, record: Record) -> bool:
        """Return True if the event is to be skipped because this consumer's callbacks caused it."""
        if self._own is None or not (record.application_name == self._own or self._has_caused(record)):
            return False
        if record.session_user in self._roles:
            return True
        if record.session_user not in self._told and len(self._told) < _STRANGERS:
            self._told.add(record.session_user)
            role = one_line(record.session_user or "")
            log.warning(
                "consumer %s: event %d names it as its cause, but was written by role %s: it is delivered; "
                "if callbacks log in as %s, set PG_EVENTS_IGNORE_OWN_CHANGES = [%r]",
                *(self._consumer, record.id, role, role, role),
                extra={"event_id": record.id},
            )
        return False

    def _has_caused(self, record: Record) -> bool:
        cause = cause_of(record)
        return cause is not None and cause.consumer == self._consumer

    def loop(self, record: Record) -> Failure | None:
        """Failure that names the loop, if the event ends a longer chain of callbacks than allowed; else None.

        Each cause is looked up in the log: a claim alone stops no event. Raises `DatabaseUnreachable`.
        """
        cause = cause_of(record)
        if cause is None or cause.depth <= self._max_depth or record.session_user not in self._trusted:
            return None
        path, event_id = [_name(record.kind, record.table_schema, record.table_name)], record.id
        while cause is not None and len(path) <= self._max_depth * 2:
            if cause.event_id >= event_id:
                return None
            rows = self._ask("cause.sql", (cause.event_id,))
            if not rows:
                break
            kind, schema, name, context = rows[0]
            path += [one_line(cause.consumer), _name(kind, schema, name)]
            event_id, cause = cause.event_id, cause_in(context) if context is not None else None
        if len(path) <= self._max_depth:
            return None  # the log has no such chain
        shown = " ← ".join(path[: _SHOWN_STEPS * 2 + 1])
        return Failure(
            "Loop",
            f"callbacks cause each other's events: {shown} ← …; after {self._max_depth} in a row the event is not delivered "
            "(PG_EVENTS_MAX_CAUSES)",
            "",
        )

    def see(self, page: Sequence[Record], cursor: Cursor) -> None:
        """Examine a page that was read; `cursor` is the position after it.

        All events of a window were visible before the first of them was delivered, so the events they cause are in
        later windows. Consecutive windows without foreign events are therefore an endless chain of causes, while the
        writes that a callback makes once per event are all in one window, however many they are.
        """
        window = cursor.window_end or cursor.snapshot
        if window != self._window:
            self._judge(page[0])
            self._window, self._events, self._caused = window, 0, 0
        last: tuple[str | None, str | None] | None = None
        is_caused = False
        for record in page:
            if self._own is not None and self.skips(record):
                continue
            self._events += 1
            if (record.application_name, record.context) != last:
                last = record.application_name, record.context
                is_caused = (last[0] or "").startswith(_PREFIX) or cause_of(record) is not None
            self._caused += is_caused

    def _judge(self, next_record: Record) -> None:
        """Judge a window that has ended."""
        if not self._events:
            return
        if self._caused < self._events * (1 - _ELSEWHERE):
            if self._in_a_row >= _WINDOWS:
                log.info("resolved: consumer %s: events come from other clients again", self._consumer)
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._in_a_row == _WINDOWS:
            table = f"{next_record.table_schema}.{next_record.table_name}"
            log.warning(
                "consumer %s: callbacks cause the events that call them: %d consecutive windows held almost no events of other "
                "clients, now event %d of %s; exclude that table (PG_EVENTS_EXCLUDE), let the callback ignore its own "
                "writes, or set PG_EVENTS_IGNORE_OWN_CHANGES = True",
                *(self._consumer, _WINDOWS, next_record.id, table),
                extra={"event_id": next_record.id, "table": table},
            )


def _name(kind: str, schema: str | None, name: str | None) -> str:
    """Name of a table, or of what another event is about, for the path of a loop."""
    return one_line(name or "") if schema is None or kind == "S" else one_line(f"{schema}.{name}")
