"""What Python people use today to get work out of PostgreSQL: job queues, each as its own documents show it.

    pip install pgqueuer procrastinate

One that is not installed is skipped, with that for a reason. psycopg2-pgevents, which sends the payload by NOTIFY, keeps
nothing that could be delivered later: the variant `notify` is its design.
"""

import asyncio
import importlib.util
import statistics
import time
from collections.abc import Awaitable, Callable

import psycopg

Rate = int | str
"""Jobs a second, or why there is none."""


def rates(url: str, jobs: int, rounds: int, tell: Callable[[str], None]) -> dict[str, Rate]:
    """Of a backlog of so many jobs to a function that does nothing: the medians of the rounds."""
    found: dict[str, list[float]] = {}
    missing: dict[str, Rate] = {}
    for number in range(rounds):
        for name, drain in (("pgqueuer", _pgqueuer), ("procrastinate", _procrastinate)):
            if importlib.util.find_spec(name) is None:
                missing[name] = f"not installed: pip install {name}"
                continue
            tell(f"delivery by {name}, round {number + 1}")
            found.setdefault(name, []).append(jobs / asyncio.run(drain(url, jobs)))
    return {name: round(statistics.median(values)) for name, values in found.items()} | missing


async def _pgqueuer(url: str, jobs: int) -> float:
    from pgqueuer import PgQueuer, Queries
    from pgqueuer.types import QueueExecutionMode

    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        queries = Queries.from_psycopg_connection(connection)
        if await queries.has_table("pgqueuer"):
            await queries.uninstall()
        await queries.install()
        queue = PgQueuer.from_psycopg_connection(connection)
        done = 0

        @queue.entrypoint("nothing")
        async def nothing(_job: object) -> None:
            nonlocal done
            done += 1

        await queries.enqueue(["nothing"] * jobs, [b"{}"] * jobs, [0] * jobs)
        seconds = await _timed(queue.run(batch_size=1000, mode=QueueExecutionMode.drain))
    assert done == jobs, f"pgqueuer delivered {done} of {jobs}"
    return seconds


async def _procrastinate(url: str, jobs: int) -> float:
    import procrastinate

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
    done = 0

    @app.task(name="nothing")
    async def nothing() -> None:
        nonlocal done
        done += 1

    async with app.open_async():
        with psycopg.connect(url, autocommit=True) as connection:
            if connection.execute("select to_regclass('procrastinate_jobs')").fetchone() == (None,):
                await app.schema_manager.apply_schema_async()
            connection.execute("truncate procrastinate_jobs cascade")
        await nothing.batch_defer_async(*[{} for _ in range(jobs)])
        seconds = await _timed(app.run_worker_async(wait=False, concurrency=20, listen_notify=False))
    assert done == jobs, f"procrastinate delivered {done} of {jobs}"
    return seconds


async def _timed(work: Awaitable[object]) -> float:
    begin = time.perf_counter()
    await work
    return time.perf_counter() - begin
