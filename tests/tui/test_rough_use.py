"""A user who is in a hurry, clumsy or ill-disposed: nothing ends, nothing stands still, nothing is drawn wrong."""

import random
from time import process_time

import pytest
from rich.cells import cell_len
from textual import events

from pg_events_tui.app.console import MODES
from pg_events_tui.widgets.short_input import MAX_CHARACTERS

pytestmark = pytest.mark.timeout(120)


def is_whole(c) -> bool:
    """Every row of the screen has exactly the width of the terminal."""
    width = c.app.size.width
    return {strip.cell_length for strip in c.app.screen._compositor.render_strips()} <= {width} and all(
        cell_len(line) <= width for line in c.lines()
    )


@pytest.mark.parametrize("seed", range(3))
def test_wild_resizes_while_events_stream(console, make, seed):
    chance = random.Random(seed)

    async def scenario(c):
        number = 100
        for _ in range(25):
            size = chance.choice([(1, 1), (2, 40), (300, 2), (chance.randint(1, 220), chance.randint(1, 70))])
            await c.pilot.resize_terminal(*size)
            await c.push(*[make.record(number + one, "IUDT"[one % 4]) for one in range(chance.randint(0, 300))])
            number += 300
            await c.press(
                chance.choice(["1", "2", "3", "4", "5", "enter", "z", "d", "escape", "question_mark", "colon"])
            )
            await c.tick()
            assert is_whole(c), size

    console(scenario, history=[make.record(number) for number in range(50)] + [make.ddl(60)])


@pytest.mark.parametrize("size", [(200, 50), (60, 12), (41, 9)])
def test_the_keys_and_the_tab_of_the_screen_are_there_at_any_size(console, make, size):
    async def scenario(c):
        for number in range(1, 6):
            await c.press(str(number))
            await c.tick()
            assert "? keys" in c.lines()[-1]
            assert f"[{number} " in c.lines()[1]

    console(scenario, history=[make.record(number) for number in range(50)], size=size)


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
@pytest.mark.parametrize("mode", MODES)
def test_clicks_everywhere(console, make, mode, size):
    async def scenario(c):
        chance = random.Random(mode)
        for _ in range(20):
            c.app.switch_mode(mode)
            await c.tick()
            place = chance.randrange(size[0]), chance.randrange(size[1])
            await c.pilot.click(offset=place, times=chance.choice([1, 1, 2, 3]))
            await c.tick()
            assert is_whole(c), place
            assert len(c.app.screen_stack) == 1, f"{place} opened something"

    console(scenario, history=[make.record(number) for number in range(50)] + [make.ddl(60)], size=size)


def test_every_theme_that_is_offered_can_be_taken(console, make):
    async def scenario(c):
        for name in c.app.themes:
            c.app.theme = name
            await c.pilot.pause()
            assert is_whole(c)

    console(scenario, history=[make.record(number) for number in range(50)])


def test_themes_switched_at_full_speed_while_events_stream(console, make):
    async def scenario(c):
        for number in range(40):
            c.app.theme = c.app.themes[number % len(c.app.themes)]
            c.feed.push(*[make.record(100 + number * 50 + one) for one in range(50)])
            await c.pilot.pause()
        c.app.theme = "pg-events-light"
        await c.until(lambda: c.app.stream.store.end == 2_050)
        await c.tick()

        background = c.app.screen.styles.background.hex.lower()
        assert background == "#fafafa"
        assert "2099" in c.text()

    console(scenario, history=[make.record(number) for number in range(50)])


PASTED = {
    "one word": "x" * 100_000,
    "words": "word " * 20_000,
    "parentheses": "(" * 100_000,
    "quotes": '"' * 99_999,
    "numbers": "id:" + ",".join(map(str, range(1_000, 17_000))),
    "alternatives": "a or " * 20_000 + "b",
    "lines": "table:orders\nop:D\n" * 5_000,
    "escapes": "\x1b[2J\x1b]0;x\x07" * 8_000,
    "a word and a space": "x" * 99_999 + " ",
    "words that fit": "word " * 1_990,
    "alternatives that fit": "a or " * 1_990 + "b",
    "a word and a space that fit": "x" * 9_900 + " ",
}


def test_lines_that_are_pasted_become_one(console, make):
    async def scenario(c):
        await c.press("slash")
        c.app.post_message(events.Paste("id:3|4\r\n  op:U\n"))
        await c.until(lambda: "id:3|4 op:U" in c.text())

    console(scenario, history=[make.record(number) for number in range(50)])


@pytest.mark.parametrize("name", PASTED)
def test_100_kb_pasted_into_the_filter(console, make, name):
    async def scenario(c):
        await c.press("slash")
        began = process_time()
        c.app.post_message(events.Paste(PASTED[name]))
        await c.pilot.pause()
        await c.burst("tab", "a", "backspace", "home", "end")
        await c.tick()
        assert process_time() - began < 3
        assert is_whole(c)
        if len(" ".join(PASTED[name].split("\n"))) > MAX_CHARACTERS:
            await c.toast("nothing was pasted")

        await c.burst("escape", "k")
        assert "48" in c.cursor_line()

    console(scenario, history=[make.record(number) for number in range(50)])


def test_a_paste_beside_a_field_does_nothing(console, make):
    async def scenario(c):
        before = c.text()
        c.app.post_message(events.Paste("q" * 1_000 + "\n"))
        await c.tick()

        assert c.text() == before

    console(scenario, history=[make.record(number) for number in range(50)])


def test_a_row_of_1000_columns(console, make):
    old = {f"column_{number}": number for number in range(1_000)}
    new = old | {f"column_{number}": -number for number in range(0, 1_000, 2)}

    async def scenario(c):
        began = process_time()
        await c.press("k", "d", "d", "d", "d", "d", "enter", "G", "u", "y", "escape", "equals_sign", "escape")
        await c.tick()

        assert process_time() - began < 5
        assert is_whole(c)
        await c.shows("column_")

    console(scenario, history=[make.record(1, old=old, new=new), make.record(2, old=old, new=new)])


def test_rows_of_10_mb(console, make):
    rows = [make.record(number, new={"id": number, "text": "y" * 10_000_000}) for number in range(3)]
    rows.append(make.record(3, new={"id": 3, "items": [{"n": n, "text": "z" * 90} for n in range(100_000)]}))

    async def scenario(c):
        waits = []
        for key in ("k", "j", "d", "d", "d", "d", "d", "k", "u", "right", "left", "m", "slash", "escape"):
            began = process_time()
            await c.press(key)
            waits.append((round(process_time() - began, 2), key))
        await c.tick()

        assert max(waits)[0] < 1.5, waits
        assert is_whole(c)

    console(scenario, history=rows)


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
def test_5000_tables(console, make, size):
    backend = make.backend()
    backend.tables = [make.table(number, f"table_{number:05}", "covered") for number in range(1, 5_001)]
    rows = [make.record(number, table_name=f"table_{number % 5_000:05}") for number in range(5_000)]

    async def scenario(c):
        await c.push(*rows)
        for screen in ("2", "5"):
            await c.press(screen)
            waits = []
            for _ in range(5):
                began = process_time()
                c.app.screen._drawn_at = 0.0
                c.app.tick()
                waits.append(process_time() - began)
            assert sorted(waits)[2] < 0.1, (screen, waits)
            await c.press("G", "k", "enter", "escape")
        assert is_whole(c)

    console(scenario, backend=backend, size=size)
