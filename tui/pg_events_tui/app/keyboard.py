"""Keys take effect in the order in which they are pressed, however fast they are typed."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final

from textual import events
from textual.app import App
from textual.dom import DOMNode

ROUNDS: Final = 10
"""Maximum rounds of waiting for a key, in case it triggers messages endlessly."""
GIVEN_UP_SECONDS: Final = 2.0
"""Timeout after which a widget that does not process its messages is no longer waited for."""

MOST_WAITING: Final = 1_000
"""Maximum number of waiting keys. More are not typed but pasted into a terminal without bracketed paste."""

Process = Callable[[events.Event], Awaitable[None]]
"""Processes an event as Textual does."""


class Keyboard:
    """Processes a key before the next one is dispatched; pasted text counts as a key.

    Textual passes each key immediately to the focused widget, and searches its binding once it has bubbled up to the app. Keys
    typed right after it overtake it: of `/orders`, the letters reach the list and not the filter, a backspace deletes the
    letter after it, and of `5d`, the `d` reaches a screen that does not exist yet. So a key waits here until all widgets that
    processed the previous one, and those that got messages because of it, have processed their messages.
    """

    def __init__(self, app: App[Any], process: Process) -> None:
        self._app = app
        self._process = process
        self._waiting_keys: deque[events.Event] = deque()
        self._passed_over = 0
        """Number of keys that were dropped, because too many were waiting."""
        self.is_busy = False
        """True while a key is being processed."""

    async def take(self, event: events.Event) -> None:
        """Process an event of the app; a key may have to wait."""
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await self._process(event)
        elif len(self._waiting_keys) >= MOST_WAITING:
            self._passed_over += 1
        elif self.is_busy:
            self._waiting_keys.append(event)
        else:
            self.is_busy = True
            await self._take_key(event)

    async def _take_key(self, event: events.Event) -> None:
        way = self._way()
        await self._process(event)
        self._app.run_worker(partial(self._wait_for_key, way), group="keyboard", exit_on_error=False)

    def _way(self) -> list[DOMNode]:
        """Return the nodes that a key passes, in order."""
        return list((self._app.focused or self._app.screen).ancestors_with_self)

    async def _wait_for_key(self, way: list[DOMNode]) -> None:
        """Wait until the key that went this way is processed, then take the next one."""
        try:
            for _ in range(ROUNDS):
                await self._pass_through(way)
                if not any(node.message_queue_size for node in way):
                    break
                way = [*way, *(node for node in self._way() if node not in way)]
            await self._pass_through(self._way())  # a screen that it opened is shown, and focuses its field
        finally:
            self.is_busy = bool(self._waiting_keys)
        if self._waiting_keys:
            await self._take_key(self._waiting_keys.popleft())
        elif self._passed_over:
            count, self._passed_over = self._passed_over, 0
            message = f"{count:,} keys were passed over: more than {MOST_WAITING:,} came at once"
            self._app.notify(message, severity="warning")

    async def _pass_through(self, way: Iterable[DOMNode]) -> None:
        """Wait until each node has processed its current messages; one that was removed counts as done."""
        for node in way:
            seen = asyncio.Event()
            if node.call_later(seen.set):
                try:
                    async with asyncio.timeout(GIVEN_UP_SECONDS):
                        await seen.wait()
                except TimeoutError:
                    return
