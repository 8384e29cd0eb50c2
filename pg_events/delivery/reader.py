"""Reads the next events of a share: pages of the log from its cursor, including those of other workers' rows."""

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence

from pg_events.delivery.dispatch import Report
from pg_events.delivery.loops import Feedback
from pg_events.delivery.share import Share
from pg_events.delivery.shares import Shares
from pg_events.event import Record
from pg_events.log.listener import Cursor, Listener


class Pages:
    """Consecutive pages that were read."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._ends: list[int] = []
        self._bounds: list[tuple[str, str]] = []
        self.end = Cursor("")
        """Cursor after all of them."""

    def add(self, page: Sequence[Record], listener: Listener) -> None:
        """Add the page that the listener has just read."""
        self.records += page
        self._ends.append(len(self.records))
        self._bounds.append(listener.page_bounds)
        self.end = listener.cursor

    def bounds(self, index: int) -> tuple[str, str]:
        """Snapshots between which an event lies."""
        return self._bounds[bisect_right(self._ends, index)]


class ShareReader:
    """Reader for the shares of a worker, one at a time. Every method can raise `DatabaseUnreachable`."""

    def __init__(self, listener: Listener, shares: Shares, feedback: Feedback, report: Report) -> None:
        """Create a reader; `feedback` examines every page, `report` counts them."""
        self.listener = listener
        self._shares = shares
        self._feedback = feedback
        self._report = report
        self._read: tuple[Share, Cursor] | None = None
        """Share of the events that the listener read last, and the position after them."""

    def next(self, share: Share) -> Sequence[Record]:
        """Next events after the share's cursor; empty if there are none.

        The share's cursor does not move while the listener polls and finds nothing: transactions that an idle poll saw
        end may never have reached the disk of a server that crashes.
        """
        if self._read != (share, share.cursor):
            self.listener.cursor = share.cursor
        page = self._page()
        if self._is_one_of_several and not page:
            share.advance(self.listener.cursor)
        self._read = share, self.listener.cursor if page else share.cursor
        return page

    def read_ahead(self, share: Share) -> Sequence[Record]:
        """Next events after those read last, of the same share, independent of its cursor."""
        page = self._page()
        if page:
            self._read = share, self.listener.cursor
        return page

    def fill(self, share: Share, number: int, seconds: float, is_interrupted: Callable[[], bool]) -> Pages:
        """Next events after the share's cursor; if there are any, but fewer than `number`, wait for more for `seconds`."""
        pages = Pages()
        if page := self.next(share):
            pages.add(page, self.listener)
        until = time.monotonic() + seconds
        while 0 < len(pages.records) < number and not self._is_one_of_several and not is_interrupted():
            if (left := until - time.monotonic()) <= 0:
                break
            if more := self.read_ahead(share):
                pages.add(more, self.listener)
            else:
                self.listener.wait(left)
        return pages

    def advance(self, share: Share) -> None:
        """Move the share to the position of the listener, after a read without events."""
        share.advance(self.listener.cursor)
        self._read = share, share.cursor

    def forget(self) -> None:
        """Start again at the cursor of the share that is read next."""
        self._read = None

    @property
    def _is_one_of_several(self) -> bool:
        return len(self._shares.held) > 1

    def _page(self) -> Sequence[Record]:
        # With several, up to where the next share is, and no further.
        page = next(self.listener.window(), list[Record]()) if self._is_one_of_several else self.listener.poll()
        if page:
            self._shares.keys.learn(page)
            self._report.batches += 1
            self._report.read += len(page)
            self._feedback.see(page, self.listener.cursor)
        return page
