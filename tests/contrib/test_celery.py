"""Celery: a worker of its own thread and a broker in memory."""

import psycopg
import pytest

celery = pytest.importorskip("celery")

import sqlalchemy as sa  # noqa: E402
from celery.contrib.testing.worker import start_worker  # noqa: E402

import pg_events  # noqa: E402
from pg_events.contrib import celery as by_celery  # noqa: E402
from pg_events.contrib import sqlalchemy as by_sqlalchemy  # noqa: E402
from tests.contrib.conftest import Contexts  # noqa: E402
from tests.contrib.test_sqlalchemy import address  # noqa: E402


@pytest.mark.filterwarnings("ignore::Warning")  # of Celery's own worker and of kombu
def test_each_task_has_its_own_context_and_that_of_its_sender(
    url: str, db: psycopg.Connection, contexts: Contexts
) -> None:
    app = celery.Celery("shop", broker="memory://", backend="cache+memory://")
    app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=False)
    engine = sa.create_engine(address(url, "psycopg"))
    by_sqlalchemy.attach(engine)
    by_celery.connect()
    by_celery.connect()

    def write(number: int) -> None:
        with engine.begin() as connection:
            connection.execute(sa.text("insert into note values (:id)"), {"id": number})

    @app.task(name="shop.restock")
    def restock(number: int) -> None:
        write(number)

    @app.task(name="shop.fails")
    def fails(number: int) -> None:
        write(number)
        raise KeyError(number)

    @app.task(name="shop.follow")
    def follow(number: int) -> str:
        write(number)
        inner = restock.apply(args=[number + 1])
        write(number + 2)
        return inner.id

    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=60):  # pyright: ignore[reportGeneralTypeIssues]
        with pg_events.context(user=42, request="r-1"):
            first = restock.delay(1)
        second = restock.delay(2)
        third = fails.delay(3)
        fourth = restock.delay(4)
        with pg_events.context(user=7):
            fifth = follow.delay(5)
        broken = restock.apply_async(args=[8], headers={by_celery.HEADER: "{no JSON"})
        for result in (first, second, fourth, broken):
            result.get(timeout=60)
        inner = fifth.get(timeout=60)
        with pytest.raises(KeyError):
            third.get(timeout=60)
    write(9)
    engine.dispose()

    assert contexts() == [
        (1, {"user": 42, "request": "r-1", "task": "shop.restock", "task_id": first.id}),
        (2, {"task": "shop.restock", "task_id": second.id}),
        (3, {"task": "shop.fails", "task_id": third.id}),
        (4, {"task": "shop.restock", "task_id": fourth.id}),
        (5, {"user": 7, "task": "shop.follow", "task_id": fifth.id}),
        (6, {"user": 7, "task": "shop.restock", "task_id": inner}),
        (7, {"user": 7, "task": "shop.follow", "task_id": fifth.id}),
        (8, {"task": "shop.restock", "task_id": broken.id}),
        (9, None),
    ]
