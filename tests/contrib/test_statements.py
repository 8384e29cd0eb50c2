"""Which statements write, by their first keyword."""

import pytest

from pg_events.contexts.sent import Sent
from pg_events.contexts.statements import read_statement

READS = [
    "", ";", "select 1", "  SELECT 1", "-- insert\nselect 1", "/* insert */ /* ** */ select 1", "(select 1)", "values (1)",
    "table t",
    "select * from t for update", "select 'insert into t'", "with a as (select 1) select * from a",
    "with a as (select 'delete' as \"update\") select * from a -- merge",
    "with a as (select * from t for update) select * from a", "with a as (select * from t for  no key\nupdate) select 1",
    "explain insert into t values (1)", "explain analyze select 1", "show all", "fetch 1 from c",
    "declare c cursor for select 1",
    "copy t to stdout", "copy (select * from t) to stdout", "vacuum t", "analyze", "listen x", "notify x", "lock table t",
    "set work_mem = '1MB'", "begin", "commit", "prepare p as insert into t values (1)", "deallocate p",
    "select $a$ ; insert into t $a$", "select E'\\'; insert into t values (1)'", "close c", "42", "/* open", "'quoted",
]  # fmt: skip
WRITES = [
    "insert into t values (1)", "INSERT INTO t VALUES (1)", "/* sqlcommenter */insert into t values (1)",
    "-- a\n--b\n update t set a = 1",
    "delete from t", "merge into t using s on true when matched then delete", "truncate t",
    "with a as (insert into t values (1) returning *) select * from a",
    "with a as (select 1) update t set b = 2", "with recursive a as (select 1) delete from t",
    "explain (analyze) delete from t",
    "copy t from stdin", "COPY t (a) FROM '/file'", "copy (delete from t returning *) to stdout", "create table x ()",
    "alter table t add a int",
    "drop table t", "comment on table t is 'x'", "grant select on t to r", "call p()", "do $$begin end$$", "execute p(1)",
    "select 1; delete from t", "begin; insert into t values (1); commit", "refresh materialized view v",
]  # fmt: skip
ALONE = [
    "create index concurrently on t (a)", "drop index concurrently i", "create database d", "alter system set a = 1",
    "call p()", "do 'x'",
    "create tablespace x location ''", "begin; insert into t values (1)", "insert into t values (1); commit", "vacuum",
    "drop subscription s",
]  # fmt: skip


@pytest.mark.parametrize("text", READS)
def test_a_read(text: str) -> None:
    assert not read_statement(text).writes


@pytest.mark.parametrize("text", WRITES)
def test_a_write(text: str) -> None:
    assert read_statement(text).writes


@pytest.mark.parametrize("text", ALONE)
def test_what_a_transaction_block_could_fail(text: str) -> None:
    assert not read_statement(text).fits_block


@pytest.mark.parametrize("text", [text for text in WRITES if text not in ALONE and ";" not in text])
def test_a_write_fits_a_block(text: str) -> None:
    assert read_statement(text).fits_block is (text.split()[0] not in ("call", "do", "execute"))


@pytest.mark.parametrize(
    ("text", "control", "savepoint"),
    [
        ("begin", "begin", ""), ("start transaction read only", "begin", ""), ("commit", "end", ""), ("end work", "end", ""),
        ("rollback", "end", ""), ("ABORT", "end", ""), ("commit and chain", "end", ""), ("prepare transaction 'x'", "end", ""),
        ("savepoint a", "savepoint", "a"), ('SAVEPOINT "S 1"', "savepoint", '"S 1"'), ("release savepoint A", "release", "a"),
        ("RELEASE a;", "release", "a"), ("rollback to a", "rollback to", "a"), ("rollback work to savepoint a",
        "rollback to", "a"),
        ("rollback transaction to a", "rollback to", "a"), ("/* x */ rollback /* y */ to a", "unknown", ""), ("reset all",
        "unknown", ""),
        ("savepoint a; insert into t values (1)", "unknown", ""), ("set x = 1", None, ""),
        ("insert into t values ('commit')", None, ""),
    ],
)  # fmt: skip
def test_what_begins_and_ends(text: str, control: str | None, savepoint: str) -> None:
    statement = read_statement(text)

    assert (statement.control, statement.savepoint) == (control, savepoint)


def test_a_long_statement_is_looked_at_in_no_time() -> None:
    for text in (
        "insert into t values ('" + "x" * 5_000_000 + "')",
        "/*" + "*" * 5_000_000,
        "(" * 1_000_000,
        "--" * 1_000_000,
    ):
        read_statement(text)
        read_statement("with a as (select 1) " + text)
        read_statement(text + ";" + text)


def test_savepoints_of_one_name_hide_each_other() -> None:
    sent = Sent()
    for text, given in (("savepoint a", "1"), ("savepoint b", "2"), ("savepoint a", "3")):
        sent.follow(read_statement(text))
        sent.note(given)

    sent.follow(read_statement("rollback to a"))
    assert sent.text == "2"
    sent.follow(read_statement("release a"))
    sent.follow(read_statement("rollback to a"))
    assert sent.text == ""
