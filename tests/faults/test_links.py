"""The link between worker and server: cut, silent, limited, refused. A worker goes on, and misses nothing."""

import random
from contextlib import closing

import psycopg
import pytest

from tests.faults.harness import Change, Proxy, Writers, backends, committed, execute, judge, wait_until


def test_row_4_a_listener_terminated_again_and_again_misses_nothing(url, worker, deliveries) -> None:
    chance = random.Random(4)
    one = worker().ready()
    with Writers(url, 4) as writers:
        for _ in range(10):
            writers.wait_for(chance.randint(1, 60))
            wait_until(
                lambda: execute(url, f"select pg_terminate_backend(pid, 5000) from ({backends()}) b"),
                "a worker connects",
            )
        writers.wait_for(20)
    got = deliveries.wait_for(committed(url), one.log)

    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict
    assert not writers.failures
    assert "connected again" in one.log()


def test_row_8_a_commit_whose_answer_is_lost_is_an_event_all_the_same(url, worker, deliveries, proxy: Proxy) -> None:
    worker().ready()
    with closing(psycopg.connect(proxy.url)) as connection:
        connection.execute("update account set version = 1 where key = 7")
        proxy.mode = "mute"
        connection.pgconn.send_query(b"commit")
        connection.pgconn.flush()
        wait_until(lambda: Change(7, 1) in committed(url), "the commit arrives")
        proxy.reset()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")

    got = deliveries.wait_for(committed(url))

    assert judge([], committed(url), got).duplicates == 0


def test_row_8_an_acknowledgement_whose_answer_is_lost_repeats_nothing(url, worker, deliveries, proxy: Proxy) -> None:
    one = worker(url=proxy.url).ready()
    deliveries.wait_for(committed(url))
    saved = "select saved_at from pgevents.share"
    wait_until(lambda: execute(url, saved) != [(None,)], "the cursor is saved")
    with psycopg.connect(url) as blocker:
        blocker.execute("lock table pgevents.share in share row exclusive mode")
        execute(url, "update account set version = 1 where key = 7")
        deliveries.wait_for(committed(url))
        before = execute(url, saved)
        proxy.mode = "mute"
    wait_until(lambda: execute(url, saved) != before, "the cursor is saved")

    proxy.mode = "pass"
    proxy.reset()
    one.wait_until_said("connected again")
    execute(url, "update account set version = 1 where key = 8")
    got = deliveries.wait_for(committed(url))

    assert judge([], committed(url), got).duplicates == 0


def test_row_9_a_link_reset_again_and_again_misses_nothing(url, worker, deliveries, proxy: Proxy) -> None:
    chance = random.Random(9)
    one = worker(url=proxy.url).ready()
    with Writers(url, 9) as writers:
        for _ in range(10):
            writers.wait_for(chance.randint(1, 60))
            proxy.mode = chance.choice(["pass", "refuse"])
            proxy.reset()
            writers.wait_for(1)
            proxy.mode = "pass"
        writers.wait_for(20)
    got = deliveries.wait_for(committed(url), one.log)

    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict
    assert not writers.failures


def test_row_41_a_notification_of_a_stranger_wakes_and_nothing_else(url, worker, deliveries) -> None:
    one = worker().ready()
    with psycopg.connect(url, autocommit=True) as stranger:
        for payload in (
            "x" * 7999,
            '{"id": 1, "new_data": null}',
            "\x1b[31m[/]'; drop table account; --",
            "é" * 3999,
            "",
        ):
            stranger.execute("select pg_notify('pgevents', %s)", [payload])
    execute(url, "update account set version = 1 where key = 7")
    got = deliveries.wait_for(committed(url))

    assert judge([], committed(url), got).duplicates == 0
    assert one.end() == 0
    assert one.log().endswith("delivered 21, failed 0, retried 0\n")
