"""The difference as lines: changed places, old beside new, and what must not break them."""

import json
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pg_events.filter.parser import parse
from pg_events_tui.text import describe
from pg_events_tui.text.copying import conditions
from pg_events_tui.text.lines import width
from tests.tui.conftest import make_record

pytestmark = pytest.mark.timeout(60)

SKUS = [{"sku": "A5"}, {"sku": "A6"}, {"sku": "A7"}]
OLD = {"id": 7, "status": "new", "total": 98, "ref": None, "details": {"items": SKUS, "gift": False}, "note": "x"}
NEW = OLD | {"status": "paid", "total": 112, "ref": "NULL", "details": {"items": [*SKUS[:2], {"sku": "A8"}], "gift": 0}}


def face(name, cells, old=OLD, new=NEW, kind="U", **options):
    found = describe.face(make_record(7, kind, old=old, new=new), name, cells, **options)
    return ["".join(part.text for part in one).rstrip() for one in found]


def test_each_changed_place_has_its_path_and_its_two_values():
    assert face("Diff", 60) == [
        "  column                old    new",
        "~ status                new    paid",
        "~ total                 98     112  (+14)",
        '+ ref                   NULL   "NULL"',
        '~ details.items[2].sku  "A7"   "A8"',
        "~ details.gift          false  0  (boolean → number)",
        "",
        "2 unchanged columns · u shows them",
    ]


def test_a_place_too_long_for_the_table_has_its_values_below():
    lines = face("Diff", 40)
    at = lines.index("~ details.items[2].sku")
    assert lines[at + 1] == '    "A7" → "A8"'


def test_old_stands_beside_new_where_there_is_room():
    lines = face("Split", 76)
    assert lines[0].split("│")[0].strip() == "old"
    for left, right in (("- status: new", "+ status: paid"), ("- ref: NULL", '+ ref: "NULL"'),
                        ('-       sku: "A7"', '+       sku: "A8"'), ("-   gift: false", "+   gift: 0")):  # fmt: skip
        (row,) = [one for one in lines if one.startswith(left)]
        assert row.split(" │ ")[1] == right
    assert any(one.startswith("    … 2 the same") or "… 2 the same" in one for one in lines)
    assert {one.index("│") for one in lines if "│" in one} == {37}


def test_old_stands_above_new_where_there_is_none():
    lines = face("Split", 40)
    assert not [one for one in lines if "│" in one]
    assert lines.index("old") < lines.index("- status: new") < lines.index("new") < lines.index("+ status: paid")


def test_unfolded_both_rows_are_whole():
    lines = face("Split", 76, unfolded=True)
    assert "  note: x" in [one.split(" │ ")[0].rstrip() for one in lines]
    assert not [one for one in lines if "the same" in one or "unchanged" in one]


@pytest.mark.parametrize(("kind", "side"), [("I", "new"), ("D", "old")])
def test_a_row_that_is_alone_has_all_the_room(kind, side):
    lines = face("Split", 76, kind=kind)
    assert f"  status: {'paid' if side == 'new' else 'new'}" in lines
    assert not [one for one in lines if "│" in one]


@given(
    st.dictionaries(
        st.text(max_size=20), st.text(max_size=80) | st.lists(st.text(max_size=30), max_size=3), max_size=4
    ),
    st.dictionaries(
        st.text(max_size=20), st.text(max_size=80) | st.lists(st.text(max_size=30), max_size=3), max_size=4
    ),
    st.integers(64, 120),
)
def test_no_row_of_two_pages_is_wider_than_the_pane(old, new, cells):
    found = describe.face(make_record(7, old=old, new=new), "Split", cells, unfolded=True)
    assert [one for one in found if any(part.text == " │ " for part in one) and width(one) > cells] == []


def test_of_two_long_texts_what_they_share_is_only_hinted_at():
    text = "word " * 200_000
    lines = face("Diff", 60, {"id": 1, "text": text}, {"id": 1, "text": text[:500_000] + "HERE " + text[500_000:]})
    shown = "\n".join(lines)
    assert "HERE" in shown
    assert "the same" in shown
    assert len(shown) < 1_000


def test_a_word_that_changed_is_shown_whole():
    old = "to be left on the second floor, please; ring twice"
    found = describe.face(
        make_record(7, old={"id": 1, "note": old}, new={"id": 1, "note": old.replace("second", "third")}), "Diff", 60
    )
    roles = {part.role: part.text for one in found for part in one if part.text.strip() in ("second", "third")}
    assert roles == {"removed": "second", "added": "third"}


HUGE = {
    "a text": ("x" * 1_000_000, "y" * 1_000_000),
    "a text that is much the same": ("x" * 1_000_000, "x" * 999_999 + "y"),
    "an array of numbers": (list(range(120_000)), list(range(1, 120_001))),
    "an array of other numbers": (list(range(120_000)), list(range(500_000, 620_000))),
    "an array of objects": tuple([{"sku": f"{letter}{n}", "qty": n} for n in range(35_000)] for letter in "AB"),
    "an object": ({f"k{n}": n for n in range(70_000)}, {f"k{n}": n + 1 for n in range(70_000)}),
    "nested deep": (json.loads("[" * 800 + "1" + "]" * 800), json.loads("[" * 800 + "2" + "]" * 800)),
    "shuffled": ([[n] for n in range(60)], [[n] for n in reversed(range(60))]),
    "lines": ("a\n" * 500_000, "b\n" * 500_000),
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("one", ["Diff", "Split", "JSON"])
def test_a_megabyte_costs_a_moment(name, one):
    old, new = HUGE[name]
    began = thread_time()
    lines = face(one, 76, {"id": 1, "value": old}, {"id": 1, "value": new})
    assert thread_time() - began < 1.5
    assert sum(map(cell_len, lines)) < 700_000


@pytest.mark.parametrize("old", [list(range(450_000)), ["x" * 9_000_000]])
@pytest.mark.parametrize("name", ["Diff", "Split"])
def test_what_is_too_much_to_take_apart_is_compared_as_text(name, old):
    began = thread_time()
    lines = face(name, 76, {"id": 1, "value": old}, {"id": 1, "value": [*old, "HERE"]})
    assert thread_time() - began < 1.5
    assert lines[0].endswith("compared as the text it is")
    assert "HERE" in "\n".join(lines)
    assert sum(map(cell_len, lines)) < 1_000


def test_the_values_that_changed_inside_json_can_be_filtered_by():
    record = make_record(7, old=OLD | {"tags": {"a b": 1}}, new=NEW | {"tags": {"a b": 2}})
    found = conditions(record)
    assert 'new.details.items.2.sku:"A8"' in found
    assert 'new.tags."a b":2' in found
    assert [one for one in found if not parse(one).matches(record)] == []
