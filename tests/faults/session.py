"""A long session at the console: `python -m tests.faults.session` prints what it came to, and what went wrong.

Two consoles in tmux, 120x36 and 80x24, on a shop with live traffic and a worker. What people set out to do is done
(`errands.py`), and between that every key of every screen is pressed, then keys at random. Meanwhile the database is restarted,
the worker killed, the database crashed. A console must never stand still, end or show a traceback, show what an errand led to,
and at the end have every event of the log. Exits with 1 when something was wrong; the screens are kept then.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Final

from pg_events.config.settings import load
from pg_events.db.connection import connect
from pg_events.demo.server import Server, any_binaries
from pg_events.demo.traffic import Traffic
from pg_events.files import journal
from pg_events.triggers.build import apply, make_plan
from pg_events_tui.widgets import keys
from tests.faults.errands import Errands
from tests.faults.harness import execute, wait_until
from tests.faults.terminal import Console, is_open, say

SETTINGS: Final = "pg_events.demo.settings"
SIZES: Final = ((120, 36), (80, 24))
BEAT_SECONDS: Final = 0.1
"""Between two keys, as of a person in a hurry."""
LEAVING: Final = frozenset({"app.quit", "app.open", "app.database"})
"""Keys that end this console, or lead away from the database."""
NEVER_TAKEN: Final = frozenset({"app.back", "app.palette", "coverage.exclude"})
"""Keys whose question is always answered with no: quitting, a command of any kind, and what the ledger knows nothing of."""
KEYS_BETWEEN: Final = 20
"""Pressed between two errands."""
TAKING_TEXT: Final = frozenset({"events.filter", "find.open", "events.goto"})
TYPED: Final = ("table:orders op:U", "new.total>50 or is:ddl", "/paid|sh[io]/", "since:1m -app:web", "table:(", "")
"""Into what asks for a text; one is not a filter."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.session", description="Sit at the console for long.")
    parser.add_argument("--minutes", type=float, default=15, help="(%(default)s)")
    parser.add_argument("--rate", type=float, default=20, help="transactions a second (%(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of all that is random (the time)")
    options = parser.parse_args()
    if shutil.which("tmux") is None:
        parser.error("tmux is needed")
    say(f"seed {options.seed}")
    folder = Path(tempfile.mkdtemp(prefix="pg_events-session-"))
    problems = Session(folder, options.seed).run(options.minutes * 60, options.rate)
    if problems:
        say(f"the screens are in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if problems else 0


class Session:
    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.problems: list[str] = []

    def run(self, seconds: float, rate: float) -> list[str]:
        with Server(any_binaries()) as server:
            url = server.create_database("shop")
            with connect(url, application_name="session") as connection:
                connection.execute(files("pg_events.demo").joinpath("shop.sql").read_bytes())
                plan = make_plan(connection, load(SETTINGS, url))
            apply(url, plan)
            traffic = Traffic(url, rate=rate, seed=self.chance.getrandbits(32))
            traffic.start()
            self._sit(server, url, traffic, seconds)
        return self.problems

    def _sit(self, server: Server, url: str, traffic: Traffic, seconds: float) -> None:
        environment = {
            "PG_EVENTS_DATABASE_URL": url,
            "XDG_STATE_HOME": str(self.folder / "state"),
            "LC_ALL": "C.UTF-8",
            "EDITOR": "true",
        }
        worker = self._worker(environment)
        consoles = [Console(self.folder, size, ("--settings", SETTINGS), environment) for size in SIZES]
        errands = [Errands(console, url) for console in consoles]
        begin = time.monotonic()
        try:
            for console in consoles:
                console.start()
            hands = [self._hands(console, its) for console, its in zip(consoles, errands, strict=True)]

            def until(share: float) -> None:
                while time.monotonic() < begin + share * seconds:
                    for console, hand in zip(consoles, hands, strict=True):
                        console.look(next(hand))
                    time.sleep(BEAT_SECONDS)

            until(0.25)
            say(f"{time.monotonic() - begin:.0f} s: the database is restarted")
            server.restart("fast")
            until(0.5)
            say(f"{time.monotonic() - begin:.0f} s: the worker is killed")
            worker.kill()
            worker.wait()
            worker = self._worker(environment)
            until(0.75)
            say(f"{time.monotonic() - begin:.0f} s: the database crashes")
            server.restart("immediate")
            until(1)
            traffic.stop()
            self._judge(errands, url, traffic, time.monotonic() - begin)
            if worker.poll() is not None:
                self.problems.append(f"the worker ended with {worker.returncode}")
        finally:
            worker.terminate()
            worker.wait(60)
            for console in consoles:
                console.end()
                self.problems += console.problems

    def _worker(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pg_events", "worker", "--settings", SETTINGS]
        with (self.folder / "worker.log").open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **environment}
            )

    def _hands(self, console: Console, errands: Errands) -> Iterator[str]:
        """Run every errand and press one key after the other, for ever; each tells what was done."""
        everything = self._keys()
        while True:
            for errand in errands.all():
                yield from errands.run(errand)
                for screen, key in islice(everything, KEYS_BETWEEN):
                    if not console.is_at(screen):
                        console.go_to(screen)
                        yield f"{screen}: going there"
                    yield from self._press(console, screen, key)

    def _keys(self) -> Iterator[tuple[str, keys.Key]]:
        """Every key of every screen, the first time in order, then in any."""
        everything = [
            (screen, key)
            for screen in keys.EVERYWHERE
            for key in keys.on_screen(screen)
            if key.keys and key.id not in LEAVING
        ]
        while True:
            yield from everything
            self.chance.shuffle(everything)

    def _press(self, console: Console, screen: str, key: keys.Key) -> Iterator[str]:
        console.press(self.chance.choice(key.keys.split(",")))
        yield f"{screen}: {key.id}"
        if key.id in TAKING_TEXT and self.chance.random() < 0.6:
            console.press("ctrl+u")
            console.type(self.chance.choice(TYPED))
            yield f"{screen}: {key.id}, typed"
        if key.id not in NEVER_TAKEN and is_open(console.screen()) and self.chance.random() < 0.6:
            console.press(self.chance.choice(("enter", "y")))
            yield f"{screen}: {key.id}, answered"
        console.close()

    def _judge(self, errands: Sequence[Errands], url: str, traffic: Traffic, seconds: float) -> None:
        rows = execute(url, "select id, xid::text::bigint, table_name, kind from pgevents.log order by id")
        names = {"I": "INSERT", "U": "UPDATE", "D": "DELETE", "T": "TRUNCATE"}
        verdict = traffic.ledger.count_delivered([(i, x, t, names[k]) for i, x, t, k in rows if k in names])
        if verdict.missing or verdict.unexpected:
            self.problems.append(f"the log is not what the writers committed: {verdict}")
        print(f"{seconds:.0f} s, {traffic.ledger.writes} rows written, {len(rows)} events in the log, {verdict}")
        for its in errands:
            console = its.console
            console.close()
            console.go_to("live")
            total = console.total()
            shown = self._ids_written(console)
            if total.replace(",", "") != str(len(rows)) and not total.endswith("k"):
                console.problem(f"its header says {total} events, the log has {len(rows)}")
            # They stand in the order in which they were seen.
            if sorted(shown) != [row[0] for row in rows]:
                console.problem(f"has {len(shown)} of the log's {len(rows)} events")
            print(
                f"{console.name}: {its.done} errands, {len(console.pressed)} keys, looked {console.looked} times;"
                f" {len(shown)} events, in the header {total}; {len(console.problems)} problems"
            )

    def _ids_written(self, console: Console) -> list[int]:
        """The events it has, by a file that it writes."""
        path = self.folder / f"all-{console.name}.jsonl"
        for press, answer in (("w", "Write which"), ("a", "Write to")):
            console.press(press)
            wait_until(lambda answer=answer: answer in console.screen(), answer, console.screen)
        console.press("ctrl+u")
        console.type(str(path))
        console.press("enter")
        wait_until(lambda: "events written" in console.screen(), "it has written", console.screen)
        return [line.event.id for line in journal.read(path)]


if __name__ == "__main__":
    sys.exit(main())
