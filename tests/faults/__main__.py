"""The long forms: `python -m tests.faults` prints a table of rounds, events, lost, duplicates and order violations.

Rounds of SIGKILL first, then a soak: workers and the server are killed, stopped, frozen and restarted and their links cut at
random, while writers write. Exits with 1 when something was lost, out of order, or made up; where callbacks write in the
cursor's own transaction also when something came twice.
"""

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from pg_events.demo.server import Server, any_binaries
from tests.faults.conftest import DURABLE
from tests.faults.harness import Change, Deliveries, Proxy, Verdict, Writers, committed, execute, judge
from tests.faults.soak import Soak
from tests.faults.way import Way


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
    parser.add_argument("--concurrency", type=int, default=1, help="calls of a worker side by side (%(default)s)")
    parser.add_argument("--transactional", action="store_true", help="callbacks write in the cursor's transaction")
    parser.add_argument("--prune", action="store_true", help="workers keep the log for a second only")
    options = parser.parse_args()
    way = Way(options.concurrency, options.transactional, options.prune)
    say(f"seed {options.seed}, {way}")
    with Server(any_binaries(), settings=DURABLE) as server:
        runs = [kill_rounds(server, way, options.rounds, options.seed)] if options.rounds else []
        if options.minutes:
            runs.append(soak(server, way, options.minutes * 60, options.seed))
    print(table(runs))
    return 0 if all(is_good(run.verdict, way) for run in runs) else 1


def is_good(verdict: Verdict, way: Way) -> bool:
    return verdict.is_good and not (way.is_transactional and verdict.duplicates)


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


def drained(url: str, way: Way, writers: Writers, deliveries: Deliveries) -> Verdict:
    """The verdict when a last worker has had all the time it needs: until nothing more has come for a minute."""
    last = way.worker(url, deliveries)
    wanted, seen, heard = committed(url), 0, time.monotonic()
    while wanted - {each.change for each in deliveries.read()} and time.monotonic() < heard + 60:
        if (count := len(deliveries.read())) > seen:
            seen, heard = count, time.monotonic()
        time.sleep(0.5)
    verdict = judge(writers.acknowledged, wanted, deliveries.read())
    code = last.end()
    if code or not is_good(verdict, way):
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


def kill_rounds(server: Server, way: Way, rounds: int, seed: int) -> Run:
    """A worker is killed half a second at most after it began to deliver, again and again."""
    chance = random.Random(seed)
    begin = time.monotonic()
    with way.shop(server, "killed") as (url, deliveries), Writers(url, seed, pause_seconds=0.02) as writers:
        for number in range(rounds):
            victim = way.worker(url, deliveries)
            time.sleep(chance.uniform(0, 0.5))
            victim.kill()
            if (number + 1) % 10 == 0:
                say(f"{number + 1} of {rounds} killed")
        writers.stop()
        verdict = drained(url, way, writers, deliveries)
    return Run(f"`kill -9` of the worker ({way})", rounds, time.monotonic() - begin, verdict)


def soak(server: Server, way: Way, seconds: float, seed: int) -> Run:
    chance = random.Random(seed)
    count: Counter[str] = Counter()
    told: list[str] = []
    """When what happened: told when something was lost."""
    begin = time.monotonic()
    with (
        way.shop(server, "soaked") as (url, deliveries),
        Proxy(url) as proxy,
        Writers(url, seed, pause_seconds=0.02) as writers,
    ):
        test = Soak(server, way, url, deliveries, proxy, chance)
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
        verdict = drained(url, way, writers, deliveries)
        if verdict.lost:
            say("\n".join(told))
            for file in sorted(deliveries.path.parent.glob("*.log")):
                say(f"--- {file.name}\n{file.read_text()}")
    what = ", ".join(f"{name} {number}×" for name, number in sorted(count.items()))
    return Run(f"soak ({way}): {what}", count.total(), time.monotonic() - begin, verdict)


if __name__ == "__main__":
    sys.exit(main())
