"""The difference of two rows: nothing left out, nothing made up, nothing taken for something else."""

import json
from copy import deepcopy
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pg_events import DataEvent
from pg_events.diff.affixes import common
from pg_events.diff.changes import MISSING, changed_columns, difference, path_words, row_of, same, spelled
from pg_events.diff.side_by_side import INSIDE, Entry, Fold, split
from pg_events.event import parse, record
from pg_events.filter import parser

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.decimals(-3, 3, places=1)
    | st.sampled_from(["", "a", "b", "1", "1.0", "null", "NULL", "true", "—", " a", '"a"', "[1]", "{}"])
    | st.text(max_size=4)
)
KEYS = st.sampled_from(["a", "b", "c", "2", "a.b", "[0]", "", 'a"', "sku"]) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)
ROWS = st.dictionaries(KEYS, VALUES, max_size=4)


@st.composite
def pairs(draw):
    """Two rows that share much, as the two of an UPDATE do."""
    old = draw(ROWS)
    new = deepcopy(old)
    for name in draw(st.sets(st.sampled_from(sorted(old)))) if old else ():
        new[name] = draw(edited(new[name]))
    return old, (new | draw(st.just({}) | ROWS))


def edited(value):
    if isinstance(value, list):
        moved = st.permutations(value) | st.integers(0, len(value)).map(lambda at: value[:at] + value[at + 1 :])
        return moved | VALUES.flatmap(
            lambda one: st.integers(0, len(value)).map(lambda at: [*value[:at], one, *value[at:]])
        )
    if isinstance(value, dict) and value:
        return st.sampled_from(sorted(value)).flatmap(lambda key: VALUES.map(lambda one: {**value, key: one}))
    return VALUES


def exact(value):
    """What two JSON values have in common exactly when they are the same."""
    if isinstance(value, dict):
        return "object", frozenset((key, exact(one)) for key, one in value.items())
    if isinstance(value, list):
        return "array", tuple(map(exact, value))
    if value is None or isinstance(value, bool | str):
        return type(value).__name__, value
    return "number", Decimal(value)


def patched(value, changes):
    """The value with the changes made: positions of what goes are those before, all others those after."""
    if any(not path for path, _, _ in changes):
        return changes[0][2]
    value = deepcopy(value)
    gone = [path[0] for path, _, new in changes if len(path) == 1 and new is MISSING]
    for step in sorted(gone, reverse=True) if isinstance(value, list) else gone:
        del value[step]
    came = [(path[0], new) for path, old, new in changes if len(path) == 1 and old is MISSING]
    for step, new in sorted(came, key=lambda one: one[0]) if isinstance(value, list) else came:
        if isinstance(value, list):
            value.insert(step, new)
        else:
            value[step] = new
    deeper = {}
    for path, old, new in changes:
        if len(path) > 1 or MISSING not in (old, new):
            deeper.setdefault(path[0], []).append((path[1:], old, new))
    for step, found in deeper.items():
        value[step] = patched(value[step], found)
    return value


def told(old, new):
    return [(one.path, one.old, one.new) for one in difference(old, new) if one.sign != " "]


@given(pairs())
def test_the_changes_make_the_old_row_into_the_new_one(rows):
    old, new = rows

    assert exact(patched(old, told(old, new))) == exact(new)


@given(ROWS)
def test_a_row_does_not_differ_from_itself(row):
    assert told(row, deepcopy(row)) == []
    assert {one.sign for one in difference(row, deepcopy(row))} <= {" "}


@given(pairs())
def test_every_change_is_one_and_every_column_is_told(rows):
    old, new = rows
    found = difference(old, new)

    assert all(
        (exact(one.old) != exact(one.new)) for one in found if one.sign != " " and MISSING not in (one.old, one.new)
    )
    assert {one.path[0] for one in found} == {*old, *new}
    assert {one.path[0] for one in found if one.sign != " "} == set(changed_columns(old, new))


@given(VALUES, VALUES)
def test_what_is_the_same_is_of_the_same_type_at_every_depth(one, other):
    assert same(one, other) == (exact(one) == exact(other))


@pytest.mark.parametrize(
    ("old", "new"), [([1], [True]), ({"a": 0}, {"a": False}), (1, True), ("1", 1), (None, "NULL"), ({}, []), (None, {})]
)
def test_types_are_told_apart(old, new):
    assert changed_columns({"a": old}, {"a": new}) == ["a"]
    assert told({"a": old}, {"a": new}) != []


@given(VALUES, VALUES, st.booleans())
def test_no_two_values_are_written_alike(one, other, nested):
    if spelled(one, nested=nested) == spelled(other, nested=nested):
        assert exact(one) == exact(other)


PATHS = st.tuples(KEYS) | st.builds(lambda column, rest: (column, *rest), KEYS, st.lists(KEYS | st.integers(0, 3)))


@given(PATHS, PATHS)
def test_no_two_paths_are_written_alike(one, other):
    assert (path_words(one) == path_words(other)) == (one == other)


def test_a_place_inside_json_is_named_by_its_path():
    old = {"details": {"items": [{"sku": "A5"}, {"sku": "A6"}, {"sku": "A7", "n": 1}], "a b": None, "gone": 1}}
    new = {"details": {"items": [{"sku": "A5"}, {"sku": "A6"}, {"sku": "A8", "n": "1"}], "a b": False}}

    words = [(one.sign, one.name, spelled(one.old, nested=True), spelled(one.new, nested=True), one.note)
             for one in difference(old, new)]  # fmt: skip
    assert words == [
        ("~", "details.items[2].sku", '"A7"', '"A8"', ""),
        ("~", "details.items[2].n", "1", '"1"', "number → string"),
        ("+", 'details."a b"', "null", "false", ""),
        ("-", "details.gone", "1", "—", ""),
    ]


def test_an_element_that_came_or_went_does_not_shift_the_others():
    old = {"list": [{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}]}

    assert told(old, {"list": old["list"][1:]}) == [(("list", 0), {"id": 1}, MISSING)]
    assert told(old, {"list": [{"id": 9}, *old["list"]]}) == [(("list", 0), MISSING, {"id": 9})]
    assert told(old, {"list": [{"id": 2}, {"id": 3}, {"id": 5}]}) == [
        (("list", 0), {"id": 1}, MISSING),
        (("list", 2, "id"), 4, 5),
    ]


def test_more_places_than_anybody_reads_are_counted():
    found = difference({"a": list(range(1_000))}, {"a": [one + 1_000 for one in range(1_000)]})

    assert len(found) == 201
    assert found[-1].is_rest
    assert found[-1].note == "800 more places"


def test_what_lies_very_deep_is_compared_as_a_whole():
    def deep(value):
        for _ in range(400):
            value = [value]
        return {"a": value}

    (change,) = difference(deep(1), deep(2))
    assert len(change.path) == 100


@pytest.mark.parametrize("number", ["1e999999999", "1e-999999999", "9" * 4_000, "1e131071"])
def test_a_monstrous_number_has_no_delta_and_costs_nothing(number):
    (change,) = difference(row_of('{"a": 1}'), row_of(f'{{"a": {number}}}'))
    assert change.note == ""


def test_a_number_beyond_all_bounds_is_a_row_that_cannot_be_read():
    with pytest.raises(ValueError, match="out of range"):
        row_of('{"a": 1e9999999999999999999}')


def test_a_delta_is_exact_or_not_told():
    big = 10**40
    assert [one.note for one in difference({"a": Decimal("98.00")}, {"a": Decimal("112.50")})] == ["+14.50"]
    assert [one.note for one in difference({"a": big}, {"a": big + 1})] == ["+1"]
    assert [one.note for one in difference({"a": Decimal("1e40")}, {"a": Decimal("1e-40")})] == [""]


# ---- old beside new


def rebuilt(page, side):
    """The row of one page."""
    entries = list(page)

    def members(depth):
        found = []
        while entries and entries[0].depth == depth:
            one = entries.pop(0)
            step, value = (one.at_old, one.old) if side == "old" else (one.at_new, one.new)
            if value is INSIDE:
                inner = members(depth + 1)
                is_array = any(isinstance(key, int) for key, _ in inner)
                found.append((step, [value for _, value in inner] if is_array else dict(inner)))
            elif value is not MISSING:
                found.append((step, value))
            else:
                continue
        return found

    return dict(members(0))


def filled(value):
    """Empty containers, of which a page does not tell whether they are arrays, are left out of account."""
    if isinstance(value, dict):
        return {key: filled(one) for key, one in value.items()} or None
    return [filled(one) for one in value] or None if isinstance(value, list) else value


@given(pairs())
def test_the_two_pages_hold_the_two_rows(rows):
    old, new = rows
    page = split(old, new, whole=True)

    assert exact(filled(rebuilt(page, "old"))) == exact(filled(old))
    assert exact(filled(rebuilt(page, "new"))) == exact(filled(new))


@given(pairs())
def test_what_is_the_same_is_folded_and_nothing_else(rows):
    old, new = rows
    page, whole = split(old, new), split(old, new, whole=True)

    entries = [one for one in page if isinstance(one, Entry)]
    changed = [one for one in entries if one.sign != " "]
    assert changed == [one for one in whole if isinstance(one, Entry) and one.sign != " "]
    assert sum(one.count for one in page if isinstance(one, Fold)) == len(whole) - len(entries)
    assert len([one for one in changed if one.old is not INSIDE]) == len(told(old, new))


# ---- two texts


@given(st.text("ab", max_size=40), st.text("ab", max_size=40))
def test_what_two_texts_share_at_their_ends(old, new):
    start, end = common(old, new)
    shorter = min(len(old), len(new))

    assert old[:start] == new[:start]
    assert end == 0 or old[-end:] == new[-end:]
    assert start + end <= shorter
    assert start == shorter or old[start] != new[start]
    assert start + end == shorter or old[-1 - end] != new[-1 - end]


def test_texts_of_many_blocks_part_at_the_right_place():
    text = "x" * 200_000
    for at in (0, 65_535, 65_536, 131_072, 199_999):
        start, end = common(text, text[:at] + "y" + text[at + 1 :])
        assert (start, end) == (at, 199_999 - at)


def test_a_row_is_read_with_all_its_digits():
    row = row_of('{"a": 1.50, "b": 12345678901234567890.123456789012345678901}')
    assert json.loads(json.dumps(row, default=str)) == {"a": "1.50", "b": "12345678901234567890.123456789012345678901"}


def test_every_part_of_pg_events_tells_types_apart():
    """To Python `[1]` and `[true]` are equal."""
    payload = (
        '{"id": 1, "xid": 1, "at": "2026-08-22T12:00:00+00:00", "method": "UPDATE", "table_schema": "public", '
        '"table_name": "t", "session_user": "u", "old_data": {"a": [1], "b": 1.0}, "new_data": {"a": [true], "b": 1.0}}'
    )
    event = parse(payload)
    assert isinstance(event, DataEvent)
    assert dict(event.changes) == {"a": ([1], [True])}
    assert parser.parse("col:a").matches(record(payload))
    assert not parser.parse("col:b").matches(record(payload))
