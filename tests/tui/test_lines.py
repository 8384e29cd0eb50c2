"""How a line is broken into rows."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pg_events_tui.text.lines import HANG, Span, line, span, wrap


def rows(*parts: Span | str, cells: int, indent: int = 0) -> list[str]:
    return ["".join(one.text for one in row) for row in wrap(line(*parts), cells, indent)]


def shown(*parts: Span | str, cells: int) -> list[str]:
    return [row.rstrip() for row in rows(*parts, cells=cells)]


def test_a_line_is_broken_between_words() -> None:
    assert shown("it keeps vacuum from cleaning up", cells=17) == ["it keeps vacuum", "from cleaning up"]
    assert shown("why ", HANG, span("asks first, then runs", "note"), cells=16) == ["why asks first,", "    then runs"]
    assert shown('{"status":"paid","total":12.50}', cells=20) == ['{"status":"paid",', '"total":12.50}']


def test_words_of_two_roles_stay_whole() -> None:
    assert shown(span("order_", "key"), span("status", "value"), " changed", cells=13) == ["order_status", "changed"]


def test_a_word_longer_than_a_row_is_cut_where_the_row_ends() -> None:
    assert shown("a " + "x" * 20, cells=10) == ["a xxxxxxxx", "xxxxxxxxxx", "xx"]


@given(st.text(alphabet='ab ,{}"漢é', max_size=60), st.integers(1, 12), st.integers(0, 8))
def test_nothing_but_a_blank_at_a_break_is_left_out(text: str, cells: int, indent: int) -> None:
    half = len(text) // 2
    found = rows(text[:half], text[half:], cells=cells, indent=indent)

    margin = min(indent, cells // 2)
    assert all(cell_len(row) <= max(cells, margin + 2) for row in found)
    assert "".join(found[:1] + [row[margin:] for row in found[1:]]).replace(" ", "") == text.replace(" ", "")
