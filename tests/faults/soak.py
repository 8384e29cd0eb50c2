"""What befalls the workers, the server and their links in a long run, at random."""

import random
import signal
import threading
import time
from collections.abc import Callable

import psycopg

from pg_events.config.settings import Settings
from pg_events.demo.server import Server
from tests.faults.harness import Deliveries, Proxy, WorkerProcess, backends, execute
from tests.faults.way import LEASE_SECONDS, UNCOVERED, Way, build

WORKERS = 2


class Soak:
    """Workers of one name behind a proxy, and what can happen to them. Each fault leaves as many running."""

    def __init__(
        self, server: Server, way: Way, url: str, deliveries: Deliveries, proxy: Proxy, chance: random.Random
    ) -> None:
        self._way = way
        self._url = url
        self._deliveries = deliveries
        self._proxy = proxy
        self._chance = chance
        self.workers = [self._start() for _ in range(WORKERS)]
        self.faults: dict[str, Callable[[], None]] = {
            "worker killed": self._kill,
            "worker stopped": self._stop,
            "worker frozen": self._freeze,
            "connection terminated": self._terminate,
            "link reset": proxy.reset,
            "link silent": self._silence,
            "commit late": self._late,
            "server restarted": lambda: server.restart("fast"),
            "server crashed": lambda: server.restart("immediate"),
            "killed while building": self._build,
            "much written": self._write_much,
        }
        if way.is_pruned:
            self.faults["killed while pruning"] = self._kill_while_pruning
            self.faults["link cut while pruning"] = self._cut_while_pruning

    def _start(self) -> WorkerProcess:
        return self._way.worker(self._proxy.url, self._deliveries)

    def _one(self) -> WorkerProcess:
        return self._chance.choice(self.workers)

    def _replace(self, ended: WorkerProcess) -> None:
        self.workers[self.workers.index(ended)] = self._start()

    def _kill(self) -> None:
        one = self._one()
        one.kill()
        self._replace(one)

    def _stop(self) -> None:
        one = self._one()
        one.end()
        self._replace(one)

    def _freeze(self) -> None:
        """Shorter than its lease, or longer: then the others have taken its share."""
        one = self._one()
        one.send(signal.SIGSTOP)
        time.sleep(self._chance.uniform(0, 2 * LEASE_SECONDS))
        one.send(signal.SIGCONT)

    def _terminate(self) -> None:
        execute(self._url, f"select pg_terminate_backend(pid) from ({backends()}) b")

    def _silence(self) -> None:
        self._proxy.mode = "stall"
        time.sleep(self._chance.uniform(0, 2))
        self._proxy.mode = "pass"

    def _late(self) -> None:
        with psycopg.connect(self._url) as late:
            late.execute(
                "insert into account values (1000, 0) on conflict (key) do update set version = account.version + 1"
            )
            time.sleep(self._chance.uniform(0, 2))

    def _build(self) -> None:
        """A build that replaces the functions and triggers of what is written meanwhile, and a worker killed during it."""
        length, is_left_out = self._chance.randrange(100, 10_000), self._chance.random() < 0.5
        left_out = (*UNCOVERED, "public.ballast") if is_left_out else UNCOVERED
        building = threading.Thread(
            target=build, args=(self._url, Settings(self._url, query_characters=length, exclude=left_out))
        )
        building.start()
        self._kill()
        building.join()

    def _write_much(self) -> None:
        execute(self._url, "insert into ballast select generate_series(1, 20000)")

    def _kill_while_pruning(self) -> None:
        self._write_much()
        self._until_pruning()
        self._kill()

    def _cut_while_pruning(self) -> None:
        self._write_much()
        if pid := self._until_pruning():
            execute(self._url, f"select pg_terminate_backend({pid})")

    def _until_pruning(self) -> int | None:
        """The process of the server that deletes events; None when none came to it in time."""
        question = (
            "select pid from pg_stat_activity where application_name like 'pg_events housekeeping%'"
            " and state = 'active' and query ilike '%delete from pgevents.event%'"
        )
        with psycopg.connect(self._url, autocommit=True) as looker:
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                if found := looker.execute(question).fetchone():
                    return found[0]
        return None
