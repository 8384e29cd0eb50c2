"""The long forms: `python -m tests.faults` prints a table of rounds, events, lost, duplicates and order violations.

Rounds of SIGKILL first, then a soak: workers and the server are killed, stopped, frozen and restarted and their links cut at
random, while writers write. Exits with 1 when something was lost, out of order, or made up.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from pg_events.build import apply, make_plan
from pg_events.connection import connect
from pg_events.demo.server import Server, any_binaries
from pg_events.settings import Settings
from tests.faults.conftest import DURABLE
from tests.faults.harness import (
    Change,
    Deliveries,
    Proxy,
    Verdict,
    WorkerProcess,
    Writers,
    backends,
    committed,
    execute,
    judge,
    make_accounts,
)

WORKERS = 2
LEASE_SECONDS = 2.0


@dataclass(frozen=True)
class Run:
    """A line of the table."""

    what: str
    rounds: int
    seconds: float
    verdict: Verdict


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Kill, cut and restart, and count.")
    parser.add_argument("--rounds", type=int, default=50, help="of SIGKILL (%(default)s)")
    parser.add_argument("--minutes", type=float, default=10, help="of the soak (%(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of all that is random (the time)")
    options = parser.parse_args()
    say(f"seed {options.seed}")
    with Server(any_binaries(), settings=DURABLE) as server:
        runs = [kill_rounds(server, options.rounds, options.seed)] if options.rounds else []
        if options.minutes:
            runs.append(soak(server, options.minutes * 60, options.seed))
    print(table(runs))
    return 0 if all(run.verdict.is_good for run in runs) else 1


def table(runs: list[Run]) -> str:
    lines = [
        "| run | rounds | seconds | events | lost | duplicates | order violations |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for run in runs:
        verdict = run.verdict
        counts = (run.rounds, f"{run.seconds:.0f}", verdict.events, verdict.lost, verdict.duplicates, verdict.disorders)
        lines.append(f"| {run.what} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def shop(server: Server, name: str) -> Iterator[tuple[str, Deliveries]]:
    """A database with covered accounts, and the file of what is delivered of it."""
    url = server.create_database(name)
    with connect(url, application_name="test") as connection:
        plan = make_plan(connection, Settings(url))
    apply(url, plan)
    make_accounts(url)
    with tempfile.TemporaryDirectory() as folder:
        yield url, Deliveries(Path(folder) / "deliveries")


def drained(url: str, writers: Writers, deliveries: Deliveries) -> Verdict:
    """The verdict when a last worker has had all the time it needs: until nothing more has come for a minute."""
    last = WorkerProcess(url, deliveries)
    wanted, seen, heard = committed(url), 0, time.monotonic()
    while wanted - {each.change for each in deliveries.read()} and time.monotonic() < heard + 60:
        if (count := len(deliveries.read())) > seen:
            seen, heard = count, time.monotonic()
        time.sleep(0.5)
    verdict = judge(writers.acknowledged, wanted, deliveries.read())
    code = last.end()
    if code or not verdict.is_good:
        say(last.log())
    if verdict.lost:
        tell_what_is_missing(url, wanted - {each.change for each in deliveries.read()})
    return verdict


def tell_what_is_missing(url: str, missing: set[Change]) -> None:
    for change in sorted(missing)[:100]:
        found = (
            "select id, xid::text, kind::text, at::text from pgevents.log"
            f" where (new_data ->> 'key')::int = {change.key} and (new_data ->> 'version')::int = {change.sequence}"
            f" or kind = 'D' and (old_data ->> 'key')::int = {change.key} and (old_data ->> 'version')::int = {change.sequence - 1}"
        )
        say(f"{change}: {execute(url, found)}")
    for row in execute(url, "select to_json(s)::text from pgevents.share s"):
        say(row[0])


def kill_rounds(server: Server, rounds: int, seed: int) -> Run:
    """A worker is killed half a second at most after it began to deliver, again and again."""
    chance = random.Random(seed)
    begin = time.monotonic()
    with shop(server, "killed") as (url, deliveries), Writers(url, seed, pause_seconds=0.02) as writers:
        for number in range(rounds):
            victim = WorkerProcess(url, deliveries).ready()
            time.sleep(chance.uniform(0, 0.5))
            victim.kill()
            if (number + 1) % 10 == 0:
                say(f"{number + 1} of {rounds} killed")
        writers.stop()
        verdict = drained(url, writers, deliveries)
    return Run("`kill -9` of the worker", rounds, time.monotonic() - begin, verdict)


class Soak:
    """Workers of one name behind a proxy, and what can happen to them. Each fault leaves as many running."""

    def __init__(self, server: Server, url: str, deliveries: Deliveries, proxy: Proxy, chance: random.Random) -> None:
        self._server = server
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
        }

    def _start(self) -> WorkerProcess:
        # Until it delivers: at its first connection a worker is meant to give up at once.
        options = {"PG_EVENTS_LEASE_SECONDS": LEASE_SECONDS}
        return WorkerProcess(self._proxy.url, self._deliveries, "default", "--verbose", **options).ready()

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


def soak(server: Server, seconds: float, seed: int) -> Run:
    chance = random.Random(seed)
    count: Counter[str] = Counter()
    told: list[str] = []
    """When what happened: told when something was lost."""
    begin = time.monotonic()
    with (
        shop(server, "soaked") as (url, deliveries),
        Proxy(url) as proxy,
        Writers(url, seed, pause_seconds=0.02) as writers,
    ):
        test = Soak(server, url, deliveries, proxy, chance)
        said = begin
        while time.monotonic() < begin + seconds:
            time.sleep(chance.uniform(0, 1))
            fault = chance.choice(list(test.faults))
            told.append(f"{datetime.now(UTC):%H:%M:%S.%f} {fault}")
            test.faults[fault]()
            count[fault] += 1
            if ended := [one for one in test.workers if one.process.poll() is not None]:
                say(f"after {fault} a worker ended with {ended[0].process.returncode}:\n{ended[0].log()[-2000:]}")
                for one in test.workers:
                    one.kill()
                return Run(f"soak, ended by: {fault}", count.total(), time.monotonic() - begin, Verdict(0, 1, 0, 0, 0))
            if time.monotonic() > said + 30:
                said = time.monotonic()
                say(f"{said - begin:.0f} s: {count.total()} faults, {len(writers.acknowledged)} changes acknowledged")
        writers.stop()
        for one in test.workers:
            one.kill()
        verdict = drained(url, writers, deliveries)
        if verdict.lost:
            say("\n".join(told))
            for file in sorted(deliveries.path.parent.glob("*.log")):
                say(f"--- {file.name}\n{file.read_text()}")
    what = ", ".join(f"{name} {number}×" for name, number in sorted(count.items()))
    return Run(f"soak: {what}", count.total(), time.monotonic() - begin, verdict)


if __name__ == "__main__":
    sys.exit(main())
