"""`replay`: run captured events through callbacks again."""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any, Final

import click
from rich.progress import Progress, TaskProgressColumn

from pg_events.cli import INTERRUPTED
from pg_events.cli.database import connected
from pg_events.cli.groups import forget_stdout
from pg_events.cli.page import Page, table
from pg_events.cli.progress import progress
from pg_events.cli.terminal import configure, is_terminal, say
from pg_events.config.settings import Settings, load
from pg_events.errors import UsageError
from pg_events.playback import runs
from pg_events.playback.column_drift import Drift
from pg_events.playback.control import Pace, Steering
from pg_events.playback.job import Job, failures, given_up, resumed
from pg_events.playback.player import Plan, Playback, Prepare, Prepared, Report, plan
from pg_events.playback.runs import Outcome, Run
from pg_events.playback.source import LOG, Item, Source, asked_of
from pg_events.playback.targets import Routes, There, chosen, here, reference_names, there
from pg_events.text import clean, counted, one_line, shorten


@dataclass(frozen=True)
class Options:
    """Options of the command, apart from the database."""

    source: str | None
    where: str
    since: str | None
    until: str | None
    callback: str | None
    shadow: str | None
    speed: float | None
    max_gap: float
    times: int
    on_error: str
    step: bool
    edit: bool
    pdb: bool
    watch: bool
    resume: str | None
    failed_of: str | None
    as_json: bool


def replay(settings: str | None, database_url: str | None, is_plan: bool, **options: Any) -> int:
    """Run captured events through your functions again; SOURCE is a saved log, or the word "log"."""
    given = Options(**options)
    former = _former(given)
    source = settings or (former.asked.settings if former else None)
    job = _job(given, load(source, database_url, require_database=False), former)
    if is_plan:
        return _show_plan(job, given)
    if given.watch:
        from pg_events.cli.watch import rerun

        return rerun(lambda: _run(job, given))
    return _run(job, given)


def _former(given: Options) -> Run | None:
    """Run that is resumed or whose failures are replayed."""
    if given.resume is None and given.failed_of is None:
        return None
    if (given.resume and given.failed_of) or given.source or given.where or given.since or given.until:
        raise UsageError("--resume and --failed-of select the events; leave out SOURCE, --where, --since and --until")
    return runs.find(given.resume or given.failed_of or "")


def _job(given: Options, settings: Settings, former: Run | None) -> Job:
    if former is None:
        if given.source is None:
            raise UsageError('pass a source: a file, or the word "log" (help: pg_events replay --help)')
        wanted = asked_of(given.source, given.where, given.since, given.until)
        job = Job(settings, given.source, wanted, given.callback, given.shadow, given.times)
    elif given.resume:
        job = resumed(former, settings, given.callback, given.shadow)
    else:
        job = failures(former, settings, given.callback, given.shadow)
    if given.pdb and given.watch:
        raise UsageError("--watch calls in another process, --pdb in this one; leave out one of them")
    if (given.step or given.edit or given.pdb) and not is_terminal(sys.stdin):
        raise UsageError("--step, --edit and --pdb need a terminal")
    return job


# --- the plan -----------------------------------------------------------------------------------------------------


def _show_plan(job: Job, given: Options) -> int:
    """Print what would be done."""
    try:
        found, routes = chosen(job.settings, job.callback, job.shadow)
    except UsageError:  # the events are counted all the same
        found, routes = [], Routes(None, None)
    names = reference_names(found)
    source = job.open()
    failed = _failed(job)
    drift = Drift(source, job.settings.database_url)
    drifted: list[str] = [] if drift.unknown is None else [f"tables are not compared: {drift.unknown}"]
    with _bar("counting", source, given) as bar:

        def seen(item: Item) -> None:
            bar.move()
            if (line := drift.of(item)) is not None:
                drifted.append(line)

        counted_plan = plan(source, frozenset(failed), seen)
    failed = {id: told for id, told in failed.items() if id in counted_plan.ids}  # noqa: A001
    if given.as_json:
        click.echo(json.dumps(_plan_as_json(counted_plan, routes, names, failed, drifted)))
    else:
        _print_plan(counted_plan, routes, names, failed, drifted)
    _say_problems(source)
    return 1 if source.bad_lines else 0


def _plan_as_json(
    found: Plan, routes: Routes, names: list[str], failed: Mapping[int, str], drifted: list[str]
) -> dict[str, Any]:
    return {
        "events": found.events,
        "bad_lines": found.bad_lines,
        "counts": [
            {"event": what, "events": events, "callback": _name(routes, names, is_schema)}
            for (what, is_schema), events in sorted(found.counts.items())
        ],
        "shadow": names[routes.shadow] if routes.shadow is not None else None,
        "failed": [{"id": id, "error": error} for id, error in sorted(failed.items())],  # noqa: A001
        "drift": drifted,
    }


def _name(routes: Routes, names: list[str], is_schema: bool) -> str | None:
    number = routes.schema if is_schema else routes.data
    return None if number is None else names[number]


def _print_plan(found: Plan, routes: Routes, names: list[str], failed: Mapping[int, str], drifted: list[str]) -> None:
    page = Page()
    shown = table("events", "what", "into")
    shown.columns[0].justify = "right"
    for (what, is_schema), events in sorted(found.counts.items()):
        shown.add_row(
            f"{events:,}",
            clean(what),
            clean(_name(routes, names, is_schema) or "nothing: no callback is configured"),
        )
    if found.counts:
        page.print(shown, markup=False)
    if routes.shadow is not None:
        page.print(f"each of them also into {clean(names[routes.shadow])}", markup=False)
    page.print(f"{counted(found.events, 'event')}; nothing was called", markup=False)
    for line in drifted:
        page.print(clean(line), markup=False)
    if failed:
        page.print(f"{counted(len(failed), 'event')} of these failed in a worker:", markup=False)
        for id, error in sorted(failed.items())[:20]:  # noqa: A001
            page.print(f"  #{id}  {shorten(one_line(error), 200)}", markup=False, soft_wrap=True)


def _failed(job: Job) -> dict[int, str]:
    """Consumer and error by event id, for events of the log whose delivery a worker gave up."""
    if job.source != LOG:
        return {}
    with connected(job.settings, "replay") as connection:
        return {one.id: f"{one.consumer}: {one.error}" for one in given_up(connection)}


# --- the run ------------------------------------------------------------------------------------------------------


def _run(job: Job, given: Options) -> int:
    found, routes = chosen(job.settings, job.callback, job.shadow)
    source = job.open()
    drift = Drift(source, job.settings.database_url)
    output = _Output(given.as_json)
    caller = here(found, _debugger, job.settings.middleware) if given.pdb else there(job.settings, found, output)
    output.is_shadow = lambda: (
        routes.shadow is not None and isinstance(caller, There) and caller.calling == routes.shadow
    )
    recorder = job.recorder(caller, routes)
    if drift.unknown is not None:
        say(f"tables are not compared with their captured columns: {drift.unknown}")
    steering = Steering(Pace(given.speed, given.max_gap, job.times, given.on_error == "stop"))
    asking = _Asking(given, steering)
    playback = Playback(
        source,
        caller,
        routes,
        steering,
        recorder=recorder,
        prepare=_telling(drift, asking),
        resumes=job.resumes.last() if job.resumes else None,
        attempts=job.attempts,
    )
    configure(sys.stdout, line_buffering=True)
    with _stopping(playback, given), _bar("replaying", source, given) as bar:
        for item, outcome in playback.run():
            bar.move()
            _tell(item, outcome)
    report = playback.report()
    _say_problems(source)
    _say_report(report, given)
    if given.as_json:
        output(1, json.dumps(_as_json(report)) + "\n", is_ours=True)
    if report.state == "interrupted" and not asking.has_enough:
        return INTERRUPTED
    return 0 if report.ok else 1


def _as_json(report: Report) -> dict[str, Any]:
    values = asdict(report)
    names = ("events", "delivered", "failed", "skipped", "seconds", "bad_lines", "run", "state")
    return {name: values[name] for name in names} | ({"differing": report.differing} if report.differing else {})


class _Output:
    """Output of callbacks: goes to stdout unless that holds JSON; lines of the shadow are marked.

    A closed pipe ends the printing, not the replay.
    """

    def __init__(self, has_json: bool) -> None:
        self._has_json = has_json
        self._is_open = True
        self._was_shadow: bool = False
        self._begins_line = True
        self.is_shadow: Callable[[], bool] = lambda: False
        """True while the shadow is being called."""

    def __call__(self, number: int, text: str, *, is_ours: bool = False) -> None:
        is_stdout = is_ours or (number == 1 and not self._has_json)
        if is_stdout and not self._is_open:
            return
        stream = sys.stdout if is_stdout else sys.stderr
        encoding = stream.encoding or "utf-8"
        text = text if is_ours else self._marked(text)
        try:
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
        except BrokenPipeError:
            if not is_stdout:
                raise
            self._is_open = False
            forget_stdout()
        except ValueError:  # closed
            pass

    def _marked(self, text: str) -> str:
        is_shadow = self.is_shadow()
        lead = "" if self._begins_line or is_shadow == self._was_shadow else "\n"
        begins = self._begins_line or bool(lead)
        self._was_shadow, self._begins_line = is_shadow, text.endswith("\n")
        if not is_shadow:
            return lead + text
        marked = "".join(_SHADOW + line for line in text.splitlines(keepends=True))
        return lead + (marked if begins else marked.removeprefix(_SHADOW))


_SHADOW: Final = "shadow: "


def _tell(item: Item, outcome: Outcome) -> None:
    """Print a failure with its traceback, and the differences between two callbacks."""
    if outcome.error is not None:
        say(f"#{item.id} {item.what} failed: {one_line(outcome.error)}")
        if outcome.traceback:
            say(outcome.traceback.rstrip())
    if outcome.shadow is not None and not outcome.shadow["same"]:
        other = outcome.shadow
        first = outcome.error or f"returned {outcome.returned or 'None'}"
        second = other["error"] or f"returned {other['returned'] or 'None'}"
        if first == second:
            first, second = (
                f"printed {shorten(one_line(text or 'nothing'), 300)}" for text in (outcome.output, other["output"])
            )
        say(f"#{item.id} {item.what} differs\n  callback: {one_line(first)}\n  shadow:   {one_line(second)}")


def _say_problems(source: Source) -> None:
    for problem in source.problems[:10]:
        say(f"line {problem.line:,} skipped: {problem.reason}")
    if source.bad_lines > 10:
        say(f"… and {source.bad_lines - 10:,} more")


def _say_report(report: Report, given: Options) -> None:
    words = f"{counted(report.events, 'event')}: {report.delivered:,} delivered, {report.failed:,} failed"
    if report.skipped:
        words += f", {report.skipped:,} skipped"
    if given.shadow:
        words += f", {report.differing:,} differing"
    say(f"{words} in {report.seconds:,.1f} s; kept as run {report.run}")
    if report.state == "stopped":
        say(f"stopped at the first failure; fix it and resume: pg_events replay --resume {report.run}")
    elif report.state == "interrupted":
        say(f"stopped; resume: pg_events replay --resume {report.run}")
    elif report.failed:
        say(f"replay the failed events: pg_events replay --failed-of {report.run}")


@contextlib.contextmanager
def _stopping(playback: Playback, given: Options) -> Generator[None]:
    """Let Ctrl-C and SIGTERM finish the current event; a second one exits at once."""
    received: list[int] = []

    def stop(_number: int, _frame: FrameType | None) -> None:
        received.append(1)
        playback.stop()
        if len(received) > 1 or given.step or given.pdb:
            raise KeyboardInterrupt
        if is_terminal(sys.stderr):
            os.write(2, b"\nfinishing the event in hand; once more to stop at once\n")

    former = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class _Bar:
    """Progress bar of a replay, on a terminal."""

    def __init__(self, shown: Progress, verb: str, source: Source) -> None:
        self._shown = shown
        self._task = shown.add_task(verb, total=1.0)
        self._source = source
        self._drawn = 0.0

    def move(self) -> None:
        """Advance the bar; cheap enough to be called for every event."""
        if (now := time.monotonic()) - self._drawn > 0.1:
            self._drawn = now
            self._shown.update(self._task, completed=self._source.fraction)


@contextlib.contextmanager
def _bar(verb: str, source: Source, given: Options) -> Generator[_Bar]:
    with progress(TaskProgressColumn(), not (given.step or given.edit or given.pdb)) as shown:
        yield _Bar(shown, verb, source)


# --- one by one ---------------------------------------------------------------------------------------------------


class _Asking:
    """Prompt before each event: deliver, edit, skip or quit."""

    def __init__(self, given: Options, steering: Steering) -> None:
        self._steering = steering
        self._steps = given.step
        self._edits = given.edit
        self.has_enough = False

    def __call__(self, item: Item) -> Prepared | None:
        if self._steps:
            say(f"#{item.id} {item.what}  {shorten(item.payload, 300)}")
            answer = self._answer()
            if answer == "q":
                self.has_enough = True
                self._steering.stop()
            elif answer == "a":
                self._steps = False
            if answer in "qs":
                return None
            if answer == "e":
                return self._edited(item)
        return self._edited(item) if self._edits else Prepared(item.payload)

    def _answer(self) -> str:
        while True:
            click.echo("deliver (Enter), (e)dit, (s)kip, (a)ll, (q)uit: ", err=True, nl=False)
            line = sys.stdin.readline()
            answer = line.strip().lower()[:1] if line else "q"
            if answer in ("", "e", "s", "a", "q"):
                return answer or "d"

    def _edited(self, item: Item) -> Prepared:
        from pg_events.cli.editing import edited

        payload = edited(item.payload)
        return Prepared(payload, payload != item.payload)


def _telling(drift: Drift, asking: _Asking) -> Prepare:
    def prepare(item: Item) -> Prepared | None:
        if (line := drift.of(item)) is not None:
            say(line)
        return asking(item)

    return prepare


def _debugger(error: BaseException) -> None:
    from pg_events.cli.editing import debug

    debug(error)
