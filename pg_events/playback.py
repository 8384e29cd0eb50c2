"""Captured events, from a file or the retained log, once more into callbacks.

A `Source` yields the events that are asked for, a `Caller` calls the callbacks, a `Playback` carries one to the other: in
order, at what speed is wanted, until it is stopped. What became of each event is told as it happens and kept as a run.
The original is never altered: a callback gets a copy with one more key, `"replay"`.
"""

import codecs
import contextlib
import io
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from os import PathLike
from typing import Any, Final, NamedTuple, Protocol, TextIO, cast

from pg_events.callbacks import Callback, Failure, Runner, describe_failure, is_failure, resolve
from pg_events.child import Child, Target, target
from pg_events.errors import CallbackUnavailable, UsageError
from pg_events.event import replayed
from pg_events.filter import Filter
from pg_events.runs import Asked, Outcome, Recorder, State, Sum
from pg_events.settings import Settings
from pg_events.source import Item, Source, asked_of, named_source
from pg_events.text import clean

OUTPUT_CHARACTERS: Final = 20_000
"""Kept of what a callback prints during one call."""
RETURNED_CHARACTERS: Final = 2_000
FAILURES_KEPT: Final = 100
"""Failures a report holds; the run's file has them all."""

# --- what they go into --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """What became of one call."""

    milliseconds: float
    failure: Failure | None = None
    returned: str | None = None
    """What the callback returned, spelled out; None for None."""
    output: str = ""
    """What it printed."""

    @property
    def error(self) -> str | None:
        if self.failure is None:
            return None
        return f"{self.failure.type}: {self.failure.message}" if self.failure.message else self.failure.type


class Caller(Protocol):
    """Calls callbacks by their number."""

    @property
    def names(self) -> Sequence[str]:
        """What the callbacks are called, for people."""
        ...

    def call(self, number: int, payload: str, attempt: int) -> Result:
        """Raises nothing of the callback's."""
        ...

    def close(self) -> None: ...


class Here:
    """Calls callbacks in this process."""

    def __init__(self, callbacks: Sequence[Callback], debugger: Callable[[BaseException], None] | None = None) -> None:
        """`debugger` is given what a callback raised, before anything else is done about it."""
        self.names = [callback.name for callback in callbacks]
        self._callbacks = callbacks
        self._debugger = debugger

    def call(self, number: int, payload: str, attempt: int) -> Result:
        kept = _Kept()
        started = time.perf_counter()
        try:
            with contextlib.redirect_stdout(_Tee(sys.stdout, kept)), contextlib.redirect_stderr(_Tee(sys.stderr, kept)):
                returned = self._callbacks[number](payload, attempt=attempt)
        except BaseException as error:  # a callback's SystemExit is its failure, see is_failure()
            milliseconds = _since(started)
            if not is_failure(error):
                raise
            if self._debugger is not None:
                self._debugger(error)
            own = error.__traceback__
            return Result(
                milliseconds, describe_failure(error.with_traceback(own.tb_next if own else None)), output=str(kept)
            )
        return Result(_since(started), returned=_spelled(returned), output=str(kept))

    def close(self) -> None:
        for callback in self._callbacks:
            callback.close()


class _Kept:
    """The beginning of what was printed."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._room = OUTPUT_CHARACTERS

    def add(self, text: str) -> None:
        if self._room > 0:
            self._parts.append(text[: self._room])
            self._room -= len(text)

    def __str__(self) -> str:
        return "".join(self._parts) + ("\n… cut …" if self._room < 0 else "")


class _Tee(io.TextIOBase):
    """A stream whose text is kept, too."""

    def __init__(self, stream: TextIO, kept: _Kept) -> None:
        self._stream = stream
        self._kept = kept

    def write(self, s: str, /) -> int:
        self._kept.add(s)
        return self._stream.write(s)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class There:
    """Calls callbacks in a process of their own, with the code as it is now: see `pg_events.child`."""

    def __init__(
        self,
        targets: Sequence[Target],
        output: Callable[[int, str], None] = lambda _number, _text: None,
        time_limit_seconds: float | None = None,
    ) -> None:
        """`output` gets what they print as it comes: 1 for standard output, 2 for standard error, and the text. A call
        that takes longer than `time_limit_seconds` is ended, and has failed.

        Raises `UsageError` when a callback cannot be used.
        """
        self._targets = targets
        self._output = output
        self._time_limit_seconds = time_limit_seconds
        self._decoders = {number: codecs.getincrementaldecoder("utf-8")("replace") for number in (1, 2)}
        self._kept = _Kept()
        self._child = self._started()

    @property
    def names(self) -> Sequence[str]:
        return self._names

    def call(self, number: int, payload: str, attempt: int) -> Result:
        if not self._child.is_alive:
            self._child.end()
            self._child = self._started()
        self._kept = _Kept()
        result = self._child.call(number, payload, attempt)
        return Result(round(result.milliseconds, 3), result.failure, result.returned or None, str(self._kept))

    def close(self) -> None:
        self._child.close()

    def _started(self) -> Child:
        try:
            child = Child(self._targets, self._hear, time_limit_seconds=self._time_limit_seconds, spells=True)
        except OSError as error:
            raise CallbackUnavailable(f"no process can be started for the callbacks: {error.strerror}") from error
        self._names = [one.name for one in child.begin()]
        return child

    def _hear(self, number: int, chunk: bytes) -> None:
        text = clean(self._decoders[number].decode(chunk), keep_newlines=True)
        self._kept.add(text)
        self._output(number, text)


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)


def _spelled(returned: object) -> str | None:
    if returned is None:
        return None
    try:
        return repr(returned)[:RETURNED_CHARACTERS]
    except Exception as error:  # noqa: BLE001 - a stranger's __repr__
        return f"<its repr raised {type(error).__name__}>"


@dataclass(frozen=True)
class Routes:
    """Which callback, by its number, gets events of which kind; None when none does."""

    data: int | None
    schema: int | None
    shadow: int | None = None

    def of(self, item: Item) -> int | None:
        return self.schema if item.is_schema else self.data


def chosen(
    settings: Settings, callback: object = None, shadow: object = None
) -> tuple[list[tuple[object, str]], Routes]:
    """The callbacks, each with the name of what it was written in, and who gets what. `callback` gets every event;
    without it those of the settings get theirs. Raises `UsageError` when there is none."""
    found: list[tuple[object, str]] = []
    if callback is not None:
        found.append((callback, "--callback"))
        routes = Routes(0, 0)
    else:
        data = schema = None
        if settings.data_update_callback is not None:
            data = len(found)
            found.append((settings.data_update_callback, "PG_EVENTS_DATA_UPDATE_CALLBACK"))
        if settings.db_schema_update_callback is not None:
            schema = len(found)
            found.append((settings.db_schema_update_callback, "PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK"))
        if not found:
            raise UsageError(
                "no callback: give --callback my_module.function, or --settings that set PG_EVENTS_DATA_UPDATE_CALLBACK"
            )
        routes = Routes(data, schema)
    if shadow is not None:
        routes = Routes(routes.data, routes.schema, len(found))
        found.append((shadow, "--shadow"))
    return found, routes


def resolved(found: Sequence[tuple[object, str]]) -> list[Callback]:
    """The callbacks, imported; they share an event loop. Raises `UsageError`."""
    runner = Runner()
    return [resolve(reference, name, runner) for reference, name in found]


def here(found: Sequence[tuple[object, str]], debugger: Callable[[BaseException], None] | None = None) -> Here:
    """The callbacks in this process. Raises `UsageError`."""
    return Here(resolved(found), debugger)


def there(settings: Settings, found: Sequence[tuple[object, str]], output: Callable[[int, str], None]) -> There:
    """The callbacks in a process of their own, which loads the settings first if there are any. Raises `UsageError`."""
    targets = [_target(settings, reference, name) for reference, name in found]
    return There(targets, output, settings.time_limit_seconds)


def _target(settings: Settings, reference: object, name: str) -> Target:
    if name.startswith("PG_EVENTS_"):
        return target(settings, name.removeprefix("PG_EVENTS_").lower())
    of_settings = target(replace(settings, data_update_callback=reference), "data_update_callback")
    return replace(of_settings, written_in=name)


# --- from the one to the other ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pace:
    """How fast, how often, and how far."""

    speed: float | None = None
    """1 is that of the original, 10 ten times that; None is as fast as the callbacks are."""
    max_gap_seconds: float = 5.0
    """No pause is longer."""
    times: int = 1
    stop_on_error: bool = True


class Prepared(NamedTuple):
    """What to deliver for an event."""

    payload: str
    is_edited: bool = False


Prepare = Callable[[Item], Prepared | None]
"""Looks at an event before it is delivered: what to deliver, or None to skip it. May call `Playback.stop`."""


@dataclass(frozen=True)
class Report:
    """What a replay did."""

    run: str | None
    """Its name in `pg_events runs`; None when it was not kept."""
    events: int
    """Those that were asked for and could be read."""
    delivered: int
    """Events whose callback returned."""
    failed: int
    skipped: int
    """Not given to a callback: there is none for its kind, or somebody said so; and lines that could not be read."""
    bad_lines: int
    seconds: float
    state: State
    failures: tuple[Outcome, ...] = ()
    """The first ones; a run that was kept has them all."""
    differing: int = 0
    """With a shadow: events on which the two callbacks disagree."""

    @property
    def ok(self) -> bool:
        return not self.failed and not self.bad_lines


class Playback:
    """One run."""

    def __init__(
        self,
        source: Source,
        caller: Caller,
        routes: Routes,
        pace: Pace = Pace(),
        *,
        recorder: Recorder | None = None,
        prepare: Prepare | None = None,
        resumes: Outcome | None = None,
        attempts: Mapping[int, int] | None = None,
    ) -> None:
        """`resumes` is the last outcome of the run that is taken up: what failed last is tried again, the rest follows.
        `attempts` tells how often events were tried before."""
        self._source = source
        self._caller = caller
        self._routes = routes
        self._pace = pace
        self._recorder = recorder
        self._prepare = prepare
        self._after = 0
        self._attempts = dict(attempts or {})
        if resumes is not None:
            self._after = resumes.position - (0 if resumes.ok else 1)
            self._attempts[resumes.position] = resumes.attempt
        self._stopping = threading.Event()
        self._counts: Counter[str] = Counter()
        self._failures: list[Outcome] = []
        self._state: State = "complete"
        self._started = time.monotonic()

    @property
    def fraction(self) -> float:
        """How much of the source was gone through, from 0 to 1."""
        return self._source.fraction

    def stop(self) -> None:
        """Finish the event in hand and end. Safe in a signal handler and from other threads."""
        self._stopping.set()

    def run(self) -> Iterator[tuple[Item, Outcome]]:
        """Deliver; each event that was, as soon as its callback has returned."""
        try:
            for number in range(self._pace.times):
                yield from self._once(self._after if number == 0 else 0)
                if self._state != "complete":
                    break
        finally:
            if self._recorder is not None:
                report = self.report()
                self._recorder.end(
                    Sum(report.events, report.delivered, report.failed, report.skipped, report.seconds, report.state)
                )
                self._recorder.close()
            self._caller.close()

    def report(self) -> Report:
        """What was done so far."""
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
                self._wait(before, item.at)
                before = item.at
                if self._stopping.is_set():
                    return
                number = self._routes.of(item)
                prepared = self._prepared(item) if number is not None else None
                if self._stopping.is_set():
                    return
                self._counts["events"] += 1
                if number is None or prepared is None:
                    self._counts["skipped"] += 1
                    continue
                outcome = self._deliver(item, number, prepared)
                yield item, outcome
                if not outcome.ok and self._pace.stop_on_error:
                    self._state = "stopped"
                    return
        self._state = "complete"

    def _wait(self, before: datetime | None, at: datetime) -> None:
        if self._pace.speed is not None and before is not None:
            gap = min((at - before).total_seconds() / self._pace.speed, self._pace.max_gap_seconds)
            if gap > 0:
                self._stopping.wait(gap)

    def _prepared(self, item: Item) -> Prepared | None:
        return self._prepare(item) if self._prepare is not None else Prepared(item.payload)

    def _deliver(self, item: Item, number: int, prepared: Prepared) -> Outcome:
        attempt = self._attempts.get(item.position, 0) + 1
        if self._pace.times > 1 or attempt > 1:
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
        same = (result.error, result.returned) == (other.error, other.returned)
        self._counts["differing"] += not same
        return {
            "ok": other.failure is None, "milliseconds": other.milliseconds, "same": same, "error": other.error,
            "traceback": other.failure.traceback if other.failure else None, "returned": other.returned,
            "output": other.output or None,
        }  # fmt: skip


# --- before it runs -----------------------------------------------------------------------------------------------


@dataclass
class Plan:
    """What a replay would do."""

    events: int = 0
    counts: Counter[tuple[str, bool]] = field(default_factory=Counter[tuple[str, bool]])
    """What (`UPDATE shop.orders`), and whether it is a schema event -> events."""
    ids: set[int] = field(default_factory=set[int])
    """Of those that failed in a worker, as `failed` told."""
    bad_lines: int = 0


def plan(
    source: Source, failed: frozenset[int] = frozenset(), seen: Callable[[Item], None] = lambda _item: None
) -> Plan:
    """Go through the source and count; `failed` are ids of events to look out for, `seen` gets each event."""
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
    """See `pg_events.replay`."""
    if on_error not in ("stop", "continue"):
        raise UsageError(f"on_error is 'stop' or 'continue', not {on_error!r}")
    if (speed is not None and speed <= 0) or times < 1:
        raise UsageError("speed is above 0, or None for as fast as possible; times is at least 1")
    wanted = asked_of(source, where, since, until)
    origin = named_source(source, wanted)
    found, routes = chosen(Settings(), callback, shadow)
    caller = here(found)
    recorder = Recorder.begin(described(origin, wanted, caller, routes, times=times)) if keep else None
    playback = Playback(
        origin, caller, routes, Pace(speed, max_gap_seconds, times, on_error == "stop"), recorder=recorder
    )
    for _ in playback.run():
        pass
    return playback.report()


def described(source: Source, wanted: Filter, caller: Caller, routes: Routes, **more: Any) -> Asked:
    """What a run notes of itself."""
    names = {kind: caller.names[n] for kind, n in (("data", routes.data), ("schema", routes.schema)) if n is not None}
    shadow = caller.names[routes.shadow] if routes.shadow is not None else None
    return Asked(source.name, str(wanted), names, shadow, **more)
