"""The transactional mode under fault: what callbacks wrote and the cursor agree at any moment, whatever is killed."""

import random
import signal
import subprocess

import psycopg
import pytest

from tests.faults.harness import Change, Writers, acknowledging_blocked, backends, committed, execute, wait_until

TRANSACTIONAL = {
    "PG_EVENTS_TRANSACTIONAL": True,
    "PG_EVENTS_DATA_UPDATE_CALLBACK": "worker_settings:copying",
    "PG_EVENTS_LEASE_SECONDS": 1,
}
CALLBACKS = "select pid from pg_stat_activity where application_name like 'pg_events callbacks%'"
BEFORE_THE_CURSOR = """
    select e.id
    from pgevents.log e, pgevents.share s
    where e.table_name = 'account'
      and (
          pg_visible_in_snapshot(e.xid, s.snapshot)
          or (pg_visible_in_snapshot(e.xid, s.window_end) and e.id <= s.position)
      )
    order by e.id
"""


@pytest.fixture
def url(url: str) -> str:
    execute(
        url,
        "create table copied (event bigint, key integer, sequence integer)",
        "alter table copied disable trigger all",  # or copying would cause events to be copied
    )
    return url


def copied(url: str) -> list[tuple[int, Change]]:
    rows = execute(url, "select event, key, sequence from copied order by event")
    return [(event, Change(key, sequence)) for event, key, sequence in rows]


def agrees(url: str) -> bool:
    """In one statement, so in one snapshot: the events copied are those before the cursor, each once."""
    return execute(
        url,
        f"select (select array_agg(event order by event) from copied) is not distinct from"
        f" (select array_agg(id order by id) from ({BEFORE_THE_CURSOR}) b)",
    ) == [(True,)]


@pytest.mark.parametrize("seed", [4])
def test_row_1_twenty_kills_at_random_moments_write_everything_exactly_once(url, worker, seed) -> None:
    chance = random.Random(seed)
    with Writers(url, seed, pause_seconds=0.005) as writers:
        for _ in range(20):
            victim = worker(**TRANSACTIONAL).ready()
            with pytest.raises(subprocess.TimeoutExpired):
                victim.process.wait(chance.uniform(0, 0.3))
            victim.kill()
            assert agrees(url)
        writers.wait_for(50)
        writers.stop()
    last = worker(**TRANSACTIONAL).ready()
    wanted = committed(url)
    # Each change is a transaction of its own, and a slow machine has thousands of them to make.
    wait_until(lambda: len(copied(url)) >= len(wanted), "all is copied", last.log, seconds=200)

    assert last.end() == 0
    found = copied(url)
    assert len(found) == len(wanted)
    assert {change for _, change in found} == wanted
    assert agrees(url)
    assert not writers.failures


def test_row_33_a_worker_that_slept_through_its_lease_commits_nothing(url, worker) -> None:
    sleeper = worker(**TRANSACTIONAL).ready()
    wait_until(lambda: len(copied(url)) == len(committed(url)), "all is copied", sleeper.log)
    with acknowledging_blocked(url) as somebody_waits:
        execute(url, "update account set version = 1 where key = 7")
        wait_until(somebody_waits, "the worker saves its cursor")
        sleeper.send(signal.SIGSTOP)
        # The share is free once the lease has run out, by the server's clock, and its link of the lease is gone.
        execute(url, f"select pg_terminate_backend(pid, 5000) from ({backends()}) b")
        second = worker(**TRANSACTIONAL)

    second.ready()
    execute(url, "update account set version = 1 where key = 8")
    wait_until(lambda: len(copied(url)) == len(committed(url)), "all is copied", second.log)
    sleeper.send(signal.SIGCONT)
    sleeper.wait_until_said("connected again")

    assert sleeper.end() == second.end() == 0
    assert sorted(change for _, change in copied(url)) == sorted(committed(url))
    assert agrees(url)


@pytest.mark.parametrize("cut", ["pg_terminate_backend(pid, 5000)", "pg_cancel_backend(pid)"])
def test_row_5_a_connection_cut_while_it_commits_writes_nothing_twice(url, worker, cut) -> None:
    one = worker(**TRANSACTIONAL).ready()
    wait_until(lambda: len(copied(url)) == len(committed(url)), "all is copied", one.log)

    with acknowledging_blocked(url) as somebody_waits:
        execute(url, "update account set version = 1 where key = 7")
        wait_until(somebody_waits, "the worker saves its cursor")
        execute(url, f"select {cut} from ({CALLBACKS}) b")
    execute(url, "update account set version = 1 where key = 8")
    wait_until(lambda: len(copied(url)) >= len(committed(url)), "all is copied", one.log)

    assert one.end() == 0
    assert sorted(change for _, change in copied(url)) == sorted(committed(url))
    assert agrees(url)


def test_row_32_a_call_that_crashes_the_server_each_time_is_given_up(url, worker, deliveries) -> None:
    one = worker(
        **TRANSACTIONAL | {"PG_EVENTS_DATA_UPDATE_CALLBACK": "worker_settings:crashing", "PG_EVENTS_MAX_ATTEMPTS": 2}
    ).ready()
    wait_until(lambda: len(copied(url)) == len(committed(url)), "all is copied", one.log)
    execute(
        url,
        "begin; update account set version = 1 where key = 6;"
        " update account set version = 1, note = 'crash' where key = 7;"
        " update account set version = 1 where key = 8; commit",
    )
    one.wait_until_said("failed 2 times")
    wait_until(lambda: is_true(url, ALL_BUT_ONE_IS_COPIED), "the others are copied", one.log)
    execute(url, "update pgevents.failed set state = 'retry'")
    wait_until(lambda: is_true(url, "select state = 'failed' and attempts = 3 from pgevents.failed"), "again", one.log)

    assert one.end() == 1
    assert sorted(change for _, change in copied(url)) == sorted(committed(url) - {Change(7, 1)})
    # The first time with others in its transaction, twice alone, and the one that was asked for.
    assert len(deliveries.path.with_suffix(".crashes").read_text().split()) == 4


ALL_BUT_ONE_IS_COPIED = "select (select count(*) from copied) >= (select sum(version + 1) - 1 from account)"


def is_true(url: str, question: str) -> bool:
    """False while the server is not up."""
    try:
        return execute(url, question) == [(True,)]
    except psycopg.OperationalError:
        return False
