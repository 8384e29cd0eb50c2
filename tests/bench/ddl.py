"""8: DDL beside the same in a database without pg_events, with few tables and with thousands of tables and partitions."""

import statistics
import time

import psycopg
from lab import Lab
from psycopg.sql import SQL, Literal

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.triggers import build

_COMMANDS = {
    "CREATE TABLE": "create table c{n} (id integer primary key, v text not null)",
    "ADD COLUMN": "alter table c{n} add column w integer",
    "CREATE INDEX": "create index on c{n} (v)",
    "COMMENT": "comment on table c{n} is 'x'",
    "CREATE TABLE of a partition": "create table p_{n} (id integer, v text)",
    "ATTACH": "alter table p attach partition p_{n} for values in ({k})",
    "DETACH": "alter table p detach partition p_{n}",
    "DROP TABLE": "drop table c{n}",
}
_FIRST = 1_000_000
"""The first value of a partition that a round attaches."""


def run(lab: Lab) -> None:
    sizes = ((0, 1), (2_000, 200)) if lab.quick else ((0, 1), (8_000, 2_000))
    for tables, partitions in sizes:
        title = f"DDL beside {tables:,} tables and {partitions:,} partitions"
        found: dict[str, dict[str, float]] = {}
        for name in ("plain", "captured"):
            lab.tell(f"{title}: {name}")
            url = lab.server.create_database(f"ddl_{name}_{tables}")
            _make(url, tables, partitions)
            if name == "captured":
                _build(url)
            found[name] = _measure(url, 20 if lab.quick else 60)
        for command in _COMMANDS:
            plain, captured = found["plain"][command], found["captured"][command]
            lab.keep(
                f"{title}: {command}, ms",
                {"plain": round(plain, 2), "captured": round(captured, 2), "times": round(captured / plain, 1)},
            )


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


def _measure(url: str, rounds: int) -> dict[str, float]:
    """The median of each command's time, the first round left out: a new session reads the catalog."""
    taken: dict[str, list[float]] = {command: [] for command in _COMMANDS}
    with psycopg.connect(url, autocommit=True) as connection:
        for n in range(rounds + 1):
            for command, text in _COMMANDS.items():
                begin = time.perf_counter()
                connection.execute(text.format(n=n, k=_FIRST + n).encode())
                if n:
                    taken[command].append((time.perf_counter() - begin) * 1000)
    return {command: statistics.median(values) for command, values in taken.items()}
