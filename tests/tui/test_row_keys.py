"""Rows are told apart by the catalog's keys, and panes that are longer than the screen scroll to their ends."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from pg_events_tui.model import row_keys
from pg_events_tui.model.history import RowHistory
from pg_events_tui.model.store import Store
from pg_events_tui.text import copying, describe
from tests.tui.conftest import make_record


@pytest.fixture(autouse=True)
def _keys() -> Iterator[None]:
    row_keys.learn([("public", "items", ["order_id", "position"]), ("public", "log", []), ("public", "orders", ["id"])])
    yield
    row_keys.forget()


def item(number: int, order: int, position: int, table: str = "items", **values: object):
    row = {"order_id": order, "position": position, "amount": number}
    return make_record(number, "U", table_name=table, old=row, new={**row, "amount": 0}, **values)


def history(*records, of: int) -> list[int]:
    with closing(Store()) as store:
        store.append(records)
        found = RowHistory(store, of)
        while found.search(1.0):
            pass
    return sorted([*found.older, found.row, *found.newer])


def test_a_composite_key_tells_rows_apart() -> None:
    records = [item(1, 755, 1), item(2, 755, 2), item(3, 755, 1), item(4, 7, 1)]

    assert history(*records, of=0) == [0, 2]
    assert copying._key(records[0]) == "755·1"
    assert describe._key(records[0]) == "order_id = 755, position = 1"
    row = copying._row_filter(records[0])
    assert row == ('table:"public.items" ((new.order_id=755 new.position=1) or (old.order_id=755 old.position=1))')


def test_the_filter_of_a_row_finds_that_row_alone() -> None:
    from pg_events.filter import parser as filters

    records = [item(1, 755, 1), item(2, 755, 2)]
    wanted = filters.parse(copying._row_filter(records[0]) or "")

    assert [wanted.matches(one) for one in records] == [True, False]


def test_rows_of_a_table_without_a_key_are_not_told_apart() -> None:
    records = [item(1, 755, 1, "log"), item(2, 755, 1, "log")]

    assert history(*records, of=0) == [0]
    assert describe._key(records[0]) == "no key: rows cannot be told apart"
    assert copying._row_filter(records[0]) is None


def test_what_no_catalog_tells_is_guessed() -> None:
    row_keys.forget()

    assert row_keys.of_row("public", "orders", {"x": 1, "order_id": 5}) == (("order_id",), (5,))


@pytest.mark.parametrize("size", [(120, 36), (80, 24)], ids=str)
def test_the_help_scrolls_to_its_end(console, size) -> None:
    async def scenario(c):
        await c.press("question_mark")
        await c.tick()
        pane = c.app.screen.query_one("#dialog-text")
        assert pane.max_scroll_y > 0
        await c.press("G")
        assert pane.scroll_y == pane.max_scroll_y
        await c.press("g")
        assert pane.scroll_y == 0

    console(scenario, size=size)


def test_every_pane_of_text_can_scroll(console) -> None:
    from pg_events_tui.text.lines import line, span
    from pg_events_tui.widgets.text_pane import TextPane

    def is_scrolled(pane) -> bool:
        """Shown again each time: the screen itself may have painted over it."""
        pane.show([line(span(str(number))) for number in range(500)])
        pane.action_scroll_edge(1)
        return pane.scroll_y == pane.max_scroll_y > 400

    async def scenario(c):
        for mode in "12345":
            await c.press(mode)
            await c.tick()
            for pane in c.app.screen.query(TextPane):
                if not pane.size.height or pane.size.height < 3:
                    continue
                await c.until(partial(is_scrolled, pane))

    console(scenario, size=(120, 36))
