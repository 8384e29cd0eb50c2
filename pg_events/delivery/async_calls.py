"""Concurrent calls of async callbacks, on an event loop in a separate thread.

The worker's thread starts calls and takes their results; it alone talks to the database and decides what to do next.
"""

import asyncio
import threading
from collections.abc import Awaitable, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from pg_events.callbacks.batch import Payloads
from pg_events.callbacks.callback import Failure, Runner, describe_failure, is_failure
from pg_events.delivery.attempts import BatchRetries, Retries
from pg_events.delivery.ordering import InFlight


class AsyncCall(NamedTuple):
    """Call of an async callback with one event, or with a batch of several."""

    events: Sequence[InFlight]
    retries: Retries | BatchRetries
    rest: tuple[Sequence[InFlight], ...] = ()
    """Further parts of a batch that was halved, to be called one after the other when this one is finished."""

    @property
    def payload(self) -> Payloads:
        if isinstance(self.retries, Retries):
            return self.events[0].record.payload
        return [event.record.payload for event in self.events]


class Result(NamedTuple):
    call: AsyncCall
    failure: Failure | None


class AsyncCalls(Runner):
    """Event loop in a thread, and the calls that run on it."""

    def __init__(self) -> None:
        super().__init__()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._results: SimpleQueue[tuple[AsyncCall, BaseException | None]] = SimpleQueue()
        self.running = 0
        """Number of calls whose results have not been taken."""

    def run(self, awaitable: Awaitable[object]) -> object:
        """Run a single call and return its result, as `Runner.run` does."""

        async def carried() -> tuple[object, BaseException | None]:
            try:
                return await awaitable, None
            except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that waits
                return None, error

        result, error = asyncio.run_coroutine_threadsafe(carried(), self._started()).result()
        if error is not None:
            raise error
        return result

    def start(self, call: AsyncCall) -> None:
        """Start a call; `result()` returns its outcome."""
        callback, number = call.retries.handler.callback, call.retries.number

        async def called() -> None:
            error: BaseException | None = None
            try:
                await callback.awaited(call.payload, attempt=number)
            except BaseException as raised:  # noqa: BLE001 - returned by result()
                error = raised
            self._results.put((call, error))

        self.running += 1
        asyncio.run_coroutine_threadsafe(called(), self._started())

    def result(self, seconds: float | None) -> Result | None:
        """Next result, or None after the timeout. Re-raises exceptions that do not count as failures of a callback."""
        try:
            call, error = self._results.get(timeout=seconds)
        except Empty:
            return None
        self.running -= 1
        if error is not None and not is_failure(error):
            raise error
        return Result(call, None if error is None else describe_failure(error))

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_serve, args=(self._loop,), name="pg_events callbacks", daemon=True)
            self._thread.start()
        return self._loop

    def close(self) -> None:
        """Cancel the running calls and end the loop."""
        loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:  # closing it cancels the calls that still run
        runner.get_loop().run_forever()
