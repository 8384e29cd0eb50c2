"""The text of DDL: no secret of it is kept, it is read once however many objects it makes, and cut first."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

SECRETS = [
    "alter role x password 'S3cret'",
    "alter role x password'S3cret'",
    "alter role x password /* c */ 'S3cret'",
    "alter role x password -- c\n'S3cret'",
    "alter role x password /* a /* nested ' */ b */ 'S3cret' valid until '2030-01-01'",
    "alter role x password 'abc'\n'S3cret'",
    "alter role x password 'abc' -- c\n  'S3cret'",
    "alter role x encrypted password E'a\\'S3cret'",
    "alter role x password e'a\\\\''S3cret'",
    "alter role x password 'a\\'S3cret'",
    "alter role x password 'a\\''; -- 'S3cret",
    "alter role x password U&'\\0053\\0033cret S3'",
    "alter role x password U&'d!0061S3cret' uescape '!'",
    "alter role x password $$S3cret$$",
    "alter role x password $a$it's $$ S3cret$a$",
    "alter role x password 'S3cret",
    "alter role x password $x$S3cret",
    "alter role x password /*'*/ 'S3cret' /*'*/",
    "alter role x -- '\n password 'S3cret'",
    "select $q$ it's $q$; alter role x password 'S3cret'",
    "select '\\'; alter role x password 'S3cret'",
    "select 2*/*c'*/3; alter role x password 'S3cret'",
    "create table \"it's\" (a int); alter role x password 'S3cret'",
    "create table a$b$c (a text default 'password=S3cret')",
    "create user mapping for x server y options (user 'u', password 'S3cret')",
    "create user mapping for x server y options (user 'S3cret')",
    "alter user mapping for x server y options (set user 'S3cret')",
    "create server s foreign data wrapper w options (host 'S3cret')",
    "create server s foreign data wrapper w options (passwd 'S3cret')",
    "create server s foreign data wrapper w options (U&\"p!0061ssword\" uescape '!' 'S3cret')",
    "alter server s options (set secret_access_key 'S3cret')",
    "alter foreign data wrapper w options (add x 'S3cret')",
    "create foreign table t (a int) server s options (oauth_client_secret 'S3cret')",
    "create subscription s connection 'host=h password=S3cret dbname=d' publication p",
    "create subscription s connection 'host=h password=''a S3cret'' dbname=d' publication p",
    "create subscription s connection E'host=h password=\\'LE S3cret\\'' publication p",
    "create subscription s connection 'host=h scram_client_key=S3cret' publication p",
    "create subscription s connection 'postgresql://u:S3cret@h/d' publication p",
    "alter subscription s connection 'host=S3cret'",
    "select dblink_connect(E'host=h password=\\'LE S3cret\\'')",
    "select dblink('dbname=x user=y password=''S3cret''', 'select 1')",
    "select dblink('host=h sslpassword=S3cret user=x')",
    "alter system set primary_conninfo = 'host=h password=S3cret'",
    "alter role x set my.secret_key to 'S3cret'",
    "alter role x set my.secret_key = S3cret",
    "create publication p with (token = S3cret)",
    "create policy p on t using (api_token = 'S3cret')",
    "create policy p on t using (api_token = crypt('S3cret'))",
    "create trigger t after insert on t execute function f('api_key', 'S3cret')",
    "alter table t alter column secret set default 'S3cret'",
    "execute 'alter role x pass' || 'word ''S3cret'''",
    "execute format('alter role x password %L', 'S3cret')",
    "execute 'alter role x password ' || quote_literal('S3cret')",
    "execute 'execute ''alter role x password ''''S3cret'''''''",
    "execute E'alter role x pass\\167ord \\'S3cret\\''",
    "create function f() returns text language sql as $f$select set_config('app.api_token', 'S3cret', false)$f$",
    "create function f() returns text language plpgsql as $f$declare v_password text := 'S3cret'; begin end$f$",
    "select jsonb_build_object('password','S3cret')",
    "comment on table t is 'password: S3cret'",
    "comment on table t is 'don''t tell: password ''S3cret'''",
    'comment on table t is \'{"password": "a\\"S3cret"}\'',
    "comment on table t is 'password=a\\ S3cret host=h'",
    "comment on table t is 'password = ''a\\''S3cret'''",
    "comment on table t is 'see postgresql://u:S3cret@h/d'",
    "comment on table t is 'see postgresql://u:S3@cr''S3cret@h/d'",
    "comment on table t is 'https://example.com/path?token=S3cret&x=y'",
    "create table t (a int) -- don't tell: password 'S3cret'",
    "create table t (a int) /* postgres://a:S3cret@h */",
]

HARMLESS = [
    "create table t (id integer primary key, v text default 'it''s', w bytea default '\\x00')",
    'create table t (a text default E\'\\t\', "b""c" text default $$d$$)',
    "alter table t rename column password to pw",
    "create view v as select '://' as a, 'http://example.com/x' as b -- don't",
    "create foreign table t (a int) server s options (table_name 'kept')",
    "comment on table tokens is 'what the mapping of servers is'",
    "create function f() returns int language sql as 'select 1; -- it''s' set search_path = 'a', b",
]


@pytest.fixture(scope="module")
def shared(server: Any, built_template: str) -> Iterator[psycopg.Connection]:
    url = server.create_database("ddl_text", built_template)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("drop database ddl_text with (force)")


def texts(db: psycopg.Connection) -> list[str | None]:
    return [text for (text,) in db.execute("select query from pgevents.log where kind = 'S' order by id")]


@pytest.mark.parametrize("setting", ["on", "off"])
@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_kept(shared: psycopg.Connection, secret: str, setting: str) -> None:
    with shared.transaction(force_rollback=True):
        shared.execute(f"set standard_conforming_strings = {setting}".encode())

        row = shared.execute(b"select pgevents.masked($text$" + secret.encode() + b"$text$, 0)").fetchone()

    assert row is not None
    assert "S3cret" not in row[0]
    assert "***" in row[0]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_holds_no_secret_is_kept_as_it_was_sent(shared: psycopg.Connection, text: str) -> None:
    assert shared.execute("select pgevents.masked(%s, 0)", [text]).fetchone() == (text,)


@pytest.mark.parametrize(
    "secret",
    [
        text
        for text in SECRETS
        if text.startswith(("alter role", "execute", "comment"))
        and text.count("'") % 2 == 0
        and not any(sign in text for sign in ("$x$", "; --", "uescape"))
    ],
)
def test_what_is_kept_of_a_block_has_none_either(shared: psycopg.Connection, secret: str) -> None:
    """The command of the event stands beside the secret, which is never run."""
    body = f"begin create table n (a integer); if false then {secret}\n; end if; end"
    with shared.transaction(force_rollback=True):
        shared.execute("delete from pgevents.event")
        shared.execute(f"do $do${body}$do$".encode())

        (text,) = texts(shared)

    assert text is not None
    assert "S3cret" not in text
    assert text.startswith("do $do$begin create table n (a integer);")


def test_a_session_that_spells_backslashes_otherwise_is_warned_of_nothing(db: psycopg.Connection) -> None:
    warnings: list[str] = []
    db.add_notice_handler(lambda notice: warnings.append(notice.message_primary or ""))
    db.execute("set standard_conforming_strings = off; set escape_string_warning = off")
    db.execute("create role ddl_text_role")
    try:
        db.execute("set escape_string_warning = on")
        db.execute("create table n (a integer); alter role ddl_text_role password 'x'; drop table n")
    finally:
        db.execute("drop role ddl_text_role")

    assert warnings == []
    assert texts(db)[0] == "create table n (a integer); alter role ddl_text_role password '***'; drop table n"


def test_a_text_is_masked_and_kept_once_however_many_objects_it_makes(db: psycopg.Connection) -> None:
    db.execute("select pg_stat_reset()")
    db.execute("set track_functions = 'all'")
    db.execute("; ".join(f"create table t{number} (password text)" for number in range(50)).encode())
    db.execute("select pg_stat_force_next_flush()")

    assert db.execute("select calls from pg_stat_user_functions where funcname = 'masked_part'").fetchone() == (1,)
    assert db.execute(
        "select count(*), count(distinct statement_id), count(query) from pgevents.event where kind = 'S'"
    ).fetchone() == (50, 1, 0)
    assert db.execute("select count(*) from pgevents.statement").fetchone() == (1,)


def test_what_is_cut_off_is_never_looked_at(db: psycopg.Connection) -> None:
    filler = "/* password 'x' */" * 1000
    db.execute(f"create table n (a integer) {filler} /* password 'S3cret' {'x' * 20_000_000} */".encode())

    (text,) = texts(db)
    assert text is not None
    assert len(text) <= 8192
    assert "S3cret" not in text


def test_an_address_that_was_cut_shows_no_password(db: psycopg.Connection) -> None:
    text = "create table n (a integer) /* postgresql://u:"
    db.execute(f"create table n (a integer) /* {'x' * (8180 - len(text))} postgresql://u:S3cret@h */".encode())

    (kept,) = texts(db)
    assert kept is not None
    assert "S3" not in kept


@pytest.mark.parametrize("marker", ["q{text}", "s1"])
def test_a_marker_without_our_seal_is_not_believed(db: psycopg.Connection, marker: str) -> None:
    with db.transaction():
        db.execute("select set_config('pgevents.ddl', %s, true)", ["0" * 64 + marker.format(text="forged")])
        db.execute("create table n (a integer)")

    assert texts(db) == ["create table n (a integer)"]


def test_a_marker_is_good_for_one_statement(db: psycopg.Connection) -> None:
    with db.transaction():
        db.execute("create table n (a integer)")
        db.execute("create table m (a integer)")

    assert texts(db) == ["create table n (a integer)", "create table m (a integer)"]


def test_a_part_that_was_rolled_back_takes_its_text_with_it(db: psycopg.Connection) -> None:
    filler = "-- " + "x" * 2000
    db.execute(
        f"do $$begin begin create table n (a integer); raise division_by_zero; exception when others then null; end;"
        f" create table m (a integer); end$$ {filler}".encode()
    )

    (text,) = texts(db)
    assert text is not None
    assert text.endswith("x")
