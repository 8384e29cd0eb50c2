"""Attempts of one event: the callbacks with their policies, and the state that decides about a retry."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum, auto
from typing import Final, NamedTuple

from pg_events.callbacks.batch import Payloads
from pg_events.callbacks.callback import Callback, Failure, Runner, describe_failure, exception_name, is_failure
from pg_events.callbacks.isolation import ready
from pg_events.config.settings import Policy, Settings
from pg_events.delivery.give_up import GiveUpHook
from pg_events.errors import PgEventsError, UsageError
from pg_events.event import SCHEMA, Record
from pg_events.text import one_line, shorten

log = logging.getLogger(__name__)

_LOGGED_PAUSE_SECONDS: Final = 5.0
"""Minimum pause that is logged as a warning, because the following events wait for it."""
_MIN_RETRY_AFTER_SECONDS: Final = 0.1
"""Minimum pause of `RetryAfter`, so that a callback is not called without end in a loop."""
_KINDS: Final = 100
"""Maximum kinds of failures whose first occurrence is logged at once."""


Attempt = Callable[[Callback, Payloads, int], Failure | None]
"""Function that makes one call with the payload, or those of a batch, and the number of the attempt.

It returns the failure, or None.
"""


class Stopping(Exception):
    """Raised when `stop()`, or a pause of the consumer, comes between two attempts; the event is delivered again later."""


class CallbackGaveUp(PgEventsError):
    """Raised when a callback gives up and its policy is to stop before the event."""


class Handler(NamedTuple):
    """Callback of one kind of event, with its policy."""

    callback: Callback
    policy: Policy


class End(Enum):
    """End of the attempts of an event whose callback did not return."""

    GIVE_UP = auto()
    DISCARD = auto()


class Retries:
    """Retry state of one event: how many attempts failed, and when to give up. Pure.

    The only place that decides about a retry, whether events are delivered one by one or concurrently.
    """

    __slots__ = ("_before", "failed", "handler", "unconfirmed", "waited")

    def __init__(self, handler: Handler, failed: int = 0, unconfirmed: int = 0, waited: float = 0.0) -> None:
        """Continue after a number of failed attempts.

        `unconfirmed` ones may have been made by workers that died: they raise the number that the callback sees, but do
        not use up its attempts. `waited` is the time in seconds that the callback asked to wait so far.
        """
        self.handler = handler
        self.failed = self._before = failed
        self.unconfirmed = unconfirmed
        self.waited = waited

    @property
    def number(self) -> int:
        """Number of the next attempt, as the callback sees it."""
        return self.failed + self.unconfirmed + 1

    @property
    def limit(self) -> int:
        """Number of failed attempts after which to give up.

        An event that was given up before, and stopped the worker, has all its attempts again.
        """
        maximum = self.handler.policy.max_attempts
        return maximum if self._before < maximum else self._before + maximum

    def fail(self, failure: Failure, chance: float) -> float | End:
        """Count a failed attempt; return the seconds until the next one, or how the attempts ended.

        `RetryAfter` uses up no attempt, unless the time that an event may wait for it is used up. `chance`, from 0 to
        1, varies the pause.
        """
        policy = self.handler.policy
        if (seconds := _asked_for(failure, policy, self.waited)) is not None:
            self.waited += seconds
            return seconds
        self.failed += 1
        if failure.is_discard:
            return End.DISCARD
        is_final = self.failed >= self.limit or not is_retried(failure, policy)
        return End.GIVE_UP if is_final else policy.pause(self.failed, chance)


class BatchRetries:
    """Retry state of a batch of several events: whether it is retried as a whole, or halved. Pure."""

    def __init__(self, handler: Handler, *, is_part: bool = False) -> None:
        """Begin with a batch; one that is a part of a batch that failed is not retried as a whole."""
        self.handler = handler
        self.failed = 0
        self.waited = 0.0
        self.is_part = is_part

    @property
    def number(self) -> int:
        """Number of the next attempt, as the callback sees it."""
        return self.failed + 1

    def fail(self, failure: Failure, chance: float) -> float | None:
        """Count a failed attempt; return the seconds until the next one, or None if the batch is to be halved."""
        policy = self.handler.policy
        if (seconds := _asked_for(failure, policy, self.waited)) is not None:
            self.waited += seconds
            return seconds
        self.failed += 1
        is_whole = not self.is_part and self.failed == 1 < policy.max_attempts
        if not is_whole or failure.is_discard or not is_retried(failure, policy):
            return None
        return policy.pause(self.failed, chance)


def _asked_for(failure: Failure, policy: Policy, waited: float) -> float | None:
    """Seconds to wait because of `RetryAfter`; None if the callback did not raise it, or has waited long enough."""
    left = policy.retry_after_max_seconds - waited
    if failure.retry_after is None or left <= 0:
        return None
    return min(max(failure.retry_after, _MIN_RETRY_AFTER_SECONDS), left)


def is_retried(failure: Failure, policy: Policy) -> bool:
    """Return True if the policy retries exceptions of this class."""
    if failure.is_any_of(policy.give_up_on):
        return False
    return not policy.retry_on or failure.is_any_of(policy.retry_on)


def _resolved(policy: Policy) -> Policy:
    """Policy with the names of its exception classes as failures have them. Raises `UsageError`."""
    return replace(
        policy,
        retry_on=tuple(exception_name(each, "PG_EVENTS_RETRY_ON") for each in policy.retry_on),
        give_up_on=tuple(exception_name(each, "PG_EVENTS_GIVE_UP_ON") for each in policy.give_up_on),
    )


class Handlers:
    """Callbacks of the settings with their policies, and the log of their failures."""

    def __init__(
        self,
        settings: Settings,
        attempt_with: "Attempt | None" = None,
        runner: Runner | None = None,
        *,
        consumer: str,
    ) -> None:
        """Resolve the callbacks of a consumer. `attempt_with` replaces `attempt`; `runner` has the loop of async callbacks.

        Raises `UsageError` if a callback cannot be used, or there is none.
        """
        self._runner = runner = runner or Runner()
        callbacks = ready(settings, runner, consumer)
        if not callbacks:
            source = settings.source or ""
            raise UsageError(
                "no callback: a worker needs settings (--settings) that set PG_EVENTS_DATA_UPDATE_CALLBACK, "
                "PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK or both, for example to 'my_module.function'"
                if not source or source.startswith(("--", "PG_EVENTS_"))
                else f"{source} sets neither PG_EVENTS_DATA_UPDATE_CALLBACK nor PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK; "
                "a worker needs at least one, for example 'my_module.function'"
            )
        self._handlers = {
            is_schema: Handler(callback, _resolved(settings.policy(schema=is_schema)))
            for is_schema, callback in callbacks.items()
        }
        self.attempt: Attempt = attempt_with or attempt
        self.on_give_up = GiveUpHook(settings, runner)
        self.last_failure: str | None = None
        """Message and place of the last failed attempt."""
        self._kinds: set[tuple[str, str, str]] = set()

    def wrap(self, around: Callable[[Callback], Callback]) -> None:
        """Replace each callback by the result of `around`."""
        self._handlers = {
            is_schema: Handler(around(handler.callback), handler.policy)
            for is_schema, handler in self._handlers.items()
        }

    def close(self) -> None:
        for handler in self._handlers.values():
            handler.callback.close()
        self._runner.close()

    @property
    def has_batches(self) -> bool:
        """True if a callback takes batches."""
        return any(handler.callback.is_batch for handler in self._handlers.values())

    def get(self, is_schema: bool) -> Handler | None:
        """Handler of the kind of event; None if the settings have none."""
        return self._handlers.get(is_schema)

    def log_retry(
        self, retries: Retries | BatchRetries, event: Record | str, failure: Failure, pause: float, *, is_attempt: bool
    ) -> None:
        """Log that an event will be retried: as a warning if it is the first such failure, or the pause is long.

        Without `is_attempt` the callback asked for it.
        """
        callback = retries.handler.callback
        if failure.retry_after is not None and not is_attempt:
            level = (
                logging.INFO if self._is_first(callback, failure) or pause >= _LOGGED_PAUSE_SECONDS else logging.DEBUG
            )
            text = "%s asked to be called with %s again (%s), in %.1f s"
            log.log(
                level,
                text,
                *(callback.name, name_of(event), one_line(failure.message), pause),
                extra=log_fields(callback, event, retries.failed, failure)
                | {"seconds": round(pause, 3), "traceback": None},
            )
            return
        is_first = self.note(callback, failure)
        log.log(
            logging.WARNING if is_first or pause >= _LOGGED_PAUSE_SECONDS else logging.DEBUG,
            "%s failed on %s (%s), again in %.1f s",
            *(callback.name, name_of(event), _described(failure) if is_first else failure.type, pause),
            extra=log_fields(callback, event, retries.failed, failure)
            | {"seconds": round(pause, 3), "traceback": None},
        )

    def log_halved(self, retries: BatchRetries, batch: str, failure: Failure) -> None:
        """Log that a batch will be delivered in halves: as a warning if it is the first such failure."""
        callback = retries.handler.callback
        is_first = self.note(callback, failure)
        log.log(
            logging.WARNING if is_first else logging.DEBUG,
            "%s failed on %s (%s), again with half of them",
            *(callback.name, batch, _described(failure) if is_first else failure.type),
            extra=log_fields(callback, batch, retries.failed, failure) | {"traceback": None},
        )

    def note(self, callback: Callback, failure: Failure) -> bool:
        """Note the last failure; return True for the first of the callback by that exception at that place."""
        self.last_failure = f"{callback.name}: {_described(failure)}"
        return self._is_first(callback, failure)

    def _is_first(self, callback: Callback, failure: Failure) -> bool:
        kind = (callback.name, failure.type, place_of(failure) or "")
        if kind in self._kinds or len(self._kinds) >= _KINDS:
            return False
        self._kinds.add(kind)
        return True


_PLACE: Final = re.compile(r'^\s*File "([^"\n]+)", line (\d+)', re.MULTILINE)


def place_of(failure: Failure) -> str | None:
    """`file:line` of the innermost frame of user code; None if the traceback has none."""
    frames = _PLACE.findall(failure.traceback)
    return ":".join(frames[-1]) if frames else None


def _described(failure: Failure) -> str:
    place = place_of(failure)
    text = f"{failure.type}: {shorten(one_line(failure.message), 300)}" if failure.message else failure.type
    return f"{text}; {one_line(place)}" if place else text


def attempt(callback: Callback, payload: Payloads, number: int, connection: object = None) -> Failure | None:
    """Make one call; return its failure, or None."""
    try:
        callback(payload, attempt=number, connection=connection)
    except BaseException as error:  # SystemExit of a callback is a failure, see is_failure()
        if not is_failure(error):
            raise
        return describe_failure(error)
    return None


def gave_up(callback: Callback, event: Record | str, attempts: int, failure: Failure) -> str:
    """Message for a permanently failed event."""
    times = "once" if attempts == 1 else f"{attempts} times"
    return f"{callback.name} failed {times} on {name_of(event)}: {failure.type}: {one_line(failure.message)}"


def log_fields(callback: Callback, event: Record | str, attempts: int, failure: Failure) -> dict[str, object]:
    """Fields of the log line for a failed event."""
    fields: dict[str, object] = {
        "callback": callback.name,
        "attempt": attempts,
        "error": failure.type,
        "traceback": failure.traceback,
    }
    if isinstance(event, str):
        return fields
    return fields | {"event_id": event.id, "table": qualified(event)}


def name_of_batch(records: Sequence[Record]) -> str:
    return f"{len(records)} events, {records[0].id} to {records[-1].id}"


def name_of(event: Record | str) -> str:
    return event if isinstance(event, str) else f"event {event.id} of {event.table_name}"


def qualified(record: Record) -> str | None:
    """Qualified name of the table, or the identity of a schema event's object."""
    return record.table_name if record.kind == SCHEMA else f"{record.table_schema}.{record.table_name}"
