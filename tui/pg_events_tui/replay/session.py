"""Replay in the console: a queue of events, their outcomes, and the playback that delivers them. Independent of Textual.

The queue is filled and played by separate threads; the console reads the state ten times a second. Callbacks run in a
separate process (`pg_events.playback.targets.There`), which is restarted whenever playing begins, so that it has the
current code. Runs are stored where `pg_events runs` finds them.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import RLock, Thread
from time import perf_counter
from typing import Final, Literal

from pg_events.errors import PgEventsError, UsageError
from pg_events.playback import runs
from pg_events.playback.control import Pace, Steering
from pg_events.playback.player import Playback, Prepared
from pg_events.playback.runs import Outcome, Run
from pg_events.playback.source import Item
from pg_events.playback.targets import Routes, There, chosen, reference_names, unstarted
from pg_events.text import one_line
from pg_events_tui.replay.loading import NotWanted, Origin, Planned, fill, named
from pg_events_tui.replay.queue import Queue, Rows

RowState = Literal["queued", "running", "ok", "failed", "skipped", "no callback"]
Stage = Literal[
    "loading", "plan", "kept", "ready", "starting", "playing", "paused", "stopping", "stopped", "failed", "done"
]

COUNTED: Final[tuple[RowState, ...]] = ("ok", "failed", "skipped", "running")
LIVE_CHARACTERS: Final = 20_000
"""Maximum length of a running callback's output that is kept."""
KEPT_CHARACTERS: Final = 16_000_000
"""Maximum length of outputs and tracebacks in memory; the run's file has all of them."""


@dataclass(frozen=True)
class Leg:
    """Part of a playback, from the start of a process to its end."""

    rows: Sequence[int]
    moves: bool
    """True if the next row advances; False if events are repeated."""
    steering: Steering


class Replay:
    """Queue and its run."""

    def __init__(self, origin: Origin, pace: Pace) -> None:
        self.origin = origin
        self.clock = perf_counter
        self.job = origin.job
        self.queue = Queue()
        self.planned: Planned | None = None
        """Plan; None while the queue is being filled."""
        self.problem = ""
        """Reason why planning or playing failed."""
        self.is_real = False
        """True once the plan was left, so that callbacks may be called."""
        self.next_row = 0
        self._states: dict[int, RowState] = {}
        """State of the rows that are no longer queued."""
        self._tally: Counter[RowState] = Counter()
        self.attempts: dict[int, list[Outcome]] = {}
        self.edited: dict[int, str] = {}
        """Edited payloads by row; the queue has the originals."""
        self.replayed_edited = frozenset[int]()
        """Ids of the events of which an edited copy was delivered."""
        self.current: tuple[int, float] | None = None
        """Row whose callback is running, and its start time on the clock."""
        self.last_row: int | None = None
        """Row that was last passed to its callback."""
        self.output = ""
        """Output of that callback so far."""
        self.kept: Run | None = None
        """Run that stores the outcomes."""
        self.other: Run | None = None
        """Run to compare this one with."""
        self.version = 0
        """Version, incremented by every change."""
        self._others: Mapping[int, Outcome] = {}
        self._pace = pace
        self._characters = 0
        self._caller: There | None = None
        self._leg: Leg | None = None
        self._after: Leg | None = None
        """Leg to play after the current one."""
        self._ended: Stage = "ready"
        self._lock = RLock()
        self._is_closed = False
        self._thread: Thread | None = None
        self._retarget()

    # ---- callbacks

    def _retarget(self) -> None:
        try:
            self._found, self.routes = chosen(self.job.settings, self.job.callback, self.job.shadow)
            self.no_callback = ""
        except UsageError as error:
            self._found, self.routes, self.no_callback = [], Routes(None, None), str(error)
        self.names = reference_names(self._found)

    def into(self, *, is_schema: bool) -> str:
        """Return the callback for events of a kind; empty if there is none."""
        number = self.routes.schema if is_schema else self.routes.data
        return "" if number is None else self.names[number]

    def choose_callback(self, name: str | None) -> None:
        """Choose another callback for all events, or those of the settings. Returns to the plan, with a separate run."""
        self.job = replace(self.job, callback=name)
        self._retarget()
        self.anew()

    def anew(self) -> None:
        """Restart from the beginning as another run, which is compared with this one."""
        former = self.kept
        self.is_real, self.problem, self._ended, self.next_row = False, "", "ready", 0
        self.kept, self.job = None, replace(self.job, resumes=None, attempts=None)
        self._states, self.attempts, self._characters, self.last_row = {}, {}, 0, None
        self._tally = Counter()
        if former is not None:
            self.compare_with(former)
        self.version += 1

    # ---- the plan

    def load(self) -> None:
        """Start filling the queue, and return immediately."""
        self._start(self._load)

    def _start(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            finally:
                if self._is_closed:
                    self.queue.close()

        self._thread = Thread(target=run, name="pg_events replay", daemon=True)
        self._thread.start()

    def _load(self) -> None:
        try:
            self._fill()
        except NotWanted:
            return
        except PgEventsError as error:
            self.problem = one_line(str(error))
        except Exception as error:  # noqa: BLE001 - a bug here must not look like a source that is slow
            self.problem = one_line(f"{type(error).__name__}: {error}")
        if self.planned is None:
            self.planned = Planned()
        self.version += 1

    def _fill(self) -> None:
        planned = fill(self.origin, self.queue, lambda: not self._is_closed)
        past = self.origin.past
        if past is not None:
            self._overlay(past)
            if len(self.queue) and not any(map(self.queue.payload_bytes, range(len(self.queue)))):
                self.problem = f"its events are not there any more: {one_line(past.asked.source)}"
        self.job = replace(named(self.origin, self.queue), callback=self.job.callback)
        self.planned = planned

    def _overlay(self, past: Run) -> None:
        last = None
        for outcome in past.outcomes():
            if (row := self.queue.row_at(outcome.position)) is not None:
                self._remember(row, outcome)
                last = row, outcome.ok
        if last is not None:
            self.next_row = last[0] + last[1]
        if past.sum().state == "complete":
            self.next_row = len(self.queue)
        self.kept = past

    # ---- state

    @property
    def stage(self) -> Stage:
        leg, ended = self._leg, self._ended
        if self.planned is None:
            return "loading"
        if leg is not None:
            if leg.steering.is_stopping:
                return "stopping"
            if self.current is None and leg.steering.is_paused and self._caller is not None:
                return "paused"
            return "starting" if self._caller is None else "playing"
        if not self.is_real:
            return "kept" if self.kept is not None else "plan"
        return ended if self.attempts else "ready"

    @property
    def is_playing(self) -> bool:
        return self._leg is not None

    @property
    def due_seconds(self) -> float | None:
        """Time until the next event is due."""
        leg = self._leg
        return leg.steering.due_seconds if leg else None

    @property
    def running_seconds(self) -> float | None:
        """Running time of the current callback."""
        current = self.current
        return None if current is None else self.clock() - current[1]

    @property
    def pace(self) -> Pace:
        return self._pace

    def state(self, row: int) -> RowState:
        found = self._states.get(row)
        if found is None and self.routes.of(self.queue.item(row)) is None:
            return "no callback"
        return found or "queued"

    def counts(self) -> Mapping[str, int]:
        """Number of rows by state, without `queued` ones."""
        return {name: self._tally[name] for name in COUNTED if self._tally[name]}

    def _set(self, row: int, state: RowState) -> None:
        """Set the state of a row; `queued` clears it."""
        was = self._states.pop(row, None)
        if was is not None:
            self._tally[was] -= 1
        if state != "queued":
            self._states[row] = state
            self._tally[state] += 1
        self.version += 1

    def outcome(self, row: int) -> Outcome | None:
        """Return the outcome of an event's last attempt."""
        found = self.attempts.get(row)
        return found[-1] if found else None

    def failed_rows(self) -> list[int]:
        return sorted(row for row, state in list(self._states.items()) if state == "failed")

    def change(self, row: int) -> str:
        """Compare the outcome of an event with the other run; empty if both are good, or there is none."""
        if self.other is None:
            return ""
        item, now = self.queue.item(row), self.outcome(row)
        return (runs.change(self._others.get(item.id), now) or "") if now is not None else ""

    def then(self, row: int) -> Outcome | None:
        """Return the outcome of the event in the other run."""
        return self._others.get(self.queue.item(row).id)

    def compare_with(self, other: Run) -> None:
        """Compare with another run. Blocks while reading it."""
        self._others = other.by_id()
        self.other = other
        self.version += 1

    # ---- control

    def set_pace(self, pace: Pace) -> None:
        self._pace = pace
        if self._leg is not None:
            self._leg.steering.pace = pace
        self.version += 1

    def play(self) -> None:
        leg = self._leg
        if leg is not None and not leg.steering.is_stopping:
            leg.steering.play()
        else:
            self._begin(Leg(range(self.next_row, len(self.queue)), True, Steering(self._pace)))

    def pause(self) -> None:
        if self._leg is not None:
            self._leg.steering.pause()

    def step(self) -> None:
        """Deliver the next event, and wait."""
        leg = self._leg
        if leg is None or leg.steering.is_stopping:
            leg = Leg(range(self.next_row, len(self.queue)), True, Steering(self._pace, paused=True))
            self._begin(leg)
        leg.steering.step()

    def skip(self) -> None:
        """Skip the next event."""
        row = self.next_row
        if row < len(self.queue):
            if row not in self._states:
                self._set(row, "skipped")
            self._move(row + 1)
            if self._leg is not None:
                self._leg.steering.skip(self.queue.item(row).position)

    def move(self, row: int) -> None:
        """Make the row the next one, and stop playing."""
        self.stop()
        self._move(max(0, min(row, len(self.queue))))

    def _move(self, row: int) -> None:
        self.next_row = row
        self.version += 1

    def again(self, rows: Sequence[int]) -> None:
        """Deliver the rows once more, with the current code."""
        self._begin(Leg(rows, False, Steering(self._pace)))

    def stop(self) -> None:
        """Stop after the current event."""
        with self._lock:
            self._after = None
            if self._leg is not None:
                self._leg.steering.stop()

    def kill(self) -> None:
        """Stop without waiting for the current event."""
        self.stop()
        if (caller := self._caller_in_hand) is not None:
            caller.kill()

    _caller_in_hand: There | None = None
    """Process that starts or runs."""

    def edit(self, row: int, payload: str) -> None:
        """Set the payload to deliver instead of the original, which is unchanged."""
        if payload == self.queue.payload(row):
            self.edited.pop(row, None)
        else:
            self.edited[row] = payload
        self.version += 1

    @property
    def edited_ids(self) -> frozenset[int]:
        """Ids of the events that have an edited copy, or of which one was delivered."""
        return self.replayed_edited | frozenset(self.queue.item(row).id for row in list(self.edited))

    def close(self) -> None:
        """Stop everything immediately, and kill a process that hangs."""
        self._is_closed = True
        self.kill()
        if self._thread is None or not self._thread.is_alive():
            self.queue.close()  # else the thread closes it at its end

    def wait(self, seconds: float) -> None:
        """Wait until everything that was closed has ended."""
        if self._thread is not None:
            self._thread.join(seconds)

    # ---- playing

    def _begin(self, leg: Leg) -> None:
        with self._lock:
            if self._leg is not None:  # it ends first: two processes would write one run
                self._leg.steering.stop()
                self._after = leg
                return
            self._leg, self.problem = leg, ""
            self.version += 1
            self._start(lambda: self._run(leg))

    def _run(self, leg: Leg) -> None:
        try:
            self._ended = self._played(leg)
        except PgEventsError as error:
            self._ended, self.problem = "stopped", one_line(str(error))
        except Exception as error:  # noqa: BLE001 - a bug here must not look like a callback that runs
            self._ended, self.problem = "stopped", one_line(f"{type(error).__name__}: {error}")
        with self._lock:
            if self.current is not None:
                self._set(self.current[0], "queued")
            self.current = self._caller = self._caller_in_hand = self._leg = None
            self.version += 1
            following, self._after = self._after, None
            if following is not None and not self._is_closed:
                self._begin(following)

    def _played(self, leg: Leg) -> Stage:
        caller = self._caller_in_hand = unstarted(self.job.settings, self._found, self._hear)
        if self._is_closed or leg.steering.is_stopping:
            return "stopped"
        caller.start()
        self._caller = caller
        recorder = self.job.recorder(caller, self.routes)
        if self.kept is None:
            self.kept = runs.find(recorder.run)
        self.job = replace(self.job, resumes=self.kept)
        attempts = {self.queue.item(row).position: found[-1].attempt for row, found in self.attempts.items()}
        playback = Playback(
            Rows(self.queue, leg.rows), caller, self.routes, leg.steering, recorder=recorder, prepare=self._prepared,
            attempts=attempts,
        )  # fmt: skip
        for item, outcome in playback.run():
            row = self.queue.row_at(item.position)
            assert row is not None
            self.current = None
            self._remember(row, outcome)
            if leg.moves and self.next_row == row and (outcome.ok or not leg.steering.pace.stop_on_error):
                self.next_row = row + 1
        state = playback.report().state
        if leg.moves and state == "complete":
            self.next_row = len(self.queue)
        if state == "stopped":
            return "failed"
        return "done" if self.next_row >= len(self.queue) else "stopped"

    def _prepared(self, item: Item) -> Prepared:
        row = self.queue.row_at(item.position)
        assert row is not None
        self.output, self.current, self.last_row = "", (row, self.clock()), row
        self._set(row, "running")
        leg = self._leg
        if leg is not None and leg.moves and not leg.steering.is_stopping:
            self.next_row = row
        self.version += 1
        edited = self.edited.get(row)
        return Prepared(item.payload if edited is None else edited, edited is not None)

    def _hear(self, _number: int, text: str) -> None:
        self.output = (self.output + text)[:LIVE_CHARACTERS]
        self.version += 1

    def _remember(self, row: int, outcome: Outcome) -> None:
        self._characters += len(outcome.output or "") + len(outcome.traceback or "")
        if self._characters > KEPT_CHARACTERS:
            outcome = replace(outcome, output=None, traceback=None)
        if outcome.edited:  # replaced, never changed, because another thread reads it
            self.replayed_edited = self.replayed_edited | {outcome.id}
        self.attempts.setdefault(row, []).append(outcome)
        self._set(row, "ok" if outcome.ok else "failed")
