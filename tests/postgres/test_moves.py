"""What becomes of the log when its database moves: into another cluster by a dump, to another major by pg_upgrade."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.delivery.worker import Worker
from pg_events.demo.server import FAST, MAJORS, Server, binaries
from pg_events.errors import ForeignCursor
from pg_events.triggers.build import apply, teardown_plan

README = Path(__file__).parents[2] / "README.md"
Build = Callable[..., Any]


def delivered(url: str) -> list[int]:
    """The ids of the rows that a worker delivers."""
    found: list[int] = []

    def keep(payload: str) -> None:
        number = re.search(r'"new_data": \{"id":(\d+)', payload)
        assert number is not None
        found.append(int(number[1]))

    Worker(Settings(url, keep)).run(once=True)
    return found


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def shop(server: Server, build: Build) -> str:
    """URL of a database whose consumer has been given row 1 and not row 2."""
    url = server.create_database("shop")
    execute(url, "create table t (id integer primary key)")
    build(url)
    assert delivered(url) == []
    execute(url, "insert into t values (1)")
    assert delivered(url) == [1]
    execute(url, "insert into t values (2)")
    return url


@pytest.fixture
def two(server: Server) -> Iterator[tuple[Server, Server]]:
    if not all((server._binaries / name).exists() for name in ("pg_dump", "psql")):
        pytest.skip("needs pg_dump and psql")
    with Server(server._binaries, settings=FAST) as one, Server(server._binaries, settings=FAST) as other:
        yield one, other


@pytest.mark.parametrize("options", [(), ("--exclude-table-data=pgevents.*",)], ids=["whole", "without-the-log"])
def test_a_dump_in_another_cluster_captures_delivers_nothing_and_begins_anew(
    two: tuple[Server, Server], build: Build, tmp_path: Path, options: tuple[str, ...]
) -> None:
    one, other = two
    url, copy = shop(one, build), other.create_database("shop")
    dump = subprocess.run(
        [one._binaries / "pg_dump", "--dbname", url, *options], capture_output=True, text=True, check=True
    )
    restored = subprocess.run(
        [one._binaries / "psql", "--dbname", copy, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"],
        input=dump.stdout, capture_output=True, text=True,
    )  # fmt: skip
    assert restored.returncode == 0, restored.stderr

    execute(copy, "insert into t values (3)")
    if not options:
        with pytest.raises(ForeignCursor, match="run pg_events teardown and pg_events build"):
            delivered(copy)
    with connect(copy, application_name="test") as connection:
        plan = teardown_plan(connection)
    assert not apply(copy, plan).failed
    build(copy)

    assert delivered(copy) == []
    execute(copy, "insert into t values (4)")
    assert delivered(copy) == [4]


class Upgraded(Server):
    """A server with the data of another one of an earlier major, which is stopped."""

    def __init__(self, programs: Path, old: Server) -> None:
        super().__init__(programs, settings=FAST)
        self._old = old

    def _initdb(self, locale: str) -> subprocess.CompletedProcess[str]:
        command = [
            *(self._programs / "initdb", "--pgdata", self._data, "--username=postgres", "--auth=trust", "--no-sync"),
            *("--encoding=UTF8", f"--locale={locale}", "--no-data-checksums"),
        ]
        subprocess.run(command, capture_output=True, check=True, **self._process_options())
        command = [
            *(self._programs / "pg_upgrade", "--username=postgres", "--no-sync", "--socketdir", self.directory),
            *("--old-bindir", self._old._programs, "--old-datadir", self._old._data),
            *("--new-bindir", self._programs, "--new-datadir", self._data),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False, **self._process_options())


def test_after_pg_upgrade_the_readmes_statement_lets_workers_go_on_where_they_stopped(build: Build) -> None:
    there = [(major, found) for major in MAJORS if (found := binaries(major)) and (found / "pg_upgrade").exists()]
    if len(there) < 2 or there[0][0] < 18:
        pytest.skip("needs the programs of PostgreSQL 18 and of an earlier major, with pg_upgrade")
    adopt = re.search(r"`(update pgevents\.setting [^`]+)`", README.read_text("utf-8"))
    assert adopt is not None
    with Server(there[-1][1], settings=FAST) as old:
        url = shop(old, build)
        old.stop("fast")
        with Upgraded(there[0][1], old) as new:
            url = new.url("shop")
            execute(url, "insert into t values (3)")
            with pytest.raises(ForeignCursor):
                delivered(url)

            execute(url, adopt[1])

            assert delivered(url) == [2, 3]
            execute(url, "insert into t values (4)")
            assert delivered(url) == [4]
            build(url)
