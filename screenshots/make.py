"""Take the pictures of the console: python screenshots/make.py [DIRECTORY]

Runs the demo, its traffic and its worker, and the real console on it; presses the keys a user would press.
"""

import asyncio
import re
import sys
from datetime import UTC
from pathlib import Path
from time import monotonic
from typing import LiteralString, cast

import psycopg
from textual.pilot import Pilot

from pg_events.demo.run import Demo, running
from pg_events_tui.app import ConsoleApp
from pg_events_tui.backend import Database, DatabaseFeed

WIDE, NARROW = (120, 36), (80, 24)
EVENTS = 300
"""So many are waited for, so that there is something to see."""
PATIENCE_SECONDS = 60.0

MIGRATION = """\
alter table shop.orders add column gift_note text
create index orders_by_day on shop.orders (ordered_at)
alter table shop.products alter column name type varchar(200)
create table shop.refunds (id bigint generated always as identity primary key, order_id bigint not null)
drop index shop.orders_by_day"""
ACCIDENT = """\
drop trigger "00_pgevents_update" on shop.carts
alter table shop.stock disable trigger "00_pgevents_delete\""""
"""What coverage shows and a build mends."""


def lines(app: ConsoleApp) -> list[str]:
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


async def until_shown(app: ConsoleApp, pilot: Pilot[int], words: str) -> None:
    deadline = monotonic() + PATIENCE_SECONDS
    while words not in "\n".join(lines(app)):
        if monotonic() > deadline:
            raise SystemExit(f"{words!r} never came on the screen:\n" + "\n".join(lines(app)))
        await pilot.pause(0.05)


async def select(app: ConsoleApp, pilot: Pilot[int], pattern: str) -> None:
    """Go up to the nearest row that looks so."""
    for _ in range(EVENTS):
        await pilot.press("k")
        if any(">" in line[:3] and re.search(pattern, line) for line in lines(app)):
            return
    raise SystemExit(f"no row like {pattern!r}:\n" + "\n".join(lines(app)))


def portable(picture: str) -> str:
    """The same in every viewer: no fonts fetched from another site, no space dropped at the start of a text."""
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    return picture.replace("<svg ", '<svg xml:space="preserve" ', 1)


async def take(demo: Demo, path: Path, size: tuple[int, int], *steps: str) -> None:
    """A picture of the console after the steps: `shows …` and `select …` wait and look, others are keys to press."""
    assert demo.settings.database_url is not None
    app = ConsoleApp(
        DatabaseFeed(demo.settings.database_url),
        Database(demo.settings),
        demo.settings,
        zone=UTC,
    )
    app.animation_level = "none"
    try:
        async with app.run_test(size=size) as pilot:
            await until_shown(app, pilot, "LIVE")
            while len(app.store) < EVENTS:
                await pilot.pause(0.1)
            for step in steps:
                word, _, rest = step.partition(" ")
                if word == "shows":
                    await until_shown(app, pilot, rest)
                elif word == "select":
                    await select(app, pilot, rest)
                else:
                    await pilot.press(step)
            app.clear_notifications()
            await pilot.pause(1.0)  # a second's rate in the header
            path.write_text(portable(app.export_screenshot(title="pg_events")), encoding="utf-8")
    finally:
        app.stop()


def run(demo: Demo, statements: str, application_name: str) -> None:
    assert demo.settings.database_url is not None
    with psycopg.connect(demo.settings.database_url, autocommit=True, application_name=application_name) as connection:
        for statement in statements.splitlines():
            connection.execute(cast("LiteralString", statement))


async def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    directory.mkdir(parents=True, exist_ok=True)
    # Page views come eight at a time and would fill the list.
    quiet = ("slash", *"-table:page_views", "enter")
    orders = ("slash", *"table:orders", "enter")
    callback = [
        {".": "full_stop", "_": "underscore"}.get(letter, letter) for letter in "pg_events.demo.callbacks.announce"
    ]
    replayed = (
        "4", "S", "s", "shows PLAN", "t", "shows Into which", "o", "shows It gets every event", *callback, "enter",
        "shows announce", *["plus"] * 5, "exclamation_mark", "shows for real?", "y", "shows STOPPED on error",
    )  # fmt: skip
    with running(rate=12, seed=3) as demo:
        await take(demo, directory / "live.svg", WIDE, *quiet, "select  U .*orders .*status")
        await take(demo, directory / "live-80x24.svg", NARROW, *quiet)
        await take(demo, directory / "replay.svg", WIDE, *orders, *replayed)
        run(demo, MIGRATION, "migrate")
        await take(demo, directory / "schema.svg", WIDE, "3", "shows CREATE TABLE", "select  ALTER TABLE")
        await take(demo, directory / "health.svg", WIDE, "5", "shows page_views")
        run(demo, ACCIDENT, "psql")
        await take(demo, directory / "coverage.svg", WIDE, "2", "shows PARTIAL")
        await take(demo, directory / "plan.svg", WIDE, "2", "shows PARTIAL", "B", "shows 2 changes")
        demo.finish()


asyncio.run(main())
