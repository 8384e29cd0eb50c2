"""The next events of a share: pages of the log from where it is, those of others' rows among them."""

from collections.abc import Sequence

from pg_events.delivery.dispatch import Report
from pg_events.delivery.loops import Feedback
from pg_events.delivery.shares import Share, Shares
from pg_events.event import Record
from pg_events.log.listener import Cursor, Listener


class Pages:
    """Reads for the shares that a worker holds, one of them at a time. Every method can raise `DatabaseUnreachable`."""

    def __init__(self, listener: Listener, shares: Shares, feedback: Feedback, report: Report) -> None:
        """`feedback` sees every page, `report` counts them."""
        self.listener = listener
        self._shares = shares
        self._feedback = feedback
        self._report = report
        self._read: tuple[Share, Cursor] | None = None
        """Whose events the listener has read last, and up to where."""

    def next(self, share: Share) -> Sequence[Record]:
        """The next events after the share's cursor; empty when there are none.

        The share's cursor stays where it is while the listener looks and finds nothing: what an idle look has seen end
        may never have reached the disk of a server that crashes.
        """
        if self._read != (share, share.cursor):
            self.listener.cursor = share.cursor
        page = self._page()
        if self._is_one_of_several and not page:
            share.cursor = self.listener.cursor
        self._read = share, self.listener.cursor if page else share.cursor
        return page

    def further(self, share: Share) -> Sequence[Record]:
        """The next events after those that were read last, of the same share, whatever its cursor is."""
        page = self._page()
        if page:
            self._read = share, self.listener.cursor
        return page

    def advance(self, share: Share) -> None:
        """Nothing was there: the share is where the listener is."""
        share.cursor = self.listener.cursor
        self._read = share, share.cursor

    def forget(self) -> None:
        """Begin anew at the cursor of the share that is read next."""
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
