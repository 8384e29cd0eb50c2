"""`python -m tests.installcheck.pgbench`: pgbench's built-in scripts at every isolation level, without capture and with it.

Prints how many transactions failed to serialize; tpcb-like and simple-update conflict by themselves above READ COMMITTED.
Exits with 1 when a script fails with capture and never without it.
"""

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass

from pg_events.config.settings import Settings
from pg_events.errors import PgEventsError
from tests.installcheck.lab import programs, two_databases

SCRIPTS = ("tpcb-like", "simple-update", "select-only")
LEVELS = ("read committed", "repeatable read", "serializable")


@dataclass(frozen=True)
class Run:
    """What pgbench counted."""

    done: int
    failed: int
    per_second: float

    def __str__(self) -> str:
        share = self.failed / max(1, self.done + self.failed)
        return f"{self.failed:,} of {self.done + self.failed:,} ({share:.0%})"


def main() -> int:
    try:
        return run()
    except PgEventsError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def run() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.installcheck.pgbench", description=__doc__)
    parser.add_argument("--major", type=int, help="of the server (the newest there is)")
    parser.add_argument("--clients", type=int, default=8, help="%(default)s")
    parser.add_argument("--transactions", type=int, default=250, help="of each client (%(default)s)")
    options = parser.parse_args()
    program = str(programs(options.major) / "pgbench")

    def prepare(url: str) -> None:
        pgbench(program, "-i", "-q", "-s", str(options.clients), url)

    load = ("-n", "-c", str(options.clients), "-j", "2", "-t", str(options.transactions))
    has_failed = False
    print("| script | isolation | plain failed | captured failed | plain/s | captured/s |")
    print("|---|---|--:|--:|--:|--:|")
    with two_databases(options.major, prepare, Settings()) as urls:
        for script in SCRIPTS:
            for level in LEVELS:
                plain, captured = (counted(pgbench(program, *load, "-b", script, url, level=level)) for url in urls)
                has_failed |= captured.failed > 0 and plain.failed == 0
                speeds = f"{plain.per_second:,.0f} | {captured.per_second:,.0f}"
                print(f"| {script} | {level} | {plain} | {captured} | {speeds} |", flush=True)
    return int(has_failed)


def pgbench(program: str, *arguments: str, level: str = "read committed") -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment["PGOPTIONS"] = f"-c default_transaction_isolation={level.replace(' ', chr(92) + ' ')}"
    answer = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise PgEventsError(f"pgbench: {answer.stderr.strip()[-500:]}")
    return answer.stdout


def counted(report: str) -> Run:
    def number(pattern: str) -> str:
        found = re.search(pattern, report)
        return found[1] if found else "0"

    return Run(
        int(number(r"transactions actually processed: (\d+)")),
        int(number(r"number of failed transactions: (\d+)")),
        float(number(r"tps = ([\d.]+)")),
    )


if __name__ == "__main__":
    sys.exit(main())
