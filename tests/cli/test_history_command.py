"""`history` and `transaction`: one row through time, one transaction, and what would undo a change."""

import json
from pathlib import Path

import psycopg
import pytest

from pg_events.files import journal

TABLE = """
create type mood as enum ('calm', 'wild')
;
create table item (
    o integer, p smallint, tags text[] not null default '{}', doc jsonb, plain json, at timestamptz, note text, b bytea,
    price numeric(10, 2), mood mood, span int4range, big bigint, real real, day date, every interval, flag boolean,
    twice integer generated always as (o * 2) stored, number integer generated always as identity,
    primary key (o, p)
)
"""
ROW = (
    "insert into item (o, p, tags, doc, plain, at, note, b, price, mood, span, big, real, day, every, flag) values"
    """ (1, 2, '{a,"b c",NULL}', '{"x": [1, "2"]}', '"s"', '2026-08-22 10:00:00.123+02', E'it''s \\\\ \x1b[31m \u202e',"""
    r""" '\xdead', 1.50, 'wild', '[1,5)', 9007199254740993, 0.1, '2026-08-22', '1 day 02:00', true)"""
)


@pytest.fixture
def item(url: str, execute) -> str:
    execute(url, *TABLE.split("\n;\n"), "truncate pgevents.event")
    return url


def rows(url: str) -> list[tuple]:
    with psycopg.connect(url) as connection:
        return connection.execute("select item::text from item order by o, p").fetchall()


def ids(call, url: str, *key: str) -> list[int]:
    answer = call("history", "item", *key, "--json", "--database-url", url)
    return [json.loads(line)["id"] for line in answer.out.splitlines()]


def test_every_version_of_a_row_is_shown_and_no_other_row(call, item, execute) -> None:
    execute(
        item,
        "insert into item (o, p, note) values (1, 2, 'a'), (1, 3, 'other'), (2, 2, 'other')",
        "update item set note = note || '!', price = 2.50",
        "delete from item where p = 2",
    )

    answer = call("history", "public.item", "1", "2", "--database-url", item)

    assert answer.code == 0
    lines = answer.out.splitlines()
    assert [line.split()[1:3] for line in lines if line.startswith("#")] == [
        [method, "public.item"] for method in ("INSERT", "UPDATE", "DELETE")
    ]
    assert "    note: a → a!" in lines
    assert "    price: NULL → 2.50" in lines
    assert "other" not in answer.out
    assert ids(call, item, "p=2", "o=1") == ids(call, item, "1", "2")


@pytest.mark.parametrize("change", ["update", "insert", "delete"])
def test_the_statement_that_undoes_a_change_does(call, item, execute, change) -> None:
    execute(item, ROW)
    if change != "insert":
        before = rows(item)
    if change == "update":
        execute(
            item,
            "update item set tags = '{}', doc = null, plain = '{}', at = now(), note = '', b = null, price = 0, mood = 'calm',"
            " span = null, big = 1, real = 2, day = null, every = '1s', flag = null",
        )
    elif change == "delete":
        execute(item, "delete from item")
    else:
        before = []

    answer = call("history", "item", "1", "2", "--undo", str(ids(call, item, "1", "2")[-1]), "--database-url", item)

    assert (answer.code, answer.err) == (0, "")
    assert "\x1b" not in answer.out
    assert "twice" not in answer.out
    execute(item, answer.out)
    assert rows(item) == before


def test_undo_of_a_table_without_a_key_hits_one_row(call, url, execute) -> None:
    execute(
        url,
        "create table nopk (a integer, r real, d json, n text)",
        "insert into nopk select 1, 0.1, '[1]', null from generate_series(1, 3)",
        "insert into nopk values (1, 0.5, null, 'x')",
    )
    history = ("history", "nopk", "1", "--database-url", url)
    shown = call(*history)
    number = shown.out.split()[0].removeprefix("#")
    undone = call(*history, "--undo", number)

    execute(url, undone.out)

    assert "all rows with the same a are shown as one" in shown.err
    assert undone.out.startswith("-- no primary key is known")
    assert execute(url, "select r, count(*) from nopk group by r order by r") == [(0.1, 2), (0.5, 1)]


def test_undo_tells_json_null_from_null_where_the_column_takes_none(call, url, execute) -> None:
    execute(
        url,
        "create table j (id integer primary key, v jsonb not null, w jsonb)",
        "insert into j values (1, 'null', null)",
        "delete from j",
    )
    history = ("history", "j", "1", "--database-url", url)
    number = next(line for line in call(*history).out.splitlines() if "DELETE" in line).split()[0].removeprefix("#")

    execute(url, call(*history, "--undo", number).out)

    assert execute(url, "select v::text, w is null from j") == [("null", True)]


def test_undo_tells_of_later_changes_and_refuses_what_is_not_the_rows(call, item, execute) -> None:
    execute(
        item, "insert into item (o, p) values (1, 2), (5, 5)", "update item set price = 1 where o = 1", "truncate item"
    )
    first, second, third = ids(call, item, "1", "2")

    def undo(number: int):
        return call("history", "item", "1", "2", "--undo", str(number), "--database-url", item)

    assert f"changed again by #{second}, #{third}" in undo(first).err
    assert undo(first + 1).code == 2
    assert "the removed rows were not recorded" in undo(third).err


def test_the_row_as_it_was(call, item, execute) -> None:
    for number, ago in ((1, 40), (2, 20)):
        data = {
            1: ("I", None, '{"o":1,"p":2,"price":1.50}'),
            2: ("D", '{"o":1,"p":2,"price":2.50}', None),
        }[number]
        with psycopg.connect(item) as connection:
            connection.execute(
                "insert into pgevents.event (kind, table_schema, table_name, at, old_data, new_data)"
                " values (%s, 'public', 'item', now() - make_interval(mins => %s), %s, %s)",
                [data[0], ago, *data[1:]],
            )

    def at(text: str):
        return call("history", "item", "1", "2", "--at", text, "--database-url", item)

    assert json.loads(at("30m").out) == {"o": 1, "p": 2, "price": 1.5}
    assert "1.50" in at("30m").out
    assert (at("10m").code, at("10m").line) == (1, "there was no such row")
    assert at("50m").code == 1
    assert at("nosuch").code == 2


def test_a_row_of_a_saved_log_needs_no_database(call, item, execute) -> None:
    execute(item, "insert into note values (7, 'a'), (8, 'b')", "update note set text = 'c'")
    call("export", "log.jsonl", "--database-url", item)

    answer = call("history", "note", "7", "--log", "log.jsonl")

    assert [line.split()[1] for line in answer.out.splitlines() if line.startswith("#")] == ["INSERT", "UPDATE"]
    number = answer.out.splitlines()[-2].split()[0].removeprefix("#")
    undone = call("history", "note", "7", "--log", "log.jsonl", "--undo", number)
    comment, _, statement = undone.out.partition("\n")
    assert statement == 'update "public"."note"\nset "text" = \'a\'\nwhere "id" = 7;\n'
    assert comment.startswith("-- no primary key is known")
    assert "no primary key is known" in undone.err


def test_a_transaction_is_shown_with_data_and_ddl_in_order(call, item, execute) -> None:
    with psycopg.connect(item) as connection:
        connection.execute("insert into note values (7, 'a')")
        connection.execute("alter table note add extra integer")
        connection.execute("update note set extra = 5")
        (xid,) = connection.execute("select pg_current_xact_id()::text").fetchone()
    execute(item, "insert into note values (8, 'b')")

    answer = call("transaction", xid, "--database-url", item)

    assert answer.code == 0
    lines = [line.strip() for line in answer.out.splitlines()]
    assert lines[0].startswith(f"transaction {xid}")
    assert lines[0].endswith("3 events")
    assert [line.split()[1] for line in lines if line.startswith("#")] == ["INSERT", "ALTER", "UPDATE"]
    assert "alter table note add extra integer" in lines
    assert "+ extra integer" in lines
    assert "extra: NULL → 5" in lines
    call("export", "log.jsonl", "--database-url", item)
    assert call("transaction", xid, "--log", "log.jsonl").out == answer.out
    assert len(call("transaction", xid, "--json", "--database-url", item).out.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("history item 1", 2, "the key of this table is o, p; 1 value was given: 1"),
        ("history item 1 2", 1, "no event of public.item 1 2 is kept"),
        ("history itme 1", 1, "no table of that name is captured, see: pg_events status"),
        ("history item 1 2 --undo 1 --at 5m", 2, "exclude each other"),
        ("history note 1 --log nosuch.jsonl", 2, "nosuch.jsonl cannot be read"),
        ("transaction 999", 1, "no event of transaction 999 is kept"),
        ("transaction x", 2, "'x' is not a valid integer"),
    ],
)
def test_what_cannot_be_answered_is_one_line(call, item, arguments, code, words) -> None:
    answer = call(*arguments.split(), "--database-url", item)

    assert answer.code == code
    assert words in answer.line


def test_a_name_of_two_tables_must_be_told_apart(call, item, execute) -> None:
    execute(item, "create schema other", "create table other.note (id integer primary key)")

    assert call("history", "note", "1", "--database-url", item).line.endswith(
        "note is the name of 2 tables; write one of: other.note, public.note"
    )


def test_a_value_that_python_cannot_read_leaves_the_rest_of_its_event_readable(call, item, execute) -> None:
    import pg_events

    deep = "[" * 5000 + "]" * 5000
    with psycopg.connect(item) as connection:
        for value in (deep, "7" * 5000):
            connection.execute(
                "insert into pgevents.event (kind, table_schema, table_name, new_data)"
                " values ('I', 'public', 'note', %s)",
                [f'{{"id":7,"text":{value}}}'],
            )
        (xid,) = connection.execute("select pg_current_xact_id()::text").fetchone()

    call("export", "log.jsonl", "--database-url", item)
    for where in (("--database-url", item), ("--log", "log.jsonl")):
        one = call("transaction", xid, *where)
        row = call("history", "note", "7", *where)
        then = call("history", "note", "7", "--at", "0s", *where)

        assert [one.code, row.code] == [0, 0]
        assert one.out.count("INSERT") == row.out.count("INSERT") == 2
        assert "text: (nested too deeply to be shown, 10,000 characters)" in row.out
        assert then.code == 0
    events = pg_events.read(item, where="table:note")
    assert [event.new_data["id"] for event in events] == [7, 7]
    assert next(iter(events)).new_data["text"] == deep
    assert events.bad_lines == 0


def test_lines_of_a_saved_log_that_are_passed_over_are_told_and_1(call, item, execute) -> None:
    execute(item, "insert into item (o, p) values (1, 2)")
    call("export", "log.jsonl", "--database-url", item)
    xid = str(next(iter(journal.read("log.jsonl"))).event.xid)
    with Path("log.jsonl").open("a") as file:
        file.write("nonsense\n" * 12)

    for question in (("history", "item", "1"), ("history", "item", "1", "--at", "0s"), ("transaction", xid)):
        answer = call(*question, "--log", "log.jsonl")

        assert answer.code == 1
        assert answer.err.startswith("line 3 skipped: not JSON")
        assert answer.err.splitlines()[10] == "… and 2 more"


def test_since_bounds_what_is_read_and_shown(call, item, execute) -> None:
    execute(item, "insert into item (o, p) values (1, 2)", "update pgevents.event set at = at - interval '2 hours'")
    execute(item, "update item set note = 'b'")
    (first, second) = ids(call, item, "1", "2")

    assert ids(call, item, "1", "2", "--since", "1h") == [second]
    assert ids(call, item, "1", "2", "--since", "3h") == [first, second]
    assert call("history", "item", "1", "2", "--since", "soon", "--database-url", item).code == 2
