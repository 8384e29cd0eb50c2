"""Ledger of the rows that the demo's writers committed, and its comparison with the deliveries.

Nothing here asks pg_events: the rows are counted where they are written, the transaction ids come from PostgreSQL.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Writes = Mapping[tuple[str, str], int]
"""Number of rows by (table, method) of one transaction. Rows of a partition count for the root table."""

Delivered = tuple[int, int, str, str]
"""(id, xid, table_name, method) of one delivered event."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Comparison of the ledger with the deliveries; all zero if everything arrived once, and nothing else."""

    missing: int
    """Rows that were committed and not delivered."""
    duplicates: int
    """Deliveries of an event id that had been delivered before."""
    unexpected: int
    """Events that no committed write explains: rolled back, or more than were written."""


class Ledger:
    """Committed transactions with their rows. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._committed: dict[int, Writes] = {}
        self._unknown: dict[int, Writes] = {}
        self._committed_at: dict[int, float] = {}

    def committed(self, xid: int, writes: Writes) -> None:
        """Record a transaction whose commit the server confirmed."""
        now = time.monotonic()
        with self._lock:
            self._committed[xid] = dict(writes)
            self._committed_at[xid] = now
            # After a crash the server may give the id of a transaction that was lost to a new one.
            self._unknown.pop(xid, None)

    def unknown(self, xid: int, writes: Writes) -> None:
        """Record a transaction whose outcome is unknown, because the connection was lost during the commit."""
        with self._lock:
            if xid not in self._committed:
                self._unknown[xid] = dict(writes)

    @property
    def writes(self) -> int:
        """Rows written by the transactions known to be committed."""
        return self.expected().total()

    @property
    def transactions(self) -> int:
        """Number of transactions known to be committed."""
        with self._lock:
            return len(self._committed)

    def committed_at(self) -> dict[int, float]:
        """Time by xid at which the writer knew of the commit, as of `time.monotonic()`."""
        with self._lock:
            return dict(self._committed_at)

    @property
    def unknown_transactions(self) -> int:
        """Number of commits that were never answered."""
        with self._lock:
            return len(self._unknown)

    def expected(self) -> Counter[tuple[int, str, str]]:
        """Number of rows by (xid, table, method) of transactions known to be committed."""
        with self._lock:
            return _rows(self._committed)

    def count_delivered(self, events: Iterable[Delivered]) -> Verdict:
        """Compare; the order of the events does not matter.

        A transaction whose commit was never answered counts as committed as soon as one event of it was delivered,
        and must then be complete.
        """
        ids: set[int] = set()
        delivered: Counter[tuple[int, str, str]] = Counter()
        duplicates = 0
        for event_id, xid, table, method in events:
            if event_id in ids:
                duplicates += 1
            else:
                ids.add(event_id)
                delivered[xid, table, method] += 1
        seen = {xid for xid, _, _ in delivered}
        with self._lock:
            expected = _rows(self._committed)
            expected += _rows({xid: writes for xid, writes in self._unknown.items() if xid in seen})
        return Verdict((expected - delivered).total(), duplicates, (delivered - expected).total())


def _rows(transactions: Mapping[int, Writes]) -> Counter[tuple[int, str, str]]:
    return Counter(
        {
            (xid, table, method): rows
            for xid, writes in transactions.items()
            for (table, method), rows in writes.items()
            if rows
        }
    )
