"""6: build on a thousand tables: from nothing, with nothing to do, and while others write to some of them."""

import signal
import statistics
import subprocess
import time
from pathlib import Path

import psycopg
from lab import Lab
from psycopg.sql import SQL, Identifier

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.triggers import build

_WRITTEN = 20
"""Tables that are written to during the build."""
_CLIENTS = 4


def run(lab: Lab) -> None:
    tables = 200 if lab.quick else 1_000
    lab.tell(f"making {tables:,} tables")
    url = lab.server.create_database("building")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create schema app")
        for number in range(tables):
            connection.execute(
                SQL("create table {} (id bigint generated always as identity primary key, v text)").format(
                    Identifier("app", f"t{number}")
                )
            )
    fresh: list[float] = []
    again: list[float] = []
    locks = 0
    for number in range(lab.rounds):
        lab.tell(f"build of {tables:,} tables, round {number + 1}")
        fresh.append(_build(url))
        seconds, taken = _nothing_to_do(url)
        again.append(seconds)
        locks = max(locks, taken)
        _teardown(url)
    lab.keep(
        f"build of {tables:,} tables: s",
        {"from nothing": round(statistics.median(fresh), 2), "nothing to do": round(statistics.median(again), 2)},
    )
    lab.keep(f"build of {tables:,} tables, nothing to do: locks on them that a writer could meet", {"taken": locks})
    lab.tell("build while others write")
    calm, waits, seconds = _while_others_write(lab, url)
    lab.keep(
        f"build of {tables:,} tables while {_CLIENTS} clients write to {_WRITTEN} of them: ms",
        {
            "longest transaction before": round(calm, 1),
            "longest transaction during": round(waits, 1),
            "lock timeout": round(build.LOCK_TIMEOUT_SECONDS * 1000),
            "the build took": round(seconds * 1000),
        },
    )


def _build(url: str) -> float:
    begin = time.perf_counter()
    with connect(url, application_name="bench") as connection:
        plan = build.make_plan(connection, Settings(database_url=url))
    applied = build.apply(url, plan)
    assert not applied.failed, applied.failed[:3]
    return time.perf_counter() - begin


def _nothing_to_do(url: str) -> tuple[float, int]:
    """Seconds, and the locks the build's transaction had on the tables, other than those of a reader."""
    begin = time.perf_counter()
    with connect(url, application_name="bench") as connection, connection.transaction():
        plan = build.make_plan(connection, Settings(database_url=url))
        seconds = time.perf_counter() - begin
        assert not plan.steps, plan.steps[:3]
        row = connection.execute(
            "select count(*) from pg_locks l join pg_class c on c.oid = l.relation"
            " where l.pid = pg_backend_pid() and c.relnamespace = 'app'::regnamespace and l.mode <> 'AccessShareLock'"
        ).fetchone()
        assert row is not None
    return seconds, row[0]


def _teardown(url: str) -> None:
    with connect(url, application_name="bench") as connection:
        plan = build.teardown_plan(connection)
    assert not build.apply(url, plan).failed


def _while_others_write(lab: Lab, url: str) -> tuple[float, float, float]:
    """The longest transaction of a writer before and during a build from nothing, in ms; seconds of the build."""
    directory = lab.server.directory / "writers"
    directory.mkdir()
    scripts: list[str] = []
    for number in range(_WRITTEN):
        script = directory / f"{number}.sql"
        script.write_text(f"insert into app.t{number} (v) values ('x');\n")
        scripts += ["-f", str(script)]
    command = [str(lab.programs / "pgbench"), "-n", "-l", *scripts, "-c", str(_CLIENTS), "-T", "3600", url]
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL) as pgbench:
        try:
            time.sleep(3)
            begin = time.time()
            seconds = _build(url)
            end = time.time()
            time.sleep(1)
        finally:
            pgbench.send_signal(signal.SIGALRM)  # as if its time were up: its log is written to the end
    calm = [ms for finished, ms in _transactions(directory) if finished < begin]
    during = [ms for finished, ms in _transactions(directory) if begin <= finished <= end + 0.5]
    return max(calm), max(during), seconds


def _transactions(directory: Path) -> list[tuple[float, float]]:
    """When each transaction of pgbench ended, and how many milliseconds it took."""
    found: list[tuple[float, float]] = []
    for log in directory.glob("pgbench_log.*"):
        for line in log.read_text().splitlines():
            fields = line.split()
            found.append((int(fields[4]) + int(fields[5]) / 1e6, int(fields[2]) / 1000))
    return found
