"""Retention: what is old and given goes, what a consumer still waits for stays."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from pg_events.retention import prune
from pg_events.settings import Settings
from pg_events.worker import Worker

LONG = " /* " + "long " * 100 + "*/"
"""Makes a statement's text long enough to be kept apart from its events."""
LATER = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def db(built_database_url: str):
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table t (id integer)")
        connection.execute("delete from pgevents.event")
        yield connection


def deliver(url: str, name: str) -> int:
    return Worker(Settings(database_url=url, data_update_callback=lambda _payload: None), name).run(once=True).delivered


def kept(db: psycopg.Connection) -> tuple[int, int]:
    """Events and statements' texts in the log."""
    row = db.execute(
        "select (select count(*) from pgevents.event), (select count(*) from pgevents.statement)"
    ).fetchone()
    assert row is not None
    return row


def test_without_consumers_age_decides(db: psycopg.Connection) -> None:
    db.execute("insert into t select generate_series(1, 25)" + LONG)
    assert kept(db) == (25, 1)
    db.execute("update pgevents.event set at = at - interval '10 days'")
    db.execute("update pgevents.statement set at = at - interval '10 days'")
    db.execute("insert into t values (26)")

    done = prune(db, datetime.now(UTC) - timedelta(days=9), batch_events=10)

    assert (done.deleted, done.kept) == (25, 0)
    assert kept(db) == (1, 0)


def test_what_a_consumer_has_not_been_given_stays(db: psycopg.Connection, built_database_url: str) -> None:
    deliver(built_database_url, "quick")
    deliver(built_database_url, "slow")
    db.execute("insert into t select generate_series(1, 5)" + LONG)
    assert deliver(built_database_url, "quick") == deliver(built_database_url, "slow") == 5
    db.execute("insert into t select generate_series(6, 8)" + LONG)
    assert deliver(built_database_url, "quick") == 3

    done = prune(db, LATER)

    assert (done.deleted, done.kept) == (5, 3)
    assert kept(db) == (3, 1)
    assert deliver(built_database_url, "slow") == 3
    assert prune(db, LATER).deleted == 3
    assert kept(db) == (0, 0)


def test_an_event_that_commits_late_is_not_taken_for_given(db: psycopg.Connection, built_database_url: str) -> None:
    deliver(built_database_url, "reader")
    with psycopg.connect(built_database_url) as late:
        late.execute("insert into t values (1)")
        db.execute("insert into t values (2)")
        assert deliver(built_database_url, "reader") == 1
        late.commit()

    done = prune(db, LATER)

    assert (done.deleted, done.kept) == (1, 1)
    assert deliver(built_database_url, "reader") == 1


def test_unread_events_go_when_that_is_asked_for(db: psycopg.Connection, built_database_url: str) -> None:
    deliver(built_database_url, "gone")
    db.execute("insert into t select generate_series(1, 5)")

    assert prune(db, LATER, unread=True).deleted == 5
    assert kept(db) == (0, 0)


def test_a_text_stays_as_long_as_one_of_its_events(db: psycopg.Connection) -> None:
    db.execute("insert into t values (1), (2), (3)" + LONG)
    db.execute("update pgevents.event set at = at - interval '10 days' where new_data ->> 'id' = '1'")
    db.execute("update pgevents.statement set at = at - interval '10 days'")

    assert prune(db, datetime.now(UTC) - timedelta(days=9)).deleted == 1

    assert kept(db) == (2, 1)
