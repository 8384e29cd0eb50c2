"""The recording for the README: what a person does with the console in half a minute."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from console import Console, opened, run
from film import Frame, film

from pg_events.demo.run import Demo
from pg_events.triggers.catalog import OPERATIONS

SIZE = (120, 31)
FORGOTTEN = [f'drop trigger "00_pgevents_{operation}" on shop.payments' for operation in OPERATIONS]
HANDLERS = '''\
"""Receipts by mail."""

from pg_events import parse


def order_changed(payload: str) -> str:
    """Called with every change."""
    order = parse(payload).new_data
    return f"receipt for order {order['id']}: {order['amount']:.2f}"
'''
MENDED = HANDLERS.replace("order['amount']", "order['total']")


class Camera:
    """Takes the frames of a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.frames: list[Frame] = []
        self.key = self.caption = ""

    def says(self, key: str, caption: str) -> None:
        """From the next frame on."""
        self.key, self.caption = key, caption

    def take(self, seconds: float) -> None:
        self.console.app.clear_notifications()
        self.frames.append(Frame(self.console.rows(), seconds, self.key, self.caption))

    async def stream(self, frames: int, seconds: float = 0.3) -> None:
        """The console as time goes by."""
        for _ in range(frames):
            await self.console.pilot.pause(seconds)
            self.take(seconds)

    async def type(self, text: str) -> None:
        names = {" ": "space", ":": "colon"}
        for letter in text:
            await self.console.press(names.get(letter, letter))
            self.take(0.12)


@contextmanager
def handlers() -> Iterator[Path]:
    """A user's module, in the current directory."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            path = Path("receipts.py")
            path.write_text(HANDLERS)
            yield path
        finally:
            os.chdir(before)


async def record(demo: Demo, path: Path) -> None:
    """Play it, and write the film."""
    target = path.absolute()
    with handlers() as module:
        settings = replace(demo.settings, data_update_callback="receipts.order_changed")
        async with opened(demo, SIZE, settings) as console:
            camera = Camera(console)
            await play(demo, console, camera, module)
    still = next(number for number, frame in enumerate(camera.frames) if "difference" in frame.caption)
    target.write_text(film(camera.frames, SIZE[0], "pg_events tui", still=still), encoding="utf-8")


async def play(demo: Demo, console: Console, camera: Camera, module: Path) -> None:
    camera.says("", "Every change in the database, as it happens")
    await camera.stream(10)
    camera.says("/", "a filter, as you type")
    await console.press("slash")
    camera.take(0.5)
    await camera.type("op:U paid")
    await camera.stream(2, 0.4)
    await console.press("enter")
    await console.select(r" U .*orders .*status")
    await console.until_shown("history of")
    camera.says("↑ ↓", "the difference, who did it, and the row's history")
    camera.take(2.6)
    run(demo, FORGOTTEN, "psql")
    await console.press("2", "R")
    await console.until_shown("MISSING")
    await console.press("g")
    camera.says("2", "is every table captured? payments is not")
    camera.take(2.4)
    camera.says("B", "what a build would do: its SQL, its locks, who would wait")
    await console.press("B")
    await console.until_shown("4 changes")
    camera.take(2.8)
    camera.says("y", "do it; writers wait for a tenth of a second at most")
    await console.press("y")
    await console.until_shown("applied 4")
    await console.pilot.pause(0.5)
    camera.take(1.6)
    await console.press("escape")
    await console.until_shown("16 of 16 covered")
    await console.pilot.pause(0.5)
    camera.says("2", "every table is captured")
    camera.take(1.2)
    await console.press("1")
    camera.says("r", "that event once more: the plan calls nothing")
    await console.press("r")
    await console.until_shown("Plan: nothing is called")
    camera.take(1.6)
    camera.says("!", "leave the plan; it asks")
    await console.press("exclamation_mark")
    await console.until_shown("for real?")
    camera.take(1.4)
    await console.press("y")
    await console.until_shown("KeyError")
    camera.says("", "it failed, with your line and its variables")
    camera.take(2.4)
    module.write_text(MENDED)
    camera.says("r", "mend it, save, and once more")
    await console.press("r")
    await console.until_shown("receipt for order")
    camera.take(3.0)
