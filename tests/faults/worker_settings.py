"""Settings of the workers under fault. Their callback writes down what it was given before it does anything else.

`FAULTS_DELIVERIES` names the file: a line `id attempt key sequence` an event, on the disk when the callback returns.
The row says in its column `note` what the callback shall do then, such as `raise MemoryError` or `hang`.
`FAULTS_SETTINGS` are further settings, as JSON. `FAULTS_HOUSEKEEPING_SECONDS` lets workers prune more often than they do.
"""

import asyncio
import builtins
import ctypes
import json
import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

from pg_events.delivery.housekeeping import Housekeeping
from pg_events.errors import RetryAfter

PG_EVENTS_RETRY_SECONDS = 0.01

_deliveries = os.open(os.environ["FAULTS_DELIVERIES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def callback(payload: str, attempt: int = 0) -> None:
    event = json.loads(payload)
    if event["table_name"] == "ballast":
        return
    row = event.get("new_data") or event["old_data"]
    # A row's version counts its changes. Its DELETE has none of its own: the number after the last one is kept for it.
    sequence = row["version"] + (event["method"] == "DELETE")
    os.write(_deliveries, f"{event['id']} {attempt} {row['key']} {sequence}\n".encode())
    os.fsync(_deliveries)
    if event["method"] != "DELETE" and row["note"]:
        act(row["note"])


async def side_by_side(payload: str, attempt: int = 0) -> None:
    """The same, each call as long as the chance of its event will have it."""
    if '"table_name": "ballast"' in payload:
        return
    for _ in range(random.Random(payload).randrange(20)):
        await asyncio.sleep(0.0005)
    callback(payload, attempt)


def batch(payloads: list[str]) -> None:
    """The same of several events."""
    for payload in payloads:
        callback(payload)


async def batches_side_by_side(payloads: list[str]) -> None:
    for _ in range(random.Random(payloads[0]).randrange(20)):
        await asyncio.sleep(0.0005)
    batch(payloads)


def copying_batch(payloads: list[str], connection: Any) -> None:
    """What `copying` does, of several events."""
    for payload in payloads:
        copying(payload, connection)


def calls_of(event_id: int) -> int:
    """Number of calls with an event, by whichever worker."""
    lines = Path(os.environ["FAULTS_DELIVERIES"]).read_text().splitlines()
    return sum(line.startswith(f"{event_id} ") for line in lines)


def patient(payload: str, attempt: int) -> None:
    """The same as `callback`; a row that says `later 5` is too early for five calls."""
    callback(payload, attempt)
    event = json.loads(payload)
    what, _, times = ((event.get("new_data") or {}).get("note") or "").partition(" ")
    if what == "later" and calls_of(event["id"]) <= int(times):
        raise RetryAfter(0.05)


def copying(payload: str, connection: Any) -> None:
    """Writes into the database what `callback` writes into the file."""
    event = json.loads(payload)
    if event["table_name"] == "ballast":
        return
    row = event.get("new_data") or event["old_data"]
    sequence = row["version"] + (event["method"] == "DELETE")
    values = [event["id"], row["key"], sequence]
    connection.execute("insert into copied (event, key, sequence) values (%s, %s, %s)", values)


def crashing(payload: str, attempt: int, connection: Any) -> None:
    """The same; a row says that it is the end of its server."""
    copying(payload, connection)
    event = json.loads(payload)
    if event["table_name"] == "account" and (event.get("new_data") or {}).get("note") == "crash":
        (server,) = connection.execute("select pg_backend_pid()").fetchone()
        with Path(os.environ["FAULTS_DELIVERIES"]).with_suffix(".crashes").open("a") as file:
            file.write(f"{attempt}\n")
        os.kill(server, signal.SIGKILL)


def act(note: str) -> None:
    what, _, rest = note.partition(" ")
    if what == "raise":
        raise getattr(builtins, rest)
    if what == "hang":
        threading.Event().wait()
    elif what == "exit":
        os._exit(1)
    elif what == "segfault":
        ctypes.string_at(0)
    elif what == "wait":
        Path(rest).open().close()  # a pipe: waits for whoever opens its other end


if seconds := os.environ.get("FAULTS_HOUSEKEEPING_SECONDS"):
    (Housekeeping.__init__.__kwdefaults__ or {})["seconds"] = float(seconds)
PG_EVENTS_DATA_UPDATE_CALLBACK = callback
globals().update(json.loads(os.environ["FAULTS_SETTINGS"]))
