"""A server with two databases that differ in capture alone, and clients that run transactions on them side by side."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.errors import SerializationFailure

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.demo.server import Server, any_binaries, binaries
from pg_events.errors import PgEventsError, UsageError
from pg_events.triggers.build import apply, make_plan

SERVER = {
    "fsync": "off",
    "synchronous_commit": "off",
    "max_connections": "100",
    "max_pred_locks_per_transaction": "256",
}

Client = Callable[[psycopg.Connection, int], None]
"""Runs one transaction of the client with that number."""


@dataclass
class Count:
    """What became of the transactions of a load."""

    committed: int = 0
    failed: int = 0

    def __str__(self) -> str:
        return f"{self.failed:,} of {self.committed + self.failed:,}"


def programs(major: int | None) -> Path:
    if major is None:
        return any_binaries()
    if found := binaries(major):
        return found
    raise UsageError(f"no PostgreSQL {major} here: name its programs with PG_EVENTS_TEST_BINARIES")


@contextmanager
def two_databases(major: int | None, prepare: Callable[[str], None], settings: Settings) -> Iterator[tuple[str, str]]:
    """URLs of a plain and a captured database; `prepare(url)` makes the tables of each."""
    with Server(programs(major), settings=SERVER) as server:
        plain, captured = server.create_database("plain"), server.create_database("captured")
        for url in (plain, captured):
            prepare(url)
        build(captured, settings)
        yield plain, captured


def build(url: str, settings: Settings) -> None:
    with connect(url, application_name="installcheck") as connection:
        plan = make_plan(connection, settings)
    if failed := apply(url, plan).failed:
        raise PgEventsError(f"build failed: {failed}")


def run_clients(url: str, clients: int, transactions: int, begin: Client, transaction: Client) -> Count:
    """Each of the clients runs so many transactions at SERIALIZABLE; one that fails to serialize is not retried."""
    count, lock = Count(), threading.Lock()
    errors: list[BaseException] = []
    together = threading.Barrier(clients)

    def client(number: int) -> None:
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                begin(connection, number)
                connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
                together.wait(60)
                for _ in range(transactions):
                    done = attempt(connection, number)
                    with lock:
                        count.committed += done
                        count.failed += not done
        except BaseException as error:
            errors.append(error)
            together.abort()

    def attempt(connection: psycopg.Connection, number: int) -> bool:
        try:
            with connection.transaction():
                transaction(connection, number)
        except SerializationFailure:
            return False
        return True

    threads = [threading.Thread(target=client, args=[number]) for number in range(1, clients + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next((error for error in errors if not isinstance(error, threading.BrokenBarrierError)), errors[0])
    return count
