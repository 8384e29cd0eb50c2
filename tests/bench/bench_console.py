"""What the console costs at full speed: `python tests/bench/bench_console.py [--database] [--history N] [--rate N] [--seconds N]`.

Events come at a rate to a headless console with a history: out of memory, or (`--database`) out of a real database on the
embedded server. Told afterwards: how many were taken in and shown, what the UI thread computes at one go, how long a key
waits, memory, how long filters take over everything, and how long the command takes to its first screen. On a machine that
does other things too, times of the processor (`cpu`) tell more than those of the clock.
"""

import argparse
import asyncio
import gc
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from console_feeds import FromDatabase, InMemory, NoTables, record
from first_paint import first_paint
from textual import events

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.demo.server import Server, any_binaries
from pg_events.files import journal
from pg_events.triggers.build import apply, make_plan
from pg_events_tui.app.console import ConsoleApp
from pg_events_tui.model.backend import Database
from pg_events_tui.model.store import Store
from pg_events_tui.screens.health import rss_bytes

FILTERS = (
    ("column", "op:D"),
    ("table", "table:orders op:U,D"),
    ("text", '"a note of"'),
    ("text_in_capitals", '"A NOTE OF"'),
    ("rare_text", '"nothing like this"'),
    ("value", "new.status:paid table:stock op:U"),
)
TARGETS = {
    "first_paint_seconds": 1.0, "burst_cpu_ms_max": 150.0, "memory_mb": 150.0, "filter_column_seconds": 0.3,
    "filter_table_seconds": 0.3, "filter_text_seconds": 0.6, "filter_rare_text_seconds": 0.6,
}  # fmt: skip
"""The most that is wanted."""


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


async def answered(app: ConsoleApp, key: str) -> float:
    """Milliseconds from a key until the view has obeyed it."""
    before = (app.stream.live.wanted, app.stream.live.mode)
    began = time.perf_counter()
    app.post_message(events.Key(key, key))
    while (app.stream.live.wanted, app.stream.live.mode) == before and time.perf_counter() - began < 5:
        await asyncio.sleep(0.001)
    return (time.perf_counter() - began) * 1000


class Bursts:
    """What the UI thread does at one go: between two turns of a task that is due every two milliseconds."""

    def __init__(self) -> None:
        self.cpu_ms: list[float] = []
        self.wall_ms: list[float] = []
        self._task = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        while True:
            began, cpu = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.002)
            self.wall_ms.append((time.perf_counter() - began - 0.002) * 1000)
            self.cpu_ms.append((time.thread_time() - cpu) * 1000)

    def end(self) -> dict[str, float]:
        self._task.cancel()
        return {
            "burst_cpu_ms_p99": percentile(self.cpu_ms, 0.99),
            "burst_cpu_ms_max": max(self.cpu_ms, default=0.0),
            "stall_ms_p99": percentile(self.wall_ms, 0.99),
            "stall_ms_max": max(self.wall_ms, default=0.0),
        }


async def flood(app: ConsoleApp, feed: Any, seconds: float) -> dict[str, float]:
    """Events at the rate, and a key four times a second."""
    store, first = app.stream.store, app.stream.store.end
    bursts = Bursts()
    cpu, process = time.thread_time(), time.process_time()
    begun = time.monotonic()
    waits: list[float] = []
    feed.start()
    while time.monotonic() - begun < seconds:
        await asyncio.sleep(0.25)
        waits.append(await answered(app, "G" if len(waits) % 8 == 7 else "k"))
    lasted = time.monotonic() - begun
    taken, offered = store.end - first, feed.offered
    ticks = [one * 1000 for one in app.tick_seconds()]
    result = {
        "offered_per_second": offered / lasted,
        "stored_per_second": taken / lasted,
        "ui_cpu_percent": (time.thread_time() - cpu) / lasted * 100,
        "process_cpu_percent": (time.process_time() - process) / lasted * 100,
        "tick_cpu_ms_p50": percentile(ticks, 0.5),
        "tick_cpu_ms_p99": percentile(ticks, 0.99),
        "key_ms_p50": percentile(waits, 0.5),
        "key_ms_max": max(waits),
        **bursts.end(),
    }
    feed.stop()
    return result


async def filters(app: ConsoleApp) -> dict[str, float]:
    result: dict[str, float] = {}
    for name, text in FILTERS:
        bursts = Bursts()
        began, cpu = time.perf_counter(), time.thread_time()
        app.screen.filter_by(text)  # type: ignore[attr-defined]
        while app.stream.live.searching is not None:
            await asyncio.sleep(0.01)
        result[f"filter_{name}_seconds"] = time.perf_counter() - began
        result[f"filter_{name}_cpu_seconds"] = time.thread_time() - cpu
        result[f"filter_{name}_burst_cpu_ms"] = bursts.end()["burst_cpu_ms_max"]
        result[f"filter_{name}_found"] = float(len(app.stream.live))
    return result


async def measure(app: ConsoleApp, feed: Any, seconds: float) -> dict[str, float]:
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        while app.stream.link.state != "live":
            await asyncio.sleep(0.01)
        result = await flood(app, feed, seconds)
        result |= await filters(app)
        result["memory_mb"] = rss_bytes() / 1e6
    result["memory_most_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    result["disk_mb"] = app.stream.store.size_bytes / 1e6
    result["threads_left"] = float(threading.active_count() - 1)
    app.stop()
    return result


def filled(history: int, room: int) -> Store:
    store = Store(max_events=max(1_000_000, room) + 100_000)
    at = datetime.now(UTC).isoformat()
    for start in range(0, history, 1_000):
        store.append([record(start + one, at) for one in range(min(1_000, history - start))])
    return store


@contextmanager
def console(history: int, rate: int, seconds: float, *, database: bool) -> Iterator[tuple[ConsoleApp, Any, list[str]]]:
    """A console, its feed, and the arguments of a command that shows the same source."""
    store = filled(history, history + int(rate * seconds * 2))
    if not database:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "log.jsonl")
            journal.Writer(path, journal.Header("bench")).close()
            feed = InMemory(history, rate)
            yield ConsoleApp(feed, NoTables(), Settings(), store=store), feed, ["--log", str(path)]
        return
    with Server(any_binaries()) as server:
        settings = Settings(database_url=server.create_database("shop"))
        assert settings.database_url is not None
        with connect(settings.database_url, application_name="bench") as connection:
            connection.execute(
                "create table orders (id bigint generated always as identity primary key, status text, total numeric,"
                " note text, items jsonb)"
            )
            plan = make_plan(connection, settings)
        apply(settings.database_url, plan)
        source = FromDatabase(settings.database_url, rate)
        app = ConsoleApp(source, Database(settings), settings, store=store)
        yield app, source, ["--database-url", settings.database_url]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", action="store_true", help="out of a real database")
    parser.add_argument("--history", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=15)
    given = parser.parse_args()
    with console(given.history, given.rate, given.seconds, database=given.database) as (app, feed, arguments):
        gc.freeze()
        result = asyncio.run(measure(app, feed, given.seconds))
        paints = [first_paint(arguments) for _ in range(5)]
    result["first_paint_seconds"] = statistics.median(wall for wall, _ in paints)
    result["first_paint_cpu_seconds"] = statistics.median(cpu for _, cpu in paints)
    for name, value in result.items():
        most = TARGETS.get(name)
        print(
            f"{name:<34} {value:>14,.2f}" + (f"  at most {most:g}{'' if value <= most else ': MISSED'}" if most else "")
        )


if __name__ == "__main__":
    main()
