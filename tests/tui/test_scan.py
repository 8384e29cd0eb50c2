"""The fast way through the store finds exactly what the filter itself finds."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pg_events.event import Record
from pg_events.filter.parser import parse
from pg_events_tui.model import scan, store
from pg_events_tui.model.scan import _FOLDS_TO_ASCII
from pg_events_tui.model.store import Store

WORDS = [
    "note",
    "NOTE",
    "Straße",
    "ſofa",
    "Kelvin",
    "a\\b",
    'say "hi"',
    "2026",
    "日本",
    "É",
    "null",
    "1",
    "checkout",
    "İ",
]
FILTERS = [
    "op:U,D", "is:ddl", "is:extension", "-is:data,extension", "-op:I", "id:3..9",
    "id:2,5,8..", "tx:1", "table:orders", "table:shop.*", "user:app*", "app:checkout",
    "-app:checkout", "since:2026-01-01T00:00:05Z", "until:2026-01-01T00:00:05Z", "note", '"NOTE"', "strasse", "straße",
    "ss", "sofa", "kelvin", '"a\\\\b"', '"say \\"hi\\""', "2026", "日本", "é", "i", "orders", "public.orders", "checkout",
    "/no+te/i", "/^upd/", "new.text:note", "new.n>3", "old.text:null", "col:text", "pk:4", 'tag:"ALTER TABLE"',
    'query:"update"', "query:*set*", "table:orders (note or op:D) -kelvin", "not (note or id:..5)", "new:note", "",
]  # fmt: skip
names = st.sampled_from(["orders", "Orders", "stock", "straße", None])
words = st.one_of(st.sampled_from(WORDS), st.text(max_size=6))


def row(number, text):
    return (
        None
        if text is None
        else json.dumps({"id": number, "text": text, "n": number % 7}, ensure_ascii=number % 2 == 0)
    )


@st.composite
def records(draw, number):
    kind = draw(st.sampled_from("IUDTS"))
    old, new, query = draw(st.none() | words), draw(st.none() | words), draw(st.none() | words)
    ddl = json.dumps({"command_tag": "ALTER TABLE", "x": new}) if kind == "S" else None
    return Record(
        number, draw(st.integers(1, 3)), datetime(2026, 1, 1, 0, 0, number, tzinfo=UTC).isoformat(), kind,
        draw(st.sampled_from(["public", "shop", None])), draw(names),
        draw(st.sampled_from(["app_rw", "etl", None])), draw(st.sampled_from(["checkout", "Checkout", None])),
        None if query is None else f"update t set {query}", row(number, old), row(number, new), ddl,
    )  # fmt: skip


many = st.integers(1, 30).flatmap(lambda count: st.tuples(*[records(number) for number in range(count)]))


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(many, st.booleans())
def test_the_scan_finds_what_the_filter_finds(events, has_no_numbers):
    kept = Store(max_events=200)
    if has_no_numbers:
        for shared in (kept.tables, kept.users, kept.applications):
            shared._names.extend([None] * 65_536)
    kept.append(events)
    stored = [kept.record(one) for one in range(len(events))]

    for text in FILTERS:
        wanted = parse(text)
        passing = scan.passing(kept, wanted)
        expected = [one for one, record in enumerate(stored) if wanted.matches(record)]
        assert list(passing(0, len(events))) == expected, text
        assert [*passing(0, 7), *passing(7, 999)] == expected, text
    kept.close()


@settings(max_examples=200, deadline=None)
@given(records(5))
def test_what_is_stored_comes_back(event):
    kept = Store()
    kept.append([event])
    assert kept.record(0) == event._replace(
        **{name: value.replace("\0", "\ufffd") for name, value in event._asdict().items() if isinstance(value, str)}
    )
    kept.close()


def test_every_character_that_folds_to_ascii_is_known():
    special = [chr(code) for code in range(128, 0x110000)
               if not 0xD800 <= code < 0xE000 and any(one.isascii() for one in chr(code).casefold())]  # fmt: skip

    assert len(special) >= 18
    assert all(_FOLDS_TO_ASCII.search(one.encode()) for one in special)


def test_notes_about_the_link_pass_no_filter_and_are_shown_without_one(make):
    kept = Store()
    kept.append([make.record(1), make.record(2)._replace(kind=store.NOTE, query="reconnected"), make.record(3)])

    assert list(scan.passing(kept, parse("-op:D"))(0, 3)) == [0, 2]
    assert list(scan.passing(kept, None)(0, 3)) == [0, 1, 2]
    kept.close()


@pytest.mark.parametrize("text", ["op:D", "note", "new.n>3"])
def test_rows_that_are_gone_are_passed_over(make, text):
    kept = Store(max_events=40)
    kept.append([make.record(number) for number in range(400)])

    assert all(found >= kept.first for found in scan.passing(kept, parse(text))(0, 400))
    kept.close()
