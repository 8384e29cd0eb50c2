"""Pause, rate limit and `RetryAfter` under fault: nothing is lost, and no attempt is miscounted."""

import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from pg_events.demo.server import Server
from tests.faults.harness import Change, Deliveries, WorkerProcess, Writers, committed, execute, judge, wait_until

PATIENT = {"PG_EVENTS_DATA_UPDATE_CALLBACK": "worker_settings:patient", "PG_EVENTS_LEASE_SECONDS": 1}


def pg_events(url: str, *command: str) -> None:
    subprocess.run(["pg_events", *command, "--database-url", url], check=True, capture_output=True)


@pytest.mark.parametrize("seed", [10])
def test_row_1_workers_killed_while_events_wait_lose_none_and_use_up_no_attempt(url, worker, deliveries, seed) -> None:
    chance = random.Random(seed)
    execute(url, "insert into account select n, 0, 'later 6' from generate_series(101, 104) n")
    kills = 4
    for _ in range(kills):
        worker(**PATIENT, PG_EVENTS_MAX_ATTEMPTS=1).ready().kill_within(chance, 0.4)
    last = worker(**PATIENT, PG_EVENTS_MAX_ATTEMPTS=1)
    wait_until(
        lambda: (counts := calls(deliveries)).keys() >= {*range(101, 105)} and min(counts.values()) > 6,
        "every event was called often enough",
        last.log,
    )

    assert last.end() == 0
    assert execute(url, "select count(*) from pgevents.failed") == [(0,)]
    # Each waits for six calls; a worker that is killed during the last one repeats it, and what its page held before it.
    assert all(count <= 7 + kills for count in calls(deliveries).values())


def calls(deliveries) -> Counter[int]:
    return Counter(each.change.key for each in deliveries.read() if each.change.key > 100)


@pytest.mark.parametrize("attempts", [4])
def test_row_7_attempts_are_counted_through_kills_and_a_crash_of_the_server(
    url, worker, deliveries, server: Server, attempts
) -> None:
    execute(url, "insert into account values (101, 0, 'raise ValueError')")
    settings = {"PG_EVENTS_MAX_ATTEMPTS": attempts, "PG_EVENTS_RETRY_SECONDS": 0.5, "PG_EVENTS_LEASE_SECONDS": 1}
    one = worker(**settings).ready()
    wait_until(lambda: calls(deliveries)[101] == 1, "a first call", one.log)
    one.wait_until_said("again in")
    one.kill()
    two = worker(**settings)
    wait_until(lambda: calls(deliveries)[101] == 2, "a second call", two.log)
    server.restart("immediate")
    wait_until(
        lambda: execute(url, "select attempts from pgevents.failed") == [(attempts,)], "the event is given up", two.log
    )

    assert two.end() == 1
    # The attempt during which a worker dies may count for less than it was, never for more.
    assert attempts <= calls(deliveries)[101] <= attempts + 1


@pytest.mark.parametrize("seed", [11])
def test_row_7_a_paused_consumer_stays_paused_through_a_crash_and_then_misses_nothing(
    url, worker, deliveries, server: Server, tmp_path: Path, seed
) -> None:
    settings = {"PG_EVENTS_LEASE_SECONDS": 1}
    one = worker(**settings).ready()
    with Writers(url, seed, pause_seconds=0.01) as writers:
        writers.wait_for(50)
        pg_events(url, "consumers", "pause", "default")
        one.wait_until_said("is paused")
        paused_at = len(deliveries.read())
        one.kill()
        writers.wait_for(50)
    server.restart("immediate")
    two = worker(**settings)
    two.wait_until_said("is paused")
    execute(url, "update account set version = version + 1 where key = (select min(key) from account)")
    # Another consumer is given the last change, which shows that the paused one has had its chance.
    witnessed = Deliveries(tmp_path / "witnessed")
    witness = WorkerProcess(url, witnessed, "witness")
    witnessed.wait_for(committed(url), witness.log)
    assert witness.end() == 0
    assert len(deliveries.read()) == paused_at
    pg_events(url, "consumers", "resume", "default")
    got = deliveries.wait_for(committed(url), two.log)

    assert two.end() == 0
    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict


@pytest.mark.parametrize("rate", [40])
def test_row_1_workers_that_are_killed_do_not_exceed_the_rate_and_lose_nothing(url, worker, deliveries, rate) -> None:
    execute(url, "insert into account select n, 0, 'return' from generate_series(101, 220) n")
    wanted = {Change(n, 0) for n in range(101, 221)}
    settings = {"PG_EVENTS_RATE_LIMIT": rate, "PG_EVENTS_LEASE_SECONDS": 1}
    kills = 3
    for number in range(1, kills + 1):
        victim = worker(**settings).ready()
        wait_until(lambda n=number: len(deliveries.read()) >= 10 * n, "some calls", victim.log)
        victim.kill()
    before = len(deliveries.read())
    last = worker(**settings)
    deliveries.wait_for_count(before + 1)
    begin, at_first = time.monotonic(), len(deliveries.read())
    got = deliveries.wait_for(wanted, last.log)
    seconds = time.monotonic() - begin

    assert last.end() == 0
    # Calls are reserved a tenth of a second at a time. Without a limit they all come in a fraction of a second.
    assert len(got) - at_first > 50
    assert len(got) - at_first <= rate * (seconds + 0.1) + 1
