"""What is captured can be chosen: from the settings to a plan, to the triggers, to the log."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pg_events.config.settings import load
from pg_events.db.connection import connect
from pg_events.triggers import build as core
from tests.postgres.choosing import USERS, Build, changes, plan, states, without_event_triggers


def test_the_documented_example_does_what_it_says(db: psycopg.Connection, url: str, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "pg_events/docs/capture.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(PG_EVENTS_INCLUDE_COLUMNS.*?)```", page, re.DOTALL)
    (tmp_path / "chosen_settings.py").write_text(example)
    settings = load(str(tmp_path / "chosen_settings.py"), url)
    db.execute("create table payments (id integer, order_id integer, amount numeric, iban text)")
    db.execute("create table articles (id integer, search_vector text, db_password text)")
    db.execute("create table users (email text, card_number text, password_hash text)")
    db.execute("create table orders (id integer, total numeric, status text)")

    with connect(url, application_name="test") as connection:
        made = core.make_plan(connection, settings)
    assert not core.apply(url, made).failed
    db.execute(
        "insert into payments values (1, 2, 3.50, 'secret'); insert into articles values (1, 'secret', 'secret')"
    )
    db.execute("insert into users values ('a@b', 'secret', 'secret'), ('a@b', null, 'secret')")
    db.execute("insert into orders values (1, 50, 'new'), (2, 500, 'new')")
    db.execute("update orders set status = 'new'; update orders set total = 90, status = 'paid'")
    db.execute("update orders set total = 80; delete from orders")

    assert made.warnings == ()
    found = changes(db)
    first, second = found.pop(2), found.pop(2)
    assert first[2]["email"] == second[2]["email"] != "a@b"
    assert (first[2]["card_number"], second[2]) == ("***", {"email": second[2]["email"], "card_number": None})
    assert found == [
        ("I", None, {"id": 1, "order_id": 2, "amount": 3.5}),
        ("I", None, {"id": 1}),
        ("I", None, {"id": 1, "total": 50, "status": "new"}),
        ("I", None, {"id": 2, "total": 500, "status": "new"}),
        ("U", {"id": 1, "total": 50, "status": "new"}, {"id": 1, "total": 90, "status": "paid"}),
        ("U", {"id": 2, "total": 500, "status": "new"}, {"id": 2, "total": 90, "status": "paid"}),
        ("D", {"id": 1, "total": 80, "status": "paid"}, None),
        ("D", {"id": 2, "total": 80, "status": "paid"}, None),
    ]


# --- the plan -----------------------------------------------------------------------------------------------------


def test_a_change_of_the_settings_concerns_the_tables_it_is_about(
    db: psycopg.Connection, url: str, build: Build
) -> None:
    db.execute("create table a (id integer, pin text); create table b (id integer); create table c (id integer)")
    before = {"redact": {"a": {"pin": "mask"}}, "when": {"c": "new.id > 0"}}
    build(url, **before)

    assert plan(url, **before).steps == ()
    changed = plan(url, redact={"a": {"pin": "hash"}}, when=before["when"])
    assert {step.table for step in changed.steps} == {None, "public.a"}
    assert [step.object for step in changed.steps if step.table is None] == ["setting choices"]
    assert {step.table for step in plan(url).steps} == {None, "public.a", "public.c"}


def test_a_trigger_that_was_told_otherwise_is_drift(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table t (id integer, pin text)")
    settings = {"redact": {"t": {"pin": "mask"}}}
    build(url, **settings)
    assert states(url, **settings) == {"t": "covered"}

    with without_event_triggers(db):
        db.execute(
            'create or replace trigger "00_pgevents_insert" after insert on t referencing new table as new_rows'
            " for each statement execute function pgevents.capture()"
        )

    assert states(url, **settings) == {"t": "outdated"}
    assert {step.table for step in plan(url, **settings).steps} == {"public.t"}


def test_a_build_that_is_told_only_the_database_keeps_what_was_chosen(
    db: psycopg.Connection, url: str, build: Build
) -> None:
    db.execute(USERS)
    db.execute("create table other (id integer)")
    settings: dict[str, Any] = {
        "exclude": ("other",),
        "include_columns": {"users": ("id", "email", "card")},
        "redact": {"users": {"email": "hash", "card": "drop"}},
        "when": {"users": "new.id > 0"},
        "skip_unchanged": ("*",),
        "query_characters": 0,
        "notify": False,
    }
    build(url, **settings)

    assert plan(url, only_database=True).steps == ()
    assert plan(url).steps != ()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"exclude_columns": {"public.user": ("a",)}}, "PG_EVENTS_EXCLUDE_COLUMNS: no covered table matches 'public.user'"),
        ({"redact": {"users": {"pasword": "mask"}}}, "PG_EVENTS_REDACT: there is no column 'pasword' in public.users"),
        ({"redact": {"*": {"pin*": "mask"}}}, "PG_EVENTS_REDACT: there is no column 'pin*' in any table that matches '*'"),
        ({"include_columns": {"users": ("id", "nmae")}}, "PG_EVENTS_INCLUDE_COLUMNS: there is no column 'nmae'"),
        ({"when": {"other.*": "true"}}, "PG_EVENTS_WHEN: no covered table matches 'other.*'"),
        ({"skip_unchanged": ("users", "nothing")}, "PG_EVENTS_SKIP_UNCHANGED: no covered table matches 'nothing'"),
        ({"exclude": ("users",), "when": {"users": "true"}}, "PG_EVENTS_WHEN: no covered table matches 'users'"),
    ],
)  # fmt: skip
def test_a_pattern_that_matches_nothing_is_told(db: psycopg.Connection, url: str, settings: Any, says: str) -> None:
    db.execute(USERS)
    db.execute("create table t (id integer)")

    (warning,) = plan(url, **settings).warnings

    assert says in warning


def test_a_pattern_that_matches_only_what_was_is_told_so(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute(USERS)
    settings = {"exclude_columns": {"public.users": ("card",)}, "redact": {"*": {"email": "mask"}}}
    build(url, **settings)

    db.execute("alter table users rename email to mail; alter table users rename to accounts")

    first, second = plan(url, **settings).warnings
    assert first.endswith("matches 'public.users'; public.accounts had that name and is still treated so")
    assert second.endswith("column 'email' in public.accounts; mail had that name and is still treated so")


# --- beside capture() ---------------------------------------------------------------------------------------------


def test_what_is_kept_is_spelt_as_everywhere(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    columns = (
        "a numeric, b float8, c json, d jsonb, e timestamp, f interval, g bytea, h integer[], i int4range, j text,"
        " k char(4), l boolean, m uuid, n date"
    )
    db.execute(f"create table plain ({columns}); create table chosen ({columns}, pin text)".encode())
    captured_by("chosen")
    build(url, exclude_columns={"chosen": ("pin",)})
    values = (
        "'NaN', 0.1::float8 + 0.2, '{\"a\":\"\\u0000\", \"a\" : 1e400000}', '{\"b\":1}', '2026-01-02 03:04:05.6', '1 year -2 days',"
        " '\\x00ff', '[3:4]={1,NULL}', '[1,5]', E'\\x01\"', 'ab', true, '00000000-0000-0000-0000-0000000000ab', 'infinity'"
    )

    db.execute("set DateStyle = 'German'; set IntervalStyle = 'iso_8601'; set bytea_output = 'escape'")
    db.execute("set extra_float_digits = -15")
    for table in ("plain", "chosen"):
        db.execute(f"insert into {table} values ({values})".encode())

    first, second = db.execute("select new_data::text from pgevents.log where kind = 'I' order by id").fetchall()
    assert first == second
    assert db.execute("show bytea_output").fetchone() == ("escape",)


def test_a_sleeper_is_woken_only_when_something_was_kept(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table t (id integer)")
    build(url, when={"t": "new.id > 1"})
    with psycopg.connect(url, autocommit=True) as reader:
        reader.execute("listen pgevents")
        db.execute("select setval('pgevents.sleeper', extract(epoch from now())::bigint + 60)")
        db.execute("insert into t values (1)")
        db.execute("notify pgevents, 'between'")
        db.execute("insert into t values (2)")

        told = [notify.payload for notify in reader.notifies(timeout=30, stop_after=2)]

    assert told == ["between", ""]
