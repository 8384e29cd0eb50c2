"""What a block of code wrote is captured, whole, for a test to assert on; and pytest has it as a fixture."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pg_events import DataEvent, SchemaEvent
from pg_events.errors import NotInstalled, NotPermitted, UsageError
from pg_events.testing.capture import capture

pytest_plugins = ["pytester"]


@pytest.fixture
def shop_url(built_database_url: str) -> str:
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table item (id integer primary key, name text, price numeric)")
        connection.execute("insert into item values (0, 'before', 1)")
    return built_database_url


@pytest.fixture
def shop(shop_url: str) -> Iterator[psycopg.Connection]:
    """Autocommit."""
    with psycopg.connect(shop_url, autocommit=True) as connection:
        yield connection


def ids(events: list[DataEvent | SchemaEvent]) -> list[int]:
    return [event.row["id"] for event in events if isinstance(event, DataEvent)]


def test_a_block_has_its_events_and_no_others(shop_url: str, shop: psycopg.Connection) -> None:
    with capture(shop_url) as captured:
        shop.execute("insert into item values (1, 'a', 1.10), (2, 'b', 2)")
        shop.execute("update item set price = 3 where id = 1")
        shop.execute("alter table item add column more text")
        inside = len(captured)
    shop.execute("delete from item")

    assert inside == len(captured) == 4
    assert ids(captured.of("public.item", "INSERT")) == [1, 2]
    (update,) = captured.of("item", "UPDATE", where="new.price>2")
    assert isinstance(update, DataEvent)
    assert str(update.changes["price"][0]) == "1.10"
    assert isinstance(captured[-1], SchemaEvent)
    assert captured.of(tag="ALTER *") == [captured[-1]]
    assert captured[:2] == captured.of("public.item", "INSERT")


def test_a_transaction_that_began_before_the_block_and_ends_in_it_is_captured(shop_url: str) -> None:
    with psycopg.connect(shop_url) as slow, psycopg.connect(shop_url) as open_, psycopg.connect(shop_url) as other:
        slow.execute("insert into item values (1, 'began before', 1)")
        open_.execute("insert into item values (2, 'ends later', 1)")
        other.execute("insert into item values (4, 'ended before, with a later number', 1)")
        other.commit()
        with capture(shop_url) as captured:
            other.execute("insert into item values (3, 'in it', 1)")
            other.commit()
            slow.commit()
        open_.commit()

    assert ids(captured.of("item")) == [1, 3]


def test_what_other_threads_committed_is_there_when_the_block_ends(shop_url: str) -> None:
    def write(number: int) -> None:
        with psycopg.connect(shop_url) as connection:
            for step in range(20):
                connection.execute("insert into item values (%s, 'x', 1)", [number * 100 + step])
                connection.commit()

    with capture(shop_url) as captured:
        threads = [threading.Thread(target=write, args=[number]) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(ids(captured.of("item"))) == [number * 100 + step for number in range(1, 5) for step in range(20)]


def test_a_test_that_is_rolled_back_sees_its_events_on_its_own_connection(shop_url: str) -> None:
    with psycopg.connect(shop_url) as connection, psycopg.connect(shop_url, autocommit=True) as other:
        connection.execute("insert into item values (1, 'before the block', 1)")
        with capture(connection) as captured:
            connection.execute("insert into item values (2, 'in it', 1)")
            with connection.transaction(force_rollback=True):
                connection.execute("insert into item values (3, 'taken back', 1)")
            with connection.transaction():
                connection.execute("insert into item values (4, 'kept', 1)")
            other.execute("insert into item values (5, 'of another', 1)")
        connection.rollback()

    assert ids(captured.of("item")) == [2, 4, 5]


def test_capturing_on_a_connection_leaves_it_as_it_was(shop_url: str) -> None:
    with psycopg.connect(shop_url) as connection:
        with capture(connection) as captured:
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            with connection.transaction():
                connection.execute("insert into item values (1, 'committed', 1)")
            with psycopg.connect(shop_url) as other:
                assert other.execute("select count(*) from item").fetchone() == (2,)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE

    assert ids(captured.of("item")) == [1]


def test_a_block_that_fails_fails_with_its_own_error(shop_url: str) -> None:
    with pytest.raises(ZeroDivisionError), capture(shop_url):
        raise ZeroDivisionError


def test_triggers_are_built_when_that_is_asked_for(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create table item (id integer)")
        connection.execute("create table other (id integer)")
        with pytest.raises(NotInstalled, match="run: pg_events build"), capture(database_url):
            raise AssertionError
        with capture(database_url, build=True, exclude=["other"]) as captured:
            connection.execute("insert into item values (1)")
            connection.execute("insert into other values (1)")

    assert [event.table for event in captured if isinstance(event, DataEvent)] == ["public.item"]
    with pytest.raises(AssertionError, match=r"public\.other is not covered: excluded by the settings"):
        captured.assert_emits("public.other")


def test_an_assertion_gives_the_events_or_says_what_there_was(shop_url: str, shop: psycopg.Connection) -> None:
    with capture(shop_url) as captured:
        shop.execute("insert into item values (1, e'\\x1b[2J', 1.10)")
        shop.execute("update item set name = 'b' where id = 1")

    assert ids(captured.assert_emits("public.item", "UPDATE", where="old.price:1.10", count=1)) == [1]
    with pytest.raises(AssertionError) as missing:
        captured.assert_emits("public.item", "DELETE")
    with pytest.raises(AssertionError, match=r"table:item .*: expected 1, captured 2"):
        captured.assert_emits("item", count=1)
    with pytest.raises(AssertionError, match="there is no table itm"):
        captured.assert_emits("itm")

    assert str(missing.value).splitlines() == [
        "table:public.item op:D: none was captured; in all 2 events:",
        '  INSERT public.item {"id":1,"name":"\\u001b[2J","price":1.10}',
        '  UPDATE public.item {"id":1,"name":"\\u001b[2J","price":1.10} → {"id":1,"name":"b","price":1.10}',
    ]
    assert repr(captured).startswith("<2 events: INSERT public.item")


@pytest.mark.parametrize("database", [5, None])
def test_what_is_neither_url_nor_connection_is_told(database: object) -> None:
    with pytest.raises(UsageError, match="takes a URL or a DB-API connection"), capture(database):  # type: ignore[arg-type]
        raise AssertionError


def test_a_connection_to_a_database_without_a_log_is_told_and_its_transaction_goes_on(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("create table item (id integer)")
        with (
            pytest.raises(NotInstalled, match=r"^no pg_events in database \w+; run: pg_events build$"),
            capture(connection),
        ):
            raise AssertionError
        connection.execute("insert into item values (1)")
        connection.commit()
        assert connection.execute("select count(*) from item").fetchone() == (1,)


def test_a_connection_to_the_log_of_an_earlier_release_is_told_and_its_transaction_goes_on(shop_url: str) -> None:
    with psycopg.connect(shop_url) as connection:
        connection.execute("delete from pgevents.migration where version > 1")
        with (
            pytest.raises(NotInstalled, match=r"is version 1, this release needs \d+; run: pg_events build"),
            capture(connection),
        ):
            raise AssertionError
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_role_that_may_not_read_the_log_is_told_and_its_transaction_goes_on(
    shop_url: str, shop: psycopg.Connection, role: str
) -> None:
    with psycopg.connect(shop_url) as connection:
        connection.execute(f'set role "{role}"')
        with pytest.raises(NotPermitted, match="pg_events build --grant-reader"), capture(connection):
            raise AssertionError
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_build_on_a_connection_is_refused_with_what_to_do(shop_url: str, shop: psycopg.Connection) -> None:
    with pytest.raises(UsageError, match=r"with capture\(URL, build=True\): pass"), capture(shop, build=True):
        raise AssertionError


def test_connections_of_async_drivers_are_refused(shop_url: str) -> None:
    sqlalchemy_async = pytest.importorskip("sqlalchemy.ext.asyncio")

    async def tell() -> None:
        async with await psycopg.AsyncConnection.connect(shop_url) as plain:
            with pytest.raises(UsageError, match=r"async driver \(psycopg\.AsyncConnection\)"), capture(plain):  # type: ignore[arg-type]
                raise AssertionError
        engine = sqlalchemy_async.create_async_engine(shop_url.replace("postgresql:", "postgresql+psycopg:", 1))
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            with pytest.raises(UsageError, match=r"async driver \(psycopg\.AsyncConnection\)"), capture(raw):
                raise AssertionError
            with pytest.raises(UsageError, match="connection"), capture(connection):
                raise AssertionError
        await engine.dispose()

    asyncio.run(tell())


def test_a_connection_of_sqlalchemy_can_be_captured_on(shop_url: str) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")

    engine = sqlalchemy.create_engine(shop_url.replace("postgresql:", "postgresql+psycopg:", 1))
    with engine.connect() as connection:
        with capture(connection.connection) as captured:  # type: ignore[arg-type]
            connection.execute(sqlalchemy.text("insert into item values (1, 'x', 1)"))
        connection.rollback()
    engine.dispose()

    assert ids(captured.of("item")) == [1]


DJANGO = """
import sys
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": sys.argv[1],
                   "USER": sys.argv[2], "HOST": sys.argv[3], "PORT": sys.argv[4]}})
import django
django.setup()
from django.db import connection, transaction
from pg_events import capture

with transaction.atomic():  # as in django.test.TestCase
    with capture(connection) as captured:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("insert into item values (%s, '50 %%', 1)", [1])
    transaction.set_rollback(True)
captured.assert_emits("public.item", "INSERT", where='new.name:"50 %"', count=1)
print(len(captured))
"""


def test_a_test_of_django_that_is_rolled_back_sees_its_events(shop: psycopg.Connection) -> None:
    pytest.importorskip("django")
    info = shop.info
    arguments = [sys.executable, "-c", DJANGO, info.dbname, info.user, info.host, str(info.port)]

    answer = subprocess.run(arguments, capture_output=True, text=True)

    assert answer.stdout == "1\n", answer.stderr
    assert shop.execute("select count(*) from item").fetchone() == (1,)


# --- the plugin ---------------------------------------------------------------------------------------------------

TESTS = """
import psycopg, pytest

URL = {url!r}

def test_good(capture_events):
    with psycopg.connect(URL) as connection, capture_events(connection) as captured:
        connection.execute("insert into item values (1, 'a', 1)")
        assert captured.of("public.item", "INSERT")
        connection.rollback()

def test_bad(capture_events):
    with capture_events(URL) as captured:
        pass
    captured.assert_emits("public.item", "UPDATE")

@pytest.mark.parametrize("number", range(4))
def test_many(capture_events, number):
    with psycopg.connect(URL) as connection, capture_events(connection) as captured:
        connection.execute("insert into item values (%s, 'a', 1)", [10 + number])
        assert len(captured.of("item", where=f"pk:{{10 + number}}")) == 1
        connection.rollback()
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_the_fixture_is_there_without_a_line_of_configuration(
    pytester: pytest.Pytester, shop_url: str, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(TESTS.format(url=shop_url))

    result = pytester.runpytest_subprocess("-W", "error", *workers)

    result.assert_outcomes(passed=5, failed=1)
    output = result.stdout.str()
    assert "table:public.item op:U: none was captured; in all 0 events" in output
    assert "capture.py" not in output


SHOP = """
import psycopg

def pay(order):
    with psycopg.connect({url!r}) as connection:
        connection.execute("update orders set status = 'paid' where id = %s", [order])
"""


def test_the_documented_test_passes(pytester: pytest.Pytester, shop_url: str, shop: psycopg.Connection) -> None:
    shop.execute("create table orders (id integer primary key, status text)")
    shop.execute("insert into orders values (1, 'new')")
    page = (Path(__file__).parents[2] / "pg_events/docs/testing.md").read_text("utf-8")
    code = next(
        block for block in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE) if "capture_" in block
    )
    assert '"postgresql://localhost/test_shop"' in code
    code = code.replace('"postgresql://localhost/test_shop"', repr(shop_url))
    pytester.makepyfile(code, shop=SHOP.format(url=shop_url))

    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=1)


def test_a_run_that_does_not_use_it_imports_next_to_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_imports():
            assert "pg_events.testing.plugin" in sys.modules
            loaded = {name for name in sys.modules if name.split(".")[0] in ("psycopg", "click", "rich", "textual", "asyncio")}
            assert not loaded, loaded
            assert {name for name in sys.modules if name.startswith("pg_events")} <= {
                "pg_events", "pg_events.testing", "pg_events.testing.plugin", "pg_events.event", "pg_events.errors",
                "pg_events.text", "pg_events.text.cleaning", "pg_events.text.masking", "pg_events.text.hints",
            }
        """
    )

    result = pytester.runpytest_subprocess(
        "-p", "no:xdist", "-p", "no:hypothesispytest", "-p", "no:django", "-p", "no:anyio"
    )  # fmt: skip

    result.assert_outcomes(passed=1)
