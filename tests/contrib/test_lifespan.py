"""`lifespan`: a worker in the process of a FastAPI application, with its real server and in its test client."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI

from pg_events.config.settings import Settings
from pg_events.contrib import starlette
from pg_events.contrib.starlette import lifespan
from pg_events.errors import NotInstalled
from tests.waiting import until


def workers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pg_events worker")]


def test_the_application_runs_a_worker_and_ends_it(db: psycopg.Connection, url: str) -> None:
    got: list[Any] = []
    order: list[str] = []

    async def callback(payload: str) -> None:
        await asyncio.sleep(0)
        got.append(json.loads(payload)["new_data"]["id"])

    @asynccontextmanager
    async def theirs(_app: FastAPI) -> AsyncIterator[dict[str, str]]:
        order.append("begin")
        yield {"name": "shop"}
        order.append(f"end with {len(workers())} workers")

    app = FastAPI(lifespan=lifespan(Settings(url, data_update_callback=callback), around=theirs))

    async def main() -> None:
        async with app.router.lifespan_context(app) as state:
            assert state == {"name": "shop"}
            assert workers() == ["pg_events worker default"]
            db.execute("insert into note values (1)")
            await asyncio.to_thread(until, lambda: got == [1], "the event is delivered")

    asyncio.run(main())

    assert order == ["begin", "end with 0 workers"]
    assert not workers()


def test_an_application_whose_worker_cannot_start_does_not_start(database_url: str) -> None:
    app = FastAPI(lifespan=lifespan(Settings(database_url, data_update_callback=print)))

    async def main() -> None:
        async with app.router.lifespan_context(app):
            pytest.fail("it started")

    with pytest.raises(NotInstalled, match="run: pg_events build"):
        asyncio.run(main())
    until(lambda: not workers(), "the worker has ended")


def test_an_event_that_takes_too_long_is_left_to_the_next_worker(db: psycopg.Connection, url: str) -> None:
    # Not by caplog: a command that ran in this process before has other plans for what the package logs.
    said = BufferingHandler(100)
    logging.getLogger(starlette.__name__).addHandler(said)
    called, go = threading.Event(), threading.Event()

    def slow(_payload: str) -> None:
        called.set()
        go.wait(30)

    app = FastAPI(lifespan=lifespan(Settings(url, data_update_callback=slow), shutdown_seconds=0.05))

    async def main() -> None:
        async with app.router.lifespan_context(app):
            db.execute("insert into note values (1)")
            assert await asyncio.to_thread(called.wait, 30)

    asyncio.run(main())
    left = workers()
    go.set()

    assert left == ["pg_events worker default"]
    assert [record.getMessage() for record in said.buffer] == [
        "consumer default: its event was not finished within 0.05 s; it is delivered again"
    ]
    logging.getLogger(starlette.__name__).removeHandler(said)
    until(lambda: not workers(), "the worker has ended")


APP = """
from fastapi import FastAPI
from pg_events.contrib import starlette
from pg_events.contrib.starlette import lifespan

app = FastAPI(lifespan=lifespan("shop_settings"))


@app.get("/")
def index() -> str:
    return "ready"
"""
SETTINGS = """
import os

PG_EVENTS_DATABASE_URL = os.environ["DATABASE_URL"]


def PG_EVENTS_DATA_UPDATE_CALLBACK(payload):
    print("got", payload, flush=True)
"""


def test_a_server_of_its_own_runs_the_worker_and_ends_with_it(db: psycopg.Connection, url: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "shop_settings.py").write_text(SETTINGS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)],
            cwd=tmp_path, stdout=output, stderr=output,
            env={**os.environ, "DATABASE_URL": url.replace("postgresql", "postgresql+asyncpg", 1)},
        )  # fmt: skip
    try:
        until(lambda: "Uvicorn running" in log.read_text(), "the server runs", log.read_text)
        assert json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}/").read()) == "ready"
        db.execute("insert into note values (1)")
        until(lambda: "got {" in log.read_text(), "the event is delivered", log.read_text)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    finally:
        process.kill()

    assert "Finished server process" in log.read_text()
    links = "select count(*) from pg_stat_activity where application_name like 'pg_events worker%' and datname = current_database()"
    assert db.execute(links).fetchone() == (0,)
