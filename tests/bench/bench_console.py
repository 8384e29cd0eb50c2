"""What the console costs at full speed: `python tests/bench/bench_console.py [--history N] [--rate N] [--seconds N]`.

A feed in memory offers events at a rate to a headless console with a history. Told afterwards: how many were taken in
and shown, CPU of the UI thread for each tick, how long a key waits, the longest time the loop did not answer, memory,
and how long filters take over everything.
"""

import argparse
import asyncio
import gc
import json
import resource
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from textual import events

from pg_events.event import Record
from pg_events.settings import Settings
from pg_events_tui.app import ConsoleApp
from pg_events_tui.backend import NoDatabase
from pg_events_tui.store import Store

FILTERS = (
    ("column", "op:D"),
    ("table", "table:orders op:U,D"),
    ("text", '"a note of"'),
    ("rare_text", '"nothing like this"'),
    ("value", "new.status:paid table:stock op:U"),
)
TABLES = ("orders", "order_items", "stock", "carts", "customers")


def record(number: int, at: str) -> Record:
    old = {
        "id": number,
        "status": "new",
        "total": 98,
        "note": "a note of some length",
        "items": [{"sku": "A1", "qty": 1}],
    }
    new = old | {"status": "paid", "total": number % 500, "items": [{"sku": "A1", "qty": 2}]}
    return Record(number, number // 3, at, "IUUD"[number % 4], "public", TABLES[number % 5], "app_rw", "checkout",
                  "update orders set status = 'paid' where id = $1", json.dumps(old), json.dumps(new), None)  # fmt: skip


class Feed:
    """As many events a second as asked for, as fast as they are taken."""

    def __init__(self, history: int, rate: int) -> None:
        self.number = history
        self.rate = rate
        self.begun: float | None = None
        self.offered = 0
        self.taken = 0

    def start(self) -> None:
        self.begun = time.monotonic()

    def connect(self) -> None: ...

    def recent(self, limit: int) -> Sequence[Record]:
        return []

    def poll(self) -> Sequence[Record]:
        if self.begun is None:
            return []
        self.offered = int((time.monotonic() - self.begun) * self.rate)
        count = min(1_000, self.offered - self.taken)
        self.taken += count
        self.number += count
        at = datetime.now(UTC).isoformat()
        return [record(self.number - count + one, at) for one in range(count)]

    def oldest(self) -> int | None:
        return None

    def wait(self, timeout_seconds: float) -> None:
        time.sleep(min(timeout_seconds, 0.02))

    def close(self) -> None: ...


class Nothing(NoDatabase):
    """A database without tables."""

    absent = ""

    def __init__(self) -> None:
        super().__init__("bench@memory")

    def coverage(self) -> Sequence[object]:
        return []


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


async def answered(app: ConsoleApp, key: str) -> float:
    """Milliseconds from a key until the view has obeyed it."""
    before = (app.live.wanted, app.live.mode)
    began = time.perf_counter()
    app.post_message(events.Key(key, key))
    while (app.live.wanted, app.live.mode) == before and time.perf_counter() - began < 5:
        await asyncio.sleep(0.001)
    return (time.perf_counter() - began) * 1000


async def measure(history: int, rate: int, seconds: float) -> dict[str, float]:
    store = Store(max_events=max(1_000_000, history + int(rate * seconds)) + 100_000)
    began = time.perf_counter()
    at = datetime.now(UTC).isoformat()
    for start in range(0, history, 1_000):
        store.append([record(start + one, at) for one in range(min(1_000, history - start))])
    result = {"history": float(history), "preload_seconds": time.perf_counter() - began}

    feed = Feed(history, rate)
    app = ConsoleApp(feed, Nothing(), Settings(), store=store)
    ticks: list[float] = []
    tick = app.tick

    def timed() -> None:
        began = time.thread_time()
        tick()
        ticks.append((time.thread_time() - began) * 1000)

    app.tick = timed  # type: ignore[method-assign]
    gc.freeze()
    began = time.perf_counter()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        result["first_paint_seconds"] = time.perf_counter() - began
        stalls: list[float] = []
        stop = asyncio.Event()

        async def probe() -> None:
            while not stop.is_set():
                began = time.perf_counter()
                await asyncio.sleep(0.002)
                stalls.append((time.perf_counter() - began - 0.002) * 1000)

        probing = asyncio.create_task(probe())
        cpu, process = time.thread_time(), time.process_time()
        feed.start()
        ticks.clear()
        waits: list[float] = []
        begun = time.monotonic()
        number = 0
        while time.monotonic() - begun < seconds:
            await asyncio.sleep(0.25)
            number += 1
            key = "G" if number % 8 == 0 else "k"
            waits.append(await answered(app, key))
        lasted = time.monotonic() - begun
        stop.set()
        await probing
        result |= {
            "offered_per_second": feed.offered / lasted,
            "stored_per_second": (store.end - history) / lasted,
            "ui_cpu_percent": (time.thread_time() - cpu) / lasted * 100,
            "process_cpu_percent": (time.process_time() - process) / lasted * 100,
            "tick_cpu_ms_p50": percentile(ticks, 0.5),
            "tick_cpu_ms_p99": percentile(ticks, 0.99),
            "stall_ms_p99": percentile(stalls, 0.99),
            "stall_ms_max": max(stalls),
            "key_ms_p50": percentile(waits, 0.5),
            "key_ms_max": max(waits),
        }
        feed.rate = 0
        feed.begun = None
        for name, text in FILTERS:
            began, cpu = time.perf_counter(), time.thread_time()
            app.screen.filter_by(text)  # type: ignore[attr-defined]
            while app.live.searching is not None:
                await asyncio.sleep(0.01)
            result[f"filter_{name}_seconds"] = time.perf_counter() - began
            result[f"filter_{name}_cpu_seconds"] = time.thread_time() - cpu
            result[f"filter_{name}_found"] = float(len(app.live))
    result["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result["disk_mb"] = store.size_bytes / 1e6
    result["threads_left"] = float(threading.active_count() - 1)
    app.stop()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--history", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=15)
    given = parser.parse_args()
    result = asyncio.run(measure(given.history, given.rate, given.seconds))
    for name, value in result.items():
        print(f"{name:<28} {value:>14,.2f}")


if __name__ == "__main__":
    main()
