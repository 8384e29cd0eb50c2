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
from pg_events.demo.server import FAST, Server, binaries
from pg_events.errors import ForeignCursor
from pg_events.triggers.build import apply, teardown_plan

OPERATIONS = Path(__file__).parents[2] / "pg_events/docs/operations.md"
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
            *("--encoding=UTF8", f"--locale={locale}"),
            *(("--no-data-checksums",) if self.major >= 18 else ()),  # as earlier majors have it
        ]
        subprocess.run(command, capture_output=True, check=True, **self._process_options())
        command = [
            *(self._programs / "pg_upgrade", "--username=postgres", "--no-sync", "--socketdir", self.directory),
            *("--old-bindir", self._old._programs, "--old-datadir", self._old._data),
            *("--new-bindir", self._programs, "--new-datadir", self._data),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False, **self._process_options())


@pytest.mark.parametrize(("before", "after"), [(15, 17), (15, 18), (16, 18), (17, 18)])
def test_after_pg_upgrade_the_documented_statement_lets_workers_go_on_where_they_stopped(
    build: Build, before: int, after: int
) -> None:
    programs = {
        major: found
        for major in (before, after)
        if (found := binaries(major))
        and all((found / name).exists() for name in ("pg_upgrade", "pg_dumpall", "pg_restore"))
    }
    if len(programs) < 2:
        pytest.skip(f"needs the programs of PostgreSQL {before} and {after}, with pg_upgrade and pg_dump")
    adopt = re.search(r"`(update pgevents\.setting [^`]+)`", OPERATIONS.read_text("utf-8"))
    assert adopt is not None
    with Server(programs[before], settings=FAST) as old:
        url = shop(old, build)
        hidden = {"redact": {"t": {"v": "hash"}}}
        execute(url, "alter table t add column v text")
        build(url, **hidden)
        newest = latest(url)
        old.stop("fast")
        with Upgraded(programs[after], old) as new:
            url = new.url("shop")
            execute(url, "insert into t values (3, 'secret')")
            assert latest(url) > newest
            with pytest.raises(ForeignCursor):
                delivered(url)

            execute(url, adopt[1])

            assert delivered(url) == [2, 3]
            execute(url, "insert into t values (4, 'secret')", "create table later (id integer)")
            assert delivered(url) == [4]
            assert not build(url, **hidden).failed
            assert execute(url, "select count(*) from pgevents.event e where row_to_json(e)::text like '%secret%'") == [
                (0,)
            ]
            execute(url, "alter table t add column last text")
            assert execute(
                url, "select ddl -> 'columns' -> 'added' -> 0 ->> 'name', json_array_length(ddl -> 'columns' -> 'added')"
                " from pgevents.log order by id desc limit 1",
            ) == [("last", 1)]  # fmt: skip


def latest(url: str) -> int:
    ((number,),) = execute(url, "select max(id) from pgevents.log")
    return number
