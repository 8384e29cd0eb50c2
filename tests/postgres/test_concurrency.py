"""Async callbacks side by side: the order of each row, retries that hold one row, a cursor that passes nothing undone."""

import asyncio
import json
import random
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.delivery.attempts import CallbackGaveUp
from pg_events.delivery.worker import Report, Worker
from pg_events.errors import UsageError
from tests.postgres.test_worker import working

SECONDS = 30


@pytest.fixture
def shop(built_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table item (id integer primary key, version integer)")
        yield connection


class Desk:
    """An async callback that notes what happens when; `act` says what a call does, given the row and its version."""

    def __init__(self, act: Callable[[int, int], Awaitable[object]]) -> None:
        self.act = act
        self.running: set[int] = set()
        self.most = 0
        self.overlaps = 0
        self.done: defaultdict[int, list[int]] = defaultdict(list)
        self.ids: Counter[int] = Counter()

    async def __call__(self, payload: str) -> None:
        event = json.loads(payload)
        row = event.get("new_data") or event.get("old_data") or {"id": 0, "version": 0}
        number, version = row["id"], row["version"]
        self.overlaps += number in self.running
        self.running.add(number)
        self.most = max(self.most, len(self.running))
        try:
            await self.act(number, version)
        finally:
            self.running.discard(number)
        self.done[number].append(version)
        self.ids[event["id"]] += 1


async def nothing(_number: int, _version: int) -> None: ...


async def slowly(number: int, version: int) -> None:
    """Earlier versions take longer: whatever may pass does."""
    for _ in range(random.Random(number).randrange(10) if version == 0 else 0):
        await asyncio.sleep(0)


class Meeting:
    """Calls wait here for each other, until so many are there; later ones pass."""

    def __init__(self, wanted: int) -> None:
        self._missing = wanted
        self._all_there = asyncio.Event()

    async def __call__(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._all_there.set()
        await asyncio.wait_for(self._all_there.wait(), SECONDS)


def settings(shop: psycopg.Connection, callback: object, **more: object) -> Settings:
    url = f"host={shop.info.host} port={shop.info.port} dbname={shop.info.dbname} user={shop.info.user}"
    chosen = {"database_url": url, "data_update_callback": callback, "retry_seconds": 0.01, "concurrency": 8}
    return Settings(**chosen | more)  # type: ignore[arg-type]


def run(chosen: Settings) -> Report:
    return Worker(chosen).run(once=True)


def write(shop: psycopg.Connection, rows: int, versions: int = 1) -> None:
    """Versions of each row, row by row within a version."""
    for version in range(versions):
        shop.execute(
            "insert into item select number, %s from generate_series(1, %s) number"
            " on conflict (id) do update set version = excluded.version",
            [version, rows],
        )


def test_calls_run_side_by_side_up_to_the_limit(shop: psycopg.Connection) -> None:
    meeting = Meeting(8)
    desk = Desk(lambda _number, _version: meeting())
    chosen = settings(shop, desk)
    run(chosen)
    write(shop, 20)

    report = run(chosen)

    assert (report.delivered, desk.most, desk.overlaps) == (20, 8, 0)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_each_row_is_kept_whatever_calls_take_and_however_they_fail(
    shop: psycopg.Connection, seed: int
) -> None:
    chance = random.Random(seed)

    async def act(_number: int, _version: int) -> None:
        for _ in range(chance.randrange(5)):
            await asyncio.sleep(0)  # lets others go first
        if chance.random() < 0.1:
            raise ValueError("not now")

    desk = Desk(act)
    chosen = settings(shop, desk, max_attempts=50)
    run(chosen)
    write(shop, 30, versions=40)

    report = run(chosen)

    assert report.delivered == 1200
    assert report.retried > 0
    assert desk.overlaps == 0
    assert desk.most > 1
    assert dict(desk.done) == {number: list(range(40)) for number in range(1, 31)}


def test_a_row_that_is_tried_again_holds_no_other_and_not_the_cursor_of_what_follows(shop: psycopg.Connection) -> None:
    others = threading.Event()

    async def act(number: int, version: int) -> None:
        if number == 1 and not others.is_set():
            raise ValueError("the others first")
        if (number, version) == (5, 9):
            others.set()

    desk = Desk(act)
    chosen = settings(shop, desk, max_attempts=10_000, retry_max_seconds=0.01)
    run(chosen)
    write(shop, 5, versions=10)

    report = run(chosen)

    assert report.delivered == 50
    assert set(desk.ids.values()) == {1}
    assert dict(desk.done) == {number: list(range(10)) for number in range(1, 6)}


def test_what_was_done_ahead_of_the_cursor_is_not_done_again_by_the_next_worker(shop: psycopg.Connection) -> None:
    first_is_tried, others = threading.Event(), threading.Event()
    failing = [True]

    async def act(number: int, _version: int) -> None:
        if number == 1 and failing[0]:
            first_is_tried.set()
            raise ValueError("not yet")
        if number == 5:
            others.set()

    desk = Desk(act)
    chosen = settings(shop, desk, max_attempts=100, retry_seconds=100.0)
    run(chosen)
    with working(chosen):
        write(shop, 5)
        assert first_is_tried.wait(SECONDS)
        assert others.wait(SECONDS)

    assert sorted(desk.done) == [2, 3, 4, 5]
    failing[0] = False
    run(chosen)

    assert set(desk.ids.values()) == {1}
    assert sorted(desk.done) == [1, 2, 3, 4, 5]
    assert shop.execute("select attempts from pgevents.share").fetchall() == [({},)]


def test_a_row_whose_key_is_changed_stays_one_row(shop: psycopg.Connection) -> None:
    begun, overlaps = list[int](), list[int]()
    next_one = asyncio.Event()

    async def callback(payload: str) -> None:
        version = json.loads(payload)["new_data"]["version"]
        begun.append(version)
        if version == 2:
            with suppress(TimeoutError):
                await asyncio.wait_for(next_one.wait(), 0.5)
                overlaps.append(version)
        elif version == 3:
            next_one.set()

    chosen = settings(shop, callback)
    run(chosen)
    shop.execute("insert into item values (1, 1)")
    shop.execute("update item set id = 2, version = 2")
    shop.execute("update item set version = 3")
    run(chosen)

    assert (begun, overlaps) == ([1, 2, 3], [])


def test_truncate_and_ddl_let_nothing_pass(shop: psycopg.Connection) -> None:
    order: list[str] = []

    async def data(payload: str) -> None:
        event = json.loads(payload)
        for _ in range(random.Random(event["id"]).randrange(5)):
            await asyncio.sleep(0)
        order.append(event["method"])

    async def schema(payload: str) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        order.append(json.loads(payload)["command_tag"])

    chosen = settings(shop, data, db_schema_update_callback=schema)
    run(chosen)
    write(shop, 20)
    shop.execute("alter table item add column note text")
    write(shop, 20)
    shop.execute("truncate item")
    write(shop, 20)

    run(chosen)

    assert order == [*["INSERT"] * 20, "ALTER TABLE", *["UPDATE"] * 20, "TRUNCATE", *["INSERT"] * 20]


def test_a_truncate_of_a_partition_passes_no_row_of_its_root(shop: psycopg.Connection) -> None:
    shop.execute("create table parted (id integer primary key) partition by range (id)")
    shop.execute("create table part partition of parted for values from (0) to (100)")
    order: list[str] = []

    async def callback(payload: str) -> None:
        event = json.loads(payload)
        for _ in range(random.Random(event["id"]).randrange(5)):
            await asyncio.sleep(0)
        order.append(f"{event['method']} {event['table_name']}")

    chosen = settings(shop, callback)
    run(chosen)
    insert = "insert into parted select generate_series(0, 19)"
    for statement in (insert, "truncate part", insert):
        shop.execute(statement.encode())

    run(chosen)

    assert order == [*["INSERT parted"] * 20, "TRUNCATE part", *["INSERT parted"] * 20]


def test_a_truncate_that_cascades_passes_no_row_of_any_of_the_tables(shop: psycopg.Connection) -> None:
    shop.execute("create table owner (id integer primary key)")
    shop.execute(
        "create table owned (id integer, owner integer references owner, primary key (id, owner)) partition by list (owner)"
    )
    shop.execute("create table owned_default partition of owned default")
    order: list[str] = []

    async def callback(payload: str) -> None:
        event = json.loads(payload)
        for _ in range(random.Random(event["id"]).randrange(5)):
            await asyncio.sleep(0)
        order.append(event["method"])

    chosen = settings(shop, callback)
    run(chosen)
    fill = (
        "with o as (insert into owner select generate_series(0, 9) returning id) insert into owned select id, id from o"
    )
    for statement in (fill, "truncate owner cascade", fill):
        shop.execute(statement.encode())

    run(chosen)

    truncates = order.count("TRUNCATE")
    assert truncates >= 2
    assert order == [*["INSERT"] * 20, *["TRUNCATE"] * truncates, *["INSERT"] * 20]


def test_a_row_stays_one_row_when_its_table_is_renamed_though_nobody_wants_ddl(shop: psycopg.Connection) -> None:
    async def act(number: int, version: int) -> None:
        if version == 0:
            await meeting()
        await slowly(number, version)

    meeting = Meeting(8)
    desk = Desk(act)
    chosen = settings(shop, desk)
    run(chosen)
    write(shop, 20)
    run(chosen)
    desk.done.clear()
    desk.most, meeting = 0, Meeting(8)
    shop.execute("update item set version = 0")
    shop.execute("alter table item rename to thing")
    shop.execute("update thing set version = 1")

    run(chosen)

    assert dict(desk.done) == {number: [0, 1] for number in range(1, 21)}
    assert (desk.overlaps, desk.most) == (0, 8)


def test_a_row_stays_one_row_when_json_in_it_is_nested_too_deep_to_read(shop: psycopg.Connection) -> None:
    shop.execute("create table deep (data json, id integer primary key)")
    begun = list[tuple[int, str]]()

    async def callback(payload: str) -> None:
        (number,) = map(int, re.findall(r'"id":(\d+)', payload))
        (method,) = re.findall(r'"method": "(\w+)"', payload)
        if method == "DELETE":
            await slowly(number, 0)
        begun.append((number, method))

    chosen = settings(shop, callback)
    run(chosen)
    shop.execute("insert into deep select null, number from generate_series(1, 20) number")
    run(chosen)
    begun.clear()
    shop.execute("delete from deep")
    shop.execute(
        "insert into deep select (repeat('[', 5000) || repeat(']', 5000))::json, number from generate_series(1, 20) number"
    )

    assert run(chosen).failed == 0

    assert {number: [method for each, method in begun if each == number] for number in range(1, 21)} == {
        number: ["DELETE", "INSERT"] for number in range(1, 21)
    }


def test_hold_lets_only_that_row_wait(shop: psycopg.Connection) -> None:
    async def act(number: int, version: int) -> None:
        if (number, version) == (2, 1):
            raise ValueError("no")

    desk = Desk(act)
    chosen = settings(shop, desk, max_attempts=2, on_failure="hold")
    run(chosen)
    write(shop, 3, versions=4)

    report = run(chosen)

    assert report == Report(delivered=9, failed=1, retried=1, held=2)
    assert dict(desk.done) == {1: [0, 1, 2, 3], 2: [0], 3: [0, 1, 2, 3]}
    assert shop.execute("select state, count(*) from pgevents.failed group by 1 order by 1").fetchall() == [
        ("failed", 1),
        ("held", 2),
    ]


def test_skip_keeps_the_event_and_goes_on_with_its_row(shop: psycopg.Connection) -> None:
    async def act(number: int, version: int) -> None:
        if (number, version) == (2, 1):
            raise ValueError("no")

    desk = Desk(act)
    chosen = settings(shop, desk, max_attempts=2)
    run(chosen)
    write(shop, 3, versions=3)

    assert run(chosen) == Report(delivered=8, failed=1, retried=1)
    assert desk.done[2] == [0, 2]


def test_stop_ends_the_worker_with_the_cursor_before_the_event(shop: psycopg.Connection) -> None:
    failing = [True]

    async def act(number: int, version: int) -> None:
        if failing[0] and (number, version) == (2, 1):
            raise ValueError("no")

    desk = Desk(act)
    chosen = settings(shop, desk, max_attempts=2, on_failure="stop")
    run(chosen)
    write(shop, 3, versions=4)

    with pytest.raises(CallbackGaveUp):
        run(chosen)
    assert desk.done[2] == [0]
    failing[0] = False
    run(chosen)

    assert dict(desk.done) == {number: [0, 1, 2, 3] for number in (1, 2, 3)}
    assert set(desk.ids.values()) == {1}


def test_a_lost_link_repeats_nothing_and_disorders_nothing(shop: psycopg.Connection) -> None:
    async def act(number: int, version: int) -> None:
        await asyncio.sleep(0)
        if (number, version) in {(3, 5), (7, 15)} and not desk.ids[number * 1000]:
            desk.ids[number * 1000] = 1
            await asyncio.to_thread(
                shop.execute,
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'pg_events worker default'",
            )

    desk = Desk(act)
    chosen = settings(shop, desk)
    run(chosen)
    write(shop, 10, versions=20)

    report = run(chosen)

    assert report.reconnects >= 1
    assert desk.overlaps == 0
    assert dict(desk.done) == {number: list(range(20)) for number in range(1, 11)}


def test_a_call_that_takes_too_long_is_cancelled_and_the_others_go_on(shop: psycopg.Connection) -> None:
    async def act(number: int, _version: int) -> None:
        if number == 2:
            await asyncio.Event().wait()

    desk = Desk(act)
    chosen = settings(shop, desk, max_attempts=1, callback_timeout_seconds=0.05)
    run(chosen)
    write(shop, 3)

    assert run(chosen) == Report(delivered=2, failed=1)


def test_stopping_waits_for_the_calls_that_run(shop: psycopg.Connection) -> None:
    running, go = threading.Event(), threading.Event()

    async def act(number: int, _version: int) -> None:
        if number == 2:
            running.set()
        await asyncio.to_thread(go.wait, SECONDS)

    desk = Desk(act)
    chosen = settings(shop, desk, concurrency=2)
    run(chosen)
    with working(chosen) as worker:
        write(shop, 4)
        assert running.wait(SECONDS)
        worker.stop()
        go.set()

    assert sorted(desk.done) == [1, 2]
    run(chosen)
    assert set(desk.ids.values()) == {1}
    assert sorted(desk.done) == [1, 2, 3, 4]


def stopped_in_the_call(
    chosen: Settings, shop: psycopg.Connection, running: threading.Event, go: threading.Event
) -> Worker:
    """A worker that was told to stop while its only call ran, which then went on."""
    with working(chosen) as worker:
        write(shop, 1)
        assert running.wait(SECONDS)
        worker.stop()
        go.set()
    return worker


@pytest.mark.parametrize("on_failure", ["skip", "hold"])
def test_the_last_attempt_is_the_last_though_the_worker_is_stopping(shop: psycopg.Connection, on_failure: str) -> None:
    running, go = threading.Event(), threading.Event()
    calls = list[int]()

    async def act(_number: int, version: int) -> None:
        calls.append(version)
        running.set()
        await asyncio.to_thread(go.wait, SECONDS)
        raise ValueError("no")

    chosen = settings(shop, Desk(act), max_attempts=1, on_failure=on_failure)
    run(chosen)
    worker = stopped_in_the_call(chosen, shop, running, go)

    assert worker.report == Report(failed=1)
    assert shop.execute("select attempts, state, holds from pgevents.failed").fetchall() == [
        (1, "failed", on_failure == "hold")
    ]
    assert run(chosen).delivered == 0
    assert calls == [0]


def test_the_last_attempt_of_a_worker_that_is_stopping_stops_it_where_that_is_wanted(shop: psycopg.Connection) -> None:
    running, go = threading.Event(), threading.Event()

    async def act(_number: int, _version: int) -> None:
        running.set()
        await asyncio.to_thread(go.wait, SECONDS)
        raise ValueError("no")

    desk = Desk(act)
    chosen = settings(shop, desk, max_attempts=1, on_failure="stop")
    run(chosen)
    worker = Worker(chosen)
    raised = list[BaseException]()

    def work() -> None:
        try:
            worker.run()
        except CallbackGaveUp as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    write(shop, 1)
    assert running.wait(SECONDS)
    worker.stop()
    go.set()
    thread.join(SECONDS)

    assert len(raised) == 1
    assert shop.execute("select attempts from pgevents.share").fetchall() == [({mine(shop): 1},)]
    desk.act = nothing
    assert run(chosen).delivered == 1


def mine(shop: psycopg.Connection) -> str:
    """The id of the only event of `item`."""
    ((number,),) = shop.execute("select id::text from pgevents.event where table_name = 'item'").fetchall()
    return number


def test_two_workers_share_the_rows_and_keep_the_order(shop: psycopg.Connection) -> None:
    desks = [Desk(nothing), Desk(nothing)]
    run(settings(shop, desks[0]))
    with working(settings(shop, desks[0])):
        write(shop, 20, versions=20)
        with working(settings(shop, desks[1])):
            write(shop, 20, versions=20)
    run(settings(shop, desks[0]))

    ids = desks[0].ids + desks[1].ids
    assert len(ids) == 800
    for desk in desks:
        assert desk.overlaps == 0
    both = {number: desks[0].done[number] + desks[1].done[number] for number in range(1, 21)}
    assert all(len(versions) == 40 for versions in both.values())


def test_a_worker_that_is_busy_with_one_of_several_shares_parts_with_some(shop: psycopg.Connection) -> None:
    async def act(_number: int, _version: int) -> None:
        await asyncio.sleep(0.02)

    desk = Desk(act)
    chosen = settings(shop, desk, concurrency=2)
    run(chosen)
    # As when a worker that was behind has died: its share and another, further one.
    shop.execute(
        "update pgevents.share set slots = array(select generate_series(0, 31)), snapshot = pg_current_snapshot()"
    )
    write(shop, 1000)
    shop.execute(
        "insert into pgevents.share (consumer, slots, snapshot)"
        " values ('default', array(select generate_series(32, 63)), pg_current_snapshot())"
    )

    with working(chosen):
        done = len(desk.ids)
        with working(chosen):  # delivers when this is entered
            assert done <= len(desk.ids) < 400, "only when it had nothing else to do"


def test_a_callback_that_is_not_async_is_refused_in_a_line() -> None:
    with pytest.raises(UsageError, match=r"PG_EVENTS_CONCURRENCY = 8: .* is not an async function") as raised:
        Worker(Settings(database_url="dbname=x", data_update_callback=lambda _payload: None, concurrency=8))

    assert "\n" not in str(raised.value)
