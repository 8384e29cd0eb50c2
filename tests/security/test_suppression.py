"""Nobody hides, forges or repeats an event, or stops the writes of others, through the settings that triggers leave."""

import psycopg
import pytest


def kinds(db: psycopg.Connection, table: str = "%") -> list[str]:
    found = db.execute(
        "select table_name || ' ' || kind::text from pgevents.log where kind <> 'S' and table_name like %s order by id",
        [table],
    )
    return [row[0] for row in found.fetchall()]


@pytest.fixture
def tree(db: psycopg.Connection) -> None:
    db.execute("create table p (k integer) partition by list (k)")
    db.execute("create table p1 partition of p for values in (1); create table p2 partition of p for values in (2)")
    db.execute("create table logs (id integer); insert into logs values (1)")
    db.execute("truncate pgevents.event")


def test_a_truncate_cannot_be_hidden_by_the_setting_of_another(db: psycopg.Connection, tree: None) -> None:
    db.execute(
        "do $$ begin truncate p;"
        " perform set_config('pgevents.truncated', current_setting('pgevents.truncated')"
        " || 'public.logs'::regclass::oid || ':' || pg_relation_filenode('public.logs') || ' ', true);"
        " truncate logs; end $$"
    )

    assert kinds(db) == ["p T", "logs T"]


def test_a_marker_kept_and_set_again_hides_no_truncate(db: psycopg.Connection, tree: None) -> None:
    """A statement trigger of the user's reads the marker while it is good."""
    db.execute(
        "create table kept (marker text);"
        "create function keep() returns trigger language plpgsql as $$"
        " begin insert into kept values (current_setting('pgevents.truncated')); return null; end $$;"
        "create trigger keep after truncate on p for each statement execute function keep()"
    )
    db.execute(
        "do $$ begin truncate p; insert into p values (1);"
        " perform set_config('pgevents.truncated', marker, true) from kept; truncate p1; end $$"
    )

    assert kinds(db, "p%")[-2:] == ["p I", "p1 T"]


def test_a_marker_kept_and_set_again_hides_none_when_the_partition_is_filled_at_once(
    db: psycopg.Connection, tree: None
) -> None:
    """Its second TRUNCATE in a transaction keeps the file; a trigger of the user's own sees to it that rows are there."""
    db.execute(
        "create table kept (marker text);"
        "create function keep() returns trigger language plpgsql as $$"
        " begin insert into kept values (current_setting('pgevents.truncated')); return null; end $$;"
        "create trigger keep after truncate on p for each statement execute function keep();"
        "create function refill() returns trigger language plpgsql as $$ begin insert into p values (1); return null; end $$;"
        'create trigger "000" after truncate on p1 for each statement execute function refill()'
    )
    db.execute("truncate p")
    for way in ("off", "on"):
        db.execute(f"set enable_seqscan = {way}; truncate kept, pgevents.event".encode())
        db.execute(
            "do $$ begin truncate p; truncate p1; insert into p values (1);"
            " perform set_config('pgevents.truncated', marker, true) from kept; truncate p1; end $$"
        )

        assert kinds(db, "p%").count("p1 T") == 2


def test_rows_that_a_trigger_writes_behind_a_truncate_are_not_truncated_after_it(
    db: psycopg.Connection, tree: None
) -> None:
    db.execute(
        "create function refill() returns trigger language plpgsql as $$ begin insert into p values (1); return null; end $$;"
        "create trigger refill after truncate on p for each statement execute function refill()"
    )
    db.execute("truncate p")

    assert [kind for kind in kinds(db) if kind != "p2 T"] == ["p T", "p I"]


def test_one_truncate_of_a_tree_is_one_event(db: psycopg.Connection, tree: None) -> None:
    db.execute("truncate p; truncate p, logs; truncate p1")

    assert kinds(db) == ["p T", "p T", "logs T", "p1 T"]


def test_a_statements_text_cannot_be_taken_from_another(db: psycopg.Connection) -> None:
    db.execute("create table t (id integer, v text)")
    db.execute("insert into t select 1, 'first' from generate_series(1, 2)")
    number = db.execute("select max(id) from pgevents.statement").fetchone()

    for forged in (f"{number[0]} 0 {'0' * 64}", "1", "x", "9" * 40, "' ' '"):
        db.execute("select set_config('pgevents.statement', %s, false)", [forged])
        db.execute("insert into t select 2, 'second' from generate_series(1, 2)")

    texts = db.execute("select distinct query from pgevents.log where new_data ->> 'id' = '2'").fetchall()
    assert texts == [("insert into t select 2, 'second' from generate_series(1, 2)",)]


def test_no_setting_fails_a_write(db: psycopg.Connection, tree: None) -> None:
    db.execute("create table t (id integer)")
    for name in ("statement", "truncated", "relation", "ddl", "building"):
        for value in ("", " ", "x y", "-1", "9" * 30, "\u00fc" * 70, "0 " * 40):
            db.execute("select set_config(%s, %s, false)", [f"pgevents.{name}", value])
            db.execute("insert into t values (1); insert into t values (1), (2); truncate p; truncate t")


def test_no_setting_fails_a_write_row_by_row(db: psycopg.Connection) -> None:
    """The marker that names the table itself: it is looked at first."""
    db.execute(
        "create table t (id integer);"
        "create function nothing() returns trigger language plpgsql as 'begin return null; end';"
        "create trigger mine after insert on t for each row execute function nothing()"
    )
    (oid,) = db.execute("select 't'::regclass::oid").fetchone() or (0,)
    for number in ("x", "", "9" * 40, "-1"):
        db.execute("select set_config('pgevents.statement', %s, false)", [f"{number} {oid}@(0,1)@3 {'0' * 64}"])
        db.execute("insert into t values (1)")

    assert kinds(db) == ["t I"] * 4


@pytest.mark.parametrize("digits", [-15, 0, 3])
def test_a_statements_text_cannot_be_taken_from_another_of_the_transaction(db: psycopg.Connection, digits: int) -> None:
    """A seal is one statement's, however the session spells the time."""
    db.execute(f"create table t (id integer); set extra_float_digits = {digits}".encode())
    with db.transaction():
        db.execute(f"create table harmless (id integer) /* {'so long that it is kept apart' * 40} */".encode())
        told = db.execute("select current_setting('pgevents.ddl')").fetchone()
        db.execute("insert into t values (1), (2) /* harmless */")
        marker = db.execute("select current_setting('pgevents.statement')").fetchone()
        assert told
        assert marker
        db.execute("select set_config('pgevents.statement', %s, true)", [*marker])
        db.execute("insert into t values (3), (4)")
        db.execute("select set_config('pgevents.ddl', %s, true)", [*told])
        db.execute("alter table t disable trigger all")

    texts = db.execute("select distinct query from pgevents.log where new_data ->> 'id' in ('3', '4')").fetchall()
    assert texts == [("insert into t values (3), (4)",)]
    texts = db.execute("select query from pgevents.log where ddl ->> 'command_tag' = 'ALTER TABLE'").fetchall()
    assert texts == [("alter table t disable trigger all",)]


def test_the_wake_up_flag_is_bounded(db: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.NumericValueOutOfRange):
        db.execute("select setval('pgevents.sleeper', 9223372036854775807)")
    db.execute("select setval('pgevents.sleeper', 253402300799)")
    db.execute("create table t (id integer); insert into t values (1)")

    assert kinds(db) == ["t I"]


def test_a_marker_of_a_truncate_that_was_rolled_back_hides_none(db: psycopg.Connection, tree: None) -> None:
    db.execute(
        "create function keep() returns trigger language plpgsql as"
        " $$ begin raise assert_failure using message = current_setting('pgevents.truncated'); end $$;"
        "create trigger a1 after truncate on p for each statement execute function keep()"
    )
    db.execute(
        "do $$ declare marker text; begin"
        " begin truncate p; exception when assert_failure then marker := sqlerrm; end;"
        " perform set_config('pgevents.truncated', marker, true); truncate p1; end $$"
    )

    assert kinds(db, "p%") == ["p1 T"]


def test_the_seal_of_one_marker_is_not_that_of_another(db: psycopg.Connection, tree: None) -> None:
    """A truncated partition stands where the statement's marker has the table whose rows are plain."""
    db.execute(
        "create function keep() returns trigger language plpgsql as"
        " $$ begin raise assert_failure using message = current_setting('pgevents.truncated'); end $$;"
        "create trigger a1 after truncate on p for each statement execute function keep();"
        "create function nothing() returns trigger language plpgsql as 'begin return null; end';"
        "create trigger mine after insert on p for each row execute function nothing()"
    )
    db.execute(
        "do $$ declare marker text; begin"
        " begin truncate p; exception when assert_failure then marker := sqlerrm; end;"
        " perform set_config('pgevents.statement', substr(marker, 66) || ' ' || left(marker, 64), true);"
        " insert into p values (1); end $$"
    )

    assert db.execute("select count(*) from pgevents.log where kind = 'I' and query like 'do %'").fetchone() == (1,)
