"""3: a backlog to a callback that does nothing, the cursor saved as it goes; and the same with others' job queues.

Twice: of statements of one row, each a row of the log, and of one statement, whose rows are folded in it.
"""

import multiprocessing
import statistics
import threading
import time
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier, Event
from typing import Any

import peers
from lab import Lab
from psycopg.sql import SQL
from variants import FILL, clear, table

from pg_events.config.settings import Settings
from pg_events.delivery.worker import Worker

_SECONDS = 300
"""The longest a backlog may take."""

_SINGLE = SQL(
    "insert into pgevents.event (kind, table_schema, table_name, query, new_data)"
    " select 'I', 'bench', 'pg_events', 'insert into bench.pg_events values (…)', row_to_json(row.*) from {} row"
)
"""What the rows of a table would leave, inserted one by one."""


def run(lab: Lab) -> None:
    events = 100_000 if lab.quick else 300_000
    rates = _rates(lab, events, is_folded=False)
    lab.keep(f"delivery of {events:,} events: events/s", rates)
    lab.keep(f"delivery of {events:,} events of one statement: events/s", _rates(lab, events, is_folded=True))

    lab.keep(f"delivery of {events:,} events in batches of 1,000: ÷ one by one", _batches(lab, events))

    few = 5_000 if lab.quick else 20_000
    queues = peers.rates(lab.server.create_database("peers"), few, lab.rounds, lab.tell)
    lab.keep(f"delivery of {few:,} jobs by others: jobs/s", queues)
    if numbers := [value for value in queues.values() if isinstance(value, int)]:
        lab.keep("delivery ÷ the best of the others", {"times": round(max(rates.values()) / max(numbers), 1)})


def _rates(lab: Lab, events: int, *, is_folded: bool) -> dict[str, int]:
    rates: dict[str, int] = {}
    for workers in lab.workers:
        found: list[float] = []
        for number in range(lab.rounds):
            lab.tell(f"delivery {'of one statement ' * is_folded}with {workers} worker(s), round {number + 1}")
            clear(lab.connection)
            Worker(_settings(lab.url), "delivery").run(once=True)
            lab.connection.execute(FILL.format(table=table("pg_events" if is_folded else "none"), rows=events))
            if not is_folded:
                lab.connection.execute(_SINGLE.format(table("none")))
            found.append(events / _seconds(lab.url, workers, events))
        rates[f"{workers} worker" + "s" * (workers > 1)] = round(statistics.median(found))
    clear(lab.connection)
    return rates


def _batches(lab: Lab, events: int) -> dict[str, float]:
    """How many times as fast one worker delivers a backlog in batches, by the median of pairs of runs."""

    def one(_payload: str) -> None:
        pass

    def many(_payloads: list[str]) -> None:
        pass

    times: dict[str, float] = {}
    for is_folded in (False, True):
        ratios: list[float] = []
        for number in range(2 * lab.rounds):
            lab.tell(f"delivery in batches {'of one statement ' * is_folded}, round {number + 1}")
            seconds: dict[bool, float] = {}
            for is_batch in (False, True):
                clear(lab.connection)
                Worker(_settings(lab.url, many if is_batch else one), "delivery").run(once=True)
                lab.connection.execute(FILL.format(table=table("pg_events" if is_folded else "none"), rows=events))
                if not is_folded:
                    lab.connection.execute(_SINGLE.format(table("none")))
                worker = Worker(_settings(lab.url, many if is_batch else one), "delivery")
                begin = time.perf_counter()
                worker.run(once=True)
                seconds[is_batch] = time.perf_counter() - begin
            ratios.append(seconds[False] / seconds[True])
        times["of one statement" if is_folded else "of single rows"] = round(statistics.median(ratios), 2)
    clear(lab.connection)
    return times


def _settings(url: str, callback: Any = lambda _payload: None) -> Settings:
    return Settings(database_url=url, data_update_callback=callback)


def _seconds(url: str, workers: int, events: int) -> float:
    """Until as many processes have delivered so many events between them."""
    context = multiprocessing.get_context("spawn")
    delivered = [context.Value("q", 0, lock=False) for _ in range(workers)]
    start, stopping = context.Barrier(workers + 1), context.Event()
    processes = [
        context.Process(target=_work, args=(url, counter, start, stopping), daemon=True) for counter in delivered
    ]
    for process in processes:
        process.start()
    start.wait(60)
    begin = time.perf_counter()
    while sum(counter.value for counter in delivered) < events:
        if time.perf_counter() - begin > _SECONDS:
            raise TimeoutError(f"{workers} workers delivered {sum(c.value for c in delivered)} of {events} events")
        time.sleep(0.002)
    seconds = time.perf_counter() - begin
    stopping.set()
    for process in processes:
        process.join()
    return seconds


def _work(url: str, delivered: "Synchronized[int]", start: Barrier, stopping: Event) -> None:
    """One worker in a process of its own."""

    def callback(_payload: str) -> None:
        delivered.value += 1

    worker = Worker(_settings(url, callback), "delivery")
    start.wait(60)
    threading.Thread(target=lambda: (stopping.wait(), worker.stop()), daemon=True).start()
    worker.run()
