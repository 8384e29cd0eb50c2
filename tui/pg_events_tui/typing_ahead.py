"""One key after the other: whoever types ahead of the console gets what was meant.

Textual hands a key to the widget that has the focus now, not to the one that has it once the keys before are done: of
`5 d` typed at once the `d` would go to the screen that is being left, and of `/ o p` the `o` to the list.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from textual import events
from textual.app import App
from textual.dom import DOMNode

ROUNDS: Final = 10
"""A key is done when nothing is under way any more; one that sets off messages without end is not waited for."""
ROUND_SECONDS: Final = 1.0
"""Nor is a widget that never comes to its messages."""


class TypingAhead(App[int]):
    """An app whose keys wait until the key before them is done."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._typed: deque[events.Event] = deque()
        self._typing = False

    @property
    def is_typing(self) -> bool:
        """A key is being handled."""
        return self._typing

    async def on_event(self, event: events.Event) -> None:
        """As Textual's, for keys and pasted text in their turn."""
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
        elif self._typing:
            self._typed.append(event)
        else:
            self._typing = True
            await self._hand_on(event)

    async def _hand_on(self, event: events.Event) -> None:
        chain = self._listeners()
        await super().on_event(event)
        self.run_worker(self._go_on(chain), group="typing", exit_on_error=False)

    async def _go_on(self, chain: list[DOMNode]) -> None:
        """The next key, once the last is done. The chain is of those who may have it."""
        try:
            for _ in range(ROUNDS):
                await self._round(chain)
                if not any(node.message_queue_size for node in chain):
                    break
                chain = [*chain, *(node for node in self._listeners() if node not in chain)]
            await self._round(self._listeners())
        finally:
            self._typing = bool(self._typed)
        if self._typed:
            await self._hand_on(self._typed.popleft())

    def _listeners(self) -> list[DOMNode]:
        """Whom a key passes, in this order."""
        return list((self.focused or self.screen).ancestors_with_self)

    async def _round(self, chain: Iterable[DOMNode]) -> None:
        """Wait until each has seen what it was sent so far; one that is gone has."""
        for node in chain:
            seen = asyncio.Event()
            if node.call_later(seen.set):
                try:
                    async with asyncio.timeout(ROUND_SECONDS):
                        await seen.wait()
                except TimeoutError:
                    return
