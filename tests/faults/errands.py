"""What a person sets out to do at the console, and what must be on the screen then.

An errand presses keys and yields what it is doing, so that whoever sits at several consoles can look at each in between.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.faults.harness import execute
from tests.faults.terminal import Console, NotShown

HANGING: Final = """import threading


def callback(payload):
    print("and now for ever", flush=True)
    threading.Event().wait()
"""
"""A callback that never comes back: `hanging.py` in the consoles' folder."""


class Errands:
    """Those of one console."""

    def __init__(self, console: Console, url: str) -> None:
        self.console = console
        self.url = url
        self.table = f"session_{console.name}"
        """Of this console alone, and nobody writes to it."""
        self.done = 0
        (console.folder / "hanging.py").write_text(HANGING)

    def all(self) -> Iterator[Callable[[], Iterator[str]]]:
        """In this order."""
        yield self.filter_at_full_speed
        yield self.commands
        yield self.mend_a_table
        yield self.jump_from_schema
        yield self.step_through_a_replay
        yield self.kill_what_hangs
        yield self.open_a_kept_run
        yield self.marks
        yield self.health
        yield self.other_sizes

    def run(self, errand: Callable[[], Iterator[str]]) -> Iterator[str]:
        """One of them, from a calm screen to a calm screen; one that fails ends there."""
        try:
            yield from self._calm("live")
            for doing in errand():
                yield f"{errand.__name__}: {doing}"
            self.done += 1
        except NotShown:
            yield f"{errand.__name__}: given up"
        self.console.close()

    def _calm(self, screen: str) -> Iterator[str]:
        """A screen as it is at first: no filter, no marks only, nothing sorted, following."""
        self.console.go_to(screen)
        yield f"going to {screen}"
        for _ in range(5):
            self.console.press("escape")
        self.console.press("G")
        yield f"calm at {screen}"

    # ---- lists

    def filter_at_full_speed(self) -> Iterator[str]:
        for text in ("table:order_items op:I,U", "is:ddl or new.quantity>1", ""):
            yield from self._filter(text)

    def _filter(self, text: str) -> Iterator[str]:
        """Every key at once; not one may be lost or act on the list."""
        self.console.rush("slash", "ctrl+u", *([text] if text else []), "enter")
        words = f"/ {text}" if text else "/ filter"
        yield from self.console.until_shown(words, doing=f"filtering by {text!r} at full speed")

    def commands(self) -> Iterator[str]:
        for typed, shown in (
            ("stats", "In numbers"),
            ("columns op,table,changed,application", "application"),
            ("columns", "key"),
            ("theme pg-events-light", "FOLLOWING"),
            ("theme pg-events-dark", "FOLLOWING"),
            ("clear view", "cleared (esc"),
            ("goto 1m", "HOLDING"),
            ("goto #1", "HOLDING"),
            ("bogus", "there is no command"),
        ):
            self.console.rush("colon", typed, "enter")
            yield from self.console.until_shown(shown, doing=f":{typed}")
            self.console.press("escape")
        self.console.rush("colon", "sta", "tab", "enter")
        yield from self.console.until_shown("In numbers", doing="completing :sta")
        self.console.press("escape", "G")
        yield from self._write()

    def _write(self) -> Iterator[str]:
        path = Path(f"{self.table}.jsonl")
        (self.console.folder / path).unlink(missing_ok=True)
        self.console.rush("colon", f"write @focus {path}", "enter")
        yield from self.console.until_shown("1 event written", doing="writing one event")

    def marks(self) -> Iterator[str]:
        self.console.press("m", "k", "m", "M")
        yield from self.console.until_shown("marked only", doing="marked only")
        self.console.press("M", "k")
        yield from self.console.until(lambda screen: "marked only" not in screen, "all", doing="all again")
        self.console.rush("slash", "ctrl+u", "table:ord", "tab", "tab", "enter")
        yield from self.console.until_shown("/ table:order", doing="completing a table")
        yield from self._filter("")

    def jump_from_schema(self) -> Iterator[str]:
        yield from self._calm("schema")
        yield from self.console.until_shown("CREATE TABLE", "ALTER TABLE", doing="DDL in Schema")
        self.console.press("L")
        yield from self.console.until(
            lambda screen: "[1 " in screen and "HOLDING" in screen and any(" ! " in one for one in _selected(screen)),
            "the DDL among the events",
            doing="jumping to Live",
        )

    # ---- capture

    def mend_a_table(self) -> Iterator[str]:
        """Its triggers are disabled behind the console's back; a plan for it is read and applied."""
        execute(
            self.url,
            f'create table if not exists public."{self.table}" (id integer primary key)',
            f'alter table public."{self.table}" disable trigger all',
        )
        yield from self._calm("coverage")
        self.console.press(*(["u"] if "u shows all" in self.console.screen() else []), "R")
        self.console.rush("slash", "ctrl+u", self.table, "enter")
        yield from self.console.until(
            lambda screen: any(self.table in one and "DISABLED" in one for one in _selected(screen)),
            "it selected, DISABLED",
            doing="a disabled table",
        )
        self.console.press("b")
        yield from self.console.until_shown("y apply", doing="its plan")
        self.console.press("s", "s", "y")
        yield from self.console.until_shown("failed 0", doing="applying it")
        self.console.press("escape", "R")
        yield from self.console.until(
            lambda screen: any(self.table in one and "covered" in one for one in _list(screen)),
            "it covered",
            doing="coverage afterwards",
        )
        execute(self.url, f'alter table public."{self.table}" add column if not exists note text')
        self.console.rush("slash", "ctrl+u", "enter")

    # ---- replay

    def _plan(self) -> Iterator[str]:
        """The selected event of a table, on Replay; what plays there is stopped before."""
        self.console.go_to("replay")
        yield "going to replay"
        if any(words in self.console.screen() for words in ("PLAYING", "PAUSED", "STARTING", "STOPPING")):
            self.console.press("x", "x")
            yield from self.console.until_shown("STOPPED", "DONE", doing="stopping what plays")
        yield from self._calm("live")
        yield from self._filter("table:order_items op:I")
        self.console.press("r")
        yield from self.console.until_shown("PLAN", "Replay what?", doing="planning")
        if "Replay what?" in self.console.screen():
            self.console.press("e")
        yield from self.console.until(
            lambda screen: "[4 " in screen and "nothing is called" in screen and "LOADING" not in screen,
            "the plan",
            doing="planning",
        )

    def step_through_a_replay(self) -> Iterator[str]:
        yield from self._plan()
        self.console.press("exclamation_mark")
        yield from self.console.until_shown("Call your callback for real?", doing="leaving the plan")
        self.console.press("s")
        yield from self.console.until_shown("READY", doing="ready to step")
        self.console.press("full_stop")
        yield from self.console.until_shown("1 ok", doing="a step")
        yield from self.console.until_shown("DONE", doing="the end of the run")
        for face in ("Output", "Payload", "Edit", "Compare", "Result"):
            self.console.press("d")
            yield from self._face(face)

    def _face(self, face: str) -> Iterator[str]:
        """Where there is room for it."""
        if self.console.size[0] >= 100:
            yield from self.console.until_shown(f"[{face}]", doing=f"the face {face}")

    def kill_what_hangs(self) -> Iterator[str]:
        yield from self._plan()
        self.console.press("t", "o")
        yield from self.console.until_shown("It gets every event", doing="naming a callback")
        self.console.rush("ctrl+u", "hanging.callback", "enter")
        yield from self.console.until(lambda screen: "hanging.callback" in screen, "the target", doing="the target")
        self.console.press("exclamation_mark")
        yield from self.console.until_shown("Call your callback for real?", doing="leaving the plan")
        self.console.press("y")
        yield from self.console.until_shown("running for", doing="a callback that hangs")
        self.console.press("x")
        yield from self.console.until_shown("STOPPING", doing="asking it to stop")
        self.console.press("x")
        yield from self.console.until_shown("STOPPED", doing="killing it")

    def open_a_kept_run(self) -> Iterator[str]:
        yield from self._calm("replay")
        self.console.press("v")
        yield from self.console.until_shown("Runs that were kept:", doing="the kept runs")
        self.console.press("down", "up", "enter")
        yield from self.console.until_shown("KEPT RUN", doing="opening one")

    # ---- the whole

    def health(self) -> Iterator[str]:
        yield from self._calm("health")
        for _ in range(4):
            self.console.press("d")
            yield "next face"
        for face in ("[Rates]", "[Failed", "[Consumers", "[Transactions"):
            for _ in range(4):
                if face in self.console.screen():
                    break
                self.console.press("d")
            yield from self.console.until_shown(face, doing=f"health's {face}")

    def other_sizes(self) -> Iterator[str]:
        try:
            yield from self._sizes()
        finally:
            self.console.resize(*self.console.size)

    def _sizes(self) -> Iterator[str]:
        for size in ((60, 20), (200, 50), (41, 9), (99, 24), (100, 24), (160, 30), self.console.size):
            self.console.resize(*size)
            for screen in ("1", "2", "3", "4", "5"):
                self.console.press(screen)
                yield from self.console.until_shown(f"[{screen} ", doing=f"screen {screen} at {size}")
                yield from self.console.until(_is_drawn, "its last row drawn", doing=f"screen {screen} at {size}")


def _list(screen: str) -> list[str]:
    """The rows without those on top."""
    return screen.split("\n")[3:]


def _selected(screen: str) -> list[str]:
    return [one for one in _list(screen) if ">" in one[:3]]


def _is_drawn(screen: str) -> bool:
    """The keys stand at the bottom."""
    return "keys" in screen.rstrip().rpartition("\n")[2]
