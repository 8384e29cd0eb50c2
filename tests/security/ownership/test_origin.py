"""A schema that came from elsewhere: copied in the cluster, restored without its data, or published whole."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.security.ownership.conftest import Place

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def told(place: Place, tmp_path: Path, call: Call) -> tuple[str, ...]:
    """Options of a settings file whose callback prints, and which hashes and excludes."""
    (tmp_path / "mine.py").write_text(
        'PG_EVENTS_DATA_UPDATE_CALLBACK = "mine:seen"\nPG_EVENTS_REDACT = {"public.t": {"secret": "hash"}}\n'
        'PG_EVENTS_EXCLUDE = ["audit_*"]\ndef seen(payload):\n    print("seen", payload)\n'
    )
    return ("--settings", "mine.py", "--database-url")


def test_a_workers_copy_of_a_database_delivers_nothing_of_the_original(
    place: Place, call: Call, told: tuple[str, ...], server: Any
) -> None:
    place.run("superuser", "create table t (a integer, secret text)")
    assert call("build", *told, place.url)[0] == 0
    assert call("worker", "--once", *told, place.url)[0] == 0
    place.run("superuser", "insert into t values (1, 'x')")
    copy = server.create_database(f"test_{place.prefix}_copy", place.prefix)
    try:
        code, text = call("worker", "--once", *told, copy)
        assert code == 1
        assert "is a copy of another one" in text
        assert "pg_events build" in text
        assert "seen" not in text
        code, text = call("doctor", *told, copy)
        assert code == 1
        assert "is a copy of another one" in text
        code, text = call("status", "--database-url", copy)
        assert code == 0
        assert "is a copy of another one" in text
        assert "pg_events build" in text
        assert call("status", "--check", "--database-url", copy)[0] == 1

        code, text = call("build", *told, copy)
        assert code == 0, text
        assert "seen" not in call("worker", "--once", *told, copy)[1]
        with psycopg.connect(copy, autocommit=True) as connection:
            connection.execute("insert into t values (2, 'y')")
        text = call("worker", "--once", *told, copy)[1]
        assert text.count("seen") == 1
        assert '"a":2' in text
    finally:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("drop database {} with (force)").format(sql.Identifier(f"test_{place.prefix}_copy"))
            )
    assert '"a":1' in call("worker", "--once", *told, place.url)[1]


@pytest.mark.parametrize(
    "options", [("--exclude-table-data=pgevents.*",), ("--schema-only",)], ids=["no-log", "no-data"]
)
def test_a_schema_restored_without_its_data_is_named_and_made_whole(
    place: Place, call: Call, told: tuple[str, ...], server: Any, options: tuple[str, ...]
) -> None:
    if not (server._binaries / "pg_dump").exists() or not (server._binaries / "psql").exists():
        pytest.skip("needs pg_dump and psql")
    place.run("superuser", "create table t (a integer, secret text)")
    assert call("build", *told, place.url)[0] == 0
    dump = subprocess.run(
        [server._binaries / "pg_dump", "--dbname", place.url, *options], capture_output=True, text=True, check=True
    )
    copy = server.create_database(f"test_{place.prefix}_restored")
    try:
        subprocess.run(
            [server._binaries / "psql", "--dbname", copy, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"],
            input=dump.stdout, capture_output=True, text=True, check=True,
        )  # fmt: skip
        code, text = call("doctor", *told, copy)
        assert code == 1
        assert "was restored without its data" in text
        for command in (
            ("worker", "--once", *told),
            ("listen", "--limit", "1", "--database-url"),
            ("status", "--database-url"),
        ):
            code, text = call(*command, copy)
            assert code == 1
            assert "was restored without its data; run: pg_events build" in text
        code, text = call("build", "--database-url", copy)
        assert code == 2
        assert "with the settings file" in text
        with psycopg.connect(copy, autocommit=True) as connection:
            warnings: list[str] = []
            connection.add_notice_handler(lambda notice: warnings.append(notice.message_primary or ""))
            connection.execute("create table audit_early (a integer); insert into audit_early values (1)")
            assert ["was restored without its data" in warning for warning in warnings] == [True]
            assert connection.execute("select count(*) from pgevents.log where kind = 'I'").fetchone() == (0,)

        code, text = call("build", *told, copy)

        assert code == 0, text
        with psycopg.connect(copy, autocommit=True) as connection:
            connection.execute(
                "insert into t values (1, 'x'); create table audit_x (a integer); insert into audit_x values (1)"
            )
            found = connection.execute("select table_name, new_data from pgevents.log where kind = 'I'").fetchall()
        ((name, data),) = found
        assert name == "t"
        assert len(data["secret"]) == 32
        assert [line for line in call("doctor", *told, copy)[1].splitlines() if line.startswith("✗")] == []
        assert call("build", "--plan", "--json", *told, copy)[1].startswith('{"changes": []')
    finally:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("drop database {} with (force)").format(sql.Identifier(f"test_{place.prefix}_restored"))
            )


@pytest.mark.parametrize(
    "statement",
    ["update pgevents.setting set value = '1' where name = 'system_identifier'", "delete from pgevents.setting"],
)
def test_the_log_of_another_cluster_or_of_an_unknown_one_is_named_by_every_command(
    place: Place, call: Call, told: tuple[str, ...], statement: str
) -> None:
    place.run("superuser", "create table t (a integer, secret text)")
    assert call("build", *told, place.url)[0] == 0
    place.run("superuser", statement)

    for command in (("status", "--check"), ("doctor",), ("worker", "--once"), ("build",)):
        code, text = call(*command, *told, place.url)
        assert code == 1
        assert "created on another cluster" in text
        assert "pg_events teardown" in text


@pytest.mark.parametrize("what", ["for all tables", "for tables in schema pgevents"])
def test_a_publication_of_the_logs_tables_is_named_with_the_remedy(place: Place, call: Call, what: str) -> None:
    place.run("superuser", "create table t (a integer)")
    assert call("build", "--database-url", place.url)[0] == 0
    place.run("superuser", f"create publication whole {what}")

    for command in ("build", "doctor"):
        code, text = call(command, "--database-url", place.url)
        assert code == (0 if command == "build" else 1)
        assert "publication whole is for " in text
        assert "publish a list of tables or schemas" in " ".join(text.split())

    place.run("superuser", "drop publication whole; create publication whole for table t")
    assert call("doctor", "--database-url", place.url)[0] == 0
