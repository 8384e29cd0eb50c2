"""A console on a feed and a backend that the test holds in its hands: no database, no clock, no sleeping."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from types import SimpleNamespace

import pytest
from textual import events
from textual.keys import _character_to_key

from pg_events.config.settings import Settings
from pg_events.errors import DatabaseUnreachable
from pg_events.event import Record
from pg_events.files.journal import Header
from pg_events.triggers.build import Applied
from pg_events.triggers.catalog import OPERATIONS, Table, Trigger
from pg_events.triggers.plan import Plan, Step
from pg_events_tui.app.console import ConsoleApp
from pg_events_tui.model.backend import Activity, Consumer, DatabaseHealth, Failed
from pg_events_tui.model.store import Store

NOON = datetime(2026, 8, 22, 12, 0, 0, tzinfo=UTC)
SNAPSHOTS = Path(__file__).parent / "snapshots"


def make_record(number: int = 1, kind: str = "U", **values: object) -> Record:
    """An event of the shop; `old` and `new` may be given as dicts."""
    old = values.pop("old", {"id": 90_000 + number, "status": "new", "total": 98, "note": None})
    new = values.pop("new", {"id": 90_000 + number, "status": "paid", "total": 112, "note": None})
    base = Record(
        id=number,
        xid=99_000 + number // 3,
        at=(NOON - timedelta(seconds=100) + timedelta(milliseconds=125 * number)).isoformat(),
        kind=kind,
        table_schema="public",
        table_name="orders",
        session_user="app_rw",
        application_name="checkout",
        query="update orders set status = 'paid'",
        old_data=None if kind in "IST" else json.dumps(old),
        new_data=None if kind in "DST" else json.dumps(new),
        ddl=None,
    )
    return base._replace(**values)


def make_ddl(number: int, **values: object) -> Record:
    told = {
        "command_tag": "ALTER TABLE",
        "object_type": "table",
        "object_identity": "public.orders",
        "schema_name": "public",
        "columns": {"added": [{"name": "paid_ref", "type": "text"}], "removed": [], "changed": []},
    }
    query = "alter table orders add column paid_ref text"
    return make_record(number, "S", table_name="public.orders", ddl=json.dumps(told), query=query, **values)


class FakeFeed:
    """Hands out what the test pushes."""

    def __init__(self, history: Sequence[Record] = ()) -> None:
        self.history = list(history)
        self.connects = 0
        self.oldest_id: int | None = 0
        self.log_id = 16_384
        self._pages: list[list[Record]] = []
        self._problem: Exception | None = None
        self._changed = threading.Condition()

    def push(self, *records: Record) -> None:
        with self._changed:
            self._pages.append(list(records))
            self._changed.notify_all()

    def lose(self, problem: Exception | None = None) -> None:
        with self._changed:
            self._problem = problem or DatabaseUnreachable("server closed the connection unexpectedly")
            self._changed.notify_all()

    def restore(self) -> None:
        with self._changed:
            self._problem = None

    def _check(self) -> None:
        if self._problem is not None:
            raise self._problem

    def connect(self) -> None:
        self.connects += 1
        self._check()

    def recent(self, limit: int) -> Sequence[Record]:
        return self.history[-limit:]

    def poll(self) -> Sequence[Record]:
        with self._changed:
            self._check()
            return self._pages.pop(0) if self._pages else []

    def oldest(self) -> int | None:
        return self.oldest_id

    def log(self) -> object:
        return self.log_id

    def wait(self, timeout_seconds: float) -> None:
        with self._changed:
            if not self._pages and self._problem is None:
                self._changed.wait(min(timeout_seconds, 0.2))

    def close(self) -> None:
        with self._changed:
            self._changed.notify_all()


def make_table(oid: int, name: str, state: str, operations: str = "yyyy", reason: str = "") -> Table:
    """`operations` has a letter each for insert, update, delete, truncate: yes, no, disabled, outdated or -."""
    words = {"y": "x", "n": None, "d": "x", "o": "other", "-": None}
    triggers = tuple(
        Trigger(operation, f"00_pgevents_{operation}", None if letter == "-" else "x", words[letter], letter == "d")
        for operation, letter in zip(OPERATIONS, operations, strict=True)
    )
    return Table(oid, "public", name, "table", state, reason, triggers)


TABLES = [
    make_table(1, "orders", "covered"),
    make_table(2, "stock", "covered"),
    make_table(3, "payments", "partial", "ynyy", "update: not captured; run: pg_events build"),
    make_table(4, "refunds", "missing", "nnnn", "no triggers; run: pg_events build"),
    make_table(5, "customers", "disabled", "dddd", "its triggers are disabled; run: pg_events build"),
    make_table(6, "audit_log", "excluded", "----", "excluded by a setting"),
]


def make_health(**values: object) -> DatabaseHealth:
    """What the database tells of a pipeline with one consumer that runs and one that does not."""
    traceback = (
        'Traceback:\n  File "shop/handlers.py", line 41, in on_order\n    ref = new["paid_ref"]\nKeyError: \'paid_ref\''
    )
    failed = [
        Failed(
            "default",
            number,
            NOON - timedelta(minutes=number),
            "failed",
            5,
            "KeyError: 'paid_ref'",
            f'{{"id": {number}}}',
            traceback,
        )
        for number in (7, 3)
    ]
    base = DatabaseHealth(
        "18.1", "app_reader", 0.0008, 184_220, 62_000_000,
        [Consumer("default", True, 184_000, 0, 0.0, 2), Consumer("mailer", False, 170_000, 14_220, 340.0, 0)],
        failed,
        [Activity(4711, "etl", "nightly", "idle in transaction", 612.0, "", (), "update stock set qty = 0"),
         Activity(4802, "app_rw", "checkout", "active", 3.2, "relation", (4711,), "alter table stock add x int")],
    )  # fmt: skip
    return replace(base, **values)


class FakeBackend:
    """Tables and a plan in memory."""

    name = "shop@db01:5432"
    absent = ""

    def __init__(self) -> None:
        self.told = make_health()
        self.retried: list[tuple[str, int]] = []
        self.discarded: list[tuple[str, int]] = []
        self.chosen: list[tuple[object, object]] = []
        self.tables = list(TABLES)
        self.problem: Exception | None = None
        self.planned: list[tuple[int, ...] | None] = []
        self.asked: list[tuple[Sequence[str], Sequence[str]]] = []
        """What was to be taken in, and left out, with each plan."""
        self.applied: list[Plan] = []
        self.failing: set[str] = set()

    def coverage(self) -> Sequence[Table]:
        if self.problem:
            raise self.problem
        return list(self.tables)

    def choose(self, *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self.chosen.append((include, exclude))

    def writers(self) -> dict[int, int]:
        return {4: 2}

    def health(self) -> DatabaseHealth:
        if self.problem:
            raise self.problem
        return self.told

    def discard(self, consumer: str, event_id: int) -> None:
        self.discarded.append((consumer, event_id))
        self.told = replace(self.told, failed=[one for one in self.told.failed if one.event_id != event_id])

    def retry(self, consumer: str, event_id: int) -> None:
        self.retried.append((consumer, event_id))

    def set_paused(self, consumer: str, is_paused: bool) -> None:
        consumers = [
            replace(each, is_paused=is_paused) if each.name == consumer else each for each in self.told.consumers
        ]
        self.told = replace(self.told, consumers=consumers)

    def journal_header(self) -> Header:
        return Header("shop")

    def plan(
        self, relations: Sequence[int] | None, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> Plan:
        self.planned.append(None if relations is None else tuple(relations))
        self.asked.append((include, exclude))
        if self.problem:
            raise self.problem
        steps = tuple(
            Step("create", f"trigger 00_pgevents_{operation}", "public.refunds", f"create trigger {operation};",
                 "SHARE ROW EXCLUSIVE", "not there yet", 4)
            for operation in OPERATIONS
        )  # fmt: skip
        return Plan(steps, 152, ())

    def apply(self, plan: Plan, on_step: Callable[[Step, str], None]) -> Applied:
        self.applied.append(plan)
        result = Applied()
        for step in plan.steps:
            reason = "role app needs the right: grant trigger" if step.object in self.failing else ""
            on_step(step, reason or "done")
            if reason:
                result.failed.append((step, reason))
            else:
                result.applied += 1
        if not result.failed:
            self.tables = [replace(one, state="covered", reason="") if one.oid == 4 else one for one in self.tables]
        return result


class Driver:
    """A running console with the words a test needs."""

    def __init__(self, app: ConsoleApp, pilot: object, feed: FakeFeed, backend: FakeBackend) -> None:
        self.app = app
        self.pilot = pilot
        self.feed = feed
        self.backend = backend

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        for letter in text:
            await self.pilot.press(key_name(letter))
        await self.pilot.pause()

    async def burst(self, *keys: str) -> None:
        """Keys that are there all at once, as from a terminal that was read late; a text is typed letter by letter."""
        for key in keys:
            self.app.post_message(events.Key(key_name(key), key if len(key) == 1 else None))
        await self.pilot.pause()
        await self.until(lambda: not self.app.keyboard.is_busy)
        await self.tick()

    async def push(self, *records: Record) -> None:
        """Hand events to the feed and wait until the views have them."""
        end = self.app.stream.store.end + len(records)
        self.feed.push(*records)
        await self.until(lambda: self.app.stream.store.end >= end)
        await self.tick()

    async def tick(self) -> None:
        """Let the console catch up with everything that changed."""
        await self.pilot.pause()
        self.app.tick()
        await self.pilot.pause()
        self.app.tick()
        await self.pilot.pause()

    async def until(self, condition: Callable[[], object], seconds: float = 30) -> None:
        """Wait for the thing, not for the clock; a condition that never comes fails with what is on screen."""
        deadline = monotonic() + seconds
        while not condition():
            if monotonic() > deadline:
                raise AssertionError("waited in vain; on screen:\n" + self.text())
            await self.pilot.pause(0.01)

    async def shows(self, text: str) -> None:
        await self.until(lambda: text in self.text())

    async def toast(self, text: str) -> str:
        """Wait for a toast with this text; the whole of it. A slow machine may have taken it away by then: it is in the event
        log, too."""

        def said() -> list[str]:
            shown = [toast.message for toast in self.app._notifications]
            return [message for message in (*shown, *(e.text for e in self.app.notices.log.entries)) if text in message]

        await self.until(said)
        return said()[0]

    def lines(self) -> list[str]:
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    def text(self) -> str:
        return "\n".join(self.lines())

    def cursor_line(self) -> str:
        return next((line for line in self.lines() if ">" in line[:3]), "")


def key_name(letter: str) -> str:
    """As Textual calls the key of a character; a name stays what it is."""
    return _character_to_key(letter) if len(letter) == 1 else letter


Scenario = Callable[[Driver], Awaitable[None]]


@pytest.fixture
def console(tmp_path: Path) -> Callable[..., None]:
    """Run a scenario on a console: `console(scenario, history=[…], size=(120, 36), …)`."""

    @asynccontextmanager
    async def running(
        history: Sequence[Record] = (),
        size: tuple[int, int] = (120, 36),
        settings: Settings | None = None,
        max_events: int = 1_000_000,
        backend: FakeBackend | None = None,
        feed: FakeFeed | Path | None = None,
        **options: object,
    ):
        feed, backend = feed or FakeFeed(history), backend or FakeBackend()
        wanted = settings or Settings()
        app = ConsoleApp(
            feed,
            backend,
            wanted,
            store=Store(max_events=max_events),
            clock=lambda: NOON,
            zone=UTC,
            copy_path=tmp_path / "copied",
            **options,
        )
        app.animation_level = "none"
        try:
            async with app.run_test(size=size) as pilot:
                driver = Driver(app, pilot, feed, backend)
                await driver.until(
                    lambda: (
                        len(app.stream.store) >= min(len(history), max_events)
                        and app.stream.link.state not in ("connecting", "reading")
                    )
                )
                await driver.until(lambda: app.database.coverage != (None, "") and app.database.health != (None, ""))
                await driver.tick()
                yield driver
        finally:
            if not isinstance(feed, Path):
                feed.close()
            app.stop()

    def run(scenario: Scenario, **options: object) -> None:
        async def main() -> None:
            async with running(**options) as driver:
                await scenario(driver)

        asyncio.run(main())

    return run


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of runs goes nowhere near the user's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def callbacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """`callbacks(code)` writes shop/handlers.py and gives settings whose callback is its `on_order`."""
    folder = tmp_path / "code"
    (folder / "shop").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])

    def write(code: str, **settings: object) -> Settings:
        (folder / "shop" / "handlers.py").write_text(code)
        return Settings(data_update_callback="shop.handlers.on_order", **settings)

    return write


@pytest.fixture
def snapshot() -> Callable[[str, str], None]:
    """Compare a screen's text with the one kept; `PG_EVENTS_UPDATE_SNAPSHOTS=1` keeps the new one."""

    def compare(name: str, text: str) -> None:
        path = SNAPSHOTS / f"{name}.txt"
        if os.environ.get("PG_EVENTS_UPDATE_SNAPSHOTS"):
            path.write_text(text + "\n", encoding="utf-8")
        kept = path.read_text(encoding="utf-8").rstrip("\n").split("\n") if path.exists() else []
        assert text.rstrip("\n").split("\n") == kept, f"{path.name} differs; look, then PG_EVENTS_UPDATE_SNAPSHOTS=1"

    return compare


@pytest.fixture
def make() -> SimpleNamespace:
    """Makers of events and tables."""
    return SimpleNamespace(record=make_record, ddl=make_ddl, table=make_table, feed=FakeFeed, backend=FakeBackend)
