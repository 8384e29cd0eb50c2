"""Keys that come faster than the console: each does what it would have done had the user waited."""

import re

import pytest

pytestmark = pytest.mark.timeout(60)


def some(make, count=30):
    return [make.record(number, "D" if number % 3 == 0 else "U") for number in range(count)]


def steady(text):
    """Without what no clock can be injected for: the cost of a tick and the memory of the process."""
    return re.sub(r"tick +[\d.]+ ms|memory +\d+ [kM]B|none yet", "", text)


def test_a_key_right_behind_that_of_a_screen_is_the_new_screens(console, make):
    async def scenario(c):
        await c.burst("5", "d")

        assert c.app.current_mode == "health"
        assert c.app.screen.face == 1
        assert c.app.known_screens["live"].detail.face_name == "Diff"

    console(scenario, history=some(make))


@pytest.mark.parametrize("key", ["1", "2", "3", "4", "5"])
@pytest.mark.parametrize("behind", ["j", "d"])
def test_every_screen_takes_a_key_at_once(console, make, key, behind):
    """What it does there is for other tests: here the same key later must not do more."""

    async def look(c):
        await c.until(lambda: c.app.live.searching is None and c.app.schema.searching is None)
        await c.tick()
        return steady(c.text())

    seen = []

    async def at_once(c):
        await c.burst(key, behind)
        seen.append(await look(c))

    async def later(c):
        await c.press(key)
        await c.press(behind)
        seen.append(await look(c))

    console(at_once, history=some(make))
    console(later, history=some(make))
    assert seen[0] == seen[1]


def test_what_is_typed_behind_the_slash_is_in_the_filter_and_the_next_key_is_not(console, make):
    async def scenario(c):
        await c.burst("/", *"op:D", "enter", "k", "m")

        assert c.app.screen.filtering.text == "op:D"
        assert c.app.live.marks == {24}

    console(scenario, history=some(make))


def test_a_letter_right_behind_the_key_of_a_dialog_is_the_dialogs(console, make, tmp_path):
    async def scenario(c):
        await c.burst("w", "s", *["backspace"] * 60, *str(tmp_path / "all.jsonl"), "enter")
        await c.toast("30 events written")

        await c.burst("q", "y")
        await c.until(lambda: c.app.return_value == 0)

    console(scenario, history=some(make))
