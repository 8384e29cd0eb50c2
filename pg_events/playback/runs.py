"""Kept runs of replays: source, callbacks, and the outcome of each event.

A run is a JSON Lines file that only its owner can read: first the options, then one line per event as soon as its
callback has returned, finally the summary. An interrupted run is valid up to its last complete line, and resumes there.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, Self, cast

from platformdirs import user_state_path

from pg_events.errors import PgEventsError, UsageError
from pg_events.text import one_line

FORMAT_VERSION: Final = 1

State = Literal["complete", "stopped", "interrupted", "cut short"]


@dataclass(frozen=True)
class Asked:
    """Options of a run, sufficient to resume or repeat it."""

    source: str
    """A file's absolute path, or `log`."""
    where: str = ""
    """Filter, with absolute times."""
    callbacks: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names of the callbacks, by `data` and `schema`."""
    shadow: str | None = None
    settings: str | None = None
    """Module or file of the settings, to find a callback again."""
    database: str | None = None
    """`dbname@host:port` of the log."""
    failed_of: str | None = None
    """Run whose failures are replayed."""
    times: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one event."""

    position: int
    """Position in the source: line of a file, or id in the log."""
    id: int
    what: str
    """`UPDATE shop.orders`, `ALTER TABLE`."""
    ok: bool
    milliseconds: float
    attempt: int = 1
    error: str | None = None
    """Type and message of the error, as in `ValueError: message`."""
    traceback: str | None = None
    output: str | None = None
    """Output of the callback."""
    returned: str | None = None
    edited: bool = False
    shadow: Mapping[str, Any] | None = None
    """Outcome of the shadow: `ok`, `milliseconds`, `error`, `traceback`, `returned`, `same`."""

    def as_json(self) -> str:
        return json.dumps(
            {name: value for name, value in asdict(self).items() if value not in (None, False) or name == "ok"}
        )


@dataclass(frozen=True)
class Sum:
    """Summary of a run."""

    events: int
    delivered: int
    failed: int
    skipped: int
    seconds: float
    state: State = "complete"


class Recorder:
    """Writer of a run; a resumed run continues its file."""

    def __init__(self, run: str, path: Path, descriptor: int, *, is_new: bool = True) -> None:
        self.run = run
        self.path = path
        self._is_new = is_new
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")

    @classmethod
    def begin(cls, asked: Asked) -> Self:
        """Create the file of the run. Raises `PgEventsError` if it cannot be kept."""
        for _ in range(1000):
            now = datetime.now()
            run = f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}"  # so that names sort in the order of the runs
            try:
                path = _folder() / f"{run}.jsonl"
                recorder = cls(run, path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                time.sleep(0.001)
                continue
            except OSError as error:
                raise PgEventsError(
                    f"the run cannot be kept in {one_line(str(_root()))}: {error.strerror}; set XDG_STATE_HOME to a "
                    "writable directory"
                ) from error
            recorder._line(
                json.dumps({"pg_events_run": FORMAT_VERSION, "run": run, "started_at": _now(), **asdict(asked)})
            )
            return recorder
        raise PgEventsError("no unused name is left for another run")

    @classmethod
    def resume(cls, kept: "Run") -> Self:
        """Continue the file of a run, without an incomplete last line."""
        descriptor = os.open(kept.path, os.O_RDWR)
        size = os.lseek(descriptor, 0, os.SEEK_END)
        with kept.path.open("rb") as file:
            while size and (file.seek(size - 1), file.read(1))[1] != b"\n":
                size -= 1
        os.ftruncate(descriptor, size)
        os.lseek(descriptor, size, os.SEEK_SET)
        return cls(kept.run, kept.path, descriptor, is_new=False)

    def add(self, outcome: Outcome) -> None:
        """Write an outcome. Raises `PgEventsError` if that fails, for example because the disk is full."""
        self._line(outcome.as_json())

    def end(self, total: Sum) -> None:
        self._line(json.dumps({"ended_at": _now(), **asdict(total)}))

    def close(self) -> None:
        self._file.close()

    def forget(self) -> None:
        """Remove a run without events; a resumed run is left unchanged."""
        self.close()
        if self._is_new:
            self.path.unlink(missing_ok=True)

    def _line(self, text: str) -> None:
        try:
            self._file.write(text + "\n")
            self._file.flush()
        except OSError as error:
            raise PgEventsError(f"the run cannot be kept in {one_line(str(self.path))}: {error.strerror}") from error


@dataclass(frozen=True)
class Run:
    """Run that was kept."""

    run: str
    path: Path
    started_at: str
    asked: Asked

    def outcomes(self) -> Iterator[Outcome]:
        """Outcomes in order; a retried event has several."""
        for values in _lines(self.path):
            if "position" in values:
                yield Outcome(**{name: values[name] for name in Outcome.__dataclass_fields__ if name in values})

    def edited_ids(self) -> set[int]:
        """Ids of events that were delivered as an edited copy."""
        return {values["id"] for values in _lines(self.path, '"edited": true') if values.get("edited") is True}

    def sum(self) -> Sum:
        """Summary of the run, including resumptions; the last attempt of each event counts."""
        delivered, skipped, seconds = 0, 0, 0.0
        failing: set[int] = set()
        state: State = "cut short"
        for values in _lines(self.path):
            if "position" in values:
                delivered += values["ok"]
                (failing.discard if values["ok"] else failing.add)(values["position"])
                state = "cut short"
            elif "ended_at" in values:
                skipped, seconds, state = values["skipped"] + skipped, values["seconds"] + seconds, values["state"]
        return Sum(delivered + len(failing) + skipped, delivered, len(failing), skipped, round(seconds, 3), state)

    def last(self) -> Outcome | None:
        """Outcome of the last event that was tried."""
        found = None
        for outcome in self.outcomes():
            found = outcome
        return found

    def by_id(self) -> dict[int, Outcome]:
        """Last outcome by id, without output to save memory."""
        return {one.id: replace(one, output=None, traceback=None, shadow=None) for one in self.outcomes()}

    def failures(self) -> dict[int, Outcome]:
        """Last outcome by position, for events whose last attempt failed."""
        found: dict[int, Outcome] = {}
        for outcome in self.outcomes():
            if outcome.ok:
                found.pop(outcome.position, None)
            else:
                found[outcome.position] = outcome
        return found


def kept() -> list[Run]:
    """All runs, oldest first. Other files are ignored."""
    root = _root()
    found = (_read(path) for path in sorted(root.glob("*.jsonl"))) if root.is_dir() else ()
    return [run for run in found if run is not None]


def prune(age: timedelta) -> tuple[int, int]:
    """Delete runs not changed for this time; return their number and bytes. Other files are ignored."""
    before = time.time() - age.total_seconds()
    deleted = freed = 0
    for run in kept():
        try:
            found = run.path.stat()
            if found.st_mtime >= before:
                continue
            run.path.unlink()
        except FileNotFoundError:
            continue  # another process prunes
        except OSError as error:
            raise PgEventsError(f"{one_line(str(run.path))} cannot be deleted: {error.strerror}") from error
        deleted, freed = deleted + 1, freed + found.st_size
    return deleted, freed


def find(name: str) -> Run:
    """Find a run by its name, by the beginning or end of it, or as `last`. Raises `UsageError`."""
    runs = kept()
    if name == "last" and runs:
        return runs[-1]
    exact = [run for run in runs if run.run == name]
    near = exact or [run for run in runs if name and (run.run.startswith(name) or run.run.endswith(name))]
    if len(near) == 1:
        return near[0]
    shown = one_line(name)
    if near:
        raise UsageError(f"{shown} is the name of {len(near)} runs: {', '.join(run.run for run in near[:5])}")
    raise UsageError(f"there is no run {shown}; see: pg_events runs list")


Change = Literal[
    "works now", "fails now", "fails still", "fails differently", "only in the first", "only in the second"
]


@dataclass(frozen=True)
class Difference:
    """Event that does not succeed in both of two runs."""

    change: Change
    id: int
    what: str
    first: str | None
    """Error in the first run; None if there was none."""
    second: str | None


def change(then: Outcome | None, now: Outcome | None) -> Change | None:
    """Kind of difference between two outcomes, None if not tried; returns None if both succeeded."""
    if then is None or now is None:
        return None if now is then else "only in the second" if then is None else "only in the first"
    if then.ok != now.ok:
        return "works now" if now.ok else "fails now"
    if now.ok:
        return None
    return "fails still" if now.error == then.error else "fails differently"


def compare(first: Run, second: Run) -> Iterator[Difference]:
    """Differences by event id: events of the second run, then those only in the first."""
    then, now = first.by_id(), second.by_id()
    for id in dict.fromkeys((*now, *then)):  # noqa: A001
        one, other = then.get(id), now.get(id)
        if (found := change(one, other)) is not None:
            what = (other or one or Outcome(0, id, "", True, 0.0)).what
            yield Difference(found, id, what, one.error if one else None, other.error if other else None)


# --- the files ----------------------------------------------------------------------------------------------------


def _root() -> Path:
    return user_state_path("pg_events") / "runs"


def _folder() -> Path:
    root = _root()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return root


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(path: Path) -> Run | None:
    first = next(_lines(path), None)
    if first is None or first.get("pg_events_run") != FORMAT_VERSION:
        return None
    asked = Asked(**{name: first[name] for name in Asked.__dataclass_fields__ if name in first})
    return Run(str(first["run"]), path, str(first["started_at"]), asked)


def _lines(path: Path, text: str = "") -> Iterator[Mapping[str, Any]]:
    """Complete lines that contain the text, so that most of a long run need not be parsed."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if text not in line:
                    continue
                try:
                    values = json.loads(line)
                except ValueError:
                    continue
                if isinstance(values, dict):
                    yield cast("Mapping[str, Any]", values)
    except OSError as error:
        raise PgEventsError(f"{one_line(str(path))} cannot be read: {error.strerror}") from error
