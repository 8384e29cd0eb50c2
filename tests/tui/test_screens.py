"""How each screen looks, letter by letter, in both layouts: `snapshots/`."""

import re

import pytest
from textual.color import Color

from pg_events_tui.app.themes import CONTRAST, DARK, LIGHT
from pg_events_tui.widgets.text_pane import TextPane

pytestmark = pytest.mark.timeout(60)

SIZES = [(120, 36), (80, 24)]


@pytest.fixture
def history(make):
    """A few seconds of a shop."""
    items = [{"sku": "A1", "qty": 1}, {"sku": "A7", "qty": 1}]
    changed = {"status": "paid", "total": 112.5, "paid_ref": "ch_3PXk", "items": [{"sku": "A1", "qty": 2}]}
    before = {
        "id": 90_317,
        "status": "new",
        "total": 98.0,
        "paid_ref": None,
        "items": items,
        "note": "null",
        "vip": False,
    }
    records = []
    for number in range(184_200, 184_240):
        kind = "IUUDU"[number % 5]
        table = ("orders", "order_items", "stock")[number % 3]
        records.append(make.record(number, kind, table_name=table, at=f"2026-08-22T11:59:{number % 60:02d}.882+00:00"))
    records[12] = make.ddl(184_212, at="2026-08-22T11:59:12.200+00:00")
    last = make.record(184_240, old=before, new=before | changed, at="2026-08-22T11:59:59.882+00:00")
    return [*records, last]


def name_of(screen, size):
    return f"{screen}-{size[0]}x{size[1]}"


@pytest.mark.parametrize("size", SIZES)
def test_live(console, snapshot, history, size):
    async def scenario(c):
        snapshot(name_of("live", size), c.text())

    console(scenario, history=history, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_live_without_events(console, snapshot, size):
    async def scenario(c):
        snapshot(name_of("live-empty", size), c.text())

    console(scenario, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_live_held_marked_and_filtered(console, snapshot, history, make, size):
    async def scenario(c):
        c.app.screen.filter_by("op:U,D")
        await c.until(lambda: c.app.stream.live.searching is None)
        await c.tick()
        await c.press("k", "k", "m", "k")
        await c.push(*[make.record(number, at="2026-08-22T11:59:59.9+00:00") for number in range(184_241, 184_249)])
        await c.until(lambda: c.app.stream.live.searching is None)
        await c.tick()
        snapshot(name_of("live-held", size), c.text())

    console(scenario, history=history, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_live_lost(console, snapshot, history, size):
    async def scenario(c):
        c.feed.lose()
        await c.shows("try ")
        c.app.stream.intake.stop()  # the countdown stands still
        c.app.stream.intake.link = c.app.stream.intake.link.__class__(
            state="down", since=c.app.clock.now().timestamp() - 12, reason="server closed the connection unexpectedly",
            attempt=3, retry_at=c.app.clock.now().timestamp() + 3.2, received=41,
        )  # fmt: skip
        await c.tick()
        snapshot(name_of("live-lost", size), c.text())

    console(scenario, history=history, size=size)


async def in_full(c):
    """The detail alone; without room for both it is so at once."""
    await c.press("enter", *(["z"] if c.app.screen.is_wide else []))
    await c.tick()


@pytest.mark.parametrize("size", SIZES)
def test_detail_in_full(console, snapshot, history, size):
    async def scenario(c):
        await in_full(c)
        snapshot(name_of("detail", size), c.text())

    console(scenario, history=history, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_old_beside_new(console, snapshot, history, size):
    async def scenario(c):
        await c.press("d")
        await c.tick()
        if size == SIZES[0]:
            snapshot(name_of("live-split", size), c.text())
        await in_full(c)
        snapshot(name_of("detail-split", size), c.text())

    console(scenario, history=history, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_coverage(console, snapshot, size):
    async def scenario(c):
        await c.press("2")
        await c.tick()
        snapshot(name_of("coverage", size), c.text())

    console(scenario, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_plan(console, snapshot, size):
    async def scenario(c):
        await c.press("2", "B")
        await c.shows("Plan: 4 changes")
        await c.tick()
        snapshot(name_of("plan", size), c.text())

    console(scenario, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_schema(console, snapshot, history, size):
    async def scenario(c):
        await c.press("3")
        await c.tick()
        snapshot(name_of("schema", size), c.text())

    console(scenario, history=history, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_help(console, snapshot, size):
    async def scenario(c):
        await c.press("question_mark")
        await c.tick()
        snapshot(name_of("help", size), c.text())

    console(scenario, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_what_the_help_wraps_loses_no_letter_to_the_scrollbar(console, size):
    async def scenario(c):
        await c.press("question_mark")
        await c.tick()
        pane = c.app.screen.query_one(TextPane)
        assert pane.max_scroll_y > 0
        screen = c.text()
        for line in pane.text.split("\n")[: pane.size.height]:
            assert line.rstrip() in screen

    console(scenario, size=size)


def test_without_colours_the_letters_still_tell(console, history, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    async def scenario(c):
        assert c.app.no_color
        for word in ("● LIVE", "FOLLOWING", " I ", " U ", " D ", " ! ", "~ status", "+ paid_ref"):
            assert word in c.text(), word

    console(scenario, history=history, size=(120, 60))


def test_without_colours_a_theme_of_the_terminals_palette_is_not_taken(console, history, monkeypatch, tmp_path):
    monkeypatch.setenv("NO_COLOR", "1")
    kept = tmp_path / "state.json"
    kept.write_text('{"version": 1, "theme": "ansi-dark"}')

    async def scenario(c):
        assert c.app.theme == "pg-events-dark"
        assert not any("ansi" in name for name in c.app.themes)

    console(scenario, history=history, state_path=kept)


@pytest.mark.parametrize("no_color", [False, True])
def test_the_palette_offers_the_themes_that_can_be_read(console, monkeypatch, no_color):
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")

    async def scenario(c):
        c.app.search_themes()
        await c.until(lambda: c.app.screen.query("CommandList") and c.app.screen.query_one("CommandList").option_count)
        offered = [str(option.prompt) for option in c.app.screen.query_one("CommandList").options]
        assert any("ansi-dark" in one for one in offered) is not no_color
        assert any("pg-events-contrast" in one for one in offered)
        await c.press("escape")

    console(scenario)


def ratio(one, other):
    """How much brighter one colour is than the other, as WCAG counts it."""

    def light(colour):
        parts = [part / 255 for part in Color.parse(colour).rgb]
        red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("theme", "least"), [(DARK, 4.5), (LIGHT, 4.5), (CONTRAST, 7)])
def test_every_colour_of_a_text_can_be_read_on_its_ground(theme, least):
    texts = [theme.foreground, theme.primary, theme.accent, theme.success, theme.warning, theme.error]
    texts += [theme.variables["quiet"], theme.variables["role-schema"]]

    poor = [(text, round(ratio(text, theme.background), 1)) for text in texts if ratio(text, theme.background) < least]

    assert poor == []


@pytest.mark.parametrize("size", SIZES)
def test_health(console, snapshot, history, make, size):
    async def scenario(c):
        await c.push(*[make.record(184_241 + number, table_name="stock") for number in range(20)])
        c.app.tick_seconds = lambda: (0.0041, 0.0042, 0.0097)
        await c.press("5")
        c.app.screen.query_one("#pipeline")
        await c.tick()
        c.app.screen._drawn = None
        await c.tick()
        snapshot(name_of("health", size), steady(c.text()))

    console(scenario, history=history, size=size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("face", ["failed", "consumers", "transactions"])
def test_health_lists(console, snapshot, size, face):
    async def scenario(c):
        await c.press("5")
        for _ in range(["rates", "failed", "consumers", "transactions"].index(face)):
            await c.press("d")
        await c.tick()
        snapshot(name_of(f"health-{face}", size), steady(c.text()))

    console(scenario, size=size)


def steady(text):
    """What no clock can be injected for: the cost of a tick and the memory of the process."""
    text = re.sub(r"memory \d+ [kM]B *│", lambda found: "memory 61 MB".ljust(len(found[0]) - 1) + "│", text)
    return re.sub(r"tick \d+\.\d ms", "tick 9.7 ms", text)


@pytest.mark.parametrize("size", SIZES)
def test_live_found_and_sorted(console, snapshot, history, size):
    async def scenario(c):
        await c.press("k", "k", "k", "m")
        await c.press("ctrl+f")
        await c.type("op:D")
        await c.press("enter")
        await c.until(lambda: not c.app.screen.query_one("#filter").editing)
        c.app.screen.sort_by("table")
        await c.tick()
        snapshot(name_of("live-sorted", size), c.text())

    console(scenario, history=history, size=size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "key"), [("copy", "y"), ("value", "equals_sign"), ("columns", "c"), ("write", "w")])
def test_choices(console, snapshot, history, size, name, key):
    async def scenario(c):
        await c.press("k", key)
        await c.tick()
        snapshot(name_of(f"choice-{name}", size), c.text())

    console(scenario, history=history, size=size)


@pytest.mark.parametrize("size", SIZES)
def test_live_history_of_a_row(console, snapshot, history, make, size):
    old = {"id": 90_317, "status": "new"}

    async def scenario(c):
        await c.press("k")
        await c.press("enter")
        c.app.screen.detail._since = 0
        await c.until(lambda: c.app.screen.detail.history and c.app.screen.detail.history.complete)
        await c.tick()
        snapshot(name_of("live-history", size), c.text())

    row = [make.record(184_250 + n, old=old, new=old | {"status": f"step {n}"},
                       at=f"2026-08-22T11:59:59.{n}82+00:00") for n in range(3)]  # fmt: skip
    console(scenario, history=[*history, *row], size=size)


@pytest.mark.parametrize("size", SIZES)
def test_command_line(console, snapshot, history, size):
    async def scenario(c):
        await c.burst(":")
        snapshot(name_of("command", size), c.text())

    console(scenario, history=history, size=size)
