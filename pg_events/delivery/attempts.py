"""One event into its callback: attempt after attempt, until it returns or is given up."""

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
"""A pause that is longer is no detail: the events behind wait for it."""
_KINDS: Final = 100
"""Kinds of failures whose first one is told at once."""


Attempt = Callable[[Callback, str, int], Failure | None]
"""Makes one call, with the payload and the number of the attempt; what came of it."""


class Stopping(Exception):
    """`stop()` came between two attempts: the event is delivered again by the next worker."""


class CallbackGaveUp(PgEventsError):
    """A callback failed for the last time, and its policy is to stop before the event."""


class Delivery:
    """The callbacks of the settings, and what is done when they fail."""

    def __init__(
        self,
        settings: Settings,
        stopping: threading.Event,
        one_call: "Attempt | None" = None,
        runner: Runner | None = None,
    ) -> None:
        """`one_call` is what makes a call instead of `attempt`; `runner` has the loop of async callbacks.

        Raises `UsageError` when a callback cannot be used, or there is none."""
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
        """What the last failed attempt said, and where."""
        self._kinds: set[tuple[str, str, str]] = set()
        self.retried = 0
        """Attempts that failed and were made again."""

    def wrap(self, around: Callable[[Callback], Callback]) -> None:
        """From now on call what `around` makes of each callback."""
        self._callbacks = {is_schema: around(callback) for is_schema, callback in self._callbacks.items()}

    def close(self) -> None:
        for callback in self._callbacks.values():
            callback.close()

    def callback(self, is_schema: bool) -> Callback | None:
        """None: nobody asked for events of this kind."""
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
        """Call until it returns, or the attempts are used up: then their number and the last failure.

        `attempts` were made before and failed; `unseen` may have been made by workers that died: they are counted for
        the callback, not against it. `failing` is called between a failure and the pause before the next attempt.
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
        """Seconds from that failure to the next attempt; it is counted, and told when they are many."""
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
        """The failure is told with its traceback: it is no longer the first of its kind."""
        self._note(callback, failure)

    def _note(self, callback: Callback, failure: Failure) -> bool:
        """Is it the first failure of its kind: of the callback, by that exception, at that place?"""
        self.last_failure = f"{callback.name}: {_said(failure)}"
        kind = (callback.name, failure.type, place_of(failure) or "")
        if kind in self._kinds or len(self._kinds) >= _KINDS:
            return False
        self._kinds.add(kind)
        return True


_PLACE: Final = re.compile(r'^\s*File "([^"\n]+)", line (\d+)', re.MULTILINE)


def place_of(failure: Failure) -> str | None:
    """`file:line` of the innermost frame that is the user's; None when the traceback names none."""
    found = _PLACE.findall(failure.traceback)
    return ":".join(found[-1]) if found else None


def _said(failure: Failure) -> str:
    place = place_of(failure)
    text = f"{failure.type}: {shorten(one_line(failure.message), 300)}" if failure.message else failure.type
    return f"{text}; {one_line(place)}" if place else text


def most_attempts(policy: Policy, before: int) -> int:
    """At which number an event is given up that has so many failed ones. One that was given up already, and stopped the
    worker, has all its attempts again."""
    return policy.max_attempts if before < policy.max_attempts else before + policy.max_attempts


def attempt(callback: Callback, payload: str, number: int, connection: object = None) -> Failure | None:
    """One call; what came of it."""
    try:
        callback(payload, attempt=number, connection=connection)
    except BaseException as error:  # a callback's SystemExit is its failure, see is_failure()
        if not is_failure(error):
            raise
        return describe_failure(error)
    return None


def gave_up(callback: Callback, what: Record | str, attempts: int, failure: Failure) -> str:
    """What is said of it."""
    times = "once" if attempts == 1 else f"{attempts} times"
    return f"{callback.name} failed {times} on {name_of(what)}: {failure.type}: {one_line(failure.message)}"


def about(callback: Callback, what: Record | str, attempts: int, failure: Failure) -> dict[str, object]:
    """The same as fields of a log line."""
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
    """The table with its schema; of a schema event the object's identity, which has it."""
    return record.table_name if record.kind == SCHEMA else f"{record.table_schema}.{record.table_name}"
