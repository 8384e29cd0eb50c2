"""Take the pictures of the console, and the recording: python screenshots/make.py [DIRECTORY]

Runs the demo, its traffic and its worker, and the real console on it; presses the keys a user would press.
"""

import asyncio
import re
import sys
from pathlib import Path

from console import opened, run
from recording import record

from pg_events.demo.run import Demo, running

WIDE, NARROW = (120, 36), (80, 24)

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


def portable(picture: str) -> str:
    """The same in every viewer: no fonts fetched from another site, no space dropped at the start of a text."""
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    return picture.replace("<svg ", '<svg xml:space="preserve" ', 1)


async def take(demo: Demo, path: Path, size: tuple[int, int], *steps: str) -> None:
    """A picture of the console after the steps: `shows …` and `select …` wait and look, others are keys to press."""
    async with opened(demo, size) as console:
        for step in steps:
            word, _, rest = step.partition(" ")
            if word == "shows":
                await console.until_shown(rest)
            elif word == "select":
                await console.select(rest)
            else:
                await console.press(step)
        console.app.clear_notifications()
        await console.pilot.pause(1.0)  # a second's rate in the header
        path.write_text(portable(console.app.export_screenshot(title="pg_events")), encoding="utf-8")


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
        await record(demo, directory / "recording.svg")
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
