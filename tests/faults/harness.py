"""What the tests of faults are made of: writers with a ledger, workers as processes, a proxy that fails, a judge.

The judge knows nothing of the product. A row of the table `account` counts its own changes in `version`, so all that
was ever committed can be told from the table as it is at the end; what the writers were told is committed stands in
their ledger; what was delivered stands in a file that the workers' callback writes and flushes to the disk.
"""

import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.waiting import PATIENCE_SECONDS
from tests.waiting import until as wait_until

KEYS: Final = range(1, 21)
"""Of the accounts."""
SETTINGS: Final = Path(__file__).with_name("worker_settings.py")


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Each in a transaction of its own; the rows of the last."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


# --- writers ------------------------------------------------------------------------------------------------------


class Change(NamedTuple):
    """One change of one row: the `sequence`-th of its `key`."""

    key: int
    sequence: int


def make_accounts(url: str) -> None:
    execute(
        url,
        "create table account (key integer primary key, version integer not null, note text not null default '')",
        f"insert into account select key, 0 from generate_series({KEYS[0]}, {KEYS[-1]}) key",
    )


def committed(url: str) -> set[Change]:
    """All changes that were ever committed, as the table itself tells."""
    rows = execute(url, "select key, version from account")
    return {Change(key, sequence) for key, version in rows for sequence in range(version + 1)}


class Writers:
    """Threads that change accounts, each in transactions of one to five rows, now and then at once, until they are stopped.

    `acknowledged` are the changes whose COMMIT was answered; `failures` what failed, as (SQLSTATE, message). A lost link is
    taken up again.
    """

    def __init__(self, url: str, seed: int, keys: range = KEYS, threads: int = 2, pause_seconds: float = 0.0) -> None:
        self.acknowledged: list[Change] = []
        self.failures: list[tuple[str | None, str]] = []
        self.longest_seconds = 0.0
        """What the slowest transaction took."""
        self._url = url
        self._keys = keys
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{seed} {number}"),)) for number in range(threads)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Returns when the last transaction has ended."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive(), "a writer is stuck"

    def wait_for(self, more: int) -> None:
        """Until so many more changes were acknowledged."""
        goal = len(self.acknowledged) + more
        wait_until(lambda: len(self.acknowledged) >= goal, f"{more} more changes", lambda: self.failures[-3:])

    def _run(self, chance: random.Random) -> None:
        while not self._stopping.is_set():
            try:
                # Nothing is prepared: a prepared statement fails by itself when a column changes its type.
                with psycopg.connect(self._url, connect_timeout=5, prepare_threshold=None) as connection:
                    while not self._stopping.is_set():
                        begin = time.monotonic()
                        self._transaction(connection, chance)
                        self.longest_seconds = max(self.longest_seconds, time.monotonic() - begin)
                        self._stopping.wait(self._pause_seconds * chance.random())
            except psycopg.Error as error:
                self.failures.append((error.sqlstate, str(error).splitlines()[0]))
                self._stopping.wait(0.02)

    def _transaction(self, connection: psycopg.Connection, chance: random.Random) -> None:
        changes: list[Change] = []
        keys = sorted(chance.sample(self._keys, chance.randint(1, 5)))  # sorted: no deadlocks
        if chance.random() < 0.3:
            changes += self._change_at_once(connection, keys)
        else:
            for key in keys:
                changes += self._change(connection, key, chance)
        if chance.random() < 0.1:
            connection.rollback()
        else:
            connection.commit()
            self.acknowledged += changes

    @staticmethod
    def _change_at_once(connection: psycopg.Connection, keys: list[int]) -> list[Change]:
        """By one statement, whose rows the log keeps together."""
        rows = connection.execute(
            "with found as materialized (select key from account where key = any(%s) order by key for update)"
            " update account a set version = version + 1 from found where a.key = found.key returning a.key, a.version",
            [keys],
        )
        return [Change(key, version) for key, version in rows]

    @staticmethod
    def _change(connection: psycopg.Connection, key: int, chance: random.Random) -> Iterator[Change]:
        is_deleted = chance.random() < 0.1
        if is_deleted:
            statement = b"delete from account where key = %s returning version + 1"
        else:
            statement = b"update account set version = version + 1 where key = %s returning version"
        # No row: another writer deleted it, and put it back where this statement's snapshot does not see it.
        while (row := connection.execute(statement, [key]).fetchone()) is None:
            pass
        yield Change(key, row[0])
        if is_deleted:
            connection.execute("insert into account (key, version) values (%s, %s)", [key, row[0] + 1])
            yield Change(key, row[0] + 1)


# --- workers ------------------------------------------------------------------------------------------------------


class Delivery(NamedTuple):
    id: int
    attempt: int
    """0 when the callback was not told."""
    change: Change


class Deliveries:
    """The file into which the workers' callbacks write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def read(self) -> list[Delivery]:
        lines = self.path.read_text().splitlines(keepends=True)
        numbers = [[int(word) for word in line.split()] for line in lines if line.endswith("\n")]
        return [Delivery(number, attempt, Change(key, sequence)) for number, attempt, key, sequence in numbers]

    def wait_for(self, changes: Iterable[Change], log: Callable[[], str] = str) -> list[Delivery]:
        """Until all of them were delivered; whatever was delivered by then."""
        wanted = set(changes)
        wait_until(
            lambda: wanted <= {each.change for each in self.read()},
            f"{len(wanted)} changes are delivered",
            lambda: f"missing: {sorted(wanted - {each.change for each in self.read()})[:20]}\n{log()}",
        )
        return self.read()

    def wait_for_count(self, count: int) -> list[Delivery]:
        wait_until(lambda: len(self.read()) >= count, f"{count} deliveries")
        return self.read()


class WorkerProcess:
    """`pg_events worker` as a process of its own. Its words are in `log()`."""

    def __init__(
        self,
        url: str,
        deliveries: Deliveries,
        name: str = "default",
        *options: str,
        environment: Mapping[str, str] | None = None,
        **settings: object,
    ) -> None:
        """`settings` are the worker's, by the names of their constants."""
        self.name = name
        self._log = deliveries.path.with_name(f"worker-{time.monotonic_ns()}.log")
        command = [sys.executable, "-m", "pg_events", "worker", "--settings", str(SETTINGS), "--name", name]
        command += ["--from", "oldest", *options]
        variables = {
            "PG_EVENTS_DATABASE_URL": url,
            "FAULTS_DELIVERIES": str(deliveries.path),
            "FAULTS_SETTINGS": json.dumps(settings),
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **variables, **(environment or {})},
                cwd=deliveries.path.parent,
            )

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_until_said(self, text: str) -> Self:
        wait_until(lambda: text in self.log() or self.process.poll() is not None, f"{text!r} is said", self.log)
        assert text in self.log(), f"ended with {self.process.returncode}: {self.log()}"
        return self

    def ready(self) -> Self:
        """Until it delivers."""
        return self.wait_until_said("delivering")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill_within(self, chance: random.Random, seconds: float) -> None:
        """Kill it at a random moment; it must not have ended by itself before."""
        try:
            code = self.process.wait(chance.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            self.kill()
        else:
            raise AssertionError(f"it ended by itself with {code}: {self.log()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Ask it to end, and wait: its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)


def backends(worker_name: str = "default") -> str:
    """SQL: the server's processes for the workers of that name."""
    return f"select pid from pg_stat_activity where application_name like 'pg_events worker {worker_name}%'"


@contextmanager
def acknowledging_blocked(url: str) -> Iterator[Callable[[], bool]]:
    """Nobody can save a cursor within the block. The value tells whether a worker is waiting to."""
    with psycopg.connect(url) as blocker, psycopg.connect(url, autocommit=True) as looker:
        blocker.execute("lock table pgevents.share in share row exclusive mode")
        yield lambda: bool(
            looker.execute(
                "select from pg_locks where not granted and relation = 'pgevents.share'::regclass"
            ).fetchall()
        )


# --- the judge ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What a run came to. `str()` gives a line for people."""

    events: int
    """Changes that were committed."""
    lost: int
    """Changes acknowledged or committed, and not delivered."""
    duplicates: int
    """Deliveries beyond the first of a change."""
    disorders: int
    """Changes of a row first delivered after a later one of the same row."""
    phantoms: int
    """Changes delivered that were never committed, or under two ids."""

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.disorders or self.phantoms)


def judge(acknowledged: Iterable[Change], committed: set[Change], deliveries: Iterable[Delivery]) -> Verdict:
    delivered = list(deliveries)
    seen: set[Change] = set()
    latest: dict[int, int] = {}
    ids: defaultdict[Change, set[int]] = defaultdict(set)
    disorders = 0
    for each in delivered:
        change = each.change
        ids[change].add(each.id)
        if change not in seen:
            seen.add(change)
            disorders += latest.get(change.key, -1) > change.sequence
            latest[change.key] = max(latest.get(change.key, -1), change.sequence)
    return Verdict(
        events=len(committed),
        lost=len((committed | set(acknowledged)) - seen),
        duplicates=len(delivered) - len(seen),
        disorders=disorders,
        phantoms=len(seen - committed) + sum(len(numbers) - 1 for numbers in ids.values()),
    )


# --- the link -----------------------------------------------------------------------------------------------------

Mode = Literal["pass", "stall", "mute", "refuse"]


class Proxy:
    """A TCP proxy before a server's socket. `mode` says what becomes of the bytes, of links there are and of new ones.

    `pass`; `stall`: nothing arrives any more, and nobody is told; `mute`: the server gets everything and its answers are
    dropped; `refuse`: new links are reset. `reset()` cuts the links there are.
    """

    def __init__(self, url: str) -> None:
        parameters = conninfo_to_dict(url)
        self._server = f"{parameters['host']}/.s.PGSQL.{parameters['port']}"
        self._acceptor = socket.create_server(("127.0.0.1", 0))
        self._links: list[tuple[socket.socket, socket.socket]] = []
        self._passing = threading.Event()
        self.mode: Mode = "pass"
        port = self._acceptor.getsockname()[1]
        user, database = quote(str(parameters["user"])), quote(str(parameters["dbname"]))
        self.url = f"postgresql://{user}@127.0.0.1:{port}/{database}?gssencmode=disable&sslmode=disable"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._acceptor.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._acceptor.close()
        self.mode = "refuse"
        self.reset()

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "stall":
            self._passing.clear()
        else:
            self._passing.set()

    def reset(self) -> None:
        """Cut all links, with a reset instead of an end."""
        links, self._links = self._links, []
        for link in links:
            for end in link:
                _cut(end)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._acceptor.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                if self._mode == "refuse":
                    raise ConnectionRefusedError
                server.connect(self._server)
            except OSError:
                _cut(client)
                server.close()
                continue
            self._links.append((client, server))
            for source, target, is_answer in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, target, is_answer), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        try:
            while data := source.recv(65536):
                self._passing.wait()
                if not (is_answer and self._mode == "mute"):
                    target.sendall(data)
        except OSError:
            pass
        # A link ends as a whole, and a muted one keeps its end to itself.
        if not (is_answer and self._mode == "mute"):
            _cut(source)
            _cut(target)


def _cut(end: socket.socket) -> None:
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RD)  # wakes who reads here; the other side is told by close()
    except OSError:
        pass
    end.close()
