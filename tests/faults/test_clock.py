"""A worker's clock is wrong: only the server's counts. `tests/install_faketime.py` fetches what is needed.

A clock jumps here from one worker to its successor: libfaketime's processes cannot sleep across a jump.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.harness import Writers, committed, execute, judge

WrongClock = Callable[[str], dict[str, str]]


@pytest.fixture
def wrong_clock(tmp_path: Path) -> WrongClock:
    """`wrong_clock("+1h")`: the environment of a process whose clock is an hour ahead."""
    known = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    library = os.environ.get("PG_EVENTS_TEST_FAKETIME") or next(map(str, known), None)
    if library is None:
        pytest.skip("no libfaketime here: PG_EVENTS_TEST_FAKETIME=$(python tests/install_faketime.py)")
    # libfaketime miscalculates the monotonic clock: it is left alone, and time.sleep(), which it refuses now and then
    # ("Invalid argument"), sleeps by another call of the system.
    (tmp_path / "sitecustomize.py").write_text(
        "import threading, time\ntime.sleep = lambda s: threading.Event().wait(s)\n"
    )
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    return lambda difference: {
        "LD_PRELOAD": library,
        "FAKETIME": difference,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        "PYTHONPATH": path,
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
            far = "select lease_until > clock_timestamp() + interval '10 minutes' from pgevents.worker"
            assert (True,) not in execute(url, far)
    one = worker().ready()
    got = deliveries.wait_for(committed(url), one.log)

    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict


@pytest.mark.parametrize("difference", ["+1h", "-1h"])
def test_row_34_a_worker_whose_clock_is_wrong_takes_no_lease_before_its_time(
    url, worker, deliveries, wrong_clock: WrongClock, difference
) -> None:
    first = worker().ready()
    deliveries.wait_for(committed(url))

    second = worker(environment=wrong_clock(difference)).ready()
    with Writers(url, 34) as writers:
        writers.wait_for(100)
    got = deliveries.wait_for(committed(url), second.log)

    verdict = judge(writers.acknowledged, committed(url), got)
    assert verdict.is_good, verdict
    assert verdict.duplicates == 0
    assert first.end() == second.end() == 0
    for one in (first, second):
        assert "expired by another one" not in one.log()
        assert "taken over" not in one.log()
