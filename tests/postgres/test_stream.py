"""`pg_events.stream`: a durable consumer as an async iterator."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import psycopg
import pytest

import pg_events
from pg_events.config.settings import Settings
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Worker
from pg_events.errors import DatabaseUnreachable, NotInstalled, PgEventsError, UsageError
from tests.waiting import PATIENCE_SECONDS, until


@pytest.fixture
def db(built_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table item (id integer primary key, v text)")
        connection.execute("truncate pgevents.event")
        yield connection


async def take(url: str | Settings, number: int, **options: Any) -> list[int]:
    """Rows of the next events; the last one is not acknowledged."""
    rows: list[int] = []
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(pg_events.stream(url, **options)) as events:
        async for event in events:
            assert isinstance(event, pg_events.DataEvent)
            rows.append(event.row["id"])
            if len(rows) == number:
                break
    return rows


def streams() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pg_events stream")]


def has_consumer(db: psycopg.Connection) -> bool:
    """True once a worker is in place: what is written from now on is after its start."""
    return bool(db.execute("select from pgevents.share").fetchall())


def test_what_was_not_acknowledged_comes_again(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute("insert into item select generate_series(1, 5)")

    first = asyncio.run(take(built_database_url, 3, consumer="s", start="oldest"))
    second = asyncio.run(take(built_database_url, 2, consumer="s"))
    third = asyncio.run(take(built_database_url, 2, consumer="s"))

    assert (first, second, third) == ([1, 2, 3], [3, 4], [4, 5])
    assert not streams()
    assert db.execute("select count(*) from pgevents.failed").fetchone() == (0,)


def test_events_that_come_while_it_waits_are_yielded_and_others_run_meanwhile(
    db: psycopg.Connection, built_database_url: str
) -> None:
    async def write() -> None:
        await asyncio.to_thread(until, lambda: has_consumer(db), "the stream has begun")
        await asyncio.to_thread(db.execute, "insert into item values (7, 'a')")

    async def main() -> list[int]:
        rows, _ = await asyncio.gather(take(built_database_url, 1), write())
        return rows

    assert asyncio.run(main()) == [7]


def test_a_filter_passes_over_what_it_does_not_match(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute("insert into item select n, case n % 2 when 0 then 'even' else 'odd' end from generate_series(1, 6) n")

    rows = asyncio.run(take(built_database_url, 3, start="oldest", where="new.v:even"))

    assert rows == [2, 4, 6]


def test_an_exception_in_the_loop_leaves_its_event(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute("insert into item select generate_series(1, 3)")

    async def fail() -> None:
        async with aclosing(pg_events.stream(built_database_url, start="oldest")) as events:
            async for event in events:
                assert isinstance(event, pg_events.DataEvent)
                if event.row["id"] == 2:
                    raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(fail())
    got: list[str] = []
    Worker(Settings(built_database_url, data_update_callback=got.append), start=OLDEST).run(once=True)

    assert [pg_events.parse(payload).row["id"] for payload in got] == [2, 3]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_loop_that_is_cancelled_or_just_left_ends_the_worker(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute("insert into item select generate_series(1, 3)")

    async def cancelled() -> None:
        task = asyncio.create_task(take(built_database_url, 99, start="oldest"))
        await asyncio.to_thread(until, streams, "the stream has begun")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not streams()

    async def left() -> None:
        async for _ in pg_events.stream(built_database_url):
            break

    asyncio.run(cancelled())
    asyncio.run(left())

    assert not streams()


def test_schema_events_and_two_streams_of_one_name(db: psycopg.Connection, built_database_url: str) -> None:
    async def main() -> list[object]:
        seen: list[object] = []

        async def one() -> None:
            async with aclosing(pg_events.stream(built_database_url, start="oldest")) as events:
                async for event in events:
                    seen.append(event.command_tag if isinstance(event, pg_events.SchemaEvent) else event.row["id"])  # pyright: ignore[reportAttributeAccessIssue]

        tasks = [asyncio.create_task(one()) for _ in range(2)]
        await asyncio.to_thread(until, lambda: len(seen) >= 41, "every event is seen")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return seen

    db.execute("alter table item add column w text")
    db.execute("insert into item select generate_series(1, 40)")

    seen = asyncio.run(main())
    assert seen[0] == "ALTER TABLE"
    assert sorted(seen[1:]) == list(range(1, 41))  # pyright: ignore[reportArgumentType]


def test_what_cannot_work_is_raised_by_the_loop(database_url: str, built_database_url: str) -> None:
    def callback(_payload: str) -> None:
        pass

    for options, error, reason in [
        ({"url": database_url}, NotInstalled, "run: pg_events build"),
        ({"url": "postgresql://127.0.0.1:1/x"}, DatabaseUnreachable, "127.0.0.1:1"),
        ({"url": built_database_url, "start": "now"}, UsageError, "'newest' or 'oldest', not 'now'"),
        ({"url": built_database_url, "where": "op:nothing"}, PgEventsError, "nothing"),
        ({"url": Settings(built_database_url, concurrency=2)}, UsageError, "without PG_EVENTS_CONCURRENCY"),
        ({"url": Settings(built_database_url, data_update_callback=callback)}, UsageError, "DATA_UPDATE_CALLBACK"),
    ]:
        with pytest.raises(error, match=reason):
            asyncio.run(take(number=1, **options))
    assert not streams()
