"""psycopg: the context goes with the first write of a transaction, on any cursor, and stays in it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any

import psycopg
import psycopg_pool
import pytest
from hypothesis import given
from psycopg import sql

import pg_events
from pg_events.contrib.psycopg import attach
from tests.contrib.conftest import Contexts, Statements
from tests.contrib.programs import SETTINGS, Program, programs, run
from tests.pooling import bouncing, installed

Open = Callable[..., psycopg.Connection[Any]]


@pytest.fixture(params=[False, True], ids=["statement", "pipeline"])
def pipeline(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture
def open_(url: str, pipeline: bool) -> Iterator[Open]:
    opened: list[psycopg.Connection[Any]] = []

    def open_(**options: Any) -> psycopg.Connection[Any]:
        connection = psycopg.connect(url, **options)
        attach(connection, pipeline=pipeline)
        opened.append(connection)
        return connection

    yield open_
    for connection in opened:
        connection.close()


WRITES = [
    ("insert into note values (1)", ()),
    ("-- a comment\n /* and another */ insert into note values (%s)", (1,)),
    ("with new as (insert into note values (1) returning id) select * from new", ()),
    ("insert into note values (1); select 'one; two'", ()),
    ("select 1; insert into note values (1)", ()),
    ("explain analyze insert into note values (1)", ()),
    ("merge into note using (select 1 as id) s on note.id = s.id when not matched then insert values (s.id)", ()),
    (sql.SQL("insert into {} values (1)").format(sql.Identifier("note")), ()),
    (b"insert into note values (1)", ()),
    ("copy note (id) from program 'echo 1'", ()),
]


@pytest.mark.parametrize("autocommit", [True, False])
@pytest.mark.parametrize("factory", [psycopg.Cursor, psycopg.ClientCursor])
def test_every_way_to_write_has_the_context(
    open_: Open, db: psycopg.Connection, contexts: Contexts, autocommit: bool, factory: Any
) -> None:
    connection = open_(autocommit=autocommit, cursor_factory=factory)

    for query, parameters in WRITES:
        before = len(contexts())
        with pg_events.context(user=42):
            connection.execute(query, parameters or None)
        connection.commit()

        assert contexts()[before:] == [(1, {"user": 42})], query
        db.execute("delete from note")


@pytest.mark.parametrize("autocommit", [True, False])
def test_executemany_copy_and_stream_have_the_context(open_: Open, contexts: Contexts, autocommit: bool) -> None:
    connection = open_(autocommit=autocommit)
    cursor = connection.cursor()

    with pg_events.context(user="many"):
        cursor.executemany("insert into note values (%s) returning id", [(1,), (2,)], returning=True)
        assert [row for result in cursor.results() for row in result] == [(1,), (2,)]
    connection.commit()
    with pg_events.context(user="copy"), cursor.copy("copy note (id) from stdin") as copy:
        copy.write_row((3,))
    connection.commit()
    with pg_events.context(user="stream"):
        assert list(cursor.stream("insert into note values (4), (5) returning id")) == [(4,), (5,)]
    connection.commit()

    users = ["many", "many", "copy", "stream", "stream"]
    assert contexts() == [(number, {"user": user}) for number, user in enumerate(users, 1)]


@pytest.mark.parametrize("autocommit", [True, False])
def test_what_a_statement_returns_is_unchanged(open_: Open, autocommit: bool) -> None:
    connection = open_(autocommit=autocommit)

    with pg_events.context(user=1):
        cursor = connection.execute("insert into note values (1, 'a'), (2, 'b') returning id, current_query()")

        assert cursor.fetchall()[0] == (1, "insert into note values (1, 'a'), (2, 'b') returning id, current_query()")
        assert cursor.rowcount == 2
        assert connection.execute("update note set body = 'c'").rowcount == 2
        several = connection.execute("insert into note values (3) returning 'x'; select 'y'")
        assert [row for result in several.results() for row in result] == [("x",), ("y",)]


def test_reads_send_nothing_and_writes_of_one_transaction_once(open_: Open, statements: Statements) -> None:
    connection = open_()

    with pg_events.context(user=42):
        connection.execute("select 1")
        connection.execute("select * from note for update")
        connection.execute("with a as (select 'insert') select * from a")
        connection.execute("explain insert into note values (1)")
        connection.commit()
        assert statements.sent == 0
        for number in range(3):
            connection.execute("insert into note values (%s)", [number])
            connection.execute("select 1")
        connection.commit()

    assert statements.sent == 1


def test_without_a_context_nothing_is_sent(open_: Open, statements: Statements, contexts: Contexts) -> None:
    for autocommit in (True, False):
        connection = open_(autocommit=autocommit)
        connection.execute("insert into note values (%s)", [int(autocommit)])
        connection.commit()

    assert statements.sent == 0
    assert contexts() == [(1, None), (0, None)]


def test_set_transaction_still_comes_first(open_: Open, contexts: Contexts) -> None:
    connection = open_()

    with pg_events.context(user=42):
        connection.execute("set transaction isolation level serializable")
        connection.execute("insert into note values (1)")
        (level,) = connection.execute("show transaction_isolation").fetchone() or ("",)
        connection.commit()

    assert level == "serializable"
    assert contexts() == [(1, {"user": 42})]


def test_a_context_that_changes_within_a_transaction_is_sent_again(open_: Open, contexts: Contexts) -> None:
    connection = open_()

    connection.execute("insert into note values (0)")
    with pg_events.context(user=1):
        connection.execute("insert into note values (1)")
        with pg_events.context(job="import"):
            connection.execute("insert into note values (2)")
        connection.execute("insert into note values (3)")
    connection.execute("insert into note values (4)")
    connection.commit()

    assert contexts() == [
        (0, None), (1, {"user": 1}), (2, {"user": 1, "job": "import"}), (3, {"user": 1}), (4, None),
    ]  # fmt: skip


def test_nothing_leaks_into_the_next_transaction(open_: Open, contexts: Contexts) -> None:
    for number, autocommit in enumerate((True, False)):
        connection = open_(autocommit=autocommit)
        with pg_events.context(user=1):
            connection.execute("insert into note values (%s)", [10 * number + 1])
        connection.commit()
        connection.execute("insert into note values (%s)", [10 * number + 2])
        connection.commit()

    assert contexts() == [(1, {"user": 1}), (2, None), (11, {"user": 1}), (12, None)]


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_block_that_is_rolled_back_takes_its_context_along(open_: Open, contexts: Contexts, autocommit: bool) -> None:
    connection = open_(autocommit=autocommit)

    with pg_events.context(user=1), connection.transaction():
        with suppress(ZeroDivisionError), connection.transaction():
            connection.execute("insert into note values (1)")
            raise ZeroDivisionError
        connection.execute("insert into note values (2)")
        with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction(), pg_events.context(user=2):
            connection.execute("insert into note values (2)")
        connection.execute("insert into note values (3)")
        with connection.transaction(force_rollback=True):
            connection.execute("savepoint mine")
            with pg_events.context(user=3):
                connection.execute("insert into note values (4)")
                connection.execute("rollback to mine")
                connection.execute("insert into note values (5)")
        with connection.transaction(), pg_events.context(user=4):
            connection.execute("insert into note values (6)")
        connection.execute("insert into note values (7)")
    connection.commit()

    assert contexts() == [(2, {"user": 1}), (3, {"user": 1}), (6, {"user": 4}), (7, {"user": 1})]


def test_errors_are_those_of_the_statement(open_: Open) -> None:
    for autocommit in (True, False):
        connection = open_(autocommit=autocommit)
        with pg_events.context(user=1):
            with pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute("insert into nowhere values (1)")
            if not autocommit:
                with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                    connection.execute("insert into note values (1)")
            connection.rollback()
            with pytest.raises(psycopg.ProgrammingError, match="placeholder"):
                connection.execute("insert into note values (%s)", [1, 2])
            connection.rollback()
            connection.execute("insert into note values (%s)", [int(autocommit)])
            connection.commit()


def test_what_no_transaction_block_allows_still_works(open_: Open, db: psycopg.Connection) -> None:
    db.execute("create procedure commits() language plpgsql as 'begin insert into note values (1); commit; end'")
    connection = open_(autocommit=True)

    with pg_events.context(user=1):
        connection.execute("create index concurrently on note (body)")
        connection.execute("vacuum note")
        connection.execute("call commits()")
        connection.execute("do 'begin commit; end'")
        connection.execute("begin; insert into note values (2); commit; insert into note values (3)")

    assert db.execute("select count(*) from note").fetchone() == (3,)


def test_a_context_that_the_application_sets_itself_is_kept(open_: Open, contexts: Contexts) -> None:
    connection = open_()

    with pg_events.context(user=1):
        pg_events.set_context(connection, job="import")
        connection.execute("insert into note values (1)")
        connection.commit()
        connection.execute("insert into note values (2)")
        connection.commit()

    assert contexts() == [(1, {"user": 1, "job": "import"}), (2, {"user": 1})]


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no")


VALUES = [
    "x" * 1_000_000, {1, 2}, object(), Broken(), "a\0b", "\ud800", float("nan"), 10**5000, lambda: 1 / 0, "€'\\",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=[str(number) for number in range(len(VALUES))])
@pytest.mark.parametrize("encoding", ["utf8", "latin1", "sql_ascii"])
def test_no_value_fails_a_write(open_: Open, contexts: Contexts, value: Any, encoding: str) -> None:
    connection = open_(client_encoding=encoding)

    with pg_events.context(user=42, value=value):
        connection.execute("insert into note values (1)")
        connection.commit()

    ((number, context),) = contexts()
    assert (number, context["user"]) == (1, 42)
    if value == "€'\\":
        assert context["value"] == value


def test_a_function_of_the_context_may_use_the_connection(open_: Open, contexts: Contexts) -> None:
    connection = open_()

    def user() -> int:
        connection.execute("insert into note values (99) on conflict do nothing")
        (number,) = connection.execute("select 7").fetchone() or (0,)
        return number

    with pg_events.context(job="j", user=user):
        connection.execute("insert into note values (1)")
    connection.commit()

    assert contexts() == [(99, {"job": "j"}), (1, {"job": "j", "user": 7})]


def test_in_a_pipeline_of_the_application(open_: Open, contexts: Contexts) -> None:
    connection = open_(autocommit=True)

    with pg_events.context(user=1), connection.pipeline() as pipeline:
        connection.execute("insert into note values (1)")
        connection.execute("insert into note values (2)")
        pipeline.sync()
        connection.execute("insert into note values (3)")
        with pg_events.context(user=2), connection.transaction():
            connection.execute("insert into note values (4)")
            connection.execute("insert into note values (5)")
        with pg_events.context(user=None):
            connection.execute("insert into note values (6)")

    users = [1, 1, 1, 2, 2, None]
    assert contexts() == [(number, user and {"user": user}) for number, user in enumerate(users, 1)]


def test_borrowers_of_a_pool_keep_their_contexts_apart(url: str, contexts: Contexts, pipeline: bool) -> None:
    def borrower(name: int, pool: psycopg_pool.ConnectionPool[Any]) -> None:
        for step in range(20):
            number = 1000 * name + step
            with pool.connection() as connection:
                if step % 3 == 0:
                    connection.execute("insert into note values (%s)", [-number])
                    connection.rollback() if step % 2 else connection.commit()
                with pg_events.context(borrower=name, step=step):
                    connection.execute("select 1")
                    connection.execute("insert into note values (%s)", [number])

    def configure(connection: psycopg.Connection[Any]) -> None:
        attach(connection, pipeline=pipeline)

    with psycopg_pool.ConnectionPool(url, min_size=1, max_size=3, configure=configure) as pool:
        threads = [threading.Thread(target=borrower, args=(name, pool)) for name in range(1, 7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    found = contexts()
    assert len([number for number, _ in found if number > 0]) == 120
    for number, context in found:
        assert context == ({"borrower": number // 1000, "step": number % 1000} if number > 0 else None)


def test_async_borrowers_of_a_pool_keep_their_contexts_apart(url: str, contexts: Contexts, pipeline: bool) -> None:
    async def borrower(name: int, pool: psycopg_pool.AsyncConnectionPool[Any]) -> None:
        for step in range(20):
            number = 1000 * name + step
            async with pool.connection() as connection:
                if step % 3 == 0:
                    await connection.execute("insert into note values (%s)", [-number])
                    await (connection.rollback() if step % 2 else connection.commit())
                with pg_events.context(borrower=name, step=step):
                    await connection.execute("select 1")
                    async with connection.transaction():
                        await connection.execute("insert into note values (%s)", [number])

    async def configure(connection: psycopg.AsyncConnection[Any]) -> None:
        attach(connection, pipeline=pipeline)

    async def main() -> None:
        async with psycopg_pool.AsyncConnectionPool(url, min_size=1, max_size=3, configure=configure) as pool:
            await asyncio.gather(*(borrower(name, pool) for name in range(1, 7)))

    asyncio.run(main())

    found = contexts()
    assert len([number for number, _ in found if number > 0]) == 120
    for number, context in found:
        assert context == ({"borrower": number // 1000, "step": number % 1000} if number > 0 else None)


def test_an_async_connection_does_all_of_it(url: str, contexts: Contexts, pipeline: bool) -> None:
    async def main() -> None:
        for autocommit in (True, False):
            base = 10 * autocommit
            async with await psycopg.AsyncConnection.connect(url, autocommit=autocommit) as connection:
                attach(connection, pipeline=pipeline)
                attach(connection)
                with pg_events.context(user=1):
                    await connection.execute("insert into note values (%s)", [base + 1])
                    cursor = connection.cursor()
                    await cursor.executemany("insert into note values (%s)", [(base + 2,), (base + 3,)])
                    async with cursor.copy("copy note (id) from stdin") as copy:
                        await copy.write_row((base + 4,))
                    async for _ in cursor.stream("insert into note values (%s) returning id", [base + 5]):
                        pass
                    async with connection.transaction():
                        with suppress(ZeroDivisionError):
                            async with connection.transaction():
                                with pg_events.context(user=2):
                                    await connection.execute("insert into note values (%s)", [base + 6])
                                raise ZeroDivisionError
                        await connection.execute("insert into note values (%s)", [base + 7])
                await connection.commit()
                await connection.execute("insert into note values (%s)", [base + 8])

    asyncio.run(main())

    numbers = [1, 2, 3, 4, 5, 7, 8]
    wanted = [(base + n, {"user": 1} if n < 8 else None) for base in (10, 0) for n in numbers]
    assert contexts() == wanted


def test_tasks_that_share_a_connection_keep_their_contexts_apart(url: str, contexts: Contexts, pipeline: bool) -> None:
    async def write(connection: psycopg.AsyncConnection[Any], number: int) -> None:
        with pg_events.context(task=number):
            await connection.execute("insert into note values (%s)", [number])

    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            attach(connection, pipeline=pipeline)
            await asyncio.gather(*(write(connection, number) for number in range(50)))

    asyncio.run(main())

    assert sorted(contexts()) == [(number, {"task": number}) for number in range(50)]


@pytest.mark.parametrize("autocommit", [True, False])
def test_behind_a_pooler_in_transaction_mode(url: str, contexts: Contexts, pipeline: bool, autocommit: bool) -> None:
    def write(through: str, name: int) -> None:
        with psycopg.connect(through, autocommit=autocommit, prepare_threshold=None) as connection:
            attach(connection, pipeline=pipeline)
            for step in range(20):
                number = 1000 * name + step
                with pg_events.context(name=name, step=step):
                    connection.execute("insert into note values (%s)", [number])
                connection.commit()
                connection.execute("insert into note values (%s)", [-number])
                connection.commit()

    with bouncing(installed(), url, "transaction", 2) as through:
        threads = [threading.Thread(target=write, args=(through, name)) for name in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    found = contexts()
    assert len(found) == 160
    for number, context in found:
        assert context == ({"name": number // 1000, "step": number % 1000} if number > 0 else None)


class Session:
    """A connection for a program."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.autocommit = connection.autocommit

    def execute(self, text: str) -> None:
        self._connection.execute(text.encode())

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def block(self) -> AbstractContextManager[object]:
        return self._connection.transaction()


@pytest.mark.parametrize("autocommit", [True, False])
def test_the_context_is_that_of_the_code_that_wrote(
    url: str, contexts: Contexts, pipeline: bool, autocommit: bool
) -> None:
    with psycopg.connect(url, autocommit=autocommit) as connection:  # one for all programs, as from a pool
        attach(connection, pipeline=pipeline)

        @given(programs)
        @SETTINGS
        def check(program: Program) -> None:
            before = len(contexts())
            written = run(program, Session(connection))
            assert contexts()[before:] == written

        check()
