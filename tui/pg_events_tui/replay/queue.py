"""Ordered events of a replay: enough of each in memory to list it, the payloads in a file. Pure.

A queue is filled once, by one thread; others may read it at the same time.
"""

import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterable
from threading import Lock
from typing import Final

from pg_events.playback.source import Item

MAX_QUEUED: Final = 100_000
"""Maximum number of queued events; more are only counted, as `pg_events replay` is meant for those."""
MAX_NAMED: Final = 5_000
"""Maximum number of id ranges in a run's filter."""


class Queue:
    """Items with ascending positions. An unknown payload is empty."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._positions: array[int] = array("q")
        self._ends: array[int] = array("q", [0])
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the queue
        self._lock = Lock()
        self.left_out = 0
        """Number of events that did not fit."""

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item) -> None:
        if len(self._items) >= MAX_QUEUED:
            self.left_out += 1
            return
        data = item.payload.encode("utf-8", "surrogatepass")
        with self._lock:
            if self._file.closed:
                return
            self._file.seek(self._ends[-1])
            self._file.write(data)
            self._ends.append(self._ends[-1] + len(data))
            self._positions.append(item.position)
            self._items.append(item._replace(payload="", event=None))

    def item(self, row: int) -> Item:
        """Return the item without its payload."""
        return self._items[row]

    def payload(self, row: int) -> str:
        """Return the captured payload; empty if it is no longer known."""
        return self._read(row, self._ends[row + 1] - self._ends[row])

    def beginning(self, row: int, limit: int) -> str:
        """Return the payload, or an empty text if it exceeds the limit in bytes."""
        size = self._ends[row + 1] - self._ends[row]
        return self._read(row, size) if size <= limit else ""

    def payload_bytes(self, row: int) -> int:
        return self._ends[row + 1] - self._ends[row]

    def _read(self, row: int, size: int) -> str:
        with self._lock:
            if self._file.closed:
                return ""
            self._file.seek(self._ends[row])
            return self._file.read(size).decode("utf-8", "surrogatepass")

    def row_at(self, position: int) -> int | None:
        """Return the row of the event at a position of the source."""
        row = bisect_left(self._positions, position)
        return row if row < len(self._positions) and self._positions[row] == position else None

    def close(self) -> None:
        """Release the disk space; no payload is known afterwards."""
        with self._lock:
            self._file.close()

    def ids(self) -> list[int]:
        return [item.id for item in self._items]


def ids_words(ids: Iterable[int]) -> str:
    """Return a filter for exactly these events, or for their whole range if there are too many."""
    found = sorted(set(ids))
    if not found:
        return ""
    runs: list[list[int]] = []
    for one in found:
        if runs and one == runs[-1][1] + 1:
            runs[-1][1] = one
        else:
            runs.append([one, one])
    if len(runs) > MAX_NAMED:
        return f"id:{found[0]}..{found[-1]}"
    return "id:" + ",".join(str(first) if first == last else f"{first}..{last}" for first, last in runs)


class Rows:
    """Rows of a queue, in order, as the source of a playback; those with unknown payload are skipped."""

    name = ""
    bad_lines = 0
    problems = ()
    columns = {}  # noqa: RUF012 - never written
    fraction = 0.0

    def __init__(self, queue: Queue, rows: Iterable[int]) -> None:
        self._queue = queue
        self._rows = rows

    def items(self, after: int = 0) -> Generator[Item]:
        for row in self._rows:
            item, payload = self._queue.item(row), self._queue.payload(row)
            if item.position > after and payload:
                yield item._replace(payload=payload)
