"""Keys that come faster than the console can look at them: all are done, in their order."""

import pytest
from textual import events
from textual.keys import _character_to_key

pytestmark = pytest.mark.timeout(60)


async def at_once(c, *typed: str) -> None:
    """Press keys and type texts, all before the console looks at the first."""
    for one in typed:
        for key in [one] if one in ("enter", "backspace", "ctrl+u", "escape") else [*one]:
            named = len(key) > 1
            c.app.post_message(events.Key(key if named else _character_to_key(key), None if named else key))
    await c.pilot.pause()


def test_what_is_typed_behind_the_key_of_the_filter_goes_into_it(console, make):
    async def scenario(c):
        await at_once(c, "/table:orders op:UX", "backspace", "enter")

        await c.shows("/ table:orders op:U ")
        assert c.app.screen.view.filtered

    console(scenario, history=[make.record(number) for number in range(30)])


def test_a_dialog_gets_what_was_typed_before_it_was_there(console, make, tmp_path):
    async def scenario(c):
        await at_once(c, "wa", "ctrl+u", f"{tmp_path}/all.jsonl", "enter")

        await c.toast("30 events written")
        assert (tmp_path / "all.jsonl").exists()

    console(scenario, history=[make.record(number) for number in range(30)])


def test_keys_go_on_after_one_that_closed_what_it_was_pressed_in(console, make):
    async def scenario(c):
        await at_once(c, "?", "escape", "q", "escape", "kkm", "5", "1", "j")

        await c.until(lambda: "28" in c.cursor_line())
        assert len(c.app.live.marks) == 1

    console(scenario, history=[make.record(number) for number in range(30)])
