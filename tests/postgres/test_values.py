"""Values: whatever a column can hold arrives as documented, and no session spells it another way."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pg_events.event import Record, parse
from pg_events.log.listener import EVERYTHING, Cursor, Listener
from pg_events.playback.source import read

SESSIONS = {
    "usual": "select",
    "odd": "set TimeZone = 'Asia/Kathmandu'; set DateStyle = 'German'; set IntervalStyle = 'sql_standard';"
    " set bytea_output = 'escape'; set extra_float_digits = -15",
    "odder": "set TimeZone = 'America/St_Johns'; set DateStyle = 'SQL, MDY'; set IntervalStyle = 'iso_8601';"
    " set extra_float_digits = 3; set search_path = ''",
}

TYPES = """
    create type mood as enum ('fine', 'it''s');
    create type pair as (a integer, b text);
    create domain positive as numeric check (value > 0);
"""

VALUES = [
    ("numeric", "'NaN'", '"NaN"'),
    ("numeric", "'Infinity'", '"Infinity"'),
    ("numeric(40,20)", "12345678901234567890.12345678901234567890", "12345678901234567890.12345678901234567890"),
    ("double precision", "'-Infinity'", '"-Infinity"'),
    ("double precision", "0.1::float8 + 0.2::float8", "0.30000000000000004"),
    ("real", "1.1", "1.1"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("json", """'{"a":"\\u0000", "a" : 1e400000}'""", '{"a":"\\u0000", "a" : 1e400000}'),
    ("jsonb", """'{"b": 1, "a": null}'""", '{"a": null, "b": 1}'),
    ("date", "'0044-03-15 BC'", '"0044-03-15 BC"'),
    ("date", "'infinity'", '"infinity"'),
    ("timestamp", "'-infinity'", '"-infinity"'),
    ("timestamp", "'2026-01-02 03:04:05.678'", '"2026-01-02T03:04:05.678"'),
    ("interval", "'1 year -2 days 03:04:05.6'", '"1 year -2 days +03:04:05.6"'),
    ("bytea", r"'\x00ff41'", r'"\\x00ff41"'),
    ("text", "E'\U0001f600 \"\\\\ \\n\\x01'", '"\U0001f600 \\"\\\\ \\n\\u0001"'),
    ("integer[]", "'[3:4]={1,NULL}'", "[1,null]"),
    ("date[]", "array['2026-01-02'::date]", '["2026-01-02"]'),
    ("int4range", "'[1,5]'", '"[1,6)"'),
    ("tsrange", "'[2026-01-02 03:00,)'", '"[\\"2026-01-02 03:00:00\\",)"'),
    ("int4multirange", "'{[1,2],[5,6]}'", '"{[1,3),[5,7)}"'),
    ("pair", "row(1, 'x')", '{"a":1,"b":"x"}'),
    ("pair[]", "array[row(1, null)::public.pair]", '[{"a":1,"b":null}]'),
    ("positive", "1.50", "1.50"),
    ("mood", "'it''s'", '"it\'s"'),
    ("character(4)", "'ab'", '"ab  "'),
    ("bit(3)", "B'101'", '"101"'),
    ("uuid", "'00000000-0000-0000-0000-0000000000AB'", '"00000000-0000-0000-0000-0000000000ab"'),
    ("inet", "'10.0.0.1/8'", '"10.0.0.1/8"'),
    ("cidr", "'10.0.0.0/8'", '"10.0.0.0/8"'),
    ("macaddr", "'08-00-2b-01-02-03'", '"08:00:2b:01:02:03"'),
    ("macaddr8", "'08-00-2b-01-02-03-04-05'", '"08:00:2b:01:02:03:04:05"'),
    ("bit varying", "B'10'", '"10"'),
    ("time", "'03:04:05.6'", '"03:04:05.6"'),
    ("time with time zone", "'03:04:05+02'", '"03:04:05+02"'),
    ('"char"', "'x'", '"x"'),
    ("name", "'x'", '"x"'),
    ("varchar(3)", "'abc'", '"abc"'),
    ("smallint", "-32768", "-32768"),
    ("tsvector", "'b a'", "\"'a' 'b'\""),
    ("point", "'(0.1,2)'", '"(0.1,2)"'),
    ("boolean", "true", "true"),
    ("text", "null", "null"),
    ("money", "'1.50'", '"$1.50"'),
    ("regclass", "'public.v'", '"public.v"'),
]


@pytest.fixture(scope="module")
def url(server: Any, built_template: str) -> Iterator[str]:
    yield server.create_database("values_of_all_types", built_template)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("drop database values_of_all_types with (force)")


@pytest.fixture(scope="module")
def table(url: str) -> list[str]:
    """A table `v` with a column c0, c1, … for each value; its columns."""
    columns = [f"c{number}" for number in range(len(VALUES))]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TYPES)
        types = ", ".join(f"{column} {kind}" for column, (kind, _, _) in zip(columns, VALUES, strict=True))
        connection.execute(f"create table v ({types})")
    return columns


def records(url: str) -> list[Record]:
    """The data events since the last look."""
    with Listener(url, Cursor(EVERYTHING)) as listener:
        found = [record for page in listener.pages() for record in page if record.kind != "S"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("delete from pgevents.event")
    return found


@pytest.mark.parametrize("session", SESSIONS)
def test_every_value_is_spelt_as_documented_whatever_the_session(url: str, table: list[str], session: str) -> None:
    values = ", ".join(
        f"({value})::{'public.' if kind[:4] in ('mood', 'pair', 'posi') else ''}{kind}" for kind, value, _ in VALUES
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select 1; " + SESSIONS[session])
        before = connection.execute(
            "select name, setting from pg_settings where name !~ '[.]' order by name"
        ).fetchall()
        # Values are written in the usual spelling: the settings are about how they are read.
        connection.execute(f"insert into public.v select {values}")
        connection.execute("update public.v set c0 = c0")
        connection.execute("delete from public.v")
        after = connection.execute("select name, setting from pg_settings where name !~ '[.]' order by name").fetchall()

    inserted, updated, deleted = records(url)
    expected = "{" + ",".join(f'"{name}":{value}' for name, (_, _, value) in zip(table, VALUES, strict=True)) + "}"
    assert inserted.new_data == updated.old_data == updated.new_data == deleted.old_data == expected
    assert before == after


def test_each_value_is_spelt_as_documented_in_a_table_without_any_other(url: str, table: list[str]) -> None:
    """Tables whose columns no setting touches are captured by functions that do not look at the settings."""
    columns = list(zip(table, VALUES, strict=True))
    with psycopg.connect(url, autocommit=True) as connection:
        for column, (kind, _, _) in columns:
            connection.execute(f"create table alone_{column} (c {kind})")
        captures = dict(
            connection.execute(
                "select t.tgrelid::regclass::text, p.proname from pg_trigger t join pg_proc p on p.oid = t.tgfoid"
                " where t.tgname = '00_pgevents_insert'"
            ).fetchall()
        )
    quick = {kind for column, (kind, _, _) in columns if captures[f"alone_{column}"] == "capture_insert"}
    assert {"numeric", "date[]", "text", "mood", "uuid", "time"} <= quick
    assert (
        not {"double precision", "real", "bytea", "interval", "tsrange", "pair", "pair[]", "positive", "regclass"}
        & quick
    )

    for session in SESSIONS.values():
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("select 1; " + session)
            for column, (kind, value, _) in columns:
                schema = "public." if kind[:4] in ("mood", "pair", "posi") else ""
                connection.execute(f"insert into public.alone_{column} select ({value})::{schema}{kind}")
                connection.execute(f"update public.alone_{column} set c = c")
                connection.execute(f"delete from public.alone_{column}")

    expected = [f'{{"c":{value}}}' for _, _, value in VALUES for _ in range(4)] * len(SESSIONS)
    assert [data for row in records(url) for data in (row.old_data, row.new_data) if data is not None] == expected


def test_settings_of_the_transaction_survive_a_write_and_end_with_it(url: str, table: list[str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set bytea_output = 'escape'")
        with connection.transaction():
            connection.execute("set local IntervalStyle = 'iso_8601'")
            connection.execute("insert into v (c0) values (1)")
            inside = connection.execute(
                "select current_setting('bytea_output'), current_setting('IntervalStyle')"
            ).fetchone()
        outside = connection.execute(
            "select current_setting('bytea_output'), current_setting('IntervalStyle')"
        ).fetchone()

    records(url)
    assert inside == ("escape", "iso_8601")
    assert outside == ("escape", "postgres")


def test_a_number_keeps_its_130000_digits(url: str, table: list[str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("insert into v (c0) values (10::numeric ^ 130000 + 0.5)")

    (record,) = records(url)
    event = parse(record.payload)
    assert event.new_data["c0"] == Decimal("1" + "0" * 130_000 + ".5")


def test_a_timestamp_with_time_zone_is_the_same_instant(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table z (at timestamptz)")
        for zone in ("UTC", "Asia/Kathmandu"):
            connection.execute(sql.SQL("set TimeZone = {}").format(zone))
            connection.execute("insert into z values ('2026-01-02 03:04:05+00')")

    found = [json.loads(record.new_data or "")["at"] for record in records(url)]
    with psycopg.connect(url) as connection:
        assert connection.execute(
            "select count(distinct v::timestamptz) from unnest(%s::text[]) v", [found]
        ).fetchone() == (1,)


def test_a_row_may_have_as_many_columns_as_postgresql_allows(url: str) -> None:
    columns = ", ".join(f"c{number} boolean" for number in range(1600))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create table wide ({columns})")
        connection.execute("insert into wide (c1599) values (true)")
        connection.execute("update wide set c0 = true")

    assert [len(json.loads(record.new_data or "")) for record in records(url)] == [1600, 1600]


def test_generated_columns_are_computed(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.info.server_version < 180_000:
            pytest.skip("virtual generated columns came with PostgreSQL 18")
        connection.execute(
            "create table g (a integer, s integer generated always as (a * 2) stored,"
            ' "v ""x" bigint generated always as (a * 3) virtual)'
        )
        connection.execute("insert into g values (1), (2)")
        connection.execute("update g set a = a + 10")
        connection.execute("update g set a = 5 where a = 12")
        connection.execute("alter table g add w text generated always as (a::text || '!') virtual")
        connection.execute("delete from g where a = 5")

    found = [(record.old_data, record.new_data) for record in records(url)]
    rows = [tuple(json.loads(data).values() for data in pair if data) for pair in found]
    assert [[tuple(values) for values in pair] for pair in rows] == [
        [(1, 2, 3)], [(2, 4, 6)], [(1, 2, 3), (11, 22, 33)], [(2, 4, 6), (12, 24, 36)],
        [(12, 24, 36), (5, 10, 15)], [(5, 10, 15, "5!")],
    ]  # fmt: skip


@pytest.mark.parametrize(("encoding", "expected"), [("SQL_ASCII", "a\ufffdb"), ("LATIN1", "aéb")])
def test_databases_of_other_encodings_are_captured(server: Any, build: Any, encoding: str, expected: str) -> None:
    name = f"in_{encoding.lower()}"
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(f"create database {name} encoding '{encoding}' locale 'C' template template0")
        try:
            url = server.url(name)
            assert not build(url).failed
            with psycopg.connect(url, autocommit=True, client_encoding=encoding) as connection:
                connection.execute("create table t (a text)")
                connection.execute(rb"insert into t values (convert_from('\x61e962', getdatabaseencoding()))")
            assert len(list(read(url, where=f'table:t "{expected.upper()}"'))) == 1
            (record,) = records(url)
            assert json.loads(record.payload)["new_data"] == {"a": expected}
        finally:
            admin.execute(f"drop database {name} with (force)")
