"""What undoes a change never writes a mask or a hash where a value was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pg_events.log import row_history

TABLE = (
    "create table users (id integer primary key, email text, card text not null default 'none', name text, md5 text)",
    "create table keyed (email text primary key, name text)",
    "create table parts (id integer, email text, primary key (id)) partition by range (id)",
    "create table part partition of parts for values from (0) to (10)",
)
REDACT = {
    "public.users": {"email": "hash", "card": "mask"},
    "public.keyed": {"email": "hash"},
    "public.parts": {"email": "mask"},
}


@pytest.fixture
def users(database_url: str, build: Callable[..., Any], execute: Callable[..., Any]) -> str:
    execute(database_url, *TABLE)
    assert not build(database_url, redact=REDACT).failed
    execute(database_url, "truncate pgevents.event")
    return database_url


@pytest.fixture
def undo(call: Callable[..., Any], users: str) -> Callable[..., Any]:
    """`undo("users", "1")`: the last event of the row."""

    def undo(table: str, key: str, *options: str) -> Any:
        where = options or ("--database-url", users)
        lines = call("history", table, key, "--json", *where).out.splitlines()
        return call("history", table, key, "--undo", str(json.loads(lines[-1])["id"]), *where)

    return undo


def test_a_deleted_row_comes_back_without_what_was_redacted(undo, users, execute) -> None:
    execute(users, "insert into users values (1, 'a@b', '4111', 'Ann', null)", "delete from users")

    answer = undo("users", "1")
    execute(users, answer.out)

    assert answer.code == 0
    assert answer.out.startswith("-- the log does not have the values of email, card: omitted\n")
    assert "the log does not have the values of email, card" in answer.err
    assert execute(users, "select * from users") == [(1, None, "none", "Ann", None)]


def test_an_update_gives_back_what_was_not_redacted(undo, users, execute) -> None:
    execute(
        users,
        "insert into users values (1, 'a@b', '4111', 'Ann', null)",
        "update users set email = 'c@d', name = 'Bea'",
    )

    answer = undo("users", "1")
    execute(users, answer.out)

    assert "values of email: omitted" in answer.out
    assert execute(users, "select email, name from users") == [("c@d", "Ann")]


def test_an_update_of_redacted_columns_alone_is_refused(undo, users, execute) -> None:
    execute(users, "insert into users values (1, 'a@b', '4111', 'Ann', null)", "update users set email = 'c@d'")

    answer = undo("users", "1")

    assert answer.code == 2
    assert "changed only redacted columns (email)" in answer.line


def test_a_row_whose_key_is_redacted_cannot_be_named(call, users, execute) -> None:
    execute(users, "insert into keyed values ('a@b', 'Ann')", "update keyed set name = 'Bea'")
    [(number, key)] = execute(users, "select id, new_data ->> 'email' from pgevents.log where kind = 'U'")

    answer = call("history", "keyed", key, "--undo", str(number), "--database-url", users)

    assert answer.code == 2
    assert "the key of the row is not in the log (email)" in answer.line


def test_partitions_are_treated_as_their_table(undo, users, execute) -> None:
    execute(users, "insert into parts values (1, 'a@b')", "delete from parts")

    assert "values of email: omitted" in undo("parts", "1").out


def test_what_was_redacted_when_it_was_captured_is_seen(undo, users, execute, build) -> None:
    execute(users, "insert into users values (1, 'a@b', '4111', 'Ann', null)", "delete from users")
    assert not build(users, redact={}, query_characters=0).failed

    assert "values of email, card: omitted" in undo("users", "1").out


def test_a_value_that_looks_like_a_mask_in_a_table_that_is_not_redacted_is_a_value(undo, users, execute, build) -> None:
    assert not build(users, redact={"public.keyed": {"email": "hash"}}).failed
    execute(users, f"insert into users values (1, '***', '***', 'Ann', '{'0' * 32}')", "delete from users")

    execute(users, undo("users", "1").out)

    assert execute(users, "select email, card, md5 from users") == [("***", "***", "0" * 32)]


@pytest.mark.parametrize("pattern", ["users.name", "/Ann/"])
def test_a_file_that_was_masked_gives_no_masks(undo, call, users, execute, pattern) -> None:
    execute(users, "insert into users values (1, 'a@b', '4111', 'Ann', null)", "delete from users")
    call("export", "log.jsonl", "--redact", pattern, "--database-url", users)

    answer = undo("users", "1", "--log", "log.jsonl")

    assert json.loads(Path("log.jsonl").read_text().splitlines()[0])["redacted"] == [pattern]
    assert answer.out.startswith("-- no primary key is known") or "omitted" in answer.out
    assert "***" not in answer.out
    assert "Ann" not in answer.out
    for column in ("email", "card", "name"):
        assert f'"{column}"' not in answer.out


def test_numbers_of_a_masked_column_are_masks_too(undo, call, users, execute) -> None:
    execute(
        users,
        "create table paid (id integer primary key, amount integer, note text)",
        "insert into paid values (1, 5, 'x')",
        "delete from paid",
    )
    call("export", "log.jsonl", "--redact", "paid.amount", "--database-url", users)

    answer = undo("paid", "1", "--log", "log.jsonl")

    assert '"amount"' not in answer.out
    assert "values of amount: omitted" in answer.out


def test_who_may_not_read_the_choices_is_told_by_the_values(users, execute) -> None:
    execute(users, "alter table pgevents.setting rename to other")

    with psycopg.connect(users, autocommit=True) as connection:
        assert row_history.shape(connection, "public.users").redacted == ()
