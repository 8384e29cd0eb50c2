"""A worker's clock is wrong: only the server's counts. `tests/install_faketime.py` fetches what is needed.

A clock jumps here from one worker to its successor: libfaketime's processes cannot sleep across a jump.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.harness import Writers, backends, committed, execute, judge, wait_until

WrongClock = Callable[[str], dict[str, str]]


@pytest.fixture
def wrong_clock() -> WrongClock:
    """`wrong_clock("+1h")`: the environment of a process whose clock is an hour ahead."""
    known = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    library = os.environ.get("PG_EVENTS_TEST_FAKETIME") or next(map(str, known), None)
    if library is None:
        pytest.skip("no libfaketime here: PG_EVENTS_TEST_FAKETIME=$(python tests/install_faketime.py)")
    # Without the last two a process sleeps for ever, or not at all.
    return lambda difference: {
        "LD_PRELOAD": library,
        "FAKETIME": difference,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    }


def test_the_clock_is_wrong(wrong_clock: WrongClock) -> None:
    def ask(difference: str) -> float:
        code = [sys.executable, "-c", "import time; print(time.time())"]
        return float(subprocess.check_output(code, env={**os.environ, **wrong_clock(difference)}))

    assert 7000 < ask("+1h") - ask("-1h") < 7300


def test_row_34_workers_whose_clocks_are_wrong_and_jump_miss_nothing(
    url, worker, deliveries, wrong_clock: WrongClock
) -> None:
    with Writers(url, 34) as writers:
        for difference in ("+1h", "-1h", "+10d"):
            one = worker(environment=wrong_clock(difference)).ready()
            writers.wait_for(100)
            deliveries.wait_for(writers.acknowledged, one.log)
            one.kill()
            in_future = execute(
                url, "select lease_until > clock_timestamp() + interval '10 minutes' from pgevents.consumer"
            )
            assert in_future == [(False,)]
    one = worker().ready()
    got = deliveries.wait_for(committed(url), one.log)

    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict


@pytest.mark.parametrize("difference", ["+1h", "-1h"])
def test_row_34_a_worker_whose_clock_is_wrong_takes_no_lease_before_its_time(
    url, worker, deliveries, wrong_clock: WrongClock, difference
) -> None:
    worker().ready()
    deliveries.wait_for(committed(url))
    held = execute(url, "select token from pgevents.consumer")

    second = worker(environment=wrong_clock(difference)).wait_until_said("standing by")
    asked: set[object] = set()
    wait_until(lambda: asked.add(last_question(url)) or len(asked) > 3, "it asks again and again")

    assert execute(url, "select token from pgevents.consumer") == held
    assert second.process.poll() is None


def last_question(url: str) -> object:
    """When the connections of workers that hold no cursor asked something last."""
    return execute(
        url,
        f"select max(query_start) from pg_stat_activity where pid in ({backends()})"
        " and pid not in (select holder_pid from pgevents.consumer)",
    )[0][0]
