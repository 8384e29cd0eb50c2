"""The real console on a running demo, driven by keys; what it shows is waited for."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from time import monotonic
from typing import LiteralString, cast

import psycopg
from rich.console import Console as Paper
from rich.segment import Segment
from textual.pilot import Pilot

from pg_events.config.settings import Settings
from pg_events.demo.run import Demo
from pg_events_tui.app.console import ConsoleApp
from pg_events_tui.model.backend import Database, DatabaseFeed

EVENTS = 300
"""So many are waited for, so that there is something to see."""
PATIENCE_SECONDS = 60.0


class Console:
    """A console at work."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    def lines(self) -> list[str]:
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    def rows(self) -> list[list[Segment]]:
        """The whole screen with its colours."""
        width, height = self.app.size
        paper = Paper(width=width, height=height, force_terminal=True, color_system="truecolor", legacy_windows=False)
        update = self.app.screen._compositor.render_update(full=True, screen_stack=self.app._background_screens)
        return list(Segment.split_and_crop_lines(paper.render(update), width, include_new_lines=False))[:height]

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until_shown(self, words: str) -> None:
        deadline = monotonic() + PATIENCE_SECONDS
        while words not in "\n".join(self.lines()):
            if monotonic() > deadline:
                raise SystemExit(f"{words!r} never came on the screen:\n" + "\n".join(self.lines()))
            await self.pilot.pause(0.05)

    async def select(self, pattern: str, key: str = "k") -> None:
        """Go up, or as the key leads, to the nearest row that looks so."""
        for _ in range(EVENTS):
            await self.pilot.press(key)
            if any(">" in line[:3] and re.search(pattern, line) for line in self.lines()):
                return
        raise SystemExit(f"no row like {pattern!r}:\n" + "\n".join(self.lines()))


@asynccontextmanager
async def opened(demo: Demo, size: tuple[int, int], settings: Settings | None = None) -> AsyncIterator[Console]:
    """A console on the demo's database, with some events in it already; other settings give it other callbacks."""
    chosen = settings or demo.settings
    assert chosen.database_url is not None
    app = ConsoleApp(DatabaseFeed(chosen.database_url), Database(chosen), chosen, zone=UTC)
    app.animation_level = "none"
    try:
        async with app.run_test(size=size) as pilot:
            console = Console(app, pilot)
            await console.until_shown("LIVE")
            while len(app.store) < EVENTS:
                await pilot.pause(0.1)
            yield console
    finally:
        app.stop()


def run(demo: Demo, statements: str | Sequence[str], application_name: str) -> None:
    """Each line is a statement."""
    assert demo.settings.database_url is not None
    with psycopg.connect(demo.settings.database_url, autocommit=True, application_name=application_name) as connection:
        for statement in statements.splitlines() if isinstance(statements, str) else statements:
            connection.execute(cast("LiteralString", statement))
