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
from pathlib import Path

import psycopg

from pg_events.build import apply, make_plan
from pg_events.connection import connect
from pg_events.demo.server import Server, any_binaries
from pg_events.settings import Settings
from tests.faults.conftest import DURABLE
from tests.faults.harness import (
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
    """The verdict when a last worker has had all the time it needs."""
    last = WorkerProcess(url, deliveries, "default", "--once")
    code = last.process.wait()
    if code:
        say(last.log())
    return judge(writers.acknowledged, committed(url), deliveries.read())


def kill_rounds(server: Server, rounds: int, seed: int) -> Run:
    """A worker is killed half a second at most after it began to deliver, again and again."""
    chance = random.Random(seed)
    begin = time.monotonic()
    with shop(server, "killed") as (url, deliveries), Writers(url, seed, pause_seconds=0.005) as writers:
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
    """One worker behind a proxy, and what can happen to it. Each fault leaves a worker running."""

    def __init__(self, server: Server, url: str, deliveries: Deliveries, proxy: Proxy, chance: random.Random) -> None:
        self._server = server
        self._url = url
        self._deliveries = deliveries
        self._proxy = proxy
        self._chance = chance
        self.worker = self._start()
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
        return WorkerProcess(self._proxy.url, self._deliveries, "default", "--verbose").ready()

    def _kill(self) -> None:
        self.worker.kill()
        self.worker = self._start()

    def _stop(self) -> None:
        self.worker.process.terminate()
        self.worker.process.wait(60)
        self.worker = self._start()

    def _freeze(self) -> None:
        self.worker.send(signal.SIGSTOP)
        time.sleep(self._chance.uniform(0, 1))
        self.worker.send(signal.SIGCONT)

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
    begin = time.monotonic()
    with (
        shop(server, "soaked") as (url, deliveries),
        Proxy(url) as proxy,
        Writers(url, seed, pause_seconds=0.005) as writers,
    ):
        test = Soak(server, url, deliveries, proxy, chance)
        said = begin
        while time.monotonic() < begin + seconds:
            time.sleep(chance.uniform(0, 1))
            fault = chance.choice(list(test.faults))
            test.faults[fault]()
            count[fault] += 1
            if test.worker.process.poll() is not None:
                say(
                    f"after {fault} the worker ended with {test.worker.process.returncode}:\n{test.worker.log()[-2000:]}"
                )
                return Run(f"soak, ended by: {fault}", count.total(), time.monotonic() - begin, Verdict(0, 1, 0, 0, 0))
            if time.monotonic() > said + 30:
                said = time.monotonic()
                say(f"{said - begin:.0f} s: {count.total()} faults, {len(writers.acknowledged)} changes acknowledged")
        writers.stop()
        test.worker.kill()
        verdict = drained(url, writers, deliveries)
    what = ", ".join(f"{name} {number}×" for name, number in sorted(count.items()))
    return Run(f"soak: {what}", count.total(), time.monotonic() - begin, verdict)


if __name__ == "__main__":
    sys.exit(main())
