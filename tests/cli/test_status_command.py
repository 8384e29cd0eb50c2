"""`status`: for programs, for people, and for a deploy script."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

HOSTILE = "\x1b[31mred [/] [bold] \u202egnp.exe\n second line"


def report(call, url) -> dict:
    return json.loads(call("status", "--json", "--database-url", url).out)


def test_json_has_the_shape_that_programs_rely_on(call, url, execute, tmp_path) -> None:
    (tmp_path / "keeper.py").write_text(
        f"PG_EVENTS_DATABASE_URL = {url!r}\nPG_EVENTS_DATA_UPDATE_CALLBACK = 'builtins.repr'\n"
    )
    assert call("worker", "--once", "--settings", "keeper").code == 0
    execute(url, "insert into note values (1), (2)", "create view v as select 1")

    found = report(call, url)

    assert list(found) == [
        "server_version",
        "schema_events",
        "schema_events_off_for",
        "tables",
        "consumers",
        "log",
        "roles",
    ]
    assert found["schema_events"] is True
    tables = {table["name"]: table for table in found["tables"]}
    shape = ["schema", "name", "state", "insert", "update", "delete", "truncate", "last_event_at"]
    assert list(tables["note"])[: len(shape)] == shape
    assert (tables["note"]["state"], tables["v"]["state"]) == ("covered", "unsupported")
    assert [tables["note"][operation] for operation in shape[3:7]] == [True] * 4
    assert [tables["v"][operation] for operation in shape[3:7]] == [False] * 4
    assert datetime.fromisoformat(tables["note"]["last_event_at"]).tzinfo is not None
    assert tables["v"]["last_event_at"] is None
    (consumer,) = found["consumers"]
    assert list(consumer) == ["name", "behind_events", "behind_seconds", "failed"]
    assert (consumer["name"], consumer["behind_events"], consumer["failed"]) == ("default", 3, 0)
    assert consumer["behind_seconds"] >= 0
    assert list(found["log"]) == ["events", "bytes"]
    assert found["log"]["events"] == 3


def test_a_large_log_is_estimated_and_status_says_so(call, url, execute) -> None:
    execute(
        url,
        "insert into pgevents.event (kind, query) select 'I', repeat(md5(n::text), 58) from generate_series(1, 80000) n",
    )

    found = report(call, url)["log"]

    assert found["estimated"] is True
    assert abs(found["events"] - 80_000) < 8_000
    assert " about " in call("status", "--database-url", url).out


def consumer_line(call, url) -> list[str]:
    (line,) = (line for line in call("status", "--database-url", url).out.splitlines() if line.startswith("default "))
    return line.split()


def test_problems_lists_only_tables_that_are_not_as_they_should_be(call, url, execute) -> None:
    execute(
        url, "create table fine (id int)", "create table spoilt (id int)", 'drop trigger "00_pgevents_insert" on spoilt'
    )

    shown = call("status", "--problems", "--database-url", url)
    as_json = call("status", "--problems", "--json", "--database-url", url)

    assert "public.spoilt" in shown.out
    assert "public.fine" not in shown.out
    assert "2 of 3 tables covered" in shown.out
    assert [table["name"] for table in json.loads(as_json.out)["tables"]] == ["spoilt"]


def test_a_worker_that_ended_is_not_said_to_run(call, url, tmp_path) -> None:
    (tmp_path / "ending.py").write_text(
        f"PG_EVENTS_DATABASE_URL = {url!r}\nPG_EVENTS_DATA_UPDATE_CALLBACK = 'builtins.repr'\n"
    )
    assert call("worker", "--once", "--settings", "ending").code == 0

    assert "stopped" in consumer_line(call, url)


def test_a_worker_runs_while_its_lease_and_its_connection_do(call, server, url, stranger, execute) -> None:
    assert call("build", "--grant", stranger, "--database-url", url).code == 0
    reader = server.url(psycopg.conninfo.conninfo_to_dict(url)["dbname"], stranger)
    with psycopg.connect(url, autocommit=True) as holder:
        holder.execute(
            "with made as (insert into pgevents.consumer (name, system_identifier) values ('default', '') returning name)"
            " insert into pgevents.share (consumer, slots, snapshot) select name, '{0}', pg_current_snapshot() from made"
        )
        holder.execute(
            "insert into pgevents.worker (consumer, name, backend_pid, backend_start, lease_until)"
            " select 'default', 'me', pid, backend_start, 'infinity' from pg_stat_activity where pid = pg_backend_pid()"
        )
        assert "running" in consumer_line(call, url)
        assert "running" in consumer_line(call, reader)  # It is not shown since when the connection is there.

        holder.execute("update pgevents.worker set backend_start = backend_start - interval '1 hour'")
        assert "stopped" in consumer_line(call, url)  # Another connection that got the same process number.
        holder.execute("update pgevents.worker set backend_start = null, lease_until = now()")
        assert "stopped" in consumer_line(call, url)


@pytest.mark.parametrize(
    ("spoil", "state"),
    [
        ('drop trigger "00_pgevents_insert" on note', "partial"),
        ("alter table note disable trigger user", "disabled"),
        ("drop event trigger pgevents_schema_changed", "covered"),
    ],
)
def test_check_ends_with_1_when_something_is_not_covered(call, url, execute, spoil, state) -> None:
    assert call("status", "--check", "--database-url", url).code == 0
    execute(url, spoil)

    answer = call("status", "--check", "--database-url", url)

    assert answer.code == 1
    assert "run: pg_events build" in answer.err
    assert [table["state"] for table in report(call, url)["tables"]] == [state]
    assert call("status", "--database-url", url).code == 0
    assert call("build", "--database-url", url).code == 0
    assert call("status", "--check", "--database-url", url).code == 0


def test_check_asks_for_no_more_than_is_permitted(call, server, database_url, stranger, execute) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    owner = server.url(name, stranger)
    execute(
        database_url,
        f"grant create on database {name} to {stranger}",
        "create table note (id integer)",
        f"grant trigger on note to {stranger}",
    )
    assert call("build", "--database-url", owner).code == 0

    answer = call("status", "--check", "--database-url", owner)
    execute(database_url, 'drop trigger "00_pgevents_insert" on note')
    drifted = call("status", "--check", "--database-url", owner)

    assert answer.code == 0
    assert "event triggers are not permitted here" in answer.err
    assert drifted.code == 1
    assert "1 table not covered as they should be; run: pg_events build" in drifted.err
    # Who may do more than the owner is told to build, which takes the schema over, before anything in it is read.
    stronger = call("status", "--check", "--database-url", database_url)
    assert stronger.code == 4
    assert "let pg_events build take the schema over" in stronger.err


def test_check_by_a_mere_reader_asks_for_what_the_owner_may(call, server, url, stranger, execute) -> None:
    reader = server.url(psycopg.conninfo.conninfo_to_dict(url)["dbname"], stranger)
    assert call("build", "--grant", stranger, "--database-url", url).code == 0
    assert call("status", "--check", "--database-url", reader).code == 0

    execute(url, *(f"drop event trigger pgevents_schema_{name}" for name in ("changed", "dropped")))
    answer = call("status", "--check", "--database-url", reader)

    assert answer.code == 1
    assert "DDL is not recorded; run: pg_events build" in answer.err


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_it_fits_the_terminal(in_terminal, url, execute, columns) -> None:
    execute(
        url,
        *(f"create table {'long_' * 9}{number:02} (id integer)" for number in range(3)),
        "create view v as select 1",
        "insert into note values (1)",
    )

    terminal = in_terminal("status", "--database-url", url, columns=columns)

    assert terminal.end() == 0
    assert max(map(len, terminal.screen)) <= columns
    shown = " ".join(terminal.screen)
    assert "4 of 4 tables covered" in " ".join(shown.split())
    assert f"{'long_' * 9}02" in "".join(line.split(" ", 1)[0] for line in terminal.screen)


def test_in_a_pipe_a_line_is_a_table_however_long(call, url, execute) -> None:
    name = "long_" * 12
    execute(url, f"create table {name} (id integer)", "create view v as select 1")

    lines = call("status", "--database-url", url).out.splitlines()

    assert sum(name in line and "covered" in line for line in lines) == 1
    assert sum(" a view: capture the tables below it" in line for line in lines) == 1


def test_names_do_not_speak_to_the_terminal(in_terminal, call, url, execute) -> None:
    quoted = HOSTILE.replace('"', '""')
    execute(url, f'create table "{quoted}" (id integer)')

    terminal = in_terminal("status", "--database-url", url, columns=120)

    assert terminal.end() == 0
    assert "public.␛[31mred [/] [bold] \\u{202e}gnp.exe␊ second line" in terminal.raw
    assert "\u202e" not in terminal.raw
    assert report(call, url)["tables"][0]["name"] in (HOSTILE, "note")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_when_none_is_wanted(in_terminal, url, environment) -> None:
    terminal = in_terminal("status", "--database-url", url, environment=environment)

    assert terminal.end() == 0
    for colour in ("\x1b[3", "\x1b[9", ";3"):
        assert colour not in terminal.raw


def test_a_terminal_that_knows_few_letters_gets_a_status_all_the_same(run, url) -> None:
    answer = run("status", "--database-url", url, environment={"PYTHONIOENCODING": "ascii"})

    assert answer.code == 0
    assert "public.note" in answer.out
    assert "Traceback" not in answer.err


def test_a_database_without_tables_has_a_status(call, built_database_url) -> None:
    answer = call("status", "--database-url", built_database_url)

    assert answer.code == 0
    assert answer.out.startswith("0 of 0 tables covered · DDL recorded · 0 events, ")


@pytest.mark.parametrize(
    "command", ["status", "status --json", "build --plan --json", "listen --since oldest --limit 1"]
)
def test_a_full_disk_is_one_line(start, url, execute, command) -> None:
    execute(url, "insert into note values (1)")

    with Path("/dev/full").open("w") as full:
        answer = start(*command.split(), "--database-url", url, stdout=full).answer()

    assert answer.code == 1
    assert answer.err == "pg_events: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("command", ["status", "status --json", "build --plan", "listen --since oldest --limit 1"])
def test_a_closed_stdout_is_none_of_our_business(server, url, execute, command) -> None:
    execute(url, "insert into note values (1)")
    words = [sys.executable, "-m", "pg_events", *command.split(), "--database-url", url]

    answer = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *words], stderr=subprocess.PIPE, text=True)

    assert answer.returncode == 0
    assert "Traceback" not in answer.stderr
    assert "Exception ignored" not in answer.stderr


@pytest.mark.parametrize("command", ["status", "status --json", "build --plan", "failed list", "--help"])
def test_a_reader_that_has_enough_is_no_failure(start, url, command) -> None:
    database = [] if command == "--help" else ["--database-url", url]
    process = start(*command.split(), *database)
    process.stdout.close()

    process.wait()

    assert process.returncode == 0
    assert "Traceback" not in process.stderr.read()
