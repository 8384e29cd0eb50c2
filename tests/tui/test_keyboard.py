"""Keys that come faster than the console can look at them: all are done, in their order."""

import random
import re
import threading

import pytest
from textual import actions, events
from textual.command import CommandPalette

from pg_events_tui.app import keyboard
from pg_events_tui.widgets import keys

pytestmark = pytest.mark.timeout(60)


def test_what_is_typed_behind_the_key_of_the_filter_goes_into_it(console, make):
    async def scenario(c):
        await c.burst(*"/table:orders op:UX", "backspace", "enter")

        await c.shows("/ table:orders op:U ")
        assert c.app.screen.view.filtered

    console(scenario, history=[make.record(number) for number in range(30)])


def test_a_dialog_gets_what_was_typed_before_it_was_there(console, make, tmp_path):
    async def scenario(c):
        await c.burst("w", "a", "ctrl+u", *f"{tmp_path}/all.jsonl", "enter")

        await c.toast("30 events written")
        assert (tmp_path / "all.jsonl").exists()

    console(scenario, history=[make.record(number) for number in range(30)])


def test_keys_go_on_after_one_that_closed_what_it_was_pressed_in(console, make):
    async def scenario(c):
        await c.burst("?", "escape", "q", "escape", *"kkm", "5", "1", "j")

        await c.until(lambda: "28" in c.cursor_line())
        assert len(c.app.stream.live.marks) == 1

    console(scenario, history=[make.record(number) for number in range(30)])


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
        assert c.app.navigation.screens["live"].detail.face_name == "Diff"

    console(scenario, history=some(make))


@pytest.mark.parametrize("key", ["1", "2", "3", "4", "5"])
@pytest.mark.parametrize("behind", ["j", "d"])
def test_every_screen_takes_a_key_at_once(console, make, key, behind):
    """What it does there is for other tests: here the same key later must not do more."""

    async def look(c):
        await c.until(lambda: c.app.stream.live.searching is None and c.app.stream.schema.searching is None)
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

        assert c.app.screen.filter_bar.filtering.text == "op:D"
        assert c.app.stream.live.marks == {24}

    console(scenario, history=some(make))


@pytest.mark.parametrize("mode", keys.EVERYWHERE)
def test_every_key_of_the_table_reaches_what_it_does(console, make, monkeypatch, mode):
    """On every screen; what the actions do is for the other tests."""

    async def scenario(c):
        await c.burst(str(keys.EVERYWHERE.index(mode) + 1))
        done = []

        async def note(namespace, name, parameters):
            done.append((name, tuple(parameters)))
            return True

        monkeypatch.setattr(c.app, "_dispatch_action", note)
        for key in keys.on_screen(mode, c.app.keys):
            _, name, parameters = actions.parse(key.action) if key.keys else ("", "", ())
            for one in filter(None, key.keys.split(",")):
                done.clear()
                await c.burst(one)
                assert done == [(name, tuple(parameters))], (key.id, one)

    console(scenario, history=some(make))


def test_what_is_typed_at_full_speed_is_intact_and_nothing_moves(console, make):
    pages = [[make.record(number) for number in range(start, start + 200)] for start in range(1_000, 21_000, 200)]
    typed = random.Random(7)

    async def scenario(c):
        await c.burst("k", "k", "k")
        row = c.app.stream.live.selected
        pushing = threading.Thread(target=lambda: [c.feed.push(*page) for page in pages])
        pushing.start()
        for _ in range(6):
            text = "".join(typed.choice('abcdef:," |/-_.0123456789') for _ in range(30))
            await c.burst("/", "ctrl+u", *text)
            assert c.app.screen.query_one("#filter-input").value == text
            await c.burst("escape")
        pushing.join()
        await c.until(lambda: c.app.stream.store.end == 20_030 and c.app.stream.live.searching is None)
        await c.tick()

        assert c.app.stream.live.selected == row
        assert f">{row} " in c.cursor_line()

    console(scenario, history=some(make))


def test_of_a_flood_of_keys_the_rest_is_passed_over_and_that_is_said(console, make, monkeypatch):
    monkeypatch.setattr(keyboard, "MOST_WAITING", 100)

    async def scenario(c):
        for _ in range(5_000):
            c.app.post_message(events.Key("k", "k"))
        await c.toast("keys were passed over")
        await c.burst("/", *"op:D")

        assert c.app.screen.filter_bar.filtering.text == "op:D"

    console(scenario, history=[make.record(number) for number in range(30)])


@pytest.mark.parametrize("where", ["", "/", "y", "?", ":"])
def test_the_key_that_leaves_can_be_another_one_everywhere(console, make, where):
    async def scenario(c):
        await c.burst(*where)
        await c.burst("ctrl+q")
        assert c.app.is_running
        assert c.app.return_value is None
        await c.press("f10")
        await c.until(lambda: c.app.return_value == 0)

    console(scenario, history=some(make), keymap={"app.quit": "f10"})


def test_a_letter_that_leaves_is_still_typed_in_a_field(console, make):
    async def scenario(c):
        await c.burst("/", *"Quito")
        assert c.app.screen.query_one("#filter-input").value == "Quito"
        await c.burst("escape")
        await c.press("Q")
        await c.until(lambda: c.app.return_value == 0)

    console(scenario, history=some(make), keymap={"app.quit": "Q"})


def test_the_key_of_the_palette_can_be_another_one(console, make):
    async def scenario(c):
        await c.burst("ctrl+p")
        assert not CommandPalette.is_open(c.app)
        await c.burst("f9")
        assert CommandPalette.is_open(c.app)
        await c.burst("escape")

    console(scenario, history=some(make), keymap={"app.palette": "f9"})


@pytest.mark.parametrize("key", ["pagedown", "pageup"])
@pytest.mark.parametrize("palette", ["commands", "themes"])
def test_a_page_key_before_the_palette_is_drawn_harms_nothing(console, make, monkeypatch, key, palette):
    filled = CommandPalette._refresh_command_list
    too_early = []

    def press_at_once(self, listed, *given):
        """The commands are there, the first is highlighted, and nothing was laid out yet."""
        filled(self, listed, *given)
        if not listed.scrollable_content_region:
            too_early.append(listed.option_count)
            self._action_command_list(f"page_{key.removeprefix('page')}")

    monkeypatch.setattr(CommandPalette, "_refresh_command_list", press_at_once)

    async def scenario(c):
        if palette == "themes":
            c.app.search_themes()
        await c.burst(*(["ctrl+p"] if palette == "commands" else []), key, key)
        await c.until(lambda: c.app.screen.query("CommandList"))
        listed = c.app.screen.query_one("CommandList")
        await c.until(lambda: listed.scrollable_content_region and listed.option_count > 5)
        assert too_early
        await c.burst("pageup", "pageup", "pageup", "pagedown")
        assert listed.highlighted > 0
        await c.burst("escape")
        assert c.app.is_running

    console(scenario, history=some(make))
