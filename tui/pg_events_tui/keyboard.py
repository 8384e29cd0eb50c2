"""Keys take effect in the order in which they are pressed, however fast they come."""

from collections import deque
from functools import partial
from typing import Final, Generic, TypeVar

from textual import events
from textual.app import App
from textual.message_pump import MessagePump

GIVEN_UP_SECONDS: Final = 2.0
"""A key whose callback got lost with a widget does not hold up those behind it for longer."""

T = TypeVar("T")


class InOrder(App[T], Generic[T]):
    """An app in which a key is done before the next one is looked at.

    Textual hands each key at once to what has the focus, and looks for its binding when it has bubbled up to the app. What
    is typed right behind it overtakes it: of `/orders` the letters reach the list and not the filter, and a backspace takes
    the letter after it. So here a key waits until a callback has followed the one before through all the queues on its way.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting_keys: deque[events.Key] = deque()
        """The first is on its way."""

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
            return
        self._waiting_keys.append(event)
        if len(self._waiting_keys) == 1:
            await self._take_key(event)
        else:
            self.set_timer(GIVEN_UP_SECONDS, partial(self._key_is_done, self._waiting_keys[0]))

    async def _take_key(self, event: events.Key) -> None:
        way: MessagePump | None = self.focused or self.screen
        await super().on_event(event)
        self._follow_key(event, way)

    def _follow_key(self, event: events.Key, node: MessagePump | None) -> None:
        """Behind the key through the queue of `node`, then of its parent, up to the app's own."""
        while node is not None and node is not self:
            if node.call_later(self._follow_key, event, node._parent):  # pyright: ignore[reportPrivateUsage]
                return
            node = node._parent  # it is being removed  # pyright: ignore[reportPrivateUsage]
        self.call_later(self._settle_key, event)

    def _settle_key(self, event: events.Key) -> None:
        """The key was done; a dialog that it opened comes on the screen, and then gives its field the focus."""
        if not self.screen.call_later(self.call_later, self._key_is_done, event):
            self.call_later(self._key_is_done, event)

    async def _key_is_done(self, event: events.Key) -> None:
        if self._waiting_keys and self._waiting_keys[0] is event:
            self._waiting_keys.popleft()
            if self._waiting_keys:
                await self._take_key(self._waiting_keys[0])
