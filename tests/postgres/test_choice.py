"""What is captured can be chosen: columns, redaction, conditions, updates that change something. Nothing leaks by renaming."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pg_events import build as core
from pg_events import catalog, choice
from pg_events.connection import connect
from pg_events.errors import UsageError
from pg_events.settings import Settings, load

Build = Callable[..., core.Applied]
Change = tuple[str, Any, Any]

USERS = "create table users (id integer primary key, email text, password_hash text, card text)"
BY_ROW = """
    create function nothing() returns trigger language plpgsql as 'begin return null; end';
    create trigger mine after insert or update or delete on {} for each row execute function nothing();
"""


@pytest.fixture
def db(built_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def url(built_database_url: str) -> str:
    return built_database_url


@pytest.fixture(params=["statement", "row"])
def captured_by(request: pytest.FixtureRequest, db: psycopg.Connection) -> Callable[[str], None]:
    """`captured_by("users")` has that table captured by statement, or row by row: the test is run for both."""

    def captured_by(table: str) -> None:
        if request.param == "row":
            db.execute(BY_ROW.format(table).encode())

    return captured_by


def changes(db: psycopg.Connection) -> list[Change]:
    """Data events since the last look: letter, old row, new row."""
    found = db.execute("select kind, old_data, new_data from pgevents.log where kind <> 'S' order by id").fetchall()
    db.execute("delete from pgevents.event")
    return found


def plan(url: str, **settings: Any) -> core.Plan:
    with connect(url, application_name="test") as connection:
        return core.make_plan(connection, Settings(url, **settings))


def states(url: str, **settings: Any) -> dict[str, str]:
    with connect(url, application_name="test") as connection:
        found = catalog.tables(connection, choices=choice.written(Settings(url, **settings)))
    return {table.name: table.state for table in found}


@contextmanager
def without_event_triggers(db: psycopg.Connection) -> Iterator[None]:
    """What is done in the block nobody sees: as where event triggers are not permitted."""
    for command in ("disable", "enable"):
        for name in catalog.EVENT_TRIGGERS:
            db.execute(f"alter event trigger {name} {command}".encode())
        if command == "disable":
            yield


def test_the_readmes_example_does_what_it_says(db: psycopg.Connection, url: str, tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(PG_EVENTS_INCLUDE_COLUMNS.*?)```", readme, re.DOTALL)
    (tmp_path / "readme_settings.py").write_text(example)
    settings = load(str(tmp_path / "readme_settings.py"), url)
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
        core.apply(url, core.Plan(tuple(core.grant_steps(connection, role)), 0))
        core.apply(url, core.Plan(tuple(core.grant_steps(connection, connection.info.user)), 0))
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


# --- conditions ---------------------------------------------------------------------------------------------------


def test_a_change_is_left_out_when_its_condition_is_false(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute("create table orders (id integer primary key, total numeric, note text)")
    captured_by("orders")
    build(url, when={"public.orders": "new.total > 100", "*": "coalesce(new.note, old.note, '') <> 'test'"})

    db.execute("insert into orders values (1, 50, ''), (2, 150, ''), (3, null, ''), (4, 500, 'test')")
    db.execute("update orders set total = total + 60")
    db.execute("delete from orders")
    db.execute("truncate orders")

    assert [(kind, (new or old or {}).get("id")) for kind, old, new in changes(db)] == [
        ("I", 2), ("I", 3),
        ("U", 1), ("U", 2), ("U", 3),
        # A condition on the new row says nothing about a row that is gone.
        ("D", 1), ("D", 2), ("D", 3),
        ("T", None),
    ]  # fmt: skip


def test_a_condition_on_the_change_itself(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute("create table orders (id integer, status text)")
    captured_by("orders")
    build(url, when={"orders": "old.status is distinct from new.status"})

    db.execute("insert into orders values (1, 'new'), (2, 'new')")
    db.execute("update orders set status = 'paid' where id = 1")
    db.execute("update orders set status = 'paid'")
    db.execute("delete from orders where id = 1")

    assert [(kind, (new or old)["id"]) for kind, old, new in changes(db)] == [
        ("I", 1), ("I", 2), ("U", 1), ("U", 2), ("D", 1),
    ]  # fmt: skip


def test_a_condition_that_fails_fails_no_write_and_leaves_nothing_out(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute("create table t (id integer, divisor integer)")
    captured_by("t")
    build(url, when={"t": "new.id / new.divisor > 3"})

    db.execute("insert into t values (1, 1)")
    db.execute("insert into t values (1, 0)")
    with db.transaction():
        db.execute("insert into t values (9, 1)")
        db.execute("update t set id = 2 where divisor = 0")
    db.execute("alter table t drop divisor")
    db.execute("insert into t values (1)")

    assert [(kind, new["id"]) for kind, _, new in changes(db)] == [("I", 1), ("I", 9), ("U", 2), ("I", 1)]


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("new.totl > 100", "column new.totl does not exist"),
        ("total > 100", 'column reference "total" is ambiguous'),
        ("new.total", "argument of IS NOT FALSE must be type boolean"),
        ("new.total > 100) or (true", None),
        ("count(*) > 1", "aggregate functions are not allowed in WHERE"),
        ("new.total > 100) is not false; drop table orders; select (true", "cannot insert multiple commands"),
        ("new.total > ", "syntax error"),
        ("new.total > 1/0", "division by zero"),
        ("exists (select from public.orders)", "permission denied for table orders"),
        ("public.forbidden(new.total)", "permission denied for function forbidden"),
        ("forbidden(new.total)", "function forbidden(numeric) does not exist"),
    ],
)
def test_a_condition_is_understood_at_the_build_or_refused(
    db: psycopg.Connection, url: str, build: Build, condition: str, says: str | None
) -> None:
    db.execute("create table orders (id integer, total numeric)")
    db.execute("create function forbidden(numeric) returns boolean language sql as 'select true'")
    db.execute("revoke execute on function forbidden from public")

    if says is None:
        assert not build(url, when={"orders": condition}).failed
        return
    with pytest.raises(UsageError) as caught:
        build(url, when={"orders": condition})

    text = str(caught.value)
    assert "PG_EVENTS_WHEN: " in text
    assert "is no condition for public.orders: " in text
    assert says in text
    assert "\n" not in text
    assert db.execute("select to_regclass('orders') is not null").fetchone() == (True,)


def test_a_condition_runs_with_the_rights_of_nobody(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table t (a text)")
    db.execute("create schema private; create table private.seen (role text)")
    db.execute(
        "create function spy(text) returns boolean language plpgsql as $$begin"
        " return current_user = 'pgevents_capture' and not pg_has_role(current_user, 'pg_read_all_data', 'member');"
        " end$$"
    )
    build(url, when={"t": "public.spy(new.a)"})

    db.execute("insert into t values ('seen as nobody')")

    assert [new for _, _, new in changes(db)] == [{"a": "seen as nobody"}]


def test_a_condition_for_many_rows_asks_each(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table t (id integer primary key, a integer)")
    build(url, when={"t": "old.a <> new.a"})
    db.execute("insert into t select n, 0 from generate_series(1, 20000) n")
    changes(db)

    db.execute("set statement_timeout = '60s'")
    db.execute("update t set a = id % 2")

    found = changes(db)
    assert len(found) == 10_000
    assert all(old["id"] == new["id"] and new["a"] == 1 for _, old, new in found)


# --- updates that change nothing ----------------------------------------------------------------------------------


def test_updates_that_change_nothing_are_left_out(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute("create table t (id integer, a json, b xml, c point, d numeric, e text)")
    captured_by("t")
    build(url, skip_unchanged=("*",))
    db.execute("""insert into t values (1, '{"x":1}', null, '(1,2)', 1.0, repeat('x', 100000))""")
    db.execute("insert into t values (2)")
    changes(db)

    db.execute("update t set id = id")
    db.execute("update t set a = a, e = e || ''")
    assert changes(db) == []

    db.execute("update t set d = 1.00 where id = 1")
    db.execute("update t set e = case id when 2 then '' else e end")
    assert [(kind, old["id"]) for kind, old, _ in changes(db)] == [("U", 1), ("U", 2)]


def test_an_update_of_what_is_not_captured_changes_nothing(
    db: psycopg.Connection, url: str, build: Build, captured_by: Callable[[str], None]
) -> None:
    db.execute("create table t (id integer, seen integer, pin text)")
    captured_by("t")
    build(url, skip_unchanged=("*",), exclude_columns={"t": ("seen",)}, redact={"t": {"pin": "mask"}})
    db.execute("insert into t values (1, 1, 'x')")
    changes(db)

    db.execute("update t set seen = 2")
    assert changes(db) == []

    db.execute("update t set pin = 'y'")
    assert changes(db) == [("U", {"id": 1, "pin": "***"}, {"id": 1, "pin": "***"})]


@pytest.mark.parametrize("more", [{}, {"exclude_columns": {"t": ("pin",)}}, {"when": {"t": "new.a <> 7"}}])
def test_a_plan_made_for_one_row_is_no_trap_for_many(
    db: psycopg.Connection, url: str, build: Build, more: dict[str, Any]
) -> None:
    db.execute("create table t (id integer primary key, a integer, pin text)")
    build(url, skip_unchanged=("*",), **more)
    db.execute("insert into t select n, 0 from generate_series(1, 20000) n")
    for number in range(10):
        db.execute("update t set a = a + 1 where id = %s", [number])
    changes(db)

    # A nested loop takes minutes.
    db.execute("set statement_timeout = '20s'")
    db.execute("update t set a = 1 where id > 10")

    assert len(changes(db)) == 19_990


def test_only_the_update_trigger_pays_for_skipping(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table t (id integer)")

    assert {step.object for step in plan(url, skip_unchanged=("*",)).steps} == {
        "setting choices",
        "trigger 00_pgevents_update",
    }


# --- renamed, dropped, attached, restored --------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {"exclude_columns": {"public.users": ("password_hash",)}},
        {"redact": {"users": {"password_hash": "mask"}}},
        {"include_columns": {"public.users": ("id", "email", "card")}},
    ],
)
@pytest.mark.parametrize(
    "change",
    [
        "alter table users rename password_hash to pw",
        "alter table users rename password_hash to pw; alter table users rename pw to p",
        "alter table users rename card to c; alter table users rename password_hash to card",
        "alter table users rename to accounts",
        "alter table users rename to accounts; alter table accounts rename password_hash to pw",
        "create schema other; alter table users set schema other",
        "alter table users alter password_hash type varchar(20)",
        "alter table users drop card; alter table users rename password_hash to pw",
        "alter table users add other text; alter table users rename password_hash to pw",
    ],
)
def test_a_rename_leaks_nothing(
    db: psycopg.Connection, url: str, build: Build, settings: Any, change: str, seen: bool
) -> None:
    if "include_columns" in settings and "password_hash to card" in change:
        pytest.skip("the settings say that a column of that name is to be captured")
    db.execute(USERS)
    build(url, **settings)
    if seen:
        db.execute(change.encode())
    else:
        with without_event_triggers(db):
            db.execute(change.encode())
    ((schema, name),) = db.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relname in ('users', 'accounts') and c.relkind = 'r'"
    ).fetchall()
    table = sql.Identifier(schema, name)
    insert = sql.SQL("insert into {} values (1, 'a', 'hunter2')").format(table)

    db.execute(insert)
    assert not build(url, **settings).failed
    db.execute(sql.SQL("delete from {}").format(table))
    db.execute(insert)
    db.execute(sql.SQL("update {} set id = 2").format(table))

    found = changes(db)
    assert [kind for kind, _, _ in found] == ["I", "D", "I", "U"]
    assert "hunter2" not in str(found)
    assert all("id" in (old or new) for _, old, new in found)
    assert plan(url, **settings).steps == ()


def test_who_stops_asking_for_it_gets_a_renamed_column(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute(USERS)
    build(url, exclude_columns={"users": ("password_hash",)})
    db.execute("alter table users rename password_hash to shown")
    db.execute("insert into users values (1, 'a', 'x')")
    build(url)
    db.execute("insert into users values (2, 'a', 'x')")

    assert ["shown" in new for _, _, new in changes(db)] == [False, True]


def test_a_condition_goes_with_its_table(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table t (id integer)")
    build(url, when={"public.t": "new.id > 1"})

    db.execute("alter table t rename to u")
    db.execute("insert into u values (1), (2)")

    assert changes(db) == [("I", None, {"id": 2})]


def test_tables_made_later_are_treated_as_the_settings_say(db: psycopg.Connection, url: str, build: Build) -> None:
    build(url, exclude_columns={"*": ("*password*",)}, redact={"public.users": {"email": "mask"}})

    db.execute("set standard_conforming_strings = off; set backslash_quote = on")
    db.execute('create table users (id integer, email text, "PassWord" text, the_password text, "back\\slash" text)')
    db.execute("alter table users add password2 text default 'p'")
    db.execute("insert into users values (1, 'a', 'x', 'y', 'z')")

    assert changes(db) == [("I", None, {"id": 1, "email": "***", "PassWord": "x", "back\\slash": "z"})]


PARTITIONS = """
    create table p (id integer, secret text, v text) partition by range (id);
    create table p1 partition of p for values from (0) to (10);
    create table p2 (gone integer, v text, secret text, id integer);
    alter table p2 drop gone;
    alter table p attach partition p2 for values from (10) to (20);
"""


@pytest.mark.parametrize("by_row", [False, True])
def test_partitions_are_treated_as_their_root_is(db: psycopg.Connection, url: str, build: Build, by_row: bool) -> None:
    db.execute(PARTITIONS)
    if by_row:
        db.execute(BY_ROW.format("p1").encode())
    settings = {
        "exclude_columns": {"public.p": ("secret",)},
        "when": {"public.p": "new.v <> 'no'"},
        "skip_unchanged": ("*",),
    }
    assert not build(url, **settings).failed

    db.execute("insert into p values (1, 's', 'a'), (11, 's', 'b'), (12, 's', 'no')")
    db.execute("insert into p2 (id, secret, v) values (13, 's', 'c')")
    db.execute("update p set id = id + 5 where id = 1; update p2 set id = 8 where false")
    db.execute("update p set id = id - 10 where id = 11")
    found = changes(db)
    assert [kind for kind, _, _ in found][:3] == ["I", "I", "I"]
    assert "secret" not in str(found)
    assert found[-1] == ("U", {"id": 11, "v": "b"}, {"id": 1, "v": "b"}) or by_row
    assert {(old or new)["v"] for _, old, new in found} == {"a", "b", "c"}

    db.execute("alter table p rename secret to hidden")
    db.execute("create table p3 partition of p for values from (20) to (30)")
    db.execute("insert into p values (2, 's', 'd'), (15, 's', 'e'), (25, 's', 'f')")
    db.execute("insert into p3 values (26, 's', 'g')")
    db.execute("alter table p detach partition p3")
    db.execute("insert into p3 values (27, 's', 'h')")
    found = changes(db)
    assert sorted(new["v"] for _, _, new in found) == ["d", "e", "f", "g", "h"]
    assert "hidden" not in str(found)
    assert not build(url, **settings).failed
    assert set(states(url, **settings).values()) == {"covered"}


def test_a_row_that_is_dropped_on_its_way_to_another_partition_is_asked_about(
    db: psycopg.Connection, url: str, build: Build
) -> None:
    db.execute(PARTITIONS)
    db.execute("create function skip() returns trigger language plpgsql as 'begin return null; end'")
    db.execute("create trigger skip before insert on p2 for each row execute function skip()")
    build(url, exclude_columns={"p": ("secret",)}, when={"p": "coalesce(old.v, new.v) <> 'no'"})
    db.execute("insert into p values (1, 's', 'a'), (2, 's', 'no'), (3, 's', 'b')")
    changes(db)

    db.execute("update p set id = case id when 3 then 4 else id + 10 end")

    assert sorted(changes(db), key=str) == [
        ("D", {"id": 1, "v": "a"}, None),
        ("D", {"id": 3, "v": "b"}, None),
        ("I", None, {"id": 4, "v": "b"}),
    ]


def test_what_a_restore_numbers_anew_leaks_nothing(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute("create table t (gone integer, id integer, secret text, v text)")
    db.execute("alter table t drop gone")
    settings = {"exclude_columns": {"t": ("secret",)}, "include_columns": {"t": ("id", "v", "secret")}}
    build(url, **settings)
    triggers = [
        definition
        for (definition,) in db.execute(
            "select pg_get_triggerdef(oid) from pg_trigger where tgrelid = 't'::regclass and tgname like '00%'"
        )
    ]
    with without_event_triggers(db):
        # As pg_dump writes it down: without the column that was dropped, and with the triggers as they were.
        db.execute("drop table t; create table t (id integer, secret text, v text)")
        for definition in triggers:
            db.execute(definition)

    db.execute("insert into t values (1, 'hunter2', 'x')")

    assert changes(db) == [("I", None, {})]
    assert not build(url, **settings).failed
    db.execute("insert into t values (1, 'hunter2', 'x')")
    assert "hunter2" not in str(changes(db))


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
        "wake_up": False,
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
