"""SQLAlchemy 2: engines and sessions, sync and async, by psycopg, asyncpg and psycopg2."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import pg_events
from pg_events.contrib.sqlalchemy import attach
from tests.contrib.conftest import Contexts, Statements
from tests.contrib.programs import SETTINGS, Program, programs, run
from tests.pooling import bouncing, installed


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str | None]


def address(url: str, driver: str) -> sa.URL:
    parts: dict[str, Any] = conninfo_to_dict(url)
    query = {"host": parts["host"]} if str(parts["host"]).startswith("/") else {}
    host = None if query else parts["host"]
    return sa.URL.create(
        f"postgresql+{driver}", parts.get("user"), None, host, int(parts.get("port", 5432)), parts["dbname"], query
    )


@pytest.fixture(params=["psycopg", "psycopg2"])
def engine(request: pytest.FixtureRequest, url: str) -> Iterator[sa.Engine]:
    pytest.importorskip(request.param)
    engine = sa.create_engine(address(url, request.param), pool_size=3)
    attach(engine)
    attach(engine)
    yield engine
    engine.dispose()


@pytest.fixture(params=["psycopg", "asyncpg"])
def async_url(request: pytest.FixtureRequest, url: str) -> sa.URL:
    return address(url, request.param)


def test_sessions_send_the_context_with_the_first_write(
    engine: sa.Engine, contexts: Contexts, statements: Statements
) -> None:
    with pg_events.context(user=42), Session(engine) as session:
        assert session.get(Note, 1) is None
        session.commit()
        assert statements.sent == 0
        session.add_all([Note(id=number) for number in range(1, 4)])
        session.flush()
        session.execute(sa.select(Note).with_for_update()).all()
        session.execute(sa.update(Note).values(body="a"))
        session.commit()
        assert statements.sent == 1
    with Session(engine) as session:
        session.add(Note(id=4))
        session.commit()

    assert statements.sent == 1
    assert contexts() == [*((number, {"user": 42}) for number in (1, 2, 3, 1, 2, 3)), (4, None)]


def test_savepoints_and_changes_of_the_context(engine: sa.Engine, contexts: Contexts) -> None:
    with pg_events.context(user=1), Session(engine) as session:
        with session.begin_nested() as savepoint:
            session.execute(sa.insert(Note).values(id=1))
            savepoint.rollback()
        session.execute(sa.insert(Note).values(id=2))
        with pg_events.context(job="x"), session.begin_nested():
            session.execute(sa.insert(Note).values(id=3))
        session.execute(sa.insert(Note).values(id=4))
        session.commit()

    assert contexts() == [(2, {"user": 1}), (3, {"user": 1, "job": "x"}), (4, {"user": 1})]


def test_autocommit(engine: sa.Engine, contexts: Contexts, statements: Statements) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        with pg_events.context(user=1):
            connection.execute(sa.select(Note)).all()
            assert statements.sent == 0
            rows = connection.execute(sa.insert(Note).returning(Note.id), [{"id": 1}, {"id": 2}]).all()
            with pytest.raises(IntegrityError):
                connection.execute(sa.insert(Note).values(id=1))
            connection.execute(sa.text("vacuum note"))
            connection.execute(sa.text("create index concurrently on note (body)"))
            connection.execute(sa.insert(Note).values(id=3))
            connection.exec_driver_sql("begin")
            connection.execute(sa.insert(Note).values(id=4))
            connection.exec_driver_sql("rollback")
            connection.execute(sa.insert(Note).values(id=5))
        connection.execute(sa.insert(Note).values(id=6))

    assert sorted(rows) == [(1,), (2,)]
    assert contexts() == [*((number, {"user": 1}) for number in (1, 2, 3, 5)), (6, None)]


def test_threads_of_one_engine_keep_their_contexts_apart(engine: sa.Engine, contexts: Contexts) -> None:
    def work(name: int) -> None:
        for step in range(20):
            number = 1000 * name + step
            if step % 2:
                with engine.begin() as connection:
                    connection.execute(sa.insert(Note).values(id=-number))
            with pg_events.context(name=name, step=step), engine.connect() as connection:
                connection.execute(sa.insert(Note).values(id=number))
                connection.commit() if step % 3 else connection.rollback()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = contexts()
    assert len(found) == 5 * (10 + 13)
    for number, context in found:
        assert context == ({"name": number // 1000, "step": number % 1000} if number > 0 else None)


async def concurrent(engine: AsyncEngine) -> None:
    make = async_sessionmaker(engine)

    async def work(name: int) -> None:
        for step in range(15):
            number = 1000 * name + step
            async with make() as session:
                if step % 2:
                    session.add(Note(id=-number))
                    await session.commit()
                with pg_events.context(name=name, step=step):
                    await session.execute(sa.select(Note).limit(1))
                    session.add(Note(id=number))
                    await session.commit()

    await asyncio.gather(*(work(name) for name in range(1, 6)))


def check_concurrent(found: list[tuple[int, Any]]) -> None:
    assert len(found) == 5 * (15 + 7)
    for number, context in found:
        assert context == ({"name": number // 1000, "step": number % 1000} if number > 0 else None)


def test_tasks_of_one_async_engine_keep_their_contexts_apart(async_url: sa.URL, contexts: Contexts) -> None:
    async def main() -> None:
        engine = create_async_engine(async_url, pool_size=3)
        attach(engine)
        await concurrent(engine)
        await engine.dispose()

    asyncio.run(main())

    check_concurrent(contexts())


def test_an_async_engine_sends_once_and_in_autocommit_mode(
    async_url: sa.URL, contexts: Contexts, statements: Statements
) -> None:
    async def main() -> None:
        engine = create_async_engine(async_url)
        attach(engine)
        with pg_events.context(user=1):
            async with AsyncSession(engine) as session:
                await session.execute(sa.select(Note))
                await session.execute(sa.insert(Note), [{"id": 1}, {"id": 2}])
                async with session.begin_nested():
                    await session.execute(sa.insert(Note).values(id=3))
                await session.commit()
            assert statements.sent == 1
            async with engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                rows = (await connection.execute(sa.insert(Note).values(id=4).returning(Note.id))).all()
                assert rows == [(4,)]
                with pytest.raises(IntegrityError):
                    await connection.execute(sa.insert(Note).values(id=1))
                await connection.execute(sa.text("vacuum note"))
                await connection.execute(sa.insert(Note).values(id=5))
        async with engine.begin() as connection:
            await connection.execute(sa.insert(Note).values(id=6))
        await engine.dispose()

    asyncio.run(main())

    assert contexts() == [*((number, {"user": 1}) for number in range(1, 6)), (6, None)]


def test_asyncpg_behind_a_pooler_in_transaction_mode(url: str, contexts: Contexts) -> None:
    async def main(through: str) -> None:
        engine = create_async_engine(address(through, "asyncpg"), pool_size=5, connect_args={"statement_cache_size": 0})
        attach(engine)
        await concurrent(engine)
        await engine.dispose()

    with bouncing(installed(), url, "transaction", 2) as through:
        asyncio.run(main(through))

    check_concurrent(contexts())


def test_a_connection_that_is_lost_is_replaced(engine: sa.Engine, db: psycopg.Connection, contexts: Contexts) -> None:
    with pg_events.context(user=1):
        with engine.begin() as connection:
            connection.execute(sa.insert(Note).values(id=1))
            (pid,) = connection.execute(sa.text("select pg_backend_pid()")).one()
        db.execute("select pg_terminate_backend(%s, 10000)", [pid])
        with pytest.raises(DBAPIError), engine.begin() as connection:
            connection.execute(sa.insert(Note).values(id=2))
        with engine.begin() as connection:
            connection.execute(sa.insert(Note).values(id=3))

    assert contexts() == [(1, {"user": 1}), (3, {"user": 1})]


class OfProgram:
    """A connection for a program."""

    autocommit = False

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def execute(self, text: str) -> None:
        self._connection.exec_driver_sql(text)

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def block(self) -> AbstractContextManager[object]:
        return self._connection.begin_nested() if self._connection.in_transaction() else self._connection.begin()


def test_the_context_is_that_of_the_code_that_wrote(async_url: sa.URL, contexts: Contexts) -> None:
    with asyncio.Runner() as runner:
        engine = create_async_engine(async_url, pool_size=1)
        attach(engine)

        async def execute(program: Program) -> list[tuple[int, Any]]:
            async with engine.connect() as connection:
                return await connection.run_sync(lambda one: run(program, OfProgram(one)))

        @given(programs)
        @SETTINGS
        def check(program: Program) -> None:
            before = len(contexts())
            written = runner.run(execute(program))
            assert contexts()[before:] == written

        check()
        runner.run(engine.dispose())
