"""A server with the variants in it, what is measured on it, and the figures so far."""

import os
import statistics
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import variants
from variants import VARIANTS

from pg_events.config.settings import Settings
from pg_events.delivery.worker import Worker
from pg_events.demo.server import Server

Samples = dict[str, list[float]]
"""Variant -> what each round gave."""


class Lab:
    """Not for several threads at once, but for what it starts itself."""

    def __init__(
        self,
        server: Server,
        programs: Path,
        *,
        quick: bool,
        workers: Sequence[int],
        suffix: str,
        tell: Callable[[str], None],
    ) -> None:
        """`suffix` goes behind each title; `tell` shows what is being done."""
        self.server, self.programs, self.quick, self.workers, self.suffix = server, programs, quick, workers, suffix
        self.tell = tell
        self.rounds = 3 if quick else 5
        self.seconds = 3 if quick else 8
        self.figures: dict[str, dict[str, Any]] = {}
        self.url = server.create_database("bench")
        self.connection = psycopg.connect(self.url, autocommit=True)
        variants.install(self.connection, self.url)

    def turns(self, title: str, of: Sequence[str] = VARIANTS) -> Iterator[str]:
        """Every variant once a round, another one first in each, on empty tables."""
        for number in range(self.rounds):
            shift = number % len(of)
            for variant in (*of[shift:], *of[:shift]):
                self.tell(f"{title}, round {number + 1}: {variant}")
                variants.clear(self.connection)
                yield variant

    def keep_samples(
        self,
        title: str,
        samples: Mapping[str, Sequence[float]],
        *,
        higher_is_better: bool = False,
        failed: Mapping[str, str] | None = None,
    ) -> None:
        """The medians, and their ratios to the uncaptured table's; `failed` tells why a variant has none."""
        medians = {variant: statistics.median(found) for variant, found in samples.items()}
        figure: dict[str, Any] = {variant: round(value, 1) for variant, value in medians.items()}
        figure["ratio"] = {variant: round(value / medians["none"], 2) for variant, value in medians.items()}
        if failed:
            figure["failed"] = dict(failed)
        if higher_is_better:
            figure["higher_is_better"] = True
        self.keep(title, figure)

    def keep(self, title: str, figure: Mapping[str, Any]) -> None:
        self.figures[title + self.suffix] = dict(figure)

    def cpu_seconds(self) -> float:
        """User and system time of every process of the server, ended ones too."""
        total, ticks = 0.0, os.sysconf("SC_CLK_TCK")
        postmaster = self.server.pid
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(stat.parent.name) == postmaster:
                total += sum(int(field) for field in fields[11:15]) / ticks
            elif int(fields[1]) == postmaster:
                total += sum(int(field) for field in fields[11:13]) / ticks
        return total

    def pgbench_command(self, script: Path, clients: int, seconds: float, *options: str) -> list[str]:
        return [
            str(self.programs / "pgbench"), "-n", "-M", "prepared", "-f", str(script), "-c", str(clients),
            "-j", "2", "-T", str(int(seconds)), *options, self.url,
        ]  # fmt: skip

    def pgbench(self, script: Path, clients: int) -> tuple[int, float]:
        """Transactions done, and transactions a second."""
        command = self.pgbench_command(script, clients, self.seconds)
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        lines = dict(
            line.split(": ", 1) if ": " in line else line.split(" = ", 1)
            for line in text.splitlines()
            if " = " in line or ": " in line
        )
        return int(lines["number of transactions actually processed"].split("/")[0]), float(lines["tps"].split()[0])

    @contextmanager
    def somebody_listens(self) -> Iterator[None]:
        """A worker for pg_events and a listener for NOTIFY, as in real life."""
        stopping = threading.Event()
        worker = Worker(Settings(database_url=self.url, data_update_callback=lambda _payload: None), "bench")

        def listen() -> None:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute("listen bench")
                while not stopping.is_set():
                    for _ in connection.notifies(timeout=0.2, stop_after=1000):
                        pass

        threads = [threading.Thread(target=listen), threading.Thread(target=worker.run)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopping.set()
            worker.stop()
            for thread in threads:
                thread.join()


def samples() -> Samples:
    return defaultdict(list)


def milliseconds(begin: float) -> float:
    """Since `begin`, a moment of `time.perf_counter()`."""
    return (time.perf_counter() - begin) * 1000


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """`p50`, `p99` and `max`, rounded to hundredths."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {
        name: round(ordered[min(int(len(ordered) * share), last)], 2)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }
