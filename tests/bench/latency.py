"""4: from the commit, as the writer knows it, to the call of the callback; idle, and while others write flat out."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import psycopg
from lab import Lab, percentiles
from psycopg.sql import SQL
from variants import clear, table

from pg_events.config.settings import Settings
from pg_events.delivery.worker import Worker

_RATE = 50
_FLOOD = SQL("insert into {} (customer, status) values (7, 'new');\n")


def run(lab: Lab) -> None:
    seconds = 4 if lab.quick else 20
    _measure(lab, f"latency at {_RATE} tx/s", seconds, flat_out=False)
    _measure(lab, f"latency at {_RATE} tx/s, two writers flat out", seconds, flat_out=True)


def _measure(lab: Lab, title: str, seconds: int, *, flat_out: bool) -> None:
    clear(lab.connection)
    lab.tell(title)
    committed: dict[int, float] = {}
    called: dict[int, float] = {}
    done, ready = threading.Event(), threading.Event()
    count = seconds * _RATE

    def callback(payload: str) -> None:
        now = time.perf_counter()
        if '"application_name": "probe"' in payload:
            called[json.loads(payload)["xid"]] = now
            if len(called) == count:
                done.set()

    worker = Worker(Settings(database_url=lab.url, data_update_callback=callback), "latency", on_ready=ready.set)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        assert ready.wait(30), "the worker does not get its cursor"
        flood = _flood(lab, seconds + 5) if flat_out else nullcontext()
        with flood, psycopg.connect(lab.url, autocommit=True, application_name="probe") as probe:
            begin = time.perf_counter()
            for number in range(count):
                time.sleep(max(0.0, begin + number / _RATE - time.perf_counter()))
                row = probe.execute(
                    "insert into bench.pg_events (customer) values (1) returning pg_current_xact_id()::text::bigint"
                ).fetchone()
                assert row is not None
                committed[row[0]] = time.perf_counter()
            assert done.wait(60), f"{count - len(called)} of {count} events were not delivered"
    finally:
        worker.stop()
        thread.join()
    lab.keep(f"{title}: ms", percentiles([max(0.0, called[xid] - at) * 1000 for xid, at in committed.items()]))


@contextmanager
def _flood(lab: Lab, seconds: int) -> Iterator[None]:
    script = lab.server.directory / "flood.sql"
    script.write_text(_FLOOD.format(table("pg_events")).as_string(None))
    with subprocess.Popen(lab.pgbench_command(script, 2, seconds), stdout=subprocess.DEVNULL) as pgbench:
        try:
            yield
        finally:
            pgbench.terminate()
