"""Hook that is called when an event is given up."""

import inspect
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, cast

from pg_events.callbacks.callback import Failure, Runner, describe_failure, is_failure, resolve
from pg_events.config.settings import Settings
from pg_events.text import one_line

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FailedEvent:
    """Event that was given up, as `PG_EVENTS_ON_GIVE_UP` gets it."""

    consumer: str
    event_id: int
    callback: str
    """Name of the callback: `my_module:function`."""
    attempts: int
    error: str
    """Class of the exception, with its module unless that is builtins."""
    message: str
    traceback: str = field(repr=False)
    payload: str = field(repr=False)


class GiveUpHook:
    """The user's function; its failures are logged and change nothing. Without a setting, nothing is called."""

    def __init__(self, settings: Settings, runner: Runner) -> None:
        """Resolve the function; an async one runs in the loop of the callbacks. Raises `UsageError`."""
        reference = settings.on_give_up
        self._callback = None if reference is None else resolve(reference, "PG_EVENTS_ON_GIVE_UP", runner)

    def call(self, event: FailedEvent) -> None:
        """Call the function; it is called again if the worker dies before the event is saved as failed."""
        callback = self._callback
        if callback is None:
            return
        failure: Failure | None = None
        try:
            result = cast("Any", callback.function)(event)
            if inspect.isawaitable(result):
                callback.runner.run(cast("Awaitable[object]", result))
        except BaseException as error:  # SystemExit of a hook is a failure, see is_failure()
            if not is_failure(error):
                raise
            failure = describe_failure(error)
        if failure is not None:
            log.error(
                "%s (PG_EVENTS_ON_GIVE_UP) failed on event %d: %s: %s",
                *(callback.name, event.event_id, failure.type, one_line(failure.message)),
                extra={"event_id": event.event_id, "error": failure.type, "traceback": failure.traceback},
            )
