"""Delivery of one event to its callback, with retries until it returns or gives up."""

import logging
import random
import re
import threading
from collections.abc import Callable
from typing import Final

from pg_events.callbacks.callback import Callback, Failure, Runner, describe_failure, is_failure
from pg_events.callbacks.isolation import ready
from pg_events.config.settings import Policy, Settings
from pg_events.errors import PgEventsError, UsageError
from pg_events.event import SCHEMA, Record
from pg_events.text import one_line, shorten

log = logging.getLogger(__name__)

_TELL_SECONDS: Final = 5.0
"""Minimum pause that is logged as a warning, because the following events wait for it."""
_KINDS: Final = 100
"""Maximum kinds of failures whose first occurrence is logged at once."""


Attempt = Callable[[Callback, str, int], Failure | None]
"""Function that makes one call with the payload and the number of the attempt, and returns its failure or None."""


class Stopping(Exception):
    """Raised when `stop()` comes between two attempts; the next worker delivers the event again."""


class CallbackGaveUp(PgEventsError):
    """Raised when a callback gives up and its policy is to stop before the event."""


class Delivery:
    """Callbacks of the settings, and their retry policies."""

    def __init__(
        self,
        settings: Settings,
        stopping: threading.Event,
        one_call: "Attempt | None" = None,
        runner: Runner | None = None,
    ) -> None:
        """Resolve the callbacks. `one_call` replaces `attempt`; `runner` has the loop of async callbacks.

        Raises `UsageError` if a callback cannot be used, or there is none.
        """
        self._stopping = stopping
        self._callbacks = ready(settings, runner)
        if not self._callbacks:
            source = settings.source or ""
            raise UsageError(
                "no callback: a worker needs settings (--settings) that set PG_EVENTS_DATA_UPDATE_CALLBACK, "
                "PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK or both, for example to 'my_module.function'"
                if not source or source.startswith(("--", "PG_EVENTS_"))
                else f"{source} sets neither PG_EVENTS_DATA_UPDATE_CALLBACK nor PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK; "
                "a worker needs at least one, for example 'my_module.function'"
            )
        self._policies = {is_schema: settings.policy(schema=is_schema) for is_schema in (False, True)}
        self.attempt: Attempt = one_call or attempt
        self.last_failure: str | None = None
        """Message and place of the last failed attempt."""
        self._kinds: set[tuple[str, str, str]] = set()
        self.retried = 0
        """Number of failed attempts that were retried."""

    def wrap(self, around: Callable[[Callback], Callback]) -> None:
        """Replace each callback by the result of `around`."""
        self._callbacks = {is_schema: around(callback) for is_schema, callback in self._callbacks.items()}

    def close(self) -> None:
        for callback in self._callbacks.values():
            callback.close()

    def callback(self, is_schema: bool) -> Callback | None:
        """Callback for the kind of event; None if the settings have none."""
        return self._callbacks.get(is_schema)

    def policy(self, is_schema: bool) -> Policy:
        return self._policies[is_schema]

    def call(
        self,
        callback: Callback,
        policy: Policy,
        payload: str,
        what: Record | str,
        *,
        attempts: int = 0,
        unseen: int = 0,
        failing: Callable[[int], None] = lambda _attempts: None,
    ) -> tuple[int, Failure] | None:
        """Call until it returns, or return the number of attempts and the last failure if they are used up.

        `attempts` failed before; `unseen` may have been made by workers that died: they raise the number that the
        callback sees, but do not use up its attempts. `failing` is called between a failure and the pause before the next attempt.
        Raises `Stopping`.
        """
        limit = most_attempts(policy, attempts)
        while (failure := self.attempt(callback, payload, attempts + unseen + 1)) is not None:
            attempts += 1
            if attempts >= limit:
                return attempts, failure
            pause = self.pause(callback, policy, what, attempts, failure)
            failing(attempts)
            if self._stopping.wait(pause):
                raise Stopping
        return None

    def pause(self, callback: Callback, policy: Policy, what: Record | str, attempts: int, failure: Failure) -> float:
        """Return the seconds until the retry; counts the retry, and logs it if the pause is long."""
        self.retried += 1
        pause = policy.pause(attempts, random.random())  # noqa: S311 - jitter
        is_first = self._note(callback, failure)
        log.log(
            logging.WARNING if is_first or pause >= _TELL_SECONDS else logging.DEBUG,
            "%s failed on %s (%s), again in %.1f s",
            *(callback.name, name_of(what), _said(failure) if is_first else failure.type, pause),
            extra=about(callback, what, attempts, failure) | {"seconds": round(pause, 3), "traceback": None},
        )
        return pause

    def note_given_up(self, callback: Callback, failure: Failure) -> None:
        """Note that the failure was logged with its traceback, so that it is no longer the first of its kind."""
        self._note(callback, failure)

    def _note(self, callback: Callback, failure: Failure) -> bool:
        """Return True for the first failure of the callback by that exception at that place."""
        self.last_failure = f"{callback.name}: {_said(failure)}"
        kind = (callback.name, failure.type, place_of(failure) or "")
        if kind in self._kinds or len(self._kinds) >= _KINDS:
            return False
        self._kinds.add(kind)
        return True


_PLACE: Final = re.compile(r'^\s*File "([^"\n]+)", line (\d+)', re.MULTILINE)


def place_of(failure: Failure) -> str | None:
    """`file:line` of the innermost frame of user code; None if the traceback has none."""
    found = _PLACE.findall(failure.traceback)
    return ":".join(found[-1]) if found else None


def _said(failure: Failure) -> str:
    place = place_of(failure)
    text = f"{failure.type}: {shorten(one_line(failure.message), 300)}" if failure.message else failure.type
    return f"{text}; {one_line(place)}" if place else text


def most_attempts(policy: Policy, before: int) -> int:
    """Number of the attempt after which to give up, given the failed ones so far.

    An event that was given up before, and stopped the worker, has all its attempts again.
    """
    return policy.max_attempts if before < policy.max_attempts else before + policy.max_attempts


def attempt(callback: Callback, payload: str, number: int, connection: object = None) -> Failure | None:
    """Make one call; return its failure, or None."""
    try:
        callback(payload, attempt=number, connection=connection)
    except BaseException as error:  # SystemExit of a callback is a failure, see is_failure()
        if not is_failure(error):
            raise
        return describe_failure(error)
    return None


def gave_up(callback: Callback, what: Record | str, attempts: int, failure: Failure) -> str:
    """Message for a permanently failed event."""
    times = "once" if attempts == 1 else f"{attempts} times"
    return f"{callback.name} failed {times} on {name_of(what)}: {failure.type}: {one_line(failure.message)}"


def about(callback: Callback, what: Record | str, attempts: int, failure: Failure) -> dict[str, object]:
    """Fields of the log line for a failed event."""
    fields: dict[str, object] = {
        "callback": callback.name,
        "attempt": attempts,
        "error": failure.type,
        "traceback": failure.traceback,
    }
    if isinstance(what, str):
        return fields
    return fields | {"event_id": what.id, "table": qualified(what)}


def name_of(what: Record | str) -> str:
    return what if isinstance(what, str) else f"event {what.id} of {what.table_name}"


def qualified(record: Record) -> str | None:
    """Qualified name of the table, or the identity of a schema event's object."""
    return record.table_name if record.kind == SCHEMA else f"{record.table_schema}.{record.table_name}"
