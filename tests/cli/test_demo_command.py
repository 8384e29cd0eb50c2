"""`demo`: counts right, and leaves nothing behind."""

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pg_events.demo.server import any_binaries
from pg_events.errors import UsageError
from tests.waiting import until


@pytest.fixture(autouse=True)
def _needs_a_server() -> None:
    try:
        any_binaries()
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the demo's server makes its directory: every user may enter, pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="place-", dir="/tmp") as path:
        Path(path).chmod(0o777)
        yield Path(path)


def test_headless_counts_nothing_missing_and_nothing_twice(run, place) -> None:
    answer = run("demo", "--headless", "--seconds", "3", "--json", environment={"TMPDIR": str(place)})

    assert answer.code == 0, answer.err
    summary = json.loads(answer.out)
    assert list(summary) == ["seconds", "writes", "captured", "delivered", "missing", "duplicates", "latency_ms"]
    assert list(summary["latency_ms"]) == ["p50", "p99"]
    assert (summary["missing"], summary["duplicates"]) == (0, 0)
    assert summary["writes"] == summary["captured"] == summary["delivered"] > 0
    assert 3 <= summary["seconds"] < 30
    assert nothing_is_left(place)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL], ids=str)
def test_without_a_terminal_it_says_so_and_a_signal_leaves_nothing(start, place, number) -> None:
    process = start("demo", "--seconds", "600", environment={"TMPDIR": str(place)})
    assert process.until_said("running for").startswith("no terminal: running headless\n")
    assert not nothing_is_left(place)

    process.send_signal(number)

    answer = process.answer()
    assert answer.code == (-9 if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in answer.err
    if number == signal.SIGKILL:
        until(lambda: nothing_is_left(place), "the guardian has cleaned up")
    assert nothing_is_left(place)


def nothing_is_left(place: Path) -> bool:
    """Neither a file nor a process that was started in the place."""
    listing = subprocess.run(["ps", "-ww", "-eo", "stat=,args="], capture_output=True, text=True).stdout
    processes = [line for line in listing.splitlines() if str(place) in line and not line.startswith("Z")]
    return not list(place.iterdir()) and not processes
