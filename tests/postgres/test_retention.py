"""Retention: what is old and given goes, what a consumer still waits for stays."""

from datetime import timedelta

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.delivery.worker import Worker
from pg_events.log.retention import Limit, Pruner, Unread, live_bytes, prune

LONG = " /* " + "long " * 100 + "*/"
"""Makes a statement's text long enough to be kept apart from its events."""
ALL = Limit(timedelta(days=-1))
"""Whatever was given to everybody is old enough."""
NINE_DAYS = Limit(timedelta(days=9))


@pytest.fixture
def db(built_database_url: str):
    with connect(built_database_url, application_name="test", plain=True) as connection:
        connection.execute("create table t (id integer)")
        connection.execute("delete from pgevents.event")
        yield connection


def deliver(url: str, name: str) -> int:
    return Worker(Settings(database_url=url, data_update_callback=lambda _payload: None), name).run(once=True).delivered


def kept(db: psycopg.Connection) -> tuple[int, int]:
    """Events and statements' texts in the log."""
    row = db.execute("select (select count(*) from pgevents.log), (select count(*) from pgevents.statement)").fetchone()
    assert row is not None
    return row


def test_without_consumers_age_decides(db: psycopg.Connection) -> None:
    db.execute("insert into t select generate_series(1, 25)" + LONG)
    assert kept(db) == (25, 1)
    db.execute("update pgevents.event set at = at - interval '10 days'")
    db.execute("update pgevents.statement set at = at - interval '10 days'")
    db.execute("insert into t values (26)")

    done = prune(db, NINE_DAYS, batch_rows=10)

    assert (done.deleted, done.kept) == (25, 0)
    assert kept(db) == (1, 0)


def test_what_a_long_call_wrote_is_as_old_as_its_transaction(db: psycopg.Connection) -> None:
    db.execute("""
        create procedure long() language plpgsql as $$
        begin
            insert into t values (1);
            commit;
            while clock_timestamp() < statement_timestamp() + interval '0.5 s' loop end loop;
            rollback;
            insert into t values (2);
        end
        $$
    """)
    db.execute("call long()")

    (age,) = db.execute("select extract(epoch from max(at) - min(at)) from pgevents.log where kind = 'I'").fetchone()
    assert age >= 0.5
    # As if the CALL had begun nine days ago, and its second transaction minutes later.
    db.execute("""
        update pgevents.event e
        set at = now() - interval '9 days' + (e.at - f.at) * 1000
        from (select min(at) as at from pgevents.event where kind = 'I') f
    """)
    prune(db, NINE_DAYS)
    assert db.execute("select new_data ->> 'id' from pgevents.log where kind = 'I'").fetchall() == [("2",)]


def test_what_a_consumer_has_not_been_given_stays(db: psycopg.Connection, built_database_url: str) -> None:
    deliver(built_database_url, "quick")
    deliver(built_database_url, "slow")
    db.execute("insert into t select generate_series(1, 5)" + LONG)
    assert deliver(built_database_url, "quick") == deliver(built_database_url, "slow") == 5
    db.execute("insert into t select generate_series(6, 8)" + LONG)
    assert deliver(built_database_url, "quick") == 3

    done = prune(db, ALL)

    assert (done.deleted, done.kept) == (5, 3)
    assert kept(db) == (3, 1)
    assert deliver(built_database_url, "slow") == 3
    assert prune(db, ALL).deleted == 3
    assert kept(db) == (0, 0)


def test_an_event_that_commits_late_is_not_taken_for_given(db: psycopg.Connection, built_database_url: str) -> None:
    deliver(built_database_url, "reader")
    with psycopg.connect(built_database_url) as late:
        late.execute("insert into t values (1)")
        db.execute("insert into t values (2)")
        assert deliver(built_database_url, "reader") == 1
        late.commit()

    done = prune(db, ALL)

    assert (done.deleted, done.kept) == (1, 1)
    assert deliver(built_database_url, "reader") == 1


def test_unread_events_go_when_that_is_asked_for(db: psycopg.Connection, built_database_url: str) -> None:
    deliver(built_database_url, "gone")
    db.execute("insert into t select generate_series(1, 5)")

    done = prune(db, Limit(timedelta(days=-1), unread=True))

    assert (done.deleted, done.kept) == (5, 0)
    assert done.unread["gone"].events == 5
    assert kept(db) == (0, 0)


def test_a_text_stays_as_long_as_one_of_its_events(db: psycopg.Connection) -> None:
    insert_one_by_one(db, 3, LONG * 2)
    db.execute("update pgevents.event set at = at - interval '10 days' where new_data ->> 'id' = '1'")
    db.execute("update pgevents.statement set at = at - interval '10 days'")

    assert prune(db, NINE_DAYS).deleted == 1

    assert kept(db) == (2, 1)


def insert_one_by_one(db: psycopg.Connection, rows: int, note: str = "") -> None:
    """Statements of their own: the rows of one are folded into few rows of the log."""
    db.execute(f"do $$begin for i in 1..{rows} loop insert into t values (i); end loop; end$$ {note}".encode())


def age(db: psycopg.Connection, condition: str, days: int) -> None:
    db.execute(f"update pgevents.event set at = at - interval '{days} days' where {condition}")  # pyright: ignore


def ids(db: psycopg.Connection) -> list[int]:
    return [id for (id,) in db.execute("select id from pgevents.log order by id")]  # noqa: A001


def never(_seconds: float) -> bool:
    return False


def test_what_is_old_behind_younger_events_goes_too(db: psycopg.Connection) -> None:
    insert_one_by_one(db, 30)
    age(db, f"id = {ids(db)[25]}", 10)

    assert prune(db, NINE_DAYS, batch_rows=10).deleted == 1


def test_a_worker_finds_what_is_old_behind_younger_events_bit_by_bit(db: psycopg.Connection) -> None:
    insert_one_by_one(db, 60)
    there = ids(db)
    age(db, f"id in ({there[0]}, {there[1]}, {there[55]})", 10)
    pruner = Pruner(NINE_DAYS, batch_rows=10)

    deleted = [done.deleted for _ in range(6) if (done := pruner.prune(db, never))]

    assert deleted == [2, 0, 0, 1, 0, 0]
    assert pruner.dead == 3


def test_a_worker_reads_what_it_has_to_keep_once_and_not_each_time(
    db: psycopg.Connection, built_database_url: str
) -> None:
    deliver(built_database_url, "slow")
    insert_one_by_one(db, 50)
    age(db, "true", 10)
    pruner = Pruner(NINE_DAYS, batch_rows=10)

    looked_at = [done.kept for _ in range(3) if (done := pruner.prune(db, never))]

    assert looked_at == [20, 20, 20]  # the beginning, and one batch more
    assert deliver(built_database_url, "slow") == 50
    done = pruner.prune(db, never)
    assert done is not None
    assert done.deleted == 50


def test_only_one_prunes_at_a_time(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute("insert into t values (1)")
    with psycopg.connect(built_database_url) as other:
        other.execute("lock table pgevents.consumer in share update exclusive mode")

        assert Pruner(ALL).prune(db, never) is None

    done = Pruner(ALL).prune(db, never)
    assert done is not None
    assert done.deleted == 1


def test_a_worker_that_is_to_stop_ends_after_a_batch(db: psycopg.Connection) -> None:
    insert_one_by_one(db, 50)

    done = Pruner(ALL, batch_rows=10).prune(db, lambda _seconds: True)

    assert done is not None
    assert done.deleted <= 20


def test_the_oldest_events_go_when_all_of_them_take_too_much(db: psycopg.Connection) -> None:
    db.execute("create table wide (id integer, body text)")
    # Not compressible: half of them so large that they are stored out of line.
    db.execute(
        "insert into wide select n, (select string_agg(md5(n::text || m::text), '') from generate_series(1, n % 2 * 200 + 3) m)"
        " from generate_series(1, 1000) n"
    )
    db.execute("delete from pgevents.event where kind = 'S'")
    before, whole = ids(db), live_bytes(db)

    done = prune(db, Limit(size_bytes=whole // 4), batch_rows=100)

    assert ids(db) == before[done.deleted :]
    assert 700 < done.deleted < 800
    assert whole // 5 < live_bytes(db) <= whole // 4
    assert prune(db, Limit(size_bytes=whole // 4)).deleted == 0


def test_what_the_events_take_is_estimated_well(db: psycopg.Connection) -> None:
    db.execute("insert into t select generate_series(1, 40000)")
    db.execute("vacuum full pgevents.event")

    on_disk = db.execute("select pg_total_relation_size('pgevents.event')").fetchone()

    assert on_disk is not None
    assert 0.8 < live_bytes(db) / on_disk[0] < 1.2


def test_a_size_spares_what_a_consumer_has_not_been_given(db: psycopg.Connection, built_database_url: str) -> None:
    deliver(built_database_url, "slow")
    db.execute("insert into t select generate_series(1, 10)")
    first = ids(db)[0]

    done = prune(db, Limit(size_bytes=0))

    assert (done.deleted, done.kept) == (0, 10)
    assert done.unread == {"slow": Unread(10, first, first + 9)}


def test_a_large_window_that_is_being_worked_off_goes_up_to_where_it_is(
    db: psycopg.Connection, built_database_url: str
) -> None:
    insert_one_by_one(db, 10)
    deliver(built_database_url, "reader")
    db.execute("update pgevents.share set window_end = snapshot, snapshot = '1:1:', position = %s", (ids(db)[3],))

    assert prune(db, ALL).deleted == 4


def test_a_statement_that_is_folded_goes_when_its_last_event_was_given(
    db: psycopg.Connection, built_database_url: str
) -> None:
    db.execute("insert into t select generate_series(1, 10)")
    deliver(built_database_url, "reader")
    db.execute("update pgevents.share set window_end = snapshot, snapshot = '1:1:', position = %s", (ids(db)[3],))

    done = prune(db, ALL)

    first = ids(db)[0]
    assert (done.deleted, done.kept) == (0, 10)
    assert done.unread == {"reader": Unread(6, first + 4, first + 9)}
    db.execute("update pgevents.share set position = %s", (first + 9,))
    assert prune(db, ALL).deleted == 10
