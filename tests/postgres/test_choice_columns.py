"""Columns that are left out, masked or hashed, and the SQL text that goes with them."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pg_events.db.connection import connect
from pg_events.triggers import build as core
from tests.postgres.choosing import USERS, Build, changes, plan

# --- columns ------------------------------------------------------------------------------------------------------


def test_columns_are_left_out_however_the_row_is_written(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute(USERS)
    captured_by("users")
    assert not build(url, exclude_columns={"public.users": ("password_hash", "c?rd")}).failed

    db.execute("insert into users values (1, 'a', 'p', 'c'), (2, 'b', 'p', 'c')")
    db.execute("insert into users values (1, 'x', 'p') on conflict (id) do update set email = excluded.email")
    db.execute(
        "merge into users u using (values (2), (3)) v (id) on u.id = v.id"
        " when matched then delete when not matched then insert values (v.id, 'new', 'p')"
    )
    with db.cursor().copy("copy users from stdin") as copy:
        copy.write_row((4, "d", "p", None))
    db.execute("update users set id = id + 10, password_hash = 'q'")

    assert sorted(changes(db), key=str) == sorted(
        [
            ("I", None, {"id": 1, "email": "a"}),
            ("I", None, {"id": 2, "email": "b"}),
            ("U", {"id": 1, "email": "a"}, {"id": 1, "email": "x"}),
            ("D", {"id": 2, "email": "b"}, None),
            ("I", None, {"id": 3, "email": "new"}),
            ("I", None, {"id": 4, "email": "d"}),
            ("U", {"id": 1, "email": "x"}, {"id": 11, "email": "x"}),
            ("U", {"id": 3, "email": "new"}, {"id": 13, "email": "new"}),
            ("U", {"id": 4, "email": "d"}, {"id": 14, "email": "d"}),
        ],
        key=str,
    )


def test_only_some_columns_are_kept_and_no_later_one(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute(USERS)
    captured_by("users")
    build(url, include_columns={"users": ("id", "e*", "card")}, exclude_columns={"*": ("card",)})

    db.execute("alter table users add secret text default 's', add extra text default 'e'")
    db.execute("insert into users values (1, 'a', 'p', 'c')")

    assert changes(db) == [("I", None, {"id": 1, "email": "a", "extra": "e"})]


def test_the_key_can_be_left_out_and_rows_still_pair(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute(USERS)
    build(url, exclude_columns={"users": ("id",)}, include_columns={"users": ("id", "email")})
    db.execute("insert into users select n, n::text from generate_series(1, 500) n")
    changes(db)

    db.execute("update users set id = 1000 - id, email = email || '!'")

    found = changes(db)
    assert len(found) == 500
    assert all(new == {"email": f"{old['email']}!"} for _, old, new in found)


def test_a_row_of_which_nothing_is_kept_is_an_event_all_the_same(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute(USERS)
    captured_by("users")
    build(url, exclude_columns={"*": ("*",)})

    db.execute("insert into users values (1); update users set id = 2; delete from users")

    assert changes(db) == [("I", None, {}), ("U", {}, {}), ("D", {}, None)]


HOSTILE = [
    "new", "old", "r", "n", "o", "data", "number", "shown_old", "shown_new", "xmin_", "format", "left",
    'weird "Column".name', "%s", "%1$I", "$1", "q'q", "back\\slash", "new\nline", "é漢", "x" * 63, "{a}", "select", "***",
]  # fmt: skip


def test_any_name_of_a_column_and_a_table_can_be_chosen(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    names = [name for name in HOSTILE if name.isascii() or db.info.encoding == "utf-8"]
    table = 'weird "Table".name\\'
    columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in names)
    db.execute(sql.SQL("create table {} ({}, gone text)").format(sql.Identifier(table), columns))
    captured_by('"weird ""Table"".name\\"')
    settings = {
        "exclude_columns": {f"public.{table}": ("gone",)},
        "redact": {f"public.{table}": dict.fromkeys(names[::2], "hash")},
        "when": {f"public.{table}": "new.\"q'q\" <> E'\\'\\\\' -- a comment"},
        "skip_unchanged": ("*",),
    }
    assert not build(url, **settings).failed
    assert plan(url, **settings).steps == ()

    db.execute(sql.SQL("insert into {} values ({})").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Literal, [*names, "gone"]))
    ))  # fmt: skip
    db.execute(sql.SQL("update {} set gone = 'again'").format(sql.Identifier(table)))
    db.execute(sql.SQL("update {} set {} = 'x'").format(sql.Identifier(table), sql.Identifier(names[1])))

    (_, _, inserted), (_, old, new) = changes(db)
    assert list(inserted) == names
    assert {name: inserted[name] for name in names[1::2]} == {name: name for name in names[1::2]}
    assert [name for name in names[::2] if len(inserted[name]) != 32] == []
    assert (old, new[names[1]]) == (inserted, "x")


def test_generated_columns_are_computed_and_share_the_treatment_of_their_sources(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    virtual = ", v text generated always as (a || '?') virtual, w text generated always as (lower(email)) virtual"
    has_virtual = db.info.server_version >= 180_000
    db.execute(
        "create table g (a text, email text, s text generated always as (a || '!') stored,"
        f" l text generated always as (lower(email)) stored{virtual if has_virtual else ''})".encode()
    )
    captured_by("g")
    build(url, redact={"g": {"email": "mask"}}, when={"g": "new.v = 'x?'" if has_virtual else "new.s = 'x!'"})

    db.execute("insert into g values ('x', 'A@B'), ('y', 'C')")
    db.execute("update g set email = 'D'")

    row = {"a": "x", "email": "***", "s": "x!", "l": "***"} | ({"v": "x?", "w": "***"} if has_virtual else {})
    assert changes(db) == [("I", None, row), ("U", row, row)]


# --- redaction ----------------------------------------------------------------------------------------------------


def test_a_masked_value_is_hidden_and_null_stays_null(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute("create table t (a integer, b json, c integer[], d text)")
    captured_by("t")
    build(url, redact={"t": {"?": "mask"}})

    db.execute("""insert into t values (1, '{"x": 1}', '{1,null}', null)""")

    assert changes(db) == [("I", None, {"a": "***", "b": "***", "c": "***", "d": None})]


def test_equal_values_have_equal_hashes_in_every_table_and_session(
    db: psycopg.Connection, url: str, build: Build
) -> None:
    db.execute("create table t (a text, at timestamptz, b bytea, i interval, f float8)")
    db.execute("create table u (a varchar(20), at timestamptz, b bytea, i interval, f float8)")
    build(url, redact={"*": {"*": "hash"}})
    row = "('ä\\x', timestamptz '2026-01-02 03:04:05+00', '\\x00ff', interval '1 day 02:00', 0.1::float8 + 0.2)"

    db.execute(f"insert into t values {row}".encode())
    db.execute("set TimeZone = 'Asia/Kathmandu'; set DateStyle = 'German'; set IntervalStyle = 'iso_8601'")
    db.execute("set bytea_output = 'escape'; set extra_float_digits = -15")
    db.execute(f"insert into u values {row}".encode())

    (_, _, first), (_, _, second) = changes(db)
    assert first == second
    assert len(set(first.values())) == 5
    assert all(len(value) == 32 and int(value, 16) for value in first.values())


def test_other_databases_have_other_hashes(server: Any, build: Build) -> None:
    hashes: list[Any] = []
    for name in ("hashes_1", "hashes_2"):
        url = server.create_database(name)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(USERS)
            build(url, redact={"users": {"email": "hash"}})
            connection.execute("insert into users values (1, 'a@b')")
            hashes += changes(connection)
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))

    assert hashes[0][2]["email"] != hashes[1][2]["email"]


def test_a_reader_of_the_log_cannot_read_the_secret(server: Any, db: psycopg.Connection, url: str) -> None:
    role = f"reader_{db.info.backend_pid}"
    db.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
    with connect(url, application_name="test") as connection:
        core.apply(url, core.Plan(tuple(core.grant_steps(connection, role, "reader")), 0))
        core.apply(url, core.Plan(tuple(core.grant_steps(connection, connection.info.user, "reader")), 0))
    try:
        with psycopg.connect(make_conninfo(url, user=role), autocommit=True) as reader:
            reader.execute("select * from pgevents.log")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("select * from pgevents.secret")
    finally:
        db.execute(sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(role)))


def test_the_strictest_treatment_wins(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table t (a text, b text, c text)")
    build(
        url,
        redact={"*": {"?": "hash"}, "t": {"b": "mask"}, "public.*": {"c": "mask"}},
        exclude_columns={"public.t": ("c",)},
    )

    db.execute("insert into t values ('a', 'b', 'c')")

    ((_, _, row),) = changes(db)
    assert (list(row), row["b"], len(row["a"])) == (["a", "b"], "***", 32)


def test_the_text_of_a_statement_is_not_kept_where_columns_are_chosen(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute(USERS)
    captured_by("users")
    build(url, redact={"users": {"password_hash": "drop"}})

    db.execute("insert into users values (1, 'a', 'hunter2')")
    db.execute("do $$begin update users set password_hash = 'hunter2'; delete from users; end$$")
    db.execute("insert into users values (2, 'a', 'hunter2'); truncate users")

    assert db.execute(
        "select string_agg(kind::text, '' order by id) from pgevents.log where kind <> 'S'"
    ).fetchone() == ("IUDIT",)
    assert db.execute("select count(*) from pgevents.log e where e::text like '%hunter2%'").fetchone() == (0,)
    assert db.execute("select count(*) from pgevents.statement").fetchone() == (0,)


def test_the_text_of_a_statement_is_kept_where_only_rows_are_chosen(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute("create table t (a integer, b text)")
    captured_by("t")
    build(url, when={"t": "new.a > 0"}, skip_unchanged=("t",))
    padding = f"/* {'x' * 2000} */"

    db.execute("insert into t values (1)")
    db.execute(f"insert into t values (2), (3) {padding}".encode())
    db.execute(f"insert into t values (-1), (-2) {padding}".encode())
    db.execute(f"update t set b = b {padding}".encode())
    db.execute(f"do $$begin insert into t values (4); update t set a = 5 where a = 4; end$$ {padding}".encode())

    found = db.execute("select e.kind, e.query from pgevents.log e where e.kind <> 'S' order by e.id").fetchall()
    assert [(kind, text[:14]) for kind, text in found] == [
        ("I", "insert into t "), ("I", "insert into t "), ("I", "insert into t "), ("I", "do $$begin ins"), ("U", "do $$begin ins"),
    ]  # fmt: skip
    assert db.execute("select count(*) from pgevents.statement").fetchone() == (2,)
