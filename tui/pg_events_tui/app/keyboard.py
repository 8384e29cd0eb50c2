"""Keys take effect in the order in which they are pressed, however fast they come."""

import asyncio
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Final, Generic, TypeVar

from textual import events
from textual.app import App
from textual.dom import DOMNode

ROUNDS: Final = 10
"""A key that sets off messages without end is not waited for."""
GIVEN_UP_SECONDS: Final = 2.0
"""Nor is a widget that does not come to its messages."""

MOST_WAITING: Final = 1_000
"""More keys than that nobody has typed: a text was poured into a terminal that does not tell a paste."""

T = TypeVar("T")


class InOrder(App[T], Generic[T]):
    """An app in which a key is done before the next one is looked at; text that is pasted counts as a key.

    Textual hands each key at once to what has the focus, and looks for its binding when it has bubbled up to the app. What
    is typed right behind it overtakes it: of `/orders` the letters reach the list and not the filter, a backspace takes
    the letter after it, and of `5d` the `d` finds a screen that is not there yet. So here a key waits until all that had
    to do with the one before, and all that these told each other because of it, are through with their messages.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting_keys: deque[events.Event] = deque()
        self._passed_over = 0
        """Keys for which there was no room."""
        self.has_key_in_hand = False
        """A key is on its way."""

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
        elif len(self._waiting_keys) >= MOST_WAITING:
            self._passed_over += 1
        elif self.has_key_in_hand:
            self._waiting_keys.append(event)
        else:
            self.has_key_in_hand = True
            await self._take_key(event)

    async def _take_key(self, event: events.Event) -> None:
        way = self._way()
        await super().on_event(event)
        self.run_worker(partial(self._wait_for_key, way), group="keyboard", exit_on_error=False)

    def _way(self) -> list[DOMNode]:
        """Whom a key passes, in this order."""
        return list((self.focused or self.screen).ancestors_with_self)

    async def _wait_for_key(self, way: list[DOMNode]) -> None:
        """Wait until the key is done that went this way, then take the next one."""
        try:
            for _ in range(ROUNDS):
                await self._pass_through(way)
                if not any(node.message_queue_size for node in way):
                    break
                way = [*way, *(node for node in self._way() if node not in way)]
            await self._pass_through(self._way())  # a screen that it opened comes up, and gives its field the focus
        finally:
            self.has_key_in_hand = bool(self._waiting_keys)
        if self._waiting_keys:
            await self._take_key(self._waiting_keys.popleft())
        elif self._passed_over:
            count, self._passed_over = self._passed_over, 0
            self.notify(f"{count:,} keys were passed over: more than {MOST_WAITING:,} came at once", severity="warning")

    async def _pass_through(self, way: Iterable[DOMNode]) -> None:
        """Wait until each has seen what it was sent so far; one that is gone has."""
        for node in way:
            seen = asyncio.Event()
            if node.call_later(seen.set):
                try:
                    async with asyncio.timeout(GIVEN_UP_SECONDS):
                        await seen.wait()
                except TimeoutError:
                    return
