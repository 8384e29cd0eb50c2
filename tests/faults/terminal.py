"""`pg_events tui` in a terminal of its own (tmux), with the words that drive it and look at it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pg_events_tui.widgets import keys
from tests.faults.harness import wait_until

KEY_SECONDS: Final = 0.2
ESCAPE_SECONDS: Final = 0.5
"""After each. What comes right behind an escape, a terminal takes for alt and that key; on a busy machine that is long."""
STILL_SECONDS: Final = 5.0
"""A console whose rows on top stand still for longer is frozen."""
ANSWER_SECONDS: Final = 30.0
"""So long a console may take for what it was asked for: to connect again takes up to 18 s."""
TMUX_NAMES: Final = {
    "pagedown": "NPage", "pageup": "PPage", "down": "Down", "up": "Up", "left": "Left", "right": "Right", "home": "Home",
    "end": "End", "enter": "Enter", "escape": "Escape", "tab": "Tab", "shift+tab": "BTab", "space": "Space",
    "delete": "DC", "slash": "/", "equals_sign": "=", "number_sign": "#", "at": "@", "left_square_bracket": "[",
    "right_square_bracket": "]", "colon": ":", "question_mark": "?", "full_stop": ".", "comma": ",", "plus": "+",
    "minus": "-", "exclamation_mark": "!", "greater_than_sign": ">", "f1": "F1",
}  # fmt: skip


class NotShown(Exception):
    """What had to come did not."""


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
    """One console. What goes wrong is noted, with the screen, and said at once."""

    folder: Path
    """It runs there, and leaves the screens of its problems there."""
    size: tuple[int, int]
    arguments: tuple[str, ...]
    """Of `pg_events tui`."""
    environment: Mapping[str, str]
    problems: list[str] = field(default_factory=list[str])
    pressed: list[str] = field(default_factory=list[str])
    looked: int = 0
    _top: str = ""
    _moved: float = 0.0

    @property
    def name(self) -> str:
        return "x".join(map(str, self.size))

    def start(self) -> None:
        command = [sys.executable, "-m", "pg_events", "tui", *self.arguments]
        width, height = map(str, self.size)
        self._tmux("-f", os.devnull, "new-session", "-d", "-x", width, "-y", height, *command)
        self._tmux("set-option", "remain-on-exit", "on")
        wait_until(lambda: "LIVE" in self.screen(), f"{self.name} is live", self.screen)
        self._moved = time.monotonic()

    def end(self) -> None:
        self._tmux("kill-server")

    # ---- hands

    def press(self, *names: str) -> None:
        for name in names:
            self.pressed.append(name)
            self._tmux("send-keys", "--", tmux_key(name))
            time.sleep(ESCAPE_SECONDS if name == "escape" else KEY_SECONDS)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", "--", text)

    def rush(self, *parts: str) -> None:
        """Keys by name and texts letter by letter, all there at once: faster than anybody types."""
        self.pressed += parts
        command: list[str] = []
        for part in parts:
            key = tmux_key(part)
            is_key = key != part or len(part) == 1
            command += ["send-keys", "--", key, ";"] if is_key else ["send-keys", "-l", "--", part, ";"]
        self._tmux(*command[:-1])
        time.sleep(KEY_SECONDS)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def close(self) -> None:
        """Whatever is open: until nothing is, so that no later key answers a question."""

        def closed() -> bool:
            self.press("escape")
            return not is_open(self.screen())

        wait_until(closed, f"{self.name} closes what is open", self.screen)

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

    # ---- eyes

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
        top = "\n".join(screen.split("\n")[:2])  # the clock, and where a dialog covers it, lag and rates
        if top != self._top:
            self._top, self._moved = top, time.monotonic()
        if time.monotonic() > self._moved + STILL_SECONDS:
            self.problem(f"it stood still for {time.monotonic() - self._moved:.1f} s; last key {after}", screen)
            self._moved = time.monotonic()
        return screen

    def until_shown(self, *words: str, doing: str) -> Iterator[str]:
        """Look again and again until one of the words is there. Raises `NotShown`, with a problem noted."""
        yield from self.until(lambda screen: any(one in screen for one in words), " or ".join(words), doing=doing)

    def until(self, holds: Callable[[str], bool], what: str, *, doing: str) -> Iterator[str]:
        """Look again and again until that is so of the screen. Raises `NotShown`, with a problem noted."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while not holds(screen := self.screen()):
            if time.monotonic() > deadline:
                self.problem(f"{doing}: waited in vain for {what}", screen)
                raise NotShown(what)
            yield doing

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

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", f"pg_events-{os.getpid()}-{self.name}", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env={**os.environ, **self.environment}, capture_output=True, text=True, check=True
        ).stdout
