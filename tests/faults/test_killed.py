"""A worker, or the server, ends at any moment: nothing that was acknowledged is lost, and little comes twice."""

import random
import signal
import subprocess

import pytest

from pg_events.demo.server import Server
from tests.faults.harness import (
    Change,
    Writers,
    acknowledging_blocked,
    backends,
    committed,
    execute,
    judge,
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
            victim = worker().ready()
            with pytest.raises(subprocess.TimeoutExpired):
                victim.process.wait(chance.uniform(0, 0.5))
            victim.kill()
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

    assert [each.change for each in got].count(Change(7, 1)) == 2
    assert judge([], committed(url), got).duplicates == 1


def is_saved(url: str) -> bool:
    """Whether all that is committed has been acknowledged."""
    return execute(
        url,
        "select bool_and(pg_visible_in_snapshot(e.xid, s.snapshot)) from pgevents.event e, pgevents.share s",
    ) == [(True,)]


def test_row_5_a_connection_cut_while_it_acknowledges_repeats_nothing(url, worker, deliveries) -> None:
    one = worker().ready()
    deliveries.wait_for(committed(url))

    with acknowledging_blocked(url) as somebody_waits:
        execute(url, "update account set version = 1 where key = 7")
        wait_until(somebody_waits, "the worker acknowledges")
        execute(url, f"select pg_terminate_backend(pid, 5000) from ({backends()}) b")
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
    sleeper = worker().ready()
    deliveries.wait_for(committed(url))
    with acknowledging_blocked(url) as somebody_waits:
        execute(url, "update account set version = 1 where key = 7")
        wait_until(somebody_waits, "the worker acknowledges")
        sleeper.send(signal.SIGSTOP)

    # Its connection lives; that its lease has run out is for the server to say, and the server's clock is not waited for.
    execute(url, "update pgevents.worker set lease_until = '-infinity'")
    second = worker().ready()
    execute(url, "update account set version = 1 where key = 8")
    deliveries.wait_for(committed(url))
    sleeper.send(signal.SIGCONT)
    sleeper.wait_until_said("another worker has taken over")

    execute(url, "update account set version = version + 1")
    got = deliveries.wait_for(committed(url))
    assert judge([], committed(url), got).is_good
    assert second.process.poll() is None
