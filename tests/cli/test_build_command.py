"""`build` and `teardown`: what they print and how they end."""

import json
import re
import subprocess
import threading
from pathlib import Path

import psycopg
import pytest

from pg_events.triggers.plan import migrations

OURS = 4 + (len(migrations()) if len(migrations()) <= 3 else 1)
"""Lines of a first plan that are not about tables: more than three objects of a kind are one line."""
TABLES = ("orders", "order items", "[bold]x[/]", "ü漢")


@pytest.fixture
def shop(database_url, execute) -> str:
    """A database with some tables and a view, and no pg_events."""
    execute(database_url, *(f'create table "{name}" (id integer)' for name in TABLES), "create view v as select 1")
    return database_url


def test_json_has_the_shape_that_programs_rely_on(call, shop) -> None:
    planned = json.loads(call("build", "--plan", "--json", "--database-url", shop).out)
    done = json.loads(call("build", "--json", "--database-url", shop).out)
    again = json.loads(call("build", "--json", "--database-url", shop).out)

    assert list(planned) == list(done) == list(again) == ["changes", "unchanged", "applied"]
    assert all(list(change) == ["action", "object", "table"] for change in planned["changes"])
    assert planned == {**done, "applied": False}
    assert done["applied"] is True
    assert {change["table"] for change in done["changes"]} == {None, *(f"public.{name}" for name in TABLES)}
    assert again == {"changes": [], "unchanged": len(done["changes"]), "applied": True}


def test_a_plan_changes_nothing(call, shop, execute) -> None:
    answer = call("build", "--plan", "--database-url", shop)

    assert answer.code == 0
    assert "nothing was done: this is a plan" in answer.err
    assert execute(shop, "select count(*) from pg_namespace where nspname = 'pgevents'") == [(0,)]


def test_a_plan_has_one_line_for_a_table(call, shop) -> None:
    lines = call("build", "--plan", "--database-url", shop).out.splitlines()

    for name in TABLES:
        assert [line.split() for line in lines if f"public.{name} " in line] == [
            ["create", *f"public.{name}".split(), "I", "U", "D", "T", "not", "there", "yet"]
        ]
    assert len(lines) == 1 + OURS + len(TABLES)


@pytest.mark.parametrize("columns", [50, 80, 120])
def test_a_plan_fits_the_terminal(in_terminal, shop, columns) -> None:
    terminal = in_terminal("build", "--plan", "--database-url", shop, columns=columns)

    assert terminal.end() == 0
    assert max(map(len, terminal.screen)) <= columns
    if columns >= 80:
        # The two words of the heading, things of ours, the tables; then two sentences in at most two lines each.
        assert len([line for line in terminal.screen if line]) <= 1 + OURS + len(TABLES) + 4
    assert "public.[bold]x[/]" in "".join(terminal.screen)
    assert "SHARE ROW EXCLUSIVE" in re.sub(r"\s+", " ", " ".join(terminal.screen))


def test_what_was_done_is_told_in_one_line(call, shop) -> None:
    built = call("build", "--database-url", shop)
    again = call("build", "--database-url", shop)
    less = call("build", "--exclude", "public.order*", "--database-url", shop)
    removed = call("teardown", "--yes", "--database-url", shop)
    gone = call("teardown", "--yes", "--database-url", shop)

    assert re.fullmatch(r"\d+ changes, 0 unchanged; 4 tables covered", built.line)
    assert re.fullmatch(r"nothing to do: \d+ objects as they should be", again.line)
    assert less.line.endswith("; 2 tables no longer covered")
    assert removed.line.endswith("; 2 tables no longer covered")
    assert gone.line == "nothing to remove: there is no pg_events in this database"
    assert [answer.code for answer in (built, again, less, removed, gone)] == [0, 0, 0, 0, 0]


def test_on_a_terminal_nothing_of_the_progress_bar_remains(in_terminal, shop) -> None:
    terminal = in_terminal("build", "--database-url", shop)

    assert terminal.end() == 0
    assert re.fullmatch(r"\d+ changes, 0 unchanged; 4 tables covered", [line for line in terminal.screen if line][-1])


def test_the_script_is_a_build(call, server, shop, execute) -> None:
    script = call("build", "--sql", "--database-url", shop)
    assert script.code == 0

    if not hasattr(server, "_programs"):
        pytest.skip("needs psql of the embedded server")
    psql = subprocess.run(
        [server._programs / "psql", "--no-psqlrc", "--quiet", "-d", shop],
        input=script.out,
        text=True,
        check=True,
        capture_output=True,
    )

    assert (psql.stdout, psql.stderr) == ("", "")
    assert json.loads(call("build", "--json", "--database-url", shop).out)["changes"] == []
    ((columns,),) = execute(shop, "alter table orders add note text", "select ddl -> 'columns' from pgevents.log")
    assert [column["name"] for column in columns["added"]] == ["note"]


def test_the_script_says_how_to_run_it_and_stops_at_an_error_however_it_is_run(call, server, shop, execute) -> None:
    script = call("build", "--sql", "--database-url", shop).out
    head = script.partition("\nset ")[0]
    assert '\n--     psql -v ON_ERROR_STOP=1 -f build.sql "$PG_EVENTS_DATABASE_URL"\n' in head
    assert head.endswith("\n\\set ON_ERROR_STOP on")
    assert all(line.startswith("--") or not line for line in head.splitlines()[:-1])

    if not hasattr(server, "_programs"):
        pytest.skip("needs psql of the embedded server")
    execute(shop, 'drop table "order items"')
    psql = subprocess.run(
        [server._programs / "psql", "--no-psqlrc", "--quiet", "-d", shop],
        input=f"{script}\ncreate table behind ();",
        text=True,
        capture_output=True,
        check=False,
    )

    assert psql.returncode == 3
    assert psql.stderr.count("ERROR") == 1
    assert execute(shop, "select to_regclass('public.behind') is null") == [(True,)]
    again = call("build", "--sql", "--database-url", shop).out
    assert "order items" not in again
    subprocess.run([server._programs / "psql", "-Xqd", shop], input=again, text=True, check=True, capture_output=True)
    nothing = call("build", "--sql", "--database-url", shop)
    assert (nothing.out, nothing.code) == ("", 0)
    assert nothing.line.startswith("nothing to do: ")


def test_patterns_of_the_settings_and_of_the_options(call, shop, tmp_path) -> None:
    (tmp_path / "shop_settings.py").write_text(
        f"PG_EVENTS_DATABASE_URL = {shop!r}\nPG_EVENTS_INCLUDE = ['public.order*']\nPG_EVENTS_EXCLUDE = ['*items']\n"
    )

    def covered(*options: str) -> set[str]:
        call("build", "--settings", "shop_settings", *options)
        tables = json.loads(call("status", "--json", "--settings", "shop_settings").out)["tables"]
        return {table["name"] for table in tables if table["state"] == "covered"}

    assert covered() == {"orders"}
    assert covered("--exclude", "*.orders") == {"order items"}
    assert covered("--include", "*") == {"orders", "[bold]x[/]", "ü漢"}
    assert covered() == {"orders"}


def test_what_a_plan_and_status_say_of_tables_that_are_captured_otherwise(
    call, database_url, execute, tmp_path
) -> None:
    execute(database_url, "create table orders (id integer)", "create table sales (id integer) partition by range (id)")
    execute(database_url, "create table sales_1 partition of sales for values from (0) to (10)")
    url = f"PG_EVENTS_DATABASE_URL = {database_url!r}\n"
    (tmp_path / "usual.py").write_text(url)
    (tmp_path / "otherwise.py").write_text(
        f"{url}PG_EVENTS_CAPTURE_REPLICATED = ['orders']\nPG_EVENTS_ROW_TRIGGERS = ['public.sales']\n"
    )
    assert call("build", "--settings", "usual").code == 0

    plan = [line.split() for line in call("build", "--plan", "--settings", "otherwise").out.splitlines()]
    done = call("build", "--settings", "otherwise").err

    why = ["not", "as", "these", "settings", "want", "it"]
    assert ["replace", "public.orders", "T", *why] in plan
    assert ["create", "public.orders", "R", "not", "there", "yet"] in plan
    assert ["drop", "public.sales", "I", "U", "D", *why] in plan
    assert "2 tables covered" in done
    assert "no longer" not in done
    tables = json.loads(call("status", "--json", "--settings", "otherwise").out)["tables"]
    assert [(table["state"], table["reason"], table["options"]) for table in tables] == [
        ("covered", "replicated changes, too", {"replicated": True, "query": 8192}),
        ("covered", "row by row: the settings ask for it", {"by_row": True, "query": 8192}),
        ("covered", "row by row: the settings ask for it", {"by_row": True, "query": 8192}),
    ]
    assert call("status", "--check", "--settings", "otherwise").code == 0


def test_patterns_of_options_hold_until_the_next_build_and_both_builds_say_so(call, shop, tmp_path) -> None:
    (tmp_path / "shop_settings.py").write_text(f"PG_EVENTS_DATABASE_URL = {shop!r}\nPG_EVENTS_INCLUDE = ['public.*']\n")

    with_options = call("build", "--settings", "shop_settings", "--exclude", "*items", "--exclude", "*.orders")
    planned = call("build", "--settings", "shop_settings", "--plan")
    later = call("build", "--settings", "shop_settings")
    again = call("build", "--settings", "shop_settings")

    assert with_options.err.splitlines()[0] == (
        "--exclude holds until the next build: to keep it, put it into PG_EVENTS_EXCLUDE of shop_settings"
    )
    told = "the last build left out '*items', '*.orders'; shop_settings no longer: to keep it, put it into PG_EVENTS_EXCLUDE"
    assert planned.err.splitlines()[0] == later.err.splitlines()[0] == told
    assert later.err.splitlines()[-1].endswith("; 2 tables covered")
    assert again.line.startswith("nothing to do")


def test_patterns_of_options_are_kept_where_only_the_database_is_said(call, shop) -> None:
    call("build", "--database-url", shop, "--exclude", "*items")

    later = call("build", "--database-url", shop)
    less = call("build", "--database-url", shop, "--exclude", "no such table")
    typo = call("build", "--plan", "--database-url", shop, "--include", "publik.*")

    assert later.line.startswith("nothing to do")
    assert less.err.splitlines()[0] == "warning: PG_EVENTS_EXCLUDE or --exclude: no table matches 'no such table'"
    assert less.err.splitlines()[1].endswith("; 1 table covered")
    assert "warning: PG_EVENTS_INCLUDE or --include: no table matches 'publik.*'" in typo.err.splitlines()


def test_a_table_that_stays_locked_is_told_and_the_others_are_covered(call, shop, execute, monkeypatch) -> None:
    monkeypatch.setattr("pg_events.triggers.apply.TRIES", 2)
    with psycopg.connect(shop) as writer:
        writer.execute("insert into orders values (1)")

        answer = call("build", "--json", "--database-url", shop)

    assert answer.code == 1
    assert json.loads(answer.out)["applied"] is False
    assert re.fullmatch(r"failed: public\.orders: .*lock.*\n", answer.err)
    states = json.loads(call("status", "--json", "--database-url", shop).out)["tables"]
    assert {table["name"] for table in states if table["state"] == "missing"} == {"orders"}


def test_teardown_asks_on_a_terminal_and_takes_no_for_an_answer(in_terminal, url, execute) -> None:
    terminal = in_terminal("teardown", "--database-url", url)

    terminal.until("[y/N]")
    terminal.type("\r")

    assert terminal.end() == 1
    assert "nothing was changed" in terminal.raw
    assert execute(url, "select count(*) from pg_namespace where nspname = 'pgevents'") == [(1,)]


def test_teardown_that_can_ask_nobody_names_the_option(run, url, execute) -> None:
    answer = run("teardown", "--database-url", url)

    assert answer.code == 2
    assert answer.err.endswith("pg_events: cannot ask for confirmation without a terminal: pass --yes\n")
    assert execute(url, "select count(*) from pg_namespace where nspname = 'pgevents'") == [(1,)]


def test_ctrl_c_at_the_question_is_130(in_terminal, url) -> None:
    terminal = in_terminal("teardown", "--database-url", url)

    terminal.until("[y/N]")

    assert terminal.end_by("\x03") == 130
    assert "Traceback" not in terminal.raw


def test_teardown_json(call, url) -> None:
    planned = json.loads(call("teardown", "--plan", "--json", "--database-url", url).out)
    done = json.loads(call("teardown", "--yes", "--json", "--database-url", url).out)

    assert planned == {**done, "applied": False}
    assert done["changes"][-1] == {"action": "drop", "object": "schema pgevents", "table": None}


def test_a_build_ended_by_ctrl_c_loses_no_event_and_the_next_one_goes_on(
    in_terminal, call, database_url, execute
) -> None:
    execute(database_url, *(f"create table {name} (id integer primary key, note text)" for name in ("a", "b", "c")))
    assert call("build", "--database-url", database_url, "--include", "a").code == 0
    stopping = threading.Event()
    written: list[int] = []

    def write() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            while not stopping.is_set():
                connection.execute("insert into a values (%s)", [len(written)])
                written.append(len(written))

    writer = threading.Thread(target=write)
    writer.start()
    (Path.cwd() / "shop_settings.py").write_text("PG_EVENTS_EXCLUDE_COLUMNS = {'*': ['note']}")
    build = ("build", "--settings", "shop_settings.py", "--database-url", database_url)
    with psycopg.connect(database_url) as holder:
        holder.execute("insert into b values (1)")
        first = in_terminal(*build)
        first.until("public.b is busy, retrying later")
        code = first.end_by("\x03")
    interrupted = json.loads(call(*build, "--plan", "--json").out)
    second = call(*build)
    stopping.set()
    writer.join()

    assert code == 130
    assert "Traceback" not in first.raw
    # What was done stayed done: a has its new triggers, c its first ones.
    assert {change["table"] for change in interrupted["changes"]} == {"public.b"}
    assert second.code == 0
    captured = execute(
        database_url, "select (new_data ->> 'id')::integer from pgevents.log where table_name = 'a' order by id"
    )
    assert [number for (number,) in captured] == written
