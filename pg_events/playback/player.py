"""Replays captured events, from a file or the retained log, into callbacks.

A `Source` yields the selected events, a `Caller` calls the callbacks, and a `Playback` connects them: in order, at the
chosen speed, until it is stopped. Each outcome is reported at once and kept as a run. The original is never altered: a
callback gets a copy with one more key, `"replay"`.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from os import PathLike
from typing import Any, Final, NamedTuple, cast

from pg_events.config.settings import Settings
from pg_events.errors import UsageError
from pg_events.event import replayed
from pg_events.playback.control import Pace, Steering
from pg_events.playback.runs import Outcome, Recorder, State, Sum
from pg_events.playback.source import Item, Source, asked_of, named_source
from pg_events.playback.targets import Caller, Result, Routes, chosen, described, here

FAILURES_KEPT: Final = 100
"""Maximum failures in a report; the file of the run has all."""

# --- from the one to the other ------------------------------------------------------------------------------------


class Prepared(NamedTuple):
    """Payload to deliver for an event."""

    payload: str
    is_edited: bool = False


Prepare = Callable[[Item], Prepared | None]
"""Function called before each delivery; returns what to deliver, or None to skip. May call `Steering.stop`."""


@dataclass(frozen=True)
class Report:
    """Result of a replay."""

    run: str | None
    """Name in `pg_events runs`; None if the run was not kept."""
    events: int
    """Selected events that could be read."""
    delivered: int
    """Events whose callback returned."""
    failed: int
    skipped: int
    """Events without a callback or skipped by the user, and unreadable lines."""
    bad_lines: int
    seconds: float
    state: State
    failures: tuple[Outcome, ...] = ()
    """First failures; a kept run has all."""
    differing: int = 0
    """Events on which the callback and the shadow disagree."""

    @property
    def ok(self) -> bool:
        return not self.failed and not self.bad_lines


class Playback:
    """Playback of one run, or a part of one."""

    def __init__(
        self,
        source: Source,
        caller: Caller,
        routes: Routes,
        steering: Steering | None = None,
        *,
        recorder: Recorder | None = None,
        prepare: Prepare | None = None,
        resumes: Outcome | None = None,
        attempts: Mapping[int, int] | None = None,
    ) -> None:
        """Prepare a playback. `steering` can pause, step or stop it; without, it runs at maximum speed.

        `resumes` is the last outcome of a resumed run: a failed event is retried, the rest follows. `attempts` holds the
        numbers of former attempts.
        """
        self._source = source
        self._caller = caller
        self._routes = routes
        self.steering = steering or Steering()
        self._recorder = recorder
        self._prepare = prepare
        self._after = 0
        self._attempts = dict(attempts or {})
        if resumes is not None:
            self._after = resumes.position - (0 if resumes.ok else 1)
            self._attempts[resumes.position] = resumes.attempt
        self._counts: Counter[str] = Counter()
        self._failures: list[Outcome] = []
        self._state: State = "complete"
        self._started = time.monotonic()

    @property
    def fraction(self) -> float:
        """Fraction of the source that was processed, from 0 to 1."""
        return self._source.fraction

    def stop(self) -> None:
        """Finish the current event and end. Safe in a signal handler and from other threads."""
        self.steering.stop()

    def kill(self) -> None:
        """End at once by killing the process of the current event, from any thread."""
        self.steering.stop()
        self._caller.kill()

    def run(self) -> Iterator[tuple[Item, Outcome]]:
        """Deliver events; yields each outcome as soon as its callback has returned.

        No run is kept if the source cannot be opened.
        """
        try:
            for number in range(self.steering.pace.times):
                yield from self._once(self._after if number == 0 else 0)
                if self._state != "complete":
                    break
        except Exception:  # raised again; only the run without events is removed
            if self._recorder is not None and not self._counts["events"]:
                self._recorder.forget()
                self._recorder = None
            raise
        finally:
            if self._recorder is not None:
                report = self.report()
                self._recorder.end(
                    Sum(report.events, report.delivered, report.failed, report.skipped, report.seconds, report.state)
                )
                self._recorder.close()
            self._caller.close()

    def report(self) -> Report:
        """Report of what was done so far."""
        counts, bad = self._counts, self._source.bad_lines
        return Report(
            self._recorder.run if self._recorder else None,
            counts["events"],
            counts["delivered"],
            counts["failed"],
            counts["skipped"] + bad,
            bad,
            round(time.monotonic() - self._started, 3),
            self._state,
            tuple(self._failures),
            counts["differing"],
        )

    def _once(self, after: int) -> Iterator[tuple[Item, Outcome]]:
        self._state = "interrupted"  # until the end is reached
        before: datetime | None = None
        items = self._source.items(after)
        with contextlib.closing(cast("Generator[Item]", items)):
            for item in items:
                turn = self.steering.turn(item.position, (item.at - before).total_seconds() if before else 0.0)
                before = item.at
                if turn == "end":
                    return
                number = self._routes.of(item)
                prepared = self._prepared(item) if number is not None and turn == "deliver" else None
                if self.steering.is_stopping:
                    return
                self._counts["events"] += 1
                if number is None or prepared is None:
                    self._counts["skipped"] += 1
                    continue
                outcome = self._deliver(item, number, prepared)
                yield item, outcome
                if not outcome.ok and self.steering.pace.stop_on_error:
                    self._state = "stopped"
                    return
        self._state = "complete"

    def _prepared(self, item: Item) -> Prepared | None:
        return self._prepare(item) if self._prepare is not None else Prepared(item.payload)

    def _deliver(self, item: Item, number: int, prepared: Prepared) -> Outcome:
        attempt = self._attempts.get(item.position, 0) + 1
        if self.steering.pace.times > 1 or attempt > 1:
            self._attempts[item.position] = attempt
        run = self._recorder.run if self._recorder else ""
        payload = replayed(prepared.payload, run, attempt, is_edited=prepared.is_edited)
        result = self._caller.call(number, payload, attempt)
        shadow = None
        if self._routes.shadow is not None:
            shadow = self._shadowed(result, self._caller.call(self._routes.shadow, payload, attempt))
        outcome = Outcome(
            item.position, item.id, item.what, result.failure is None, result.milliseconds, attempt, result.error,
            result.failure.traceback if result.failure else None, result.output or None, result.returned,
            prepared.is_edited, shadow,
        )  # fmt: skip
        self._counts["delivered" if outcome.ok else "failed"] += 1
        if not outcome.ok and len(self._failures) < FAILURES_KEPT:
            self._failures.append(outcome)
        if self._recorder is not None:
            self._recorder.add(outcome)
        return outcome

    def _shadowed(self, result: Result, other: Result) -> Mapping[str, Any]:
        first, second = ((each.error, each.returned, each.output.rstrip()) for each in (result, other))
        same = first == second
        self._counts["differing"] += not same
        return {
            "ok": other.failure is None, "milliseconds": other.milliseconds, "same": same, "error": other.error,
            "traceback": other.failure.traceback if other.failure else None, "returned": other.returned,
            "output": other.output or None,
        }  # fmt: skip


# --- before it runs -----------------------------------------------------------------------------------------------


@dataclass
class Plan:
    """Counts of a replay that is only planned."""

    events: int = 0
    counts: Counter[tuple[str, bool]] = field(default_factory=Counter[tuple[str, bool]])
    """Number of events by kind (`UPDATE shop.orders`) and whether it is a schema event."""
    ids: set[int] = field(default_factory=set[int])
    """Ids of planned events that failed in a worker, according to `failed`."""
    bad_lines: int = 0


def plan(
    source: Source, failed: frozenset[int] = frozenset(), seen: Callable[[Item], None] = lambda _item: None
) -> Plan:
    """Count the events of the source; `failed` holds ids to look for, `seen` is called with each event."""
    found = Plan()
    for item in source.items():
        seen(item)
        found.events += 1
        found.counts[item.what, item.is_schema] += 1
        if item.id in failed:
            found.ids.add(item.id)
    found.bad_lines = source.bad_lines
    return found


# --- as a library -------------------------------------------------------------------------------------------------


def replay(
    source: str | PathLike[str],
    callback: object,
    *,
    where: str = "",
    since: str | None = None,
    until: str | None = None,
    speed: float | None = None,
    max_gap_seconds: float = 5.0,
    times: int = 1,
    on_error: str = "stop",
    shadow: object = None,
    keep: bool = False,
) -> Report:
    """Replay events, see `pg_events.replay`."""
    if on_error not in ("stop", "continue"):
        raise UsageError(f"on_error must be 'stop' or 'continue', not {on_error!r}")
    if (speed is not None and speed <= 0) or times < 1:
        raise UsageError("speed must be above 0, or None for maximum speed; times must be at least 1")
    wanted = asked_of(source, where, since, until)
    origin = named_source(source, wanted)
    found, routes = chosen(Settings(), callback, shadow)
    caller = here(found)
    recorder = Recorder.begin(described(origin.name, wanted, caller, routes, times=times)) if keep else None
    playback = Playback(
        origin, caller, routes, Steering(Pace(speed, max_gap_seconds, times, on_error == "stop")), recorder=recorder
    )
    for _ in playback.run():
        pass
    return playback.report()
