"""Whatever stands in a row is shown and obeyed by nobody."""

import json
from time import process_time

import pytest

pytestmark = pytest.mark.timeout(60)

HOSTILE = {
    "closing tag": "[/]",
    "click": "[@click=app.quit]x[/]",
    "nested": "[[bold]][/bold]]] [red]",
    "escape": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J",
    "right to left": "\u202eabc\u202c\u2066x\u2069 שלום",
    "nul": "a\x00b",
    "surrogate": "lone \ud800 one",
    "wide": "李小龍" * 20,
    "combining": "a" + "\u0301" * 500,
    "emoji": "👩‍👩‍👧‍👦🇩🇪" * 20,
    "lines": "a\r\nb\tc\u2028d\x85e",
    "percent": "50% {x} %s {0}",
}
FORBIDDEN = ["\x1b", "\x00", "\x07", "\u202e", "\u2066", "\ud800", "\x85", "\u2028", "\r"]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *((name, (120, 36)) for name in HOSTILE),
        # The narrow screen paints with the same functions: those that could break its layout.
        *((name, (80, 24)) for name in ("closing tag", "escape", "right to left", "wide", "lines")),
    ],
)
def test_a_hostile_value_is_only_text(console, make, name, size):
    value = HOSTILE[name]
    record = make.record(
        7,
        old={value: value, "id": value},
        new={value: f"{value}!", "id": value, "more": {value: [value]}},
        table_name=value.replace("\x00", ""),
        query=value,
        session_user=value,
        application_name=value,
    )
    ddl = make.ddl(8)._replace(
        ddl=json.dumps(
            {"command_tag": value, "object_identity": value, "columns": {"added": [{"name": value, "type": value}]}}
        ),
        table_name=value,
    )

    async def scenario(c):
        for _ in range(2):
            for _ in range(5):
                text = c.text()
                assert not [sign for sign in FORBIDDEN if sign in text]
                text.encode()
                await c.press("d")
                await c.tick()
            await c.press("k", "enter")
        await c.press("escape", "y")
        await c.press("3")
        await c.tick()
        assert not [sign for sign in FORBIDDEN if sign in c.text()]
        assert c.app.is_running

    console(scenario, history=[record, ddl], size=size)


def test_markup_is_shown_letter_by_letter(console, make):
    async def scenario(c):
        assert "[@click=app.quit]x[/]" in c.text()

    console(scenario, history=[make.record(7, old={"id": 1, "a": "b"}, new={"id": 1, "a": "[@click=app.quit]x[/]"})])


def test_no_row_is_wider_than_the_terminal(console, make):
    async def scenario(c):
        from rich.cells import cell_len

        assert {cell_len(line) <= 120 for line in c.lines()} == {True}
        widths = {strip.cell_length for strip in c.app.screen._compositor.render_strips()}
        assert widths == {120}

    rows = [make.record(number, new={"id": text}, table_name=text) for number, text in enumerate(HOSTILE.values())]
    console(scenario, history=rows)


def test_a_giant_value_is_cut_and_said_so(console, make):
    record = make.record(7, old={"id": 1, "text": "x"}, new={"id": 1, "text": "y" * 5_000_000})

    async def scenario(c):
        assert "(5 MB)" in c.text()
        assert "select it to look inside" in c.text()
        await c.press("enter")
        await c.tick()
        pane = c.app.screen.query_one("#detail")
        assert "more" in pane.text
        for _ in range(5):
            await c.press("d")
            await c.tick()
            assert len(pane.text) < 250_000

    console(scenario, history=[record])


def test_a_deeply_nested_value_is_shown_as_text(console, make):
    deep = "[" * 5_000 + "]" * 5_000
    record = make.record(7)._replace(new_data=f'{{"id": 1, "deep": {deep}}}')

    async def scenario(c):
        for _ in range(5):
            await c.press("d")
            await c.tick()
        assert c.app.is_running

    console(scenario, history=[record])


def test_a_number_longer_than_python_reads_is_shown(console, make):
    record = make.record(7)._replace(new_data='{"id": 1, "n": ' + "9" * 6_000 + "}", old_data='{"id": 1, "n": 1}')

    async def scenario(c):
        await c.press("d")
        await c.tick()
        assert "99999" in c.text()

    console(scenario, history=[record])


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_table_name_and_reason_in_coverage(console, make, name):
    backend = make.backend()
    value = HOSTILE[name]
    backend.tables = [make.table(1, value, "missing", "nnnn", value)]

    async def scenario(c):
        await c.press("2")
        await c.tick()
        assert not [sign for sign in FORBIDDEN if sign in c.text()]
        await c.press("enter")
        await c.press("b")
        await c.tick()
        assert not [sign for sign in FORBIDDEN if sign in c.text()]

    console(scenario, backend=backend)


ENDLESS = "/(a+)+$/"


def test_a_regular_expression_without_end_costs_a_second_and_is_taken_off(console, make):
    rows = [make.record(number, new={"id": number, "text": "a" * 60 + "!"}) for number in range(40)]

    async def scenario(c):
        began = process_time()
        await c.press("slash")
        await c.burst(*ENDLESS, "enter")
        await c.toast("the filter was taken off: its regular expression takes too long")
        await c.tick()

        assert process_time() - began < 10
        assert f"/ {ENDLESS}  (off, F puts it back)" in c.text()
        assert len(c.app.stream.live) == len(rows)

    console(scenario, history=rows)


def test_nothing_is_looked_for_without_end(console, make):
    rows = [make.record(number, new={"id": number, "text": "a" * 60 + "!"}) for number in range(40)]

    async def scenario(c):
        await c.press("ctrl+f")
        await c.burst(*ENDLESS, "enter")
        await c.toast("nothing is looked for: its regular expression takes too long")
        assert c.app.screen.finder.text == ""
        await c.press("k")
        assert "38" in c.cursor_line()

    console(scenario, history=rows)


def test_a_regular_expression_that_ends_is_not_disturbed(console, make):
    async def scenario(c):
        await c.press("slash")
        await c.burst(*"/(pai)+d/", "enter")

        assert "/(pai)+d/" in c.text()
        assert len(c.app.stream.live) == 20

    console(scenario, history=[make.record(number) for number in range(20)])


def test_of_a_giant_only_what_needs_no_reading_can_be_copied(console, make):
    rows = {"id": 1, "items": [{"n": n, "text": "zz"} for n in range(120_000)]}

    async def scenario(c):
        began = process_time()
        await c.press("k", "y")
        await c.shows("its rows are too large")
        assert process_time() - began < 1.5
        await c.press("y")
        await c.toast("payload, one line of #1")
        await c.press("equals_sign")
        await c.shows("table:")

    console(scenario, history=[make.record(1, old=rows, new=rows), make.record(2)])
