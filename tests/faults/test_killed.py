"""A worker, or the server, ends at any moment: nothing that was acknowledged is lost, and little comes twice."""

import random
import signal
from datetime import datetime

import psycopg
import pytest

from pg_events.demo.server import Server, binaries
from tests.faults.conftest import DURABLE
from tests.faults.harness import (
    KEYS,
    Change,
    Deliveries,
    Proxy,
    WorkerProcess,
    Writers,
    acknowledging_blocked,
    backends,
    committed,
    execute,
    judge,
    make_accounts,
    wait_until,
)

PAGE = 1000
"""Events that a worker takes at a time: so many can come twice after it was killed."""


@pytest.mark.parametrize("seed", [1])
def test_row_1_a_worker_killed_at_random_moments_loses_nothing(url, worker, deliveries, seed) -> None:
    chance = random.Random(seed)
    kills = 6
    with Writers(url, seed) as writers:
        for _ in range(kills):
            worker().ready().kill_within(chance, 0.5)
        last = worker()
        writers.wait_for(50)
        writers.stop()
        got = deliveries.wait_for(committed(url), last.log)

    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict
    assert verdict.duplicates <= kills * PAGE
    assert not writers.failures


def test_row_2_a_worker_killed_between_callback_and_acknowledgement_repeats_just_that(url, worker, deliveries) -> None:
    first = worker().ready()
    deliveries.wait_for(committed(url))
    wait_until(lambda: is_saved(url), "the cursor is saved")

    with acknowledging_blocked(url) as somebody_waits:
        execute(url, "update account set version = 1 where key = 7")
        wait_until(somebody_waits, "the worker acknowledges")
        first.kill()
        # Its server process would acknowledge yet, once it may.
        execute(url, f"select pg_terminate_backend(pid, 5000) from ({backends()}) b")
    worker().ready()
    execute(url, "update account set version = 1 where key = 8")
    got = deliveries.wait_for(committed(url))

    assert [each.attempt for each in got if each.change == Change(7, 1)] == [1, 2]
    assert judge([], committed(url), got).duplicates == 1


def is_saved(url: str) -> bool:
    """Whether all that is committed has been acknowledged."""
    return execute(
        url,
        "select bool_and(pg_visible_in_snapshot(e.xid, c.snapshot)) from pgevents.log e, pgevents.share c",
    ) == [(True,)]


@pytest.mark.parametrize("cut", ["pg_terminate_backend(pid, 5000)", "pg_cancel_backend(pid)"])
def test_row_5_a_connection_cut_while_it_acknowledges_repeats_nothing(url, worker, deliveries, cut) -> None:
    one = worker().ready()
    deliveries.wait_for(committed(url))

    with acknowledging_blocked(url) as somebody_waits:
        execute(url, "update account set version = 1 where key = 7")
        wait_until(somebody_waits, "the worker acknowledges")
        execute(url, f"select {cut} from ({backends()}) b")
    one.wait_until_said("connected again")
    execute(url, "update account set version = 1 where key = 8")
    got = deliveries.wait_for(committed(url))

    assert judge([], committed(url), got).duplicates == 0


@pytest.mark.parametrize(("row", "mode"), [(6, "fast"), (7, "immediate")])
def test_rows_6_and_7_a_restart_of_the_server_under_load_loses_nothing(
    server: Server, url, worker, deliveries, row, mode
) -> None:
    one = worker().ready()
    with Writers(url, row) as writers:
        for _ in range(2):
            writers.wait_for(100)
            server.restart(mode)
        writers.wait_for(100)
    got = deliveries.wait_for(committed(url), one.log)

    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict
    assert one.end() == 0
    # What a writer was told while the server was away; nothing failed for another reason.
    assert {state for state, _ in writers.failures} <= {None, "57P01", "57P02", "57P03"}


def test_row_33_a_worker_that_slept_through_its_lease_is_refused(url, worker, deliveries) -> None:
    sleeper = worker(PG_EVENTS_LEASE_SECONDS=1).ready()
    deliveries.wait_for(committed(url))
    with acknowledging_blocked(url) as somebody_waits:
        execute(url, "update account set version = 1 where key = 7")
        wait_until(somebody_waits, "the worker acknowledges")
        sleeper.send(signal.SIGSTOP)

    # Its connection lives: its lease runs out, by the server's clock.
    second = worker(PG_EVENTS_LEASE_SECONDS=1).ready()
    execute(url, "update account set version = 1 where key = 8")
    deliveries.wait_for(committed(url))
    sleeper.send(signal.SIGCONT)
    sleeper.wait_until_said("expired by another one")

    with Writers(url, 33) as writers:
        writers.wait_for(100)
    got = deliveries.wait_for(committed(url))
    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict
    assert second.end() == sleeper.end() == 0


@pytest.mark.parametrize("seed", [42])
def test_row_42_workers_of_one_name_share_the_rows_and_keep_the_order_of_each(url, worker, deliveries, seed) -> None:
    chance = random.Random(seed)
    workers = [worker() for _ in range(3)]
    with Writers(url, seed, pause_seconds=0.01) as writers:
        for one in workers:
            one.ready()
        for _ in range(3):
            writers.wait_for(100)
            victim = workers.pop(chance.randrange(len(workers)))
            victim.kill()
            workers.append(worker().ready())
        writers.wait_for(100)
        holders = "select count(distinct worker) from pgevents.share"
        wait_until(lambda: execute(url, holders) == [(3,)], "all of them hold a share")
        writers.wait_for(100)
    got = deliveries.wait_for(committed(url), workers[0].log)

    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict
    assert not writers.failures
    assert [one.end() for one in workers] == [0, 0, 0]


def test_row_7_transaction_ids_that_come_again_after_a_crash_hide_no_event(server: Server, build, tmp_path) -> None:
    programs = binaries(server.major)
    assert programs is not None
    # What is rolled back is not flushed: a crash gives its ids to others.
    with Server(programs, settings=DURABLE | {"wal_writer_delay": "10s", "autovacuum": "off"}) as own:
        url = own.create_database("shop")
        build(url)
        make_accounts(url)
        deliveries = Deliveries(tmp_path / "deliveries")
        with Proxy(url) as proxy:
            one = WorkerProcess(proxy.url, deliveries).ready()
            try:
                deliveries.wait_for(committed(url))
                wait_until(lambda: is_saved(url), "the cursor is saved")
                with psycopg.connect(url) as connection:
                    for _ in range(200):
                        connection.execute("select pg_current_xact_id()")
                        connection.rollback()
                looked = last_look(url)
                wait_until(lambda: last_look(url) > looked, "the worker has seen that they are finished")
                proxy.mode = "refuse"
                own.restart("immediate")
                for key in KEYS:
                    execute(url, f"update account set version = version + 1 where key = {key}")
                proxy.mode = "pass"
                got = deliveries.wait_for(committed(url), one.log)
            finally:
                one.kill()

    assert judge([], {each.change for each in got}, got).duplicates == 0


def last_look(url: str) -> datetime:
    return execute(url, f"select max(query_start) from pg_stat_activity where pid in ({backends()})")[0][0]


def test_row_42_what_a_lost_page_held_for_another_worker_is_delivered_by_who_takes_over(
    url, worker, deliveries
) -> None:
    first, second = worker().ready(), worker().ready()
    execute(url, "update account set version = 1")
    deliveries.wait_for(committed(url))
    wait_until(lambda: is_saved(url), "both have saved their cursors")
    second.send(signal.SIGSTOP)
    # As it is when one share has just been parted in two.
    execute(url, "update pgevents.share set snapshot = (select s.snapshot from pgevents.share s order by s.id limit 1)")

    with acknowledging_blocked(url) as somebody_waits:
        execute(url, "update account set version = 2")
        wait_until(somebody_waits, "the first worker acknowledges a page that holds rows of both")
        execute(url, f"select pg_terminate_backend(pid, 5000) from ({backends()}) b")
    got = deliveries.wait_for(committed(url), first.log)

    assert judge([], committed(url), got).is_good
