"""What a worker tells of itself: counts that are right, health that follows the link, and nothing that slows it."""

import asyncio
import logging
import queue
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pg_events.callbacks.callback import Callback
from pg_events.config.fields import Address
from pg_events.config.settings import Settings
from pg_events.delivery.metrics import BOUNDS, Sampler, Stopwatch, exposed
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Worker
from pg_events.demo.server import FAST, Server, binaries
from tests.waiting import until

SECONDS = 30
ANYWHERE = Address("127.0.0.1", 0)


@pytest.fixture
def shop_url(built_database_url: str) -> str:
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table item (id integer primary key, name text)")
        connection.execute("truncate pgevents.event")
    return built_database_url


@pytest.fixture
def shop(shop_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(shop_url, autocommit=True) as connection:
        yield connection


def get(address: Address, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(address: Address) -> Mapping[tuple[str, ...], float]:
    """Name and label values, but for the consumer's -> value."""
    families = text_string_to_metric_families(get(address, "/metrics")[1])
    return {
        (sample.name, *(value for label, value in sorted(sample.labels.items()) if label != "consumer")): sample.value
        for family in families
        for sample in family.samples
    }


@contextmanager
def running(worker: Worker) -> Iterator[None]:
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(SECONDS)
        assert not thread.is_alive()


def fail_on_2(payload: str) -> None:
    if '"id":2,' in payload:
        raise ValueError("no")


async def fail_on_2_async(payload: str) -> None:
    await asyncio.sleep(0)
    fail_on_2(payload)


@pytest.mark.parametrize("callback", [fail_on_2, fail_on_2_async])
def test_the_counters_are_what_was_delivered(
    shop_url: str, shop: psycopg.Connection, callback: Callable[..., object]
) -> None:
    shop.execute("insert into item select i, 'x' from generate_series(1, 1500) i")
    settings = Settings(shop_url, callback, max_attempts=3, retry_seconds=0)
    worker = Worker(settings, "mail", start=OLDEST)

    with exposed(worker, shop_url, ANYWHERE) as address:
        report = worker.run(once=True)
        found = samples(address)

    name = f"{__name__}:{callback.__name__}"
    assert found["pg_events_delivered_total",] == report.delivered == 1499
    assert found["pg_events_failed_total",] == 1
    assert found["pg_events_retried_total",] == 2
    assert found["pg_events_batch_events_sum",] == 1500
    assert found["pg_events_batch_events_count",] == 2
    assert found["pg_events_callback_duration_seconds_count", name] == 1499 + 3
    assert found["pg_events_callback_duration_seconds_bucket", name, "+Inf"] == 1499 + 3
    assert found["pg_events_connected",] == found["pg_events_share_ratio",] == 1


def test_the_database_says_how_far_behind_a_consumer_is(shop_url: str, shop: psycopg.Connection) -> None:
    settings = Settings(shop_url, fail_on_2, max_attempts=1)
    for name in ("mail", "other"):
        Worker(settings, name).run(once=True)
    shop.execute("insert into item values (1, 'x'), (2, 'x'), (3, 'x')")

    with closing(Sampler(shop_url, "mail")) as sampler:
        sampler.sample()
        waiting = sampler.latest
        Worker(settings, "mail").run(once=True)
        sampler.sample()
        done = sampler.latest

    assert waiting is not None
    assert done is not None
    assert (waiting.behind_events, waiting.failed) == (3, 0)
    assert waiting.behind_seconds > 0
    assert waiting.log_bytes > 0
    assert (done.behind_events, done.behind_seconds, done.failed) == (0, 0, 1)


def test_a_question_that_has_no_answer_leaves_no_old_numbers(shop_url: str, shop: psycopg.Connection) -> None:
    Worker(Settings(shop_url, fail_on_2), "mail").run(once=True)
    with closing(Sampler(shop_url, "mail")) as sampler:
        sampler.sample()
        assert sampler.latest is not None

        shop.execute("alter table pgevents.consumer rename to hidden")
        sampler.sample()
        assert sampler.latest is None

        shop.execute("alter table pgevents.hidden rename to consumer")
        sampler.sample()
        assert sampler.latest is not None

        shop.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name like 'pg_events metrics%'"
        )
        sampler.sample()
        assert sampler.latest is not None


class Told(logging.Handler):
    """The log of pg_events, to wait on a line."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.Queue[str] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.put(record.getMessage())

    def until(self, text: str) -> None:
        while text not in self._lines.get(timeout=SECONDS):
            pass


@pytest.fixture
def told() -> Iterator[Told]:
    handler, logger = Told(), logging.getLogger("pg_events")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_health_follows_the_server(server: Server, build: Callable[..., object], told: Told) -> None:
    if (programs := binaries(server.major)) is None:
        pytest.skip("needs a server of its own")
    with Server(programs, settings=FAST) as own:
        url = own.create_database("shop")
        build(url)
        ready = threading.Event()
        worker = Worker(Settings(url, fail_on_2), on_ready=ready.set)
        with exposed(worker, url, ANYWHERE) as address:
            assert get(address, "/healthz") == (503, "disconnected: not connected yet\n")
            with running(worker):
                assert ready.wait(SECONDS)
                assert get(address, "/healthz") == (200, "ok\n")

                own.stop("fast")
                told.until("reconnecting")
                code, line = get(address, "/healthz")
                assert code == 503
                assert line.startswith("disconnected: shop@")
                assert line.count("\n") == 1
                assert samples(address)["pg_events_connected",] == 0

                own.start()
                told.until("connected again")
                assert get(address, "/healthz") == (200, "ok\n")
                assert samples(address)["pg_events_reconnects_total",] == 1


def test_a_worker_that_hangs_is_not_healthy_until_it_moves(shop_url: str, shop: psycopg.Connection) -> None:
    begun, go, second = threading.Event(), threading.Event(), threading.Event()

    def hang(payload: str) -> None:
        if begun.is_set():
            second.set()
        begun.set()
        assert go.wait(SECONDS)

    ready = threading.Event()
    worker = Worker(Settings(shop_url, hang, stalled_seconds=60), on_ready=ready.set)
    with exposed(worker, shop_url, ANYWHERE) as address, running(worker):
        try:
            assert ready.wait(SECONDS)
            shop.execute("insert into item values (1, 'x'), (2, 'x')")
            assert begun.wait(SECONDS)
            assert get(address, "/healthz") == (200, "ok\n")

            worker._dispatch._moved_at -= 61  # a minute goes by
            code, line = get(address, "/healthz")

            assert code == 503
            assert re.fullmatch(r"stalled: no event was finished for 6[1-9] s\n", line)
        finally:
            go.set()
        assert second.wait(SECONDS)
        assert get(address, "/healthz") == (200, "ok\n")


def test_clients_that_never_read_or_never_ask_stop_nothing(shop_url: str, shop: psycopg.Connection) -> None:
    shop.execute("insert into item select i, 'x' from generate_series(1, 3000) i")
    worker = Worker(Settings(shop_url, lambda _payload: None), start=OLDEST)
    with exposed(worker, shop_url, ANYWHERE) as address:
        before = threading.active_count()
        clients = [socket.create_connection(address, timeout=SECONDS) for _ in range(20)]
        for number, client in enumerate(clients):
            client.sendall(b"GET /metrics HTTP/1.1\r\n" if number % 2 else b"GET /metr")
        assert clients[11].recv(1) == b""  # displaced by the twentieth, which tells that all were met
        # One more may be about to end.
        until(lambda: threading.active_count() - before <= 9, "threads of displaced clients end")

        report = worker.run(once=True)

        for client in clients:
            client.close()
        for thread in threading.enumerate():
            if "process_request_thread" in thread.name:
                thread.join(SECONDS)
        assert get(address, "/healthz")[0] == 200

    assert report.delivered == 3000


def test_other_paths_are_not_found(shop_url: str) -> None:
    worker = Worker(Settings(shop_url, fail_on_2))

    with exposed(worker, shop_url, ANYWHERE) as address:
        assert get(address, "/") == (404, "not found; available: /metrics and /healthz\n")


def test_a_callback_that_hides_that_it_is_async_is_timed_to_its_end() -> None:
    begin, end = threading.Event(), []

    async def slowly(payload: str) -> None:
        await asyncio.sleep(0)
        begin.set()
        end.append(sum(watch.durations["slowly"].calls))

    watch = Stopwatch()
    callback = watch.around(Callback("slowly", is_async=False, function=lambda payload: slowly(payload)))

    callback("{}")
    callback.close()

    assert begin.is_set()
    assert end == [0]
    assert sum(watch.durations["slowly"].calls) == 1
    assert len(watch.durations["slowly"].calls) == len(BOUNDS) + 1
