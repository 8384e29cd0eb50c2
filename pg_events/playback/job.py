"""Replay jobs: source and callbacks, as given by the user or taken from a kept run."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from psycopg.rows import dict_row

from pg_events import sql
from pg_events.config.settings import Settings
from pg_events.db.connection import describe
from pg_events.db.link import RawCursor
from pg_events.errors import PgEventsError, UsageError
from pg_events.filter import parser as filters
from pg_events.filter.parser import Filter
from pg_events.playback import runs
from pg_events.playback.runs import Asked, Recorder, Run
from pg_events.playback.source import LOG, Source, open_source
from pg_events.playback.targets import Caller, Routes, described
from pg_events.triggers.catalog import Connection


@dataclass(frozen=True)
class Job:
    """Source and callbacks of a replay."""

    settings: Settings
    source: str
    """Path of a file, or `log`."""
    wanted: Filter
    callback: str | None = None
    """Callback that replaces those of the settings."""
    shadow: str | None = None
    times: int = 1
    positions: frozenset[int] | None = None
    """Positions of the source to replay; None for all."""
    attempts: Mapping[int, int] | None = None
    """Number of former attempts by position."""
    resumes: Run | None = None
    """Run that is resumed."""
    failed_of: str | None = None
    """Run whose failures are replayed."""

    def open(self) -> Source:
        """Open the source. Raises `UsageError`."""
        return open_source(self.source, self.settings.database_url, self.wanted, self.positions)

    def asked(self, caller: Caller, routes: Routes) -> Asked:
        """Description of the job for the file of its run."""
        is_file = self.source != LOG
        database = self.settings.database_url
        return described(
            str(Path(self.source).absolute()) if is_file else LOG, self.wanted, caller, routes,
            database=None if is_file or database is None else describe(database), failed_of=self.failed_of,
            times=self.times, settings=settings_name(self.settings),
        )  # fmt: skip

    def recorder(self, caller: Caller, routes: Routes) -> Recorder:
        return Recorder.resume(self.resumes) if self.resumes else Recorder.begin(self.asked(caller, routes))


def resumed(run: Run, settings: Settings, callback: str | None = None, shadow: str | None = None) -> Job:
    """Resume a run, with its callbacks unless others are given. Raises `UsageError`."""
    job = replace(_taken_over(run, settings, callback, shadow), resumes=run)
    if run.asked.failed_of is None:
        return job
    former = runs.find(run.asked.failed_of)
    return replace(job, positions=frozenset({*former.failures(), *(one.position for one in run.outcomes())}))


def failures(run: Run, settings: Settings, callback: str | None = None, shadow: str | None = None) -> Job:
    """Replay the failures of a run. Raises `UsageError`, and `PgEventsError` if there are none."""
    found = run.failures()
    if not found:
        raise PgEventsError(f"nothing failed in run {run.run}")
    return replace(
        _taken_over(run, settings, callback, shadow),
        times=1,
        positions=frozenset(found),
        attempts={position: outcome.attempt for position, outcome in found.items()},
        failed_of=run.run,
    )


def _taken_over(run: Run, settings: Settings, callback: str | None, shadow: str | None) -> Job:
    asked = run.asked
    _check_database(run, settings)
    same = set(asked.callbacks.values())
    callback = callback or (next(iter(same)) if len(same) == 1 and len(asked.callbacks) == 2 else None)
    if callback is None and settings.data_update_callback is None and settings.db_schema_update_callback is None:
        callback = asked.callbacks.get("data")
    return Job(settings, asked.source, filters.parse(asked.where), callback, shadow or asked.shadow, asked.times)


def _check_database(run: Run, settings: Settings) -> None:
    if run.asked.source == LOG and settings.database_url is not None:
        database = describe(settings.database_url)
        if run.asked.database not in (None, database):
            raise UsageError(f"run {run.run} replays the log of {run.asked.database}, this is {database}")


def settings_name(settings: Settings) -> str | None:
    """Name of the settings module, or absolute path of the file; None without settings."""
    source = settings.source
    if not source or source.startswith(("--", "PG_EVENTS_")):
        return None
    return str(Path(source).expanduser().absolute()) if source.endswith(".py") or os.sep in source else source


@dataclass(frozen=True)
class GivenUp:
    """Event whose delivery a worker gave up."""

    consumer: str
    id: int
    error: str
    payload: str


def given_up(connection: Connection) -> Sequence[GivenUp]:
    """Failed events of the database in the order of their failure, without blocked ones."""
    with RawCursor(connection, row_factory=dict_row) as cursor:
        rows = cursor.execute(sql.text("failed_list.sql"), (None,) * 6).fetchall()
    return [
        GivenUp(row["consumer"], row["event_id"], row["error"] or "", row["payload"])
        for row in rows
        if row["state"] != "held"
    ]
