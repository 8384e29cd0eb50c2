"""Live: following, holding, pausing, filtering, marking, copying, and the faces of an event."""

import json

import pytest

from pg_events_tui.model.view import Mode

pytestmark = pytest.mark.timeout(60)


def test_new_events_appear_and_the_newest_is_selected(console, make):
    async def scenario(c):
        await c.push(make.record(101), make.record(102))

        assert ">102" in c.cursor_line().replace(" ", "")
        assert "FOLLOWING" in c.text()
        assert "● LIVE" in c.text()

    console(scenario, history=[make.record(number) for number in range(100)])


def test_an_event_of_another_day_has_its_date(console, make):
    async def scenario(c):
        older, newer = (line for line in c.lines() if "orders" in line[:40])

        assert "08-20 09:15:30 " in older
        assert "11:58:20.250" in newer
        assert "08-22" not in newer

    console(scenario, history=[make.record(1, at="2026-08-20T09:15:30.5+00:00"), make.record(2)])


def test_moving_up_holds_the_place_and_counts_what_is_new(console, make):
    async def scenario(c):
        await c.press("k", "k", "up")
        before, place = c.cursor_line(), c.lines().index(c.cursor_line())

        for number in range(100, 160):
            await c.push(make.record(number))

        assert c.cursor_line() == before
        assert c.lines().index(before) == place
        assert "+60 new · G follow" in c.text()
        assert "HOLDING" in c.text()

        await c.press("G")
        assert "159" in c.cursor_line()
        assert "new · G follow" not in c.text()

    console(scenario, history=[make.record(number) for number in range(100)])


def test_trimming_moves_neither_the_selected_row_nor_its_place_on_screen(console, make):
    async def scenario(c):
        await c.press("k", "k", "k")
        before, place = c.cursor_line(), c.lines().index(c.cursor_line())

        for start in range(400, 700, 50):
            await c.push(*[make.record(number) for number in range(start, start + 50)])

        assert c.app.stream.store.first > 0
        assert c.cursor_line() == before
        assert c.lines().index(before) == place

    console(scenario, history=[make.record(number) for number in range(400)], max_events=400)


def test_space_pauses_the_view_but_never_the_intake(console, make):
    async def scenario(c):
        await c.press("space")
        before = c.text().split("\n")[3:30]

        await c.push(*[make.record(number) for number in range(100, 150)])

        assert c.text().split("\n")[3:30] == before
        assert "PAUSED view" in c.text()
        assert "◐ PAUSED" in c.text()
        assert len(c.app.stream.store) == 150
        assert c.app.stream.live.new == 50

        await c.press("space")
        assert "149" in c.cursor_line()

    console(scenario, history=[make.record(number) for number in range(100)])


@pytest.mark.parametrize(
    ("key", "index"),
    [("j", 41), ("down", 41), ("k", 39), ("up", 39), ("g", 0), ("home", 0), ("ctrl+d", 53), ("ctrl+u", 27),
     ("pagedown", 66), ("pageup", 14), ("right", 41), ("left", 39)],
)  # fmt: skip
def test_keys_that_move(console, make, key, index):
    async def scenario(c):
        c.app.screen.events.choose(40)
        await c.press(key)
        await c.tick()

        assert c.app.stream.live.selected_index == index
        assert str(index) in c.cursor_line()

    console(scenario, history=[make.record(number) for number in range(100)])


def test_a_filter_applies_as_it_is_typed_and_says_how_many_match(console, make):
    async def scenario(c):
        await c.press("slash")
        await c.type("op:D")
        await c.shows("10 of 30 match")
        await c.press("enter")

        assert "/ op:D" in c.lines()[2]
        assert len(c.app.stream.live) == 10

        await c.press("F")
        assert "(off, F puts it back)" in c.lines()[2]
        assert len(c.app.stream.live) == 30

    console(scenario, history=[make.record(number, "D" if number % 3 == 0 else "U") for number in range(30)])


def test_a_wrong_filter_shows_where_and_the_last_right_one_stays(console, make):
    async def scenario(c):
        await c.press("slash")
        await c.type("op:D wrong")
        count = len(c.app.stream.live)
        await c.type(":x")
        await c.tick()

        hint = c.lines()[3]
        assert "no field wrong" in hint
        assert hint.index("^") == c.lines()[2].index("wrong")
        assert len(c.app.stream.live) == count

    console(scenario, history=[make.record(number, "D" if number % 3 == 0 else "U") for number in range(30)])


def test_esc_takes_back_what_was_typed(console, make):
    async def scenario(c):
        await c.press("slash")
        await c.type("op:D")
        await c.press("escape")
        await c.tick()

        assert len(c.app.stream.live) == 30
        assert c.app.screen.events.has_focus

    console(scenario, history=[make.record(number, "D" if number % 3 == 0 else "U") for number in range(30)])


def test_text_typed_while_events_stream_in_is_intact(console, make):
    async def scenario(c):
        text = "table:orders new.total>100 user:app"
        await c.press("slash")
        for number, letter in enumerate(text):
            c.feed.push(*[make.record(1000 + number * 50 + one) for one in range(50)])
            await c.type(letter)

        assert c.app.screen.query_one("#filter-input").value == text

    console(scenario, history=[make.record(number) for number in range(30)])


def test_a_filter_keeps_the_selected_row(console, make):
    async def scenario(c):
        c.app.screen.events.choose(12)
        c.app.screen.filter_by("op:D")
        await c.tick()

        assert c.app.stream.live.selected == 12
        await c.press("F")
        assert c.app.stream.live.selected == 12

    console(scenario, history=[make.record(number, "D" if number % 3 == 0 else "U") for number in range(300)])


def test_marks_stay_with_their_event(console, make):
    async def scenario(c):
        await c.press("k", "m")
        await c.push(make.record(500))

        assert c.app.stream.live.marks == {28}
        assert "1 marked" in c.text()
        await c.press("m")
        assert c.app.stream.live.marks == set()

    console(scenario, history=[make.record(number) for number in range(30)])


def test_t_shows_only_the_transaction_and_takes_it_back(console, make):
    async def scenario(c):
        await c.press("k", "T")
        await c.tick()
        store, live = c.app.stream.store, c.app.stream.live
        assert {store.xid(live.row(index)) for index in range(len(live))} == {make.record(28).xid}

        await c.press("T")
        assert len(c.app.stream.live) == 30

    console(scenario, history=[make.record(number) for number in range(30)])


def test_copying_puts_the_payload_into_a_file_for_the_user_alone_and_says_so(console, make, tmp_path):
    async def scenario(c):
        await c.press("y")
        assert "Copy of #29" in c.text()
        await c.press("y")
        said = await c.toast("bytes copied")

        path = tmp_path / "copied"
        assert json.loads(path.read_text())["id"] == 29
        assert path.stat().st_mode & 0o077 == 0
        assert f"{path.stat().st_size:,} bytes" in said
        assert c.app.clipboard == path.read_text()

    console(scenario, history=[make.record(number) for number in range(30)])


def test_the_difference_shows_what_changed_first_and_folds_the_rest(console, make):
    old = {"id": 7, "status": "new", "total": 98.00, "paid_ref": None, "items": [{"sku": "A", "qty": 1}], "note": "x"}
    new = old | {"status": "paid", "total": 112.5, "paid_ref": "null", "items": [{"sku": "A", "qty": 2}]}

    async def scenario(c):
        text = c.text()
        for words in ("~ status", "98.0  112.5  (+14.5)", "~ items[0].qty", "1     2  (+1)", "2 unchanged columns"):
            assert words in text, words
        assert "NULL" in text
        assert '"null"' in text

        await c.press("u")
        assert "unchanged columns" not in c.text()
        assert "note" in c.text()

    console(scenario, history=[make.record(7, old=old, new=new)])


def test_d_goes_through_the_faces(console, make):
    async def scenario(c):
        faces = []
        for _ in range(5):
            faces.append(next(word for word in ("Diff", "Split", "JSON", "SQL") if f"[{word}]" in c.text()))
            await c.press("d")
            await c.tick()

        assert faces == ["Diff", "Split", "JSON", "SQL", "Diff"]

    console(scenario, history=[make.record(7)])


def test_without_room_enter_shows_the_detail_in_place_of_the_list(console, make):
    async def scenario(c):
        assert "~ status" not in c.text()

        await c.press("enter")
        await c.tick()
        assert "~ status" in c.text()
        await c.press("left")
        await c.tick()
        assert "#28 UPDATE" in c.text()

        await c.press("escape")
        assert "~ status" not in c.text()
        assert c.app.screen.events.has_focus

    console(scenario, history=[make.record(number) for number in range(30)], size=(80, 24))


def test_zoom_gives_one_pane_the_width_and_takes_it_back(console, make):
    async def scenario(c):
        await c.press("z")
        assert c.app.screen.events.size.width > 110
        await c.press("z")
        assert c.app.screen.events.size.width < 90

    console(scenario, history=[make.record(1)])


def test_q_asks_and_the_same_key_does_not_confirm(console, make):
    async def scenario(c):
        await c.press("q")
        assert "Quit?" in c.text()
        await c.press("q")
        assert "Quit?" not in c.text()
        assert c.app.is_running
        await c.press("q", "y")
        await c.until(lambda: c.app.return_value == 0)

    console(scenario, history=[make.record(1)])


def test_the_help_names_every_key_of_the_screen(console):
    from pg_events_tui.widgets import keys

    async def scenario(c):
        for mode, number in (("live", "1"), ("coverage", "2"), ("schema", "3"), ("replay", "4"), ("health", "5")):
            await c.press(number)
            await c.tick()
            await c.press("question_mark")
            shown = c.app.screen.query_one("#dialog-text").text
            missing = [key.id for key in keys.on_screen(mode) if key.keys and key.help[:30] not in shown]
            assert missing == []
            await c.press("escape")

    console(scenario)


def test_every_key_of_the_table_has_an_action_and_its_own_id():
    from pg_events_tui.screens.coverage import CoverageScreen
    from pg_events_tui.screens.health import HealthScreen
    from pg_events_tui.screens.live import LiveScreen
    from pg_events_tui.screens.replay import ReplayScreen
    from pg_events_tui.screens.schema import SchemaScreen
    from pg_events_tui.widgets import keys
    from pg_events_tui.widgets.line_list import LineList

    assert len({key.id for key in keys.KEYS}) == len(keys.KEYS)
    for screen in (LiveScreen, CoverageScreen, SchemaScreen, ReplayScreen, HealthScreen):
        found = [key for key in keys.on_screen(screen.MODE) if key.keys]
        pressed = [one for key in found for one in key.keys.split(",")]
        assert len(pressed) == len(set(pressed)), screen
        for key in found:
            name = f"action_{key.action.partition('(')[0]}"
            if not key.action.startswith("app."):
                assert hasattr(LineList if key.widget else screen, name), (screen, key)


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (99, 30), (100, 30), (160, 40), (200, 60)])
def test_every_screen_draws_at_every_size(console, make, size):
    async def scenario(c):
        for key in "12345":
            await c.press(key)
            await c.tick()
            assert all(len(line) <= size[0] for line in c.lines())
            assert "shop@db01" in c.lines()[0]

    console(scenario, history=[make.record(1), make.ddl(2), make.record(3, "D"), make.record(4, "T")], size=size)


def test_a_click_selects_a_row_and_the_wheel_holds_the_place(console, make):
    async def scenario(c):
        await c.pilot.click("#events", offset=(10, 6))
        await c.tick()
        assert c.app.stream.live.mode is Mode.FROZEN
        top = round(c.app.screen.events.scroll_y)
        assert c.app.stream.live.selected == top + 4

        await c.pilot.click("#header", offset=(16, 1))
        await c.tick()
        assert c.app.current_mode == "coverage"

    console(scenario, history=[make.record(number) for number in range(100)])


def test_schema_shows_ddl_newest_first_and_l_leads_back_to_live(console, make):
    async def scenario(c):
        await c.press("3")
        await c.tick()
        assert "2 schema events" in c.text()
        assert "+ paid_ref  text" in c.text()
        await c.press("j")
        await c.press("L")
        await c.tick()

        assert c.app.current_mode == "live"
        assert c.app.stream.live.selected == 5

    history = [make.ddl(number) if number in (5, 15) else make.record(number) for number in range(30)]
    console(scenario, history=history)


def test_tab_completes_the_filter_with_what_was_seen(console, make):
    async def scenario(c):
        await c.burst("/", *"table:st", "tab", *" op:del", "tab")
        await c.until(lambda: c.app.stream.live.searching is None)
        assert c.app.screen.filter_bar.filtering.text == "table:stock op:delete"

        await c.burst(*" new.", "tab", "tab")
        assert "id · note · status · total" in c.text()
        await c.burst("enter")

    history = [
        make.record(number, "UD"[number % 2], table_name=("orders", "stock")[number % 2]) for number in range(30)
    ]
    console(scenario, history=history)


def test_a_table_is_completed_without_its_schema_too(console, make):
    async def scenario(c):
        await c.burst("/", *"table:ord", "tab")
        assert c.app.screen.filter_bar.filtering.text == "table:orders"

        await c.burst("ctrl+u", *"table:sh", "tab")
        assert c.app.screen.filter_bar.filtering.text == "table:shop.orders"

    console(scenario, history=[make.record(1, table_schema="shop")])


def test_is_asks_for_what_only_the_console_knows(console, make):
    async def scenario(c):
        c.app.stream.live.marks = {4, 6}
        for text, rows in (("is:marked", [4, 6]), ("is:failed", [3, 7]), ("op:U -is:marked", 28), ("is:gap", [])):
            await c.burst("/", "ctrl+u", *text, "enter")
            await c.until(lambda: c.app.stream.live.searching is None)
            shown = [c.app.stream.live.row(index) for index in range(len(c.app.stream.live))]
            assert (len(shown) if isinstance(rows, int) else shown) == rows, text

        await c.burst("/", "ctrl+u", *"is:marked", "enter", "m")
        await c.tick()
        assert len(c.app.stream.live) == 1

    console(scenario, history=[make.record(number) for number in range(30)])
