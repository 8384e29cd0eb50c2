"""Callbacks side by side under fault: nothing is lost and each row keeps its order, whatever is killed."""

import random

import pytest

from pg_events.delivery.ordering import AHEAD
from tests.faults.harness import Writers, committed, execute, judge

SIDE_BY_SIDE = {"PG_EVENTS_DATA_UPDATE_CALLBACK": "worker_settings:side_by_side", "PG_EVENTS_CONCURRENCY": 16}
CUT = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name like 'pg_events worker%'"


@pytest.mark.parametrize("seed", [5])
def test_row_1_a_worker_killed_with_many_calls_in_hand_loses_nothing(url, worker, deliveries, seed) -> None:
    chance = random.Random(seed)
    kills = 8
    with Writers(url, seed, pause_seconds=0.005) as writers:
        for _ in range(kills):
            worker(**SIDE_BY_SIDE).ready().kill_within(chance, 0.5)
        last = worker(**SIDE_BY_SIDE)
        writers.wait_for(50)
        writers.stop()
        got = deliveries.wait_for(committed(url), last.log)

    assert last.end() == 0
    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict
    assert verdict.duplicates <= kills * AHEAD
    assert not writers.failures


@pytest.mark.parametrize("seed", [6])
def test_row_4_links_cut_and_workers_that_come_and_go_lose_and_disorder_nothing(url, worker, deliveries, seed) -> None:
    chance = random.Random(seed)
    workers = [worker(**SIDE_BY_SIDE).ready()]
    with Writers(url, seed, pause_seconds=0.005) as writers:
        for _ in range(8):
            writers.wait_for(100)
            what = chance.choice(("join", "leave", "cut"))
            if what == "cut":
                execute(url, CUT)
            elif what == "join" or len(workers) == 1:
                workers.append(worker(**SIDE_BY_SIDE).ready())
            else:
                assert workers.pop(0).end() == 0
        writers.wait_for(50)
        writers.stop()
        got = deliveries.wait_for(committed(url), workers[0].log)

    assert [one.end() for one in workers] == [0] * len(workers)
    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict
    assert not writers.failures
