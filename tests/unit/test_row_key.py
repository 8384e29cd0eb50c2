"""Keys of rows: the quick way to write them, and the one that reads the row as JSON, agree."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pg_events.delivery.row_key import RowKeys
from pg_events.event import Record

texts = st.text(st.sampled_from('ab"\\/é ,:{}0\n'), max_size=4)
values = (
    st.integers(-5, 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from(["1", "2026-11-23T09:29:26+00:00", None, True, [1], {"id": 2}])
)
names = st.sampled_from(["id", "tenant", "é", 'q"', "a.b"])


class Keys(RowKeys):
    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(lambda _query, _parameters: [(list(columns),)], "default")


@given(
    st.lists(names, min_size=1, max_size=3, unique=True),
    st.lists(st.dictionaries(names, values), min_size=2, max_size=6),
    st.booleans(),
)
def test_every_way_writes_the_same_key(columns: list[str], rows: list[dict[str, Any]], are_ascii: bool) -> None:
    records = [
        Record(number, 1, "", "I", "public", "t", None, None, None, None,
               json.dumps(row, separators=(",", ":"), ensure_ascii=are_ascii), None)
        for number, row in enumerate(rows)
    ]  # fmt: skip
    usual = Keys(columns)
    assert [usual.key(record) for record in records] == [Keys(columns).key(record) for record in records]


def test_a_row_that_begins_with_its_key_is_not_read_as_json() -> None:
    keys = Keys(["tenant", "id"])
    row = '{"tenant":"a","id":17,"v":'
    for text in (f'{row}"x"}}', f"{row}broken"):
        record = Record(1, 1, "", "I", "public", "t", None, None, None, None, text, None)
        assert keys.key(record) == '["public", "t", "a", "17"]'


def test_events_without_a_row_keep_their_keys() -> None:
    keys = Keys(["id"])
    row = Record(1, 1, "", "I", "public", "t", None, None, None, None, '{"id":1}', None)
    assert keys.key(row) == '["public", "t", "1"]'
    assert keys.key(row._replace(kind="T", new_data=None)) == '["public", "t"]'
    assert keys.key(row._replace(kind="S", new_data=None)) == '["ddl", "t"]'
    assert keys.key(row._replace(kind="U", old_data='{"id":2}')) == '["public", "t", "2"]'
    assert keys.next_key(row._replace(kind="U", old_data='{"id":2}')) == '["public", "t", "1"]'
