"""Feed of events, and the thread that pulls it into the store.

The console pulls: the next page is requested once the last one is stored. Nothing is dropped; it can only fall behind,
and then shows by how much. The screens read `Intake.link`, an immutable value that the thread replaces.
"""

import random
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Event, Thread
from time import monotonic, time
from typing import Final, Literal, Protocol

from pg_events.errors import PgEventsError
from pg_events.event import Record
from pg_events_tui.model.store import NOTE, Store

HISTORY: Final = 5_000
"""Number of past events to load at the start."""
WAIT_SECONDS: Final = 1.0
DEADLINE_SECONDS: Final = 10.0
"""Time without an answer after which a feed is no longer called live."""
FIRST_RETRY_SECONDS: Final = 0.5
LAST_RETRY_SECONDS: Final = 15.0
BEHIND_SECONDS: Final = 2.0
"""Age of arriving events from which the console is behind."""


class Feed(Protocol):
    """Blocking source of events in order, used by one thread; for instance `pg_events.log.listener.Listener`."""

    def connect(self) -> None:
        """Connect. Raises `PgEventsError`: `DatabaseUnreachable`, `NotInstalled` or `NotPermitted`."""
        ...

    def recent(self, limit: int) -> Sequence[Record]:
        """Return the newest existing events, oldest first; `poll` continues after them."""
        ...

    def poll(self) -> Sequence[Record]:
        """Return the next page, empty if nothing is new. Raises `DatabaseUnreachable` if the connection is lost."""
        ...

    def oldest(self) -> int | None:
        """Return the id of the oldest event that is kept; None if the log is empty."""
        ...

    def log(self) -> object:
        """Identity of the log; it differs if another log was created in its place."""
        ...

    def wait(self, timeout_seconds: float) -> None:
        """Return when a poll may be worthwhile, at the latest after the timeout."""
        ...

    def close(self) -> None: ...


State = Literal["connecting", "live", "down", "silent", "stopped", "reading", "saved"]
"""State of a link; `reading` and `saved` are those of a saved log."""


@dataclass(frozen=True, slots=True)
class Link:
    """State of the connection to the database, at one moment."""

    state: State = "connecting"
    since: float = 0.0
    """Start of this state, in seconds since 1970."""
    reason: str = ""
    """Reason why it is down."""
    no_room: bool = False
    """True if it is down because the store cannot take more events."""
    attempt: int = 0
    """Number of attempts to reconnect."""
    retry_at: float = 0.0
    """Time of the next attempt."""
    heard: float = 0.0
    """Time of the feed's last answer, on the monotonic clock."""
    received: int = 0
    """Number of received events, including the past ones read at the start."""
    past: int = 0
    """Number of past events, from before the console's start."""
    lag_seconds: float | None = None
    """Delay from the newest event's statement to its arrival; None before the first event."""
    newest_at: float = 0.0
    behind: bool = False
    """True if more events may be waiting, and the last ones were old."""
    caught_up: int = 0
    """Number of events fetched after the last reconnect to catch up."""
    gap: bool = False
    """True if events may be missing after the last reconnect; a row has the details."""
    reconnects: int = 0
    down_seconds: float = 0.0
    """Duration of the last interruption."""

    @property
    def trouble(self) -> str:
        """Short reason while it is down."""
        return "no room" if self.no_room else "connection lost" if self.received else "no connection"

    @property
    def since_start(self) -> int:
        """Number of events that arrived after the console's start."""
        return max(0, self.received - self.past)

    def seen(self, now: float) -> "Link":
        """Return the link, but not as live if the feed was silent for too long. `now` is of the monotonic clock."""
        if self.state == "live" and now - self.heard > DEADLINE_SECONDS:
            return replace(self, state="silent", reason=f"no answer for {now - self.heard:.0f} s")
        return self


class NoRoom(PgEventsError):
    """Storage for the console's temporary files failed, for instance because the disk is full."""


class Intake:
    """Pulls a feed into a store in a separate thread, and reconnects if the database is lost."""

    def __init__(
        self,
        feed: Feed,
        store: Store,
        *,
        history: int = HISTORY,
        now: Callable[[], float] = time,
        jitter: random.Random | None = None,
        on_records: Callable[[Sequence[Record]], None] = lambda _: None,
    ) -> None:
        """`now` returns the seconds since 1970; `on_records` gets each arriving page, in the thread."""
        self.link = Link(since=now())
        self._time = now
        self._feed = feed
        self._store = store
        self._history = history
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads retries, not a secret
        self._on_records = on_records
        self.lags: deque[float] = deque(maxlen=2_000)
        """Delay of each page's newest event on arrival, the newest last. Read a copy."""
        self._page: Sequence[Record] = ()
        """Received page that is not stored yet."""
        self._log: object = None
        """Identity of the log that the events are from."""
        self._last_id = 0
        self._stopping = Event()
        self._now = Event()
        self._thread: Thread | None = None
        self._has_history = False
        self._catching_up = False
        self._retry_seconds = 0.0

    def start(self) -> None:
        self._thread = Thread(target=self._run, name="pg_events intake", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> bool:
        """Stop the thread and close the feed; return False if a call of the feed did not return in time."""
        self._stopping.set()
        self._now.set()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def reconnect_now(self) -> None:
        """Reconnect without waiting for the next attempt."""
        self._now.set()

    def _run(self) -> None:
        failures = 0
        try:
            while not self._stopping.is_set():
                try:
                    self._connect()
                    failures = 0
                    self._pull()
                except PgEventsError as error:
                    self._lost(str(error), failures, no_room=isinstance(error, NoRoom))
                except Exception as error:  # noqa: BLE001 - a bug in a feed must not look like a quiet database
                    self._lost(f"{type(error).__name__}: {error}", failures)
                failures += 1
                self._pause_before_retry()
        finally:
            self._feed.close()
            self.link = replace(self.link, state="stopped", since=self._time())

    def _connect(self) -> None:
        self._feed.connect()
        was_down = self.link.state == "down" and self.link.received > 0  # else there was no connection to lose
        if not self._has_history:
            self._page = self._page or self._feed.recent(self._history)
            self._take()
            self._has_history = True
        self._catching_up = was_down
        now = self._time()
        gap = self._gap() if was_down else ""
        if was_down:
            self._note_reconnect(now, gap)
        self._log = self._feed.log()
        self.link = replace(
            self.link,
            state="live",
            gap=bool(gap),
            since=now,
            reason="",
            no_room=False,
            attempt=0,
            heard=monotonic(),
            caught_up=0,
            reconnects=self.link.reconnects + was_down,
            down_seconds=now - self.link.since if was_down else self.link.down_seconds,
        )

    def _gap(self) -> str:
        """Describe events missing from the interruption; empty if there are none."""
        if self._feed.log() != self._log:
            return "the log was removed meanwhile and begun anew; what was written between that is not here"
        oldest = self._feed.oldest()
        if oldest is not None and oldest <= self._last_id:
            return ""
        begin = f"begins at #{oldest}" if oldest is not None else "is empty"
        return f"the log was pruned meanwhile and {begin}; what came after #{self._last_id} and was pruned is not here"

    def _note_reconnect(self, now: float, gap: str) -> None:
        """Add rows among the events about the reconnect, and whether events may be missing."""
        lost = datetime.fromtimestamp(self.link.since).astimezone()
        seconds = f"{now - self.link.since:.0f} s"
        words = [
            f"there was no room for events at {lost:%H:%M:%S}, for {seconds}; what follows was caught up"
            if self.link.no_room
            else f"the connection was lost at {lost:%H:%M:%S} and is back after {seconds}; what follows was caught up",
            *([f"GAP: {gap}"] if gap else []),
        ]
        at = datetime.fromtimestamp(now).astimezone().isoformat()
        self._store_page([note(self._last_id, at, text) for text in words])

    def _pull(self) -> None:
        while not self._stopping.is_set():
            self._page = self._page or self._feed.poll()
            if not self._take():
                self._catching_up = False
                self._feed.wait(WAIT_SECONDS)
                self.link = replace(self.link, heard=monotonic())

    def _take(self) -> int:
        """Store the received page, report it, and return its number of events.

        A page that does not fit is kept for later.
        """
        page, before = self._page, self._store.end
        if not self._has_history:  # announced before they are stored, so that they do not count as new
            self.link = replace(self.link, past=self.link.received + len(page))
        try:
            self._store_page(page)
        finally:
            stored = page[: self._store.end - before]
            self._page = page[len(stored) :]
            self._tell(stored)
        return len(page)

    def _store_page(self, records: Sequence[Record]) -> None:
        try:
            self._store.append(records)
        except OSError as error:
            raise NoRoom(f"{tempfile.gettempdir()}: {error.strerror}; TMPDIR names another place") from error

    def _tell(self, records: Sequence[Record]) -> None:
        heard = monotonic()
        if not records:
            self.link = replace(self.link, heard=heard, behind=False)
            return
        self._last_id = max(self._last_id, records[-1].id)
        if self._has_history:
            self._on_records(records)
        newest_at = self._store.at(self._store.end - 1)
        now = self._time()
        if self._has_history:
            self.lags.append(max(0.0, now - newest_at))
        self.link = replace(
            self.link,
            heard=heard,
            received=self.link.received + len(records),
            lag_seconds=max(0.0, now - newest_at) if self._has_history else self.link.lag_seconds,
            newest_at=newest_at,
            behind=self._has_history and now - newest_at > BEHIND_SECONDS,
            caught_up=self.link.caught_up + (len(records) if self._catching_up else 0),
        )

    def _lost(self, reason: str, failures: int, *, no_room: bool = False) -> None:
        now = self._time()
        seconds = min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**failures) * self._jitter.uniform(0.8, 1.2)
        was_down = self.link.state == "down"
        self.link = replace(
            self.link,
            state="down",
            since=self.link.since if was_down else now,
            reason=" ".join(reason.split()) or "unknown",
            no_room=no_room,
            attempt=failures + 1,
            retry_at=now + seconds,
            behind=False,
        )
        self._retry_seconds = seconds

    def _pause_before_retry(self) -> None:
        if self.link.state == "down":
            self._now.wait(self._retry_seconds)
            if not self._stopping.is_set():
                self._now.clear()


def note(last_id: int, at: str, text: str) -> Record:
    """Create a row that is not an event but a note about the link."""
    return Record(last_id, 0, at, NOTE, None, None, None, None, text, None, None, None)


class Rates:
    """Events per second over the last moments, from counts taken at each tick."""

    def __init__(self, seconds: int = 32) -> None:
        self._seconds = seconds
        self._per_second: dict[int, int] = {}
        self._total: int | None = None

    def add(self, total: int, now: float) -> None:
        """Record the `total` of received events until `now`."""
        if self._total is not None:
            second = int(now)
            self._per_second[second] = self._per_second.get(second, 0) + total - self._total
            for old in [one for one in self._per_second if one < second - self._seconds]:
                del self._per_second[old]
        self._total = total

    def per_second(self, now: float) -> float:
        """Mean of the last whole seconds."""
        second = int(now)
        return sum(self._per_second.get(second - back, 0) for back in (1, 2)) / 2

    def series(self, now: float, length: int) -> list[int]:
        """Counts of the last `length` whole seconds, oldest first."""
        second = int(now)
        return [self._per_second.get(second - back, 0) for back in range(length, 0, -1)]
