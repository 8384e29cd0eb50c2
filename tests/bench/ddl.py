"""8: DDL beside the same in a database without pg_events, in an empty database and beside ten thousand tables.

The two databases take turns, ten commands at a time: what the machine does meanwhile is done to both. `CPU` is that of the
session's process, the time that a client waits is beside it.
"""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
from lab import Lab, milliseconds
from psycopg.sql import SQL, Literal

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.triggers import build

COMMANDS = {
    "CREATE TABLE": "create table c{n} (id integer primary key, v text not null)",
    "ADD COLUMN": "alter table c{n} add column w integer",
    "CREATE INDEX": "create index on c{n} (v)",
    "COMMENT": "comment on table c{n} is 'x'",
    "CREATE TABLE of a partition": "create table p_{n} (id integer, v text)",
    "ATTACH": "alter table p attach partition p_{n} for values in ({k})",
    "DETACH": "alter table p detach partition p_{n}",
    "DROP TABLE": "drop table c{n}",
}
_AT_A_TIME = 10
_FIRST = 1_000_000
"""The first value of a partition that a round attaches."""

Taken = dict[str, list[tuple[float, float]]]
"""Command -> milliseconds of the process and of the clock, each time."""


def run(lab: Lab) -> None:
    sizes = ((0, 1), (2_000, 200)) if lab.quick else ((0, 1), (8_000, 2_000))
    for tables, partitions in sizes:
        title = f"DDL beside {tables + partitions:,} tables" if tables else "DDL in an empty database"
        urls = {name: lab.server.create_database(f"ddl_{name}_{tables}") for name in ("plain", "captured")}
        for name, url in urls.items():
            lab.tell(f"{title}: {name}")
            _make(url, tables, partitions)
        _build(urls["captured"])
        lab.tell(title)
        taken = _measure(urls, 4 if lab.quick else 10)
        for command in COMMANDS:
            lab.keep(f"{title}: {command}, ms", _figure(taken["plain"][command], taken["captured"][command]))


def _figure(plain: list[tuple[float, float]], captured: list[tuple[float, float]]) -> dict[str, float]:
    plain_cpu, plain_wall = map(statistics.median, zip(*plain, strict=True))
    cpu, wall = map(statistics.median, zip(*captured, strict=True))
    return {
        "CPU plain": round(plain_cpu, 2),
        "CPU captured": round(cpu, 2),
        "CPU times": round(cpu / plain_cpu, 2),
        "plain": round(plain_wall, 2),
        "captured": round(wall, 2),
        "times": round(wall / plain_wall, 2),
    }


def _make(url: str, tables: int, partitions: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table p (id integer, v text) partition by list (id)")
        for kind, number in (
            ("z{0} (id integer primary key, v text)", tables),
            ("p{0} partition of p for values in ({0})", partitions),
        ):
            for begin in range(0, number, 200):
                connection.execute(
                    SQL("do $do$ begin for n in {}..{} loop execute format({}, n); end loop; end $do$").format(
                        begin, min(begin + 200, number) - 1, Literal("create table " + kind.replace("{0}", "%1$s"))
                    )
                )
        connection.execute("vacuum analyze")


def _build(url: str) -> None:
    with connect(url, application_name="bench") as connection:
        plan = build.make_plan(connection, Settings(database_url=url))
    applied = build.apply(url, plan)
    assert not applied.failed, applied.failed[:3]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum analyze")


def _measure(urls: Mapping[str, str], rounds: int) -> dict[str, Taken]:
    """The first round is left out: a new session reads the catalog."""
    taken: dict[str, Taken] = {name: {command: [] for command in COMMANDS} for name in urls}
    sessions = {name: psycopg.connect(url, autocommit=True) for name, url in urls.items()}
    for number in range(rounds + 1):
        for name, session in list(sessions.items())[:: 1 if number % 2 else -1]:
            for command, text in COMMANDS.items():
                for n in range(number * _AT_A_TIME, (number + 1) * _AT_A_TIME):
                    cpu, begin = _cpu(session), time.perf_counter()
                    session.execute(text.format(n=n, k=_FIRST + n).encode())
                    wall = milliseconds(begin)
                    if number:
                        taken[name][command].append((_cpu(session) - cpu, wall))
    for session in sessions.values():
        session.close()
    return taken


def _cpu(session: psycopg.Connection) -> float:
    """Milliseconds that the session's process has run so far."""
    return int(Path(f"/proc/{session.info.backend_pid}/schedstat").read_text().split()[0]) / 1e6
