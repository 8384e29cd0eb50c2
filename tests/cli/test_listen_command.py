"""`listen`: events to a terminal, a pipe or a reader that has enough of them."""

import json
import os
import re
import signal
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from pg_events import parse

HOSTILE = "\x1b[31mred\x1b[0m [/] [@click=app.quit]x[/] \u202egnp.exe \x9b31m \x07"


def fill(url: str, rows: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("insert into note select n, 'row ' || n from generate_series(1, %s) n", [rows])


def test_kept_events_come_as_one_payload_a_line(call, url) -> None:
    fill(url, 3)

    answer = call("listen", "--since", "oldest", "--limit", "3", "--database-url", url)

    assert answer.code == 0
    assert [parse(line).row for line in answer.out.splitlines()] == [{"id": n, "text": f"row {n}"} for n in (1, 2, 3)]


def test_new_events_come_as_they_are_committed(start, url) -> None:
    fill(url, 3)
    process = start("listen", "--database-url", url)
    process.until_said("listening")

    with psycopg.connect(url) as connection:
        connection.execute("update note set text = 'new' where id = 2")

    event = json.loads(process.stdout.readline())
    assert (event["method"], event["old_data"], event["new_data"]) == (
        "UPDATE",
        {"id": 2, "text": "row 2"},
        {"id": 2, "text": "new"},
    )
    process.send_signal(signal.SIGTERM)
    assert process.answer().code == 0


@pytest.mark.parametrize(
    ("where", "since", "ids"),
    [
        ("new.id:2", "oldest", [2]),
        ("op:I new.id>1", "1h", [2, 3]),
        ("-new.id:2 table:note", "2020-01-01", [1, 3]),
        ("", "2020-01-01 14:00", [1, 2, 3]),
        ("", "2020-01-01T14:00", [1, 2, 3]),
        ('"row 3"', "oldest", [3]),
    ],
)
def test_where_and_since_choose(call, url, where, since, ids) -> None:
    fill(url, 3)

    answer = call("listen", "--where", where, "--since", since, "--limit", str(len(ids)), "--database-url", url)

    assert [json.loads(line)["new_data"]["id"] for line in answer.out.splitlines()] == ids


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_a_reader_that_has_enough_is_no_failure(start, url, form) -> None:
    fill(url, 5000)
    process = start("listen", "--since", "oldest", "--format", form, "--database-url", url)
    for _ in range(3):
        assert process.stdout.readline()

    process.stdout.close()

    assert process.stderr.read() == ""
    assert process.wait() == 0


def test_ctrl_c_is_130_and_no_traceback(in_terminal, url) -> None:
    terminal = in_terminal("listen", "--database-url", url)
    terminal.until("listening")

    terminal.type("\x03")

    assert terminal.end() == 130
    assert "Traceback" not in terminal.raw


def test_ctrl_c_in_a_pipe_is_130(start, url) -> None:
    fill(url, 1)
    process = start("listen", "--since", "oldest", "--database-url", url)
    assert process.stdout.readline()

    process.send_signal(signal.SIGINT)

    answer = process.answer()
    assert answer.code == 130
    assert answer.err.strip() == ""


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_on_a_terminal_an_event_is_one_line_of_plain_text(in_terminal, url, execute, columns) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("insert into note values (1, %s)", [HOSTILE.replace("\x9b", "\u009b") + "漢字" * 60])
        connection.execute("update note set text = null")
        connection.execute("truncate note")
    execute(url, f'create table "{HOSTILE}" (id integer)')

    terminal = in_terminal("listen", "--since", "oldest", "--limit", "4", "--database-url", url, columns=columns)

    assert terminal.end() == 0
    insert, update, truncate, ddl = [line for line in terminal.screen if line][1:]
    assert insert[13:45] == "I public.note id=1 text=␛[31mred"
    assert re.search(r"…? #\d+$", insert)
    assert update[13:49] == "U public.note id=1 text ␛[31mred␛[0m"
    assert re.fullmatch(r"T public\.note all rows  postgres #\d+", truncate[13:])
    assert ddl[13:].startswith('! CREATE TABLE public."␛[31mred')
    for control in ("\x1b[31m", "\x07", "\u202e", "\u009b"):
        assert control not in terminal.raw.replace("\x1b[31mI", "")
    assert all(width(line) <= columns for line in terminal.screen)


def width(line: str) -> int:
    from rich.cells import cell_len

    return cell_len(line)


def test_json_on_a_terminal_is_the_same_json_and_plain_text(in_terminal, url) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("insert into note values (1, %s)", [HOSTILE])

    terminal = in_terminal("listen", "--since", "oldest", "--limit", "1", "--format", "json", "--database-url", url)

    assert terminal.end() == 0
    payload = next(line for line in terminal.screen if line.startswith("{"))
    assert json.loads(payload)["new_data"] == {"id": 1, "text": HOSTILE}
    assert not any(control in payload for control in ("\x1b", "\x07", "\u202e", "\x9b"))


def test_values_are_shown_as_people_write_them(call, url, execute) -> None:
    execute(
        url,
        "create table kinds (amount numeric, j jsonb, b boolean, a text[], nothing text)",
        "insert into kinds values (1.50, '{\"a\": [1.250, null, true]}', false, '{x,y}', null)",
    )

    answer = call(
        "listen", "--where", "op:I", "--since", "oldest", "--limit", "1", "--format", "pretty", "--database-url", url
    )

    assert " amount=1.50 j={a: [1.250, null, true]} b=false a=[x, y] nothing=null " in answer.out


def test_an_event_of_another_day_has_its_date(call, url, execute) -> None:
    execute(
        url,
        "insert into note values (1), (2)",
        "update pgevents.event set at = at - interval '2 days'",
    )
    execute(url, "insert into note values (3)")

    lines = call(
        "listen", "--since", "oldest", "--limit", "3", "--format", "pretty", "--database-url", url
    ).out.splitlines()

    day = datetime.now(UTC).astimezone() - timedelta(days=2)
    assert [line.startswith(f"{day:%Y-%m-%d} ") for line in lines] == [True, True, False]
    assert re.match(r"\d\d:\d\d:\d\d\.", lines[2])


def test_many_columns_are_counted_not_shown(call, url, execute) -> None:
    columns = ", ".join(f"c{number} integer default {number}" for number in range(40))
    execute(url, f"create table wide ({columns})", "insert into wide default values")

    answer = call(
        "listen", "--where", "op:I", "--since", "oldest", "--limit", "1", "--format", "pretty", "--database-url", url
    )

    assert " c11=11 +28 " in answer.out


def test_json_is_utf_8_whatever_the_locale(start, url) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("insert into note values (1, 'ü漢😀')")
    environment = {"PYTHONIOENCODING": "latin-1"}

    answer = start(
        "listen", "--since", "oldest", "--limit", "1", "--database-url", url, environment=environment
    ).answer()

    assert json.loads(answer.out)["new_data"]["text"] == "ü漢😀"


def test_a_row_too_deep_to_be_read_is_said_to_be_so(call, url, execute) -> None:
    execute(
        url,
        "create table deep (j json)",
        "insert into deep select (repeat('[', 3000) || repeat(']', 3000))::json",
    )

    answer = call(
        "listen", "--where", "op:I", "--since", "oldest", "--limit", "1", "--format", "pretty", "--database-url", url
    )

    assert answer.code == 0
    assert "public.deep (cannot be read: nested too deep)" in answer.out


def test_a_terminated_connection_is_taken_up_again(start, url, execute) -> None:
    fill(url, 1)
    process = start("listen", "--since", "oldest", "--database-url", url)
    assert json.loads(process.stdout.readline())["new_data"]["id"] == 1

    execute(
        url,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'pg_events listen' and datname = current_database()",
    )
    process.until_said("connected again")
    execute(url, "update note set text = 'after'")

    assert json.loads(process.stdout.readline())["new_data"]["text"] == "after"
    os.kill(process.pid, signal.SIGTERM)
    answer = process.answer()
    assert answer.code == 0
    assert "postgresql://" not in answer.err


def test_what_commits_while_the_past_is_read_comes_after_it_and_once(start, url, execute) -> None:
    with psycopg.connect(url) as early:
        early.execute("insert into note values (1, 'begun first, committed last')")
        execute(url, "insert into note values (2, 'kept')")
        process = start("listen", "--since", "oldest", "--format", "json", "--limit", "3", "--database-url", url)
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        early.commit()
    execute(url, "insert into note values (3, 'new')")

    rest = [json.loads(line) for line in process.answer().out.splitlines()]

    assert [event["new_data"]["id"] for event in (first, *rest)] == [2, 1, 3]
