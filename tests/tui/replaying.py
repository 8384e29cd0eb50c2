"""Words for the tests of Replay."""

from pg_events.playback.control import Pace

GOOD = """
import json, sys

def on_order(payload):
    event = json.loads(payload)
    print("looking at", event["id"])
    return {"id": event["id"]}
"""
SOME_FAIL = """
import json

def on_order(payload):
    event = json.loads(payload)
    if event["id"] % 3 == 0:
        return post(event["new_data"])
    return event["id"]

def post(new):
    ref = new["paid_ref"]
"""


async def planned(c, *keys):
    """Press keys that choose events, and wait for the plan."""
    await c.press(*(keys or ("r",)))
    await c.until(lambda: c.app.replays.current is not None and c.app.replays.current.planned is not None)
    await c.tick()
    return c.app.replays.current


async def real(c, answer="y"):
    await c.press("exclamation_mark")
    assert "for real?" in c.text() or "as a new run?" in c.text()
    await c.press(answer)


async def ended(c):
    await c.until(lambda: not c.app.replays.current.is_playing, 60)
    await c.tick()
    return c.app.replays.current


def shown(make, count=7):
    return [make.record(number) for number in range(1, count + 1)]


async def all_shown(c, *, speed=None):
    c.app.replays.set_pace(Pace(speed=speed))
    return await planned(c, "4", "S", "s")


def states(replay):
    return "".join(replay.state(row)[0] for row in range(len(replay.queue)))
