"""Batch callbacks under fault: nothing is lost, each row keeps its order, and little comes twice."""

import random

import pytest

from tests.faults.harness import Change, Writers, committed, execute, judge, wait_until

ONE_BY_ONE = {"PG_EVENTS_DATA_UPDATE_CALLBACK": "worker_settings:batch"}
SIDE_BY_SIDE = {"PG_EVENTS_DATA_UPDATE_CALLBACK": "worker_settings:batches_side_by_side", "PG_EVENTS_CONCURRENCY": 4}
WAITING = {**ONE_BY_ONE, "PG_EVENTS_BATCH_SECONDS": 0.05}
PAGE = 1000
AHEAD = 16_000


@pytest.mark.parametrize(("way", "most"), [(ONE_BY_ONE, PAGE), (WAITING, 2 * PAGE), (SIDE_BY_SIDE, AHEAD)])
@pytest.mark.parametrize("seed", [8])
def test_row_1_a_worker_killed_during_a_batch_loses_nothing(url, worker, deliveries, way, most, seed) -> None:
    chance = random.Random(seed)
    kills = 3
    with Writers(url, seed, pause_seconds=0.02) as writers:
        for _ in range(kills):
            worker(**way, PG_EVENTS_BATCH_SIZE=100).ready().kill_within(chance, 0.5)
        last = worker(**way, PG_EVENTS_BATCH_SIZE=100)
        writers.wait_for(50)
        writers.stop()
        got = deliveries.wait_for(committed(url), last.log)

    assert last.end() == 0
    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict
    assert verdict.duplicates <= kills * most
    assert not writers.failures


@pytest.mark.parametrize("seed", [9])
def test_row_1_batches_whose_worker_is_killed_are_written_exactly_once(url, worker, seed) -> None:
    execute(
        url,
        "create table copied (event bigint, key integer, sequence integer)",
        "alter table copied disable trigger all",
    )
    way = {
        "PG_EVENTS_TRANSACTIONAL": True,
        "PG_EVENTS_DATA_UPDATE_CALLBACK": "worker_settings:copying_batch",
        "PG_EVENTS_BATCH_SIZE": 50,
        "PG_EVENTS_LEASE_SECONDS": 1,
    }
    chance = random.Random(seed)
    with Writers(url, seed, pause_seconds=0.005) as writers:
        for _ in range(4):
            worker(**way).ready().kill_within(chance, 0.5)
        worker(**way)
        writers.wait_for(50)
        writers.stop()
        wanted = committed(url)
        wait_until(lambda: wanted <= set(copied(url)), "everything is written")

    assert sorted(copied(url)) == sorted(wanted)


def copied(url: str) -> list[Change]:
    return [Change(key, sequence) for key, sequence in execute(url, "select key, sequence from copied")]


@pytest.mark.parametrize("lethal", [57])
def test_row_1_an_event_that_kills_its_worker_is_found_in_its_batch(url, worker, deliveries, lethal) -> None:
    execute(
        url,
        "insert into account select n, 0, case n when 157 then 'exit' else 'return' end from generate_series(101, 200) n",
    )
    settings = {**ONE_BY_ONE, "PG_EVENTS_LEASE_SECONDS": 1}
    first = worker(**settings)
    assert first.process.wait(30) == 1
    second = worker(**settings)
    assert second.process.wait(30) == 1

    # The first gave the batch up to the event to the callback, the second each event alone, and saved after each.
    keys = [each.change.key for each in deliveries.read() if each.change.key > 100]
    assert keys == [*range(101, 101 + lethal), *range(101, 101 + lethal)]
    saved = execute(
        url,
        "select count(*) from pgevents.log l, pgevents.share s where l.id <= s.position and l.table_name = 'account'",
    )
    assert saved[0][0] >= lethal - 1
