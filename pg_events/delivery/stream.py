"""Events as an async iterator, for programs that want no second process.

A worker runs in a thread. It gets the answer to an event when the loop asks for the next one, so that delivery is at least
once, and a loop that falls behind is waited for.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator
from dataclasses import replace
from queue import SimpleQueue
from typing import Final

from pg_events.config.settings import Settings
from pg_events.delivery.shares import NEWEST, OLDEST
from pg_events.delivery.worker import Worker
from pg_events.errors import RetryAfter, UsageError
from pg_events.event import Event, parse, record
from pg_events.filter.parser import parse as parse_filter

log = logging.getLogger(__name__)

_POSITIONS: Final = {"newest": NEWEST, "oldest": OLDEST}


async def stream(
    database: str | Settings, consumer: str = "default", *, start: str = "newest", where: str = ""
) -> AsyncGenerator[Event, None]:
    """Yield the typed events of a durable consumer, each after the one before was handled: `async for event in stream(…)`.

    `database` is a URL, or settings without callbacks. A new consumer begins at `start`: "newest", or "oldest" for the events
    that are kept. `where` is a filter as on the command line; other events are read and passed over. The consumer is that of
    `pg_events worker --name`: several streams and workers of one name share its rows.

    To ask for the next event acknowledges the last one. When the loop is left, or raises, its event comes again; close it
    at once with `contextlib.aclosing`. Events are parsed in the loop's thread; one that cannot be parsed is kept as failed.
    Raises `UsageError`, and what `Worker.run` raises.
    """
    if start not in _POSITIONS:
        raise UsageError(f"start must be 'newest' or 'oldest', not {start!r}")
    settings = Settings(database) if isinstance(database, str) else database
    handover = _Handover(settings, consumer, start, where)
    handover.begin()
    try:
        while (event := await handover.next_event()) is not None:
            yield event
            handover.acknowledge()
    finally:
        await handover.close()


class _Handover:
    """Worker in a thread whose callback waits until the event loop has handled the event."""

    def __init__(self, settings: Settings, consumer: str, start: str, where: str) -> None:
        self._filter = parse_filter(where) if where else None
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()
        self._answers: SimpleQueue[bool] = SimpleQueue()
        """True for an event that was handled, False once the stream is closed."""
        callbacks: dict[str, object] = {
            "data_update_callback": self._deliver,
            "db_schema_update_callback": self._deliver,
        }
        self._worker = Worker(_with(settings, callbacks), consumer, start=_POSITIONS[start])
        self._thread = threading.Thread(target=self._run, name=f"pg_events stream {consumer}", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    async def next_event(self) -> Event | None:
        """Next event; None once the worker has ended. Raises its error."""
        found = await self._events.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def acknowledge(self) -> None:
        """Have the worker go on to the next event."""
        self._answers.put(True)

    async def close(self) -> None:
        """End the worker, which saves what was acknowledged."""
        self._worker.stop()
        self._answers.put(False)
        while self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    # --- in the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._worker.run()
        except BaseException as error:  # noqa: BLE001 - raised again in the loop
            self._put(error)
        else:
            self._put(None)

    def _deliver(self, payload: str) -> None:
        if self._filter is not None and not self._filter.matches(record(payload)):
            return
        self._put(parse(payload))
        if not self._answers.get():
            # The worker is stopping: it counts no attempt, and leaves the event to the next one.
            raise RetryAfter(0, "the stream was closed")

    def _put(self, found: Event | BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, found)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._worker.stop()
            self._answers.put(False)


def _with(settings: Settings, callbacks: dict[str, object]) -> Settings:
    """Settings with the callbacks of the stream. Raises `UsageError` for those that it cannot honour."""
    for name in (*callbacks, "transactional", "isolate"):
        if getattr(settings, name):
            raise UsageError(f"a stream takes settings without PG_EVENTS_{name.upper()}")
    if settings.concurrency > 1:
        raise UsageError("a stream takes settings without PG_EVENTS_CONCURRENCY: it yields one event after the other")
    return replace(settings, **callbacks)  # pyright: ignore[reportArgumentType]
