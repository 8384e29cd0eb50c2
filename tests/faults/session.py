"""A long session at the console: `python -m tests.faults.session` prints what it came to, and what went wrong.

Two consoles in tmux, 120x36 and 80x24, on a shop with live traffic and a worker. Every key of every screen is pressed, then keys
at random. Meanwhile the database is restarted, the worker killed, the database crashed. A console must never stand still, end or
show a traceback, and at the end have every event of the log. Exits with 1 when something was wrong; the screens are kept then.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final

from pg_events import journal
from pg_events.build import apply, make_plan
from pg_events.connection import connect
from pg_events.demo.server import Server, any_binaries
from pg_events.demo.traffic import Traffic
from pg_events.settings import load
from pg_events_tui import keys
from tests.faults.harness import execute, wait_until

SETTINGS: Final = "pg_events.demo.settings"
SIZES: Final = ((120, 36), (80, 24))
BEAT_SECONDS: Final = 0.1
"""Between two keys, as of a person in a hurry."""
KEY_SECONDS: Final = 0.2
ESCAPE_SECONDS: Final = 0.5
"""After each. What comes right behind an escape, a terminal takes for alt and that key; on a busy machine that is long."""
STILL_SECONDS: Final = 5.0
"""A console whose clock stands still for longer is frozen."""
LEAVING: Final = frozenset({"app.quit", "app.open", "app.database"})
"""Keys that end this console, or lead away from the database."""
NEVER_TAKEN: Final = frozenset({"app.back", "app.palette", "coverage.exclude"})
"""Keys whose question is always answered with no: quitting, a command of any kind, and what the ledger knows nothing of."""
TAKING_TEXT: Final = frozenset({"events.filter", "find.open", "events.goto"})
TMUX_NAMES: Final = {
    "pagedown": "NPage", "pageup": "PPage", "down": "Down", "up": "Up", "left": "Left", "right": "Right", "home": "Home",
    "end": "End", "enter": "Enter", "escape": "Escape", "tab": "Tab", "shift+tab": "BTab", "space": "Space",
    "delete": "DC", "slash": "/", "equals_sign": "=", "number_sign": "#", "at": "@", "left_square_bracket": "[",
    "right_square_bracket": "]", "colon": ":", "question_mark": "?", "full_stop": ".", "comma": ",", "plus": "+",
    "minus": "-", "exclamation_mark": "!", "greater_than_sign": ">", "f1": "F1",
}  # fmt: skip
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


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def is_open(screen: str) -> bool:
    """Whether something waits for an answer: a question, a choice, a text."""
    return any(words in screen for words in ("esc cancel", "esc close", "esc leave", "take", "palette", "Search for"))


def tmux_key(key: str) -> str:
    """`ctrl+d` as tmux calls it."""
    return TMUX_NAMES.get(key) or (f"C-{key.removeprefix('ctrl+')}" if key.startswith("ctrl+") else key)


@dataclass
class Console:
    """`pg_events tui` in a terminal of its own."""

    folder: Path
    size: tuple[int, int]
    environment: Mapping[str, str]
    problems: list[str] = field(default_factory=list)
    pressed: list[str] = field(default_factory=list)
    looked: int = 0
    _clock: str = ""
    _moved: float = 0.0

    @property
    def name(self) -> str:
        return "x".join(map(str, self.size))

    def start(self) -> None:
        command = [sys.executable, "-m", "pg_events", "tui", "--settings", SETTINGS]
        width, height = map(str, self.size)
        self._tmux("-f", os.devnull, "new-session", "-d", "-x", width, "-y", height, *command)
        self._tmux("set-option", "remain-on-exit", "on")
        wait_until(lambda: "LIVE" in self.screen(), f"{self.name} is live", self.screen)
        self._moved = time.monotonic()

    def end(self) -> None:
        self._tmux("kill-server")

    def press(self, *names: str) -> None:
        for name in names:
            self.pressed.append(name)
            self._tmux("send-keys", "--", tmux_key(name))
            time.sleep(ESCAPE_SECONDS if name == "escape" else KEY_SECONDS)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", "--", text)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def look(self, after: str) -> str:
        """The screen; what is wrong with it becomes a problem."""
        screen = self.screen()
        self.looked += 1
        if "Traceback (most recent" in screen:
            self.problem(f"a traceback after {after}", screen)
        if self._tmux("display-message", "-p", "#{pane_dead}").strip() == "1":
            self.problem(f"it ended after {after}", screen)
            raise SystemExit(f"{self.name} ended after {after}:\n{screen}")
        clock = re.search(r"\d\d:\d\d:\d\d\s*$", "\n".join(screen.split("\n")[:2]), re.MULTILINE)
        if clock and clock[0] != self._clock:
            self._clock, self._moved = clock[0], time.monotonic()
        if time.monotonic() > self._moved + STILL_SECONDS:
            self.problem(f"it stood still for {time.monotonic() - self._moved:.1f} s; last key {after}", screen)
            self._moved = time.monotonic()
        return screen

    def problem(self, text: str, screen: str = "") -> None:
        self.problems.append(f"{self.name}: {text}")
        say(self.problems[-1])
        (self.folder / f"{self.name}-{len(self.problems)}.txt").write_text(
            f"{text}\nafter {' '.join(self.pressed[-50:])}\n\n{screen or self.screen()}"
        )

    def total(self) -> str:
        """How many events its header says it has."""
        found = re.search(r"(\S+)(?: ev \S+ \S+)? +behind", self.screen())
        return found[1] if found else "nothing"

    def is_at(self, screen: str) -> bool:
        return f"[{keys.EVERYWHERE.index(screen) + 1} " in self.screen()

    def go_to(self, screen: str) -> None:
        """As a person: once more, with nothing open, when the key was taken for alt and that key."""
        for _ in range(3):
            self.press(str(keys.EVERYWHERE.index(screen) + 1))
            began = time.monotonic()
            while time.monotonic() < began + STILL_SECONDS:
                if self.is_at(screen) and not is_open(self.screen()):
                    return
                time.sleep(KEY_SECONDS)
            self.close()
        self.problem(f"the key of {screen} did nothing")

    def close(self) -> None:
        """Whatever is open: until nothing is, so that no later key answers a question."""

        def closed() -> bool:
            self.press("escape")
            return not is_open(self.screen())

        wait_until(closed, f"{self.name} closes what is open", self.screen)

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", f"pg_events-{os.getpid()}-{self.name}", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env={**os.environ, **self.environment}, capture_output=True, text=True, check=True
        ).stdout


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
        consoles = [Console(self.folder, size, environment) for size in SIZES]
        begin = time.monotonic()
        try:
            for console in consoles:
                console.start()
            hands = [self._hands(console) for console in consoles]

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
            self._judge(consoles, url, traffic, time.monotonic() - begin)
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

    def _hands(self, console: Console) -> Iterator[str]:
        """Press one key after the other, for ever; each tells what was pressed."""
        everything = [
            (screen, key)
            for screen in keys.EVERYWHERE
            for key in keys.on_screen(screen)
            if key.keys and key.id not in LEAVING
        ]
        while True:
            for screen, key in everything:
                if not console.is_at(screen):
                    console.go_to(screen)
                    yield f"{screen}: going there"
                yield from self._press(console, screen, key)
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

    def _judge(self, consoles: list[Console], url: str, traffic: Traffic, seconds: float) -> None:
        rows = execute(url, "select id, xid::text::bigint, table_name, kind from pgevents.log order by id")
        names = {"I": "INSERT", "U": "UPDATE", "D": "DELETE", "T": "TRUNCATE"}
        verdict = traffic.ledger.count_delivered([(i, x, t, names[k]) for i, x, t, k in rows if k in names])
        if verdict.missing or verdict.unexpected:
            self.problems.append(f"the log is not what the writers committed: {verdict}")
        print(f"{seconds:.0f} s, {traffic.ledger.writes} rows written, {len(rows)} events in the log, {verdict}")
        for console in consoles:
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
                f"{console.name}: {len(console.pressed)} keys, looked {console.looked} times; {len(shown)} events,"
                f" in the header {total};"
                f" {len(console.problems)} problems"
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
