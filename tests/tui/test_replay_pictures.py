"""How Replay looks in each of its states, letter by letter, in both layouts; and that it is usable at 60 columns."""

import re
from dataclasses import replace

import pytest

from tests.tui import replaying
from tests.tui.replaying import all_shown, ended, planned, real

pytestmark = pytest.mark.timeout(90)

SOME_FAIL = replaying.SOME_FAIL.replace("payload)\n    if", "payload)\n    del payload\n    if")
"""The name of the run is in the payload: not among what a picture shows."""
SIZES = [(120, 36), (80, 24)]
HANGS = "import signal\n\ndef on_order(payload):\n    print('posting', flush=True)\n    signal.pause()\n"


def history(make):
    return [*(make.record(number, "IUD"[number % 3]) for number in range(1, 8)), make.ddl(8)]


def picture(c):
    """What is on the screen, with a name and times that are the same each time."""
    return re.sub(r"\d{8}-\d{6}-\d{3}", "20260822-120000-000", c.text())


async def settled(c):
    """Every call took a millisecond and a quarter."""
    found = c.app.replays.current
    for row, outcomes in found.attempts.items():
        found.attempts[row] = [replace(one, milliseconds=1.25) for one in outcomes]
    found.version += 1
    c.app.clear_notifications()
    await c.tick()


def name_of(state, size):
    return f"replay-{state}-{size[0]}x{size[1]}"


@pytest.mark.parametrize("size", SIZES)
def test_empty(console, snapshot, make, size):
    async def scenario(c):
        await c.press("4")
        await c.tick()
        snapshot(name_of("empty", size), picture(c))
        await c.press("S")
        await c.tick()
        snapshot(name_of("source", size), picture(c))

    console(scenario, history=history(make), size=size)


@pytest.mark.parametrize("size", SIZES)
def test_plan_and_question(console, snapshot, make, callbacks, size):
    async def scenario(c):
        await planned(c, "4", "S", "s")
        snapshot(name_of("plan", size), picture(c))
        await c.press("exclamation_mark")
        await c.tick()
        snapshot(name_of("question", size), picture(c))

    console(scenario, history=history(make), size=size, settings=callbacks(SOME_FAIL))


@pytest.mark.parametrize("size", SIZES)
def test_running(console, snapshot, make, callbacks, size):
    async def scenario(c):
        replay = await planned(c, "4", "S", "s")
        await real(c)
        await c.until(lambda: "posting" in replay.output, 30)
        began = replay.current[1]
        replay.clock = lambda: began + 3.2
        await c.tick()
        snapshot(name_of("running", size), picture(c))

    console(scenario, history=history(make), size=size, settings=callbacks(HANGS))


@pytest.mark.parametrize("size", SIZES)
def test_failed_with_its_traceback(console, snapshot, make, callbacks, size):
    async def scenario(c):
        await all_shown(c)
        await real(c)
        await ended(c)
        await settled(c)
        snapshot(name_of("failed", size), picture(c))

    console(scenario, history=history(make), size=size, settings=callbacks(SOME_FAIL))


@pytest.mark.parametrize("size", SIZES)
def test_compared(console, snapshot, make, callbacks, size):
    async def scenario(c):
        await all_shown(c)
        await c.press("a")
        await real(c)
        await ended(c)
        callbacks(SOME_FAIL.replace("% 3", "% 2"))
        await real(c)
        await ended(c)
        await c.press("g", "j", "d", "d", "d", "d")
        await settled(c)
        replay = c.app.replays.current
        replay._others = {key: replace(one, milliseconds=1.25) for key, one in replay._others.items()}
        await settled(c)
        snapshot(name_of("compare", size), picture(c))

    console(scenario, history=history(make), size=size, settings=callbacks(SOME_FAIL))


def test_sixty_columns_are_enough(console, make, callbacks):
    async def scenario(c):
        await all_shown(c)
        await real(c)
        await ended(c)
        text = c.text()
        for words in ("STOPPED on error", "2/8", "ERR KeyError", "space", "? keys"):
            assert words in text
        assert all(len(line) <= 60 for line in c.lines())
        await c.press("enter")
        await c.tick()
        assert "in post" in c.text()

    console(scenario, history=history(make), size=(60, 30), settings=callbacks(SOME_FAIL))
