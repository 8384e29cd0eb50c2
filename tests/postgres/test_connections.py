"""A server that has no connection left: what is told, and that events wait and are not lost."""

import logging
from collections.abc import Iterator

import psycopg
import pytest

from pg_events.build import apply, make_plan
from pg_events.connection import connect
from pg_events.demo.server import FAST, Server, any_binaries
from pg_events.errors import DatabaseUnreachable
from pg_events.settings import Settings
from pg_events.worker import Worker
from tests.postgres.test_worker import working
from tests.waiting import Arrivals

CONNECTIONS = 4
FULL = FAST | {"max_connections": str(CONNECTIONS), "superuser_reserved_connections": "0"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server(any_binaries(), settings=FULL) as server:
        url = server.create_database("full")
        with connect(url, application_name="test") as connection:
            plan = make_plan(connection, Settings(url))
        assert not apply(url, plan).failed
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
    yield handler.lines
    logger.removeHandler(handler)


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
        told.until(lambda lines: any("reconnecting" in line and "too many clients" in line for line in lines))
        for other in others:
            other.close()
        got.wait(1)

    assert len(got) == 1
