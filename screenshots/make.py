"""Take the pictures of the console: python screenshots/make.py

Runs the demo, its traffic and its worker, and the real console on it; presses the keys a user would press.
"""

import asyncio
from pathlib import Path

from textual.pilot import Pilot

from pg_events.demo.run import Demo, running
from pg_events.listener import Listener
from pg_events_tui import replay
from pg_events_tui.app import ConsoleApp
from pg_events_tui.backend import Database

HERE = Path(__file__).parent
WIDE, NARROW = (120, 36), (80, 24)


async def until(pilot: Pilot[int], words: str) -> None:
    """Wait until the words are on the screen."""
    for _ in range(300):
        await pilot.pause(0.1)
        if words in pilot.app.export_screenshot().replace("&#160;", " "):
            return
    raise SystemExit(f"{words!r} never came on the screen")


async def take(demo: Demo, name: str, size: tuple[int, int], *steps: str) -> None:
    """A picture of the console after the steps: keys to press, or `wait for …`."""
    assert demo.settings.database_url is not None
    app = ConsoleApp(
        Listener(demo.settings.database_url),
        Database(demo.settings),
        lambda kind: replay.target(demo.settings, kind),
    )
    async with app.run_test(size=size) as pilot:
        await until(pilot, "LIVE")
        await pilot.pause(5)  # some traffic, for something to see
        for step in steps:
            if step.startswith("wait for "):
                await until(pilot, step.removeprefix("wait for "))
            else:
                await pilot.press(step)
                await pilot.pause(0.3)
        (HERE / f"{name}.svg").write_text(app.export_screenshot(title="pg_events demo"))
    app.stop()
    print(HERE / f"{name}.svg")


async def main() -> None:
    with running(rate=30, seed=3) as demo:
        await asyncio.sleep(8)
        await take(demo, "live", WIDE, "k", "k", "k", "k", "k")
        await take(demo, "live-80x24", NARROW)
        await take(demo, "coverage", WIDE, "2", "wait for covered", "j")
        await take(demo, "schema", WIDE, "3", "wait for ALTER")
        await take(demo, "replay", WIDE, "k", "r", "y", "wait for returned")
        demo.finish()


asyncio.run(main())
