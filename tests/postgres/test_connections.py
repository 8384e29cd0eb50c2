"""A server that has no connection left: what is told, and that events wait and are not lost."""

import logging
import os
from collections.abc import Iterator

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.delivery.worker import Worker
from pg_events.demo.server import FAST, Server, binaries
from pg_events.errors import DatabaseUnreachable
from tests.conftest import Build
from tests.postgres.test_worker import working
from tests.waiting import Arrivals

CONNECTIONS = 4
FULL = FAST | {"max_connections": str(CONNECTIONS), "superuser_reserved_connections": "0"}


@pytest.fixture(scope="module")
def url(build: Build) -> Iterator[str]:
    programs = binaries(int(os.environ.get("PG_EVENTS_TEST_MAJOR", "18")))
    if programs is None:
        pytest.skip("needs a server of its own, and its programs are not here")
    with Server(programs, settings=FULL) as server:
        url = server.create_database("full")
        assert not build(url).failed
        yield url


@pytest.fixture
def writer(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table if not exists item (id integer)")
        yield connection


def taken(url: str, count: int) -> list[psycopg.Connection]:
    return [psycopg.connect(url) for _ in range(count)]


class Told(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines = Arrivals()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


@pytest.fixture
def told() -> Iterator[Arrivals]:
    handler, logger = Told(), logging.getLogger("pg_events")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler.lines
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def test_a_worker_that_starts_says_so_in_a_line(url: str, writer: psycopg.Connection) -> None:
    others = taken(url, CONNECTIONS - 1)

    with pytest.raises(DatabaseUnreachable, match=r"sorry, too many clients already$") as raised:
        Worker(Settings(url, data_update_callback=lambda _payload: None)).run()

    assert "\n" not in str(raised.value)
    for other in others:
        other.close()


def test_a_worker_delivers_over_its_only_connection(url: str, writer: psycopg.Connection, told: Arrivals) -> None:
    got = Arrivals()
    others = taken(url, CONNECTIONS - 2)

    with working(Settings(url, data_update_callback=got.append)):
        told.until(lambda lines: any("housekeeping: " in line and "too many clients" in line for line in lines))
        writer.execute("insert into item values (1)")
        got.wait(1)
    for other in others:
        other.close()

    assert len(got) == 1
    assert len([line for line in told if line.startswith("WARNING")]) == 1


def test_callbacks_without_a_connection_to_lend_wait_for_one(
    url: str, writer: psycopg.Connection, told: Arrivals
) -> None:
    got = Arrivals()

    def callback(payload: str, connection: psycopg.Connection) -> None:
        got.append(payload)

    others = taken(url, CONNECTIONS - 2)
    with working(Settings(url, data_update_callback=callback, transactional=True)):
        writer.execute("insert into item values (1)")
        # It tries again, with growing pauses.
        told.until(
            lambda lines: len([line for line in lines if "disconnected for" in line and "too many" in line]) >= 3
        )
        for other in others:
            other.close()
        got.wait(1)

    assert len(got) == 1
    assert len([line for line in told if "reconnecting" in line]) == 1
