"""The filter language: what it reads, what it refuses and where, and which events it lets through."""

import json
import os
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pg_events.errors import FilterError
from pg_events.event import Record
from pg_events.filter.conditions import And, Column, Kinds, Names, Not, Numbers, Or, Text, Time
from pg_events.filter.parser import FIELDS, MAX_DEPTH, Filter, chosen, parse
from pg_events.filter.values import Value

NOW = datetime(2026, 8, 22, 14, 3, 21, tzinfo=UTC)


@pytest.fixture(autouse=True)
def local_time_is_two_hours_ahead() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "TZ", "UTC-2")
        time.tzset()
        yield
    time.tzset()


def row(**columns: Any) -> str:
    return json.dumps(columns, ensure_ascii=False)


UPDATE = Record(
    id=1250,
    xid=99120,
    at="2026-08-22T14:02:30.5+00:00",
    kind="U",
    table_schema="public",
    table_name="orders",
    session_user="app_rw",
    application_name="checkout-api",
    query="UPDATE orders SET status = 'paid'",
    old_data=row(id=42, status="new", total=98.0, note=None, code="007", created="2026-08-20T10:00:00"),
    new_data=row(id=42, status="paid", total=112.5, note=None, code="007", created="2026-08-20T10:00:00")[:-1]
    + ', "digits": 0.10000000000000000000000001, "is_gift": true, "tags": ["red", "blue"]'
    + ', "address": {"city": "Berlin", "lines": [{"zip": 10115}]}, "Weird col": 1}',
    ddl=None,
)
INSERT = UPDATE._replace(kind="I", old_data=None)
DELETE = UPDATE._replace(kind="D", new_data=None)
TRUNCATE = UPDATE._replace(kind="T", old_data=None, new_data=None)
ALTER = Record(
    id=1251,
    xid=99121,
    at="2026-08-22T14:03:00+00:00",
    kind="S",
    table_schema="public",
    table_name='public."Orders"',
    session_user="deploy",
    application_name=None,
    query=None,
    old_data=None,
    new_data=None,
    ddl=row(command_tag="ALTER TABLE", object_identity='public."Orders"'),
)
DATA = (INSERT, UPDATE, DELETE, TRUNCATE)


def matches(text: str, record: Record = UPDATE) -> bool:
    return parse(text, now=NOW).matches(record)


# ── What lets an event through ───────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_filter_matches_everything() -> None:
    assert all(parse(text).matches(record) for text in ("", "  \n ") for record in (*DATA, ALTER))


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("table:orders", "table:order"),
        ("table:ORDERS", "table:public"),
        ("table:public.orders", "table:shop.orders"),
        ("table:stock|orders", "table:stock,carts"),
        ("table:ord*", "table:*stock"),
        ("table:order?", "table:orders?"),
        ("table:*.orders", "table:shop.*"),
        ("table=orders", "table!=orders"),
        ('table:"orders"', 'table:"ord*"'),
        ("Table:orders", "TABLE:stock"),
        ("op:U,D", "op:I|D"),
        ("op:update", "op:insert,truncate"),
        ("op!=I", "op!=U"),
        ("is:data", "is:ddl"),
        ("id:1250", "id:1249"),
        ("id:1200..1300", "id:1251..1300"),
        ("id:1250..", "id:..1249"),
        ("id:1,1250", "id:1,2,3"),
        ("id>1249", "id>1250"),
        ("id>=1250", "id<1250"),
        ("id<=1250", "id!=1250"),
        ("tx:99120", "tx:99121"),
        ("xid:99120", "xid:1,2"),
        ("user:app_*", "user:etl"),
        ("user:APP_RW", "user:app"),
        ("app:checkout*", "app:checkout"),
        ('query:"update ORDERS"', 'query:"insert into"'),
        ("query:upd*paid", "query:upd*shipped"),
        ("checkout or orders", "nowhere"),
        ('"SET status"', '"SET  status"'),
        ("berlin", "hamburg"),
        ("public.orders", "shop.orders"),
        ("/stat.s = 'p/", "/STAT.S/"),
        ("/STAT.S/i", "/^paid/"),
        (r"/Ber\w+/", r"/a\/b/"),
    ],
)
def test_the_envelope_and_the_text_decide(yes: str, no: str) -> None:
    assert matches(yes)
    assert not matches(no)


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("new.status:paid", "new.status:Paid"),
        ("new.status=paid", "old.status=paid"),
        ("new.status:new,paid", "new.status:new|open"),
        ("new.status:p*d", "new.status:?d"),
        ('new.status:"paid"', 'new.status:"p*d"'),
        ("new.status!=new", "new.status!=paid"),
        ("new.status!=a,b", "new.status!=a,paid"),
        ("new.status>new", "new.status<new"),
        ("new.total:112.50", "new.total:112"),
        ("new.total>100", "old.total>100"),
        ("new.total>=112.5", "new.total<112.5"),
        ("new.total>99.9", "new.total>1125e-1"),
        ("new.total:100..112.5", "new.total:112.6..200"),
        ("new.total:1?2.5", "new.total:1?3.5"),
        ("new.digits>0.10000000000000000000000000", "new.digits>0.10000000000000000000000001"),
        ("new.digits:0.100000000000000000000000010", "new.digits:0.1"),
        ("new.created>=2026-08-20", "new.created>=2026-08-21"),
        ("new.created:2026-08-19..2026-08-21", "new.created:2026-08-21..2026-08-22"),
        ("new.code:007", "new.code:7"),
        ("new.note:null", 'new.note:"null"'),
        ("new.status!=null", "new.note!=null"),
        ("new.is_gift:true", "new.is_gift:false"),
        ("new.is_gift!=false", 'new.is_gift:"true"'),
        ("new.tags:blue", "new.tags:green"),
        ("new.tags.0:red", "new.tags.1:red"),
        ("new.tags!=green", "new.tags!=red"),
        ("new.address.city:Berlin", "new.address.town:Berlin"),
        ("new.address.city:*", "new.address.town:*"),
        ("new.address.lines.zip:10115", "new.address.lines.1.zip:10115"),
        ('new."Weird col":1', 'new."weird col":1'),
        ("new:paid", "old:paid"),
        ("new>112", "new>zzz"),
        ("pk:42", "pk:4"),
        ("pk:41..43", "pk!=42"),
        ("pk<100", "pk>42"),
        ("col:status", "col:id"),
        ("col:STATUS", "col:note,created"),
        ("col:tot*", "col:no*"),
        ("col:address", "col:nothing"),
    ],
)
def test_the_row_decides(yes: str, no: str) -> None:
    assert matches(yes)
    assert not matches(no)


def test_a_column_that_is_not_there_is_neither_equal_nor_unequal() -> None:
    assert not matches("new.nothing:1")
    assert not matches("new.nothing!=1")
    assert not matches("new.city!=1")
    assert not matches("new.status!=new", DELETE)
    assert matches("-new.nothing:1")


def test_an_insert_and_a_delete_have_all_their_columns() -> None:
    assert matches("col:note", INSERT)
    assert matches("col:note", DELETE)
    assert not matches("col:is_gift", DELETE)
    assert not matches("col:*", TRUNCATE)
    assert not matches("col:*", ALTER)


def test_a_column_whose_number_is_only_spelt_in_another_way_has_not_changed() -> None:
    record = UPDATE._replace(old_data='{"total": 1.0}', new_data='{"total": 1.00}')

    assert not matches("col:total", record)


def test_the_key_is_the_column_id_or_else_the_first() -> None:
    keyed = INSERT._replace(new_data='{"name": "a", "id": 7}')
    without_id = INSERT._replace(new_data='{"sku": "A-1", "name": "b"}')

    assert matches("pk:7", keyed)
    assert not matches("pk:a", keyed)
    assert matches("pk:A-1", without_id)
    assert not matches("pk:b", without_id)
    assert not matches("pk!=7", TRUNCATE)


def test_the_key_of_a_row_that_begins_with_it_is_found_though_the_rest_cannot_be_read() -> None:
    record = INSERT._replace(new_data='{ "id" : 42, "x": ' + "[" * 100_000 + "]" * 100_000 + "}")

    assert matches("pk:42", record)
    assert not matches("pk:42", INSERT._replace(new_data='{"id": 1e99999999999999999999}'))
    assert not matches("pk:42", INSERT._replace(new_data='{"id": '))


def test_a_row_whose_key_changed_is_found_under_both() -> None:
    record = UPDATE._replace(old_data='{"id": 1}', new_data='{"id": 2}')

    assert matches("pk:1", record)
    assert matches("pk:2", record)


def test_a_schema_event_is_found_by_its_tag_and_by_its_object() -> None:
    assert matches('tag:"alter table"', ALTER)
    assert matches("tag:ALTER*,DROP*", ALTER)
    assert matches("is:ddl op:S op:ddl table:orders table:public.orders", ALTER)
    assert not matches('tag:"DROP TABLE"', ALTER)
    assert not matches("tag:*", UPDATE)


def test_what_an_extension_brings_can_be_left_out() -> None:
    of_extension = ALTER._replace(ddl=row(command_tag="CREATE FUNCTION", in_extension=True))
    own = ALTER._replace(ddl=row(command_tag="CREATE FUNCTION", in_extension=False))

    assert [matches("is:extension", record) for record in (of_extension, own, ALTER, UPDATE)] == [
        True,
        False,
        False,
        False,
    ]
    assert [matches("is:ddl -is:extension", record) for record in (of_extension, own, ALTER, UPDATE)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert [matches("is:data,extension", record) for record in (of_extension, own, UPDATE)] == [True, False, True]


def test_what_an_event_does_not_have_is_an_empty_name() -> None:
    assert matches('app:""', ALTER)
    assert not matches("app:?*", ALTER)
    assert not matches('query:""', ALTER)


def test_a_space_binds_tighter_than_or() -> None:
    assert matches("table:orders or op:I op:D")
    assert not matches("(table:orders or op:I) op:D")
    assert matches("table:orders and op:U")
    assert matches("op:I or op:D or op:U")


def test_not_takes_the_next_condition_only() -> None:
    assert matches("-op:I table:orders")
    assert matches("not op:I table:orders")
    assert not matches("-(op:U table:orders)")
    assert matches("NOT(op:I OR op:D)")
    assert matches("--op:U")


def test_free_text_finds_what_json_writes_with_a_backslash() -> None:
    record = INSERT._replace(new_data=json.dumps({"note": 'say "hi"\nthen go'}))

    assert matches(r'"SAY \"hi\"\nthen"', record)


def test_a_value_spelt_with_escapes_is_still_found() -> None:
    record = INSERT._replace(new_data='{"st\\u0061tus": "p\\u0061id"}')

    assert matches("new.status:paid", record)
    assert matches("col:status", record)
    assert matches("pk:paid", record)


# ── Times ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("since:51s", "since:50s"),
        ("since:1m", "until:1m"),
        ("since:2h", "until:2h"),
        ("since:1d", "until:1w"),
        ("since:2026-08-22", "since:2026-08-23"),
        ("since:2026-08-22T16:02", "since:2026-08-22T16:03"),
        ("since:2026-08-22T14:02Z", "since:2026-08-22T14:03Z"),
        ('since:"2026-08-22 16:02"', 'until:"2026-08-22 16:02"'),
        ("since:2026-08-22T15:02+01:00", "until:2026-08-22T15:02+01"),
        ("since:16:02", "since:16:03"),
        ("until:16:03", "until:16:02"),
        ("until:2026-08-22T16:02:30.6", "until:2026-08-22T16:02:30.5"),
        ("at:16:02", "at:16:01"),
        ("at:16:02:30", "at:16:02:31"),
        ("at:16:00..16:02", "at:16:03..16:05"),
        ("at:2026-08-22", "at:2026-08-21"),
        ("at:2026-08-20..2026-08-22", "at:2026-08-20..2026-08-21"),
        ("at:16:02..", "at:..16:01"),
        ("at:16:01,16:02", "at:15:00,15:01"),
        ("at!=16:01", "at!=16:02"),
        ("at>=16:02", "at>16:02"),
        ("at<=16:02", "at<16:02"),
        ("since=5m", "at:23:50..23:59"),
    ],
)
def test_the_time_decides(yes: str, no: str) -> None:
    assert matches(yes)
    assert not matches(no)


def test_a_time_of_day_still_to_come_was_yesterday() -> None:
    assert parse("since:23:50", now=NOW) == parse("since:2026-08-21T23:50", now=NOW)
    assert parse("until:23:50", now=NOW) == parse("until:2026-08-22T23:50", now=NOW)


def test_a_range_of_times_may_pass_midnight() -> None:
    assert parse("at:23:50..00:10", now=NOW) == parse("at:2026-08-21T23:50..2026-08-22T00:10", now=NOW)
    assert parse("at:2026-08-01T10:00..11:00", now=NOW) == parse("at:2026-08-01T10:00..2026-08-01T11:00", now=NOW)


def test_a_record_with_a_broken_time_is_at_no_time() -> None:
    for at in ("", "yesterday", "2026-08-22T14:02:30"):
        assert not matches("since:2000-01-01", UPDATE._replace(at=at))
        assert not matches("until:2100-01-01", UPDATE._replace(at=at))


# ── Hostile data ─────────────────────────────────────────────────────────────────────────────────────────────────────

COLUMN_FILTERS = ("new.x:1", "new.x!=1", "new.x>1", "new:1", "pk:1", "col:x", "new.x.y.0:1", "old.x:*")


@pytest.mark.parametrize("data", ['{"x": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"x": 1', "[1]", "", "null", "1"])
def test_a_row_that_cannot_be_read_has_no_columns_but_still_its_text(data: str) -> None:
    record = UPDATE._replace(old_data=data + " ", new_data=data)

    assert not any(matches(text, record) for text in COLUMN_FILTERS)
    assert matches("orders /x|1|^$|null/", record)


def test_numbers_of_any_length_and_size_are_compared() -> None:
    record = INSERT._replace(new_data=f'{{"x": 1{"0" * 10_000}, "y": 1e999999, "z": NaN, "s": "paid"}}')

    assert matches("new.x>5 new.y>5 new.s:paid new.z:NaN", record)
    assert not matches("new.y:1 or new.x:1", record)


def test_a_number_beyond_all_bounds_makes_the_row_unreadable_but_raises_nothing() -> None:
    record = INSERT._replace(new_data='{"x": 1e99999999999999999999}')

    assert not any(matches(text, record) for text in COLUMN_FILTERS)


def test_values_too_deep_to_compare_match_nothing() -> None:
    deep = "[" * 800 + "%d" + "]" * 800
    record = UPDATE._replace(old_data='{"x": ' + deep % 1 + "}", new_data='{"x": ' + deep % 2 + "}")

    for text in COLUMN_FILTERS:
        matches(text, record)


def test_conditions_on_the_envelope_read_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str | None] = []
    monkeypatch.setattr("pg_events.filter.conditions._read", reads.append)

    matches("new.total>1 col:status pk:1 id:1 xid:1 op:U table:x user:y app:z since:5m", UPDATE)
    matches("table:orders or new.total>1", UPDATE)
    matches("new.absent:1 or old.status:absent", UPDATE)
    matches("text /regex/ query:x", UPDATE)

    assert reads == []


def test_a_row_is_read_once_for_many_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str | None] = []
    monkeypatch.setattr("pg_events.filter.conditions._read", lambda text: reads.append(text) or json.loads(text))

    assert matches("new.status:paid new.is_gift:true old.status:new pk!=1 col:status")

    assert sorted(reads, key=str) == sorted([UPDATE.old_data, UPDATE.new_data], key=str)


# ── What is refused, and where ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("op:U tabel:orders", 5, "no field tabel; there are table, op, is, event, col, new, old, pk"),
        ("op:U status:paid", 5, "new.status"),
        ("table.x:1", 0, "no field table.x"),
        ("orders.status:paid", 0, "a column is new.status or old.status"),
        ("http://localhost", 0, "no field http"),
        ('op:U "free text', 5, "never closed"),
        ("query:'free text", 6, "never closed"),
        (r'"C:\path"', 3, r"written \\"),
        ("op:U (op:I or op:D", 5, "never closed"),
        ("op:U) op:I", 4, "never opened"),
        ("()", 1, "condition is missing"),
        ("op:U or", 7, "condition is missing"),
        ("or op:U", 0, "condition is missing"),
        ("op:U and or op:I", 9, "condition is missing"),
        ("not", 3, "condition is missing"),
        ("op:U -", 6, "condition is missing"),
        ("op:U - op:I", 6, "condition is missing"),
        ("table:", 6, "value is missing"),
        ("table:a,|b", 8, "value is missing"),
        ("new.x: 1", 6, "value is missing"),
        ('op:U ""', 5, "nothing to look for"),
        ("//", 0, "nothing to look for"),
        ("op:U :x", 5, "name is missing"),
        ("op:X", 3, "not X"),
        ("op:U,X", 5, "not X"),
        ("is:ddl,marked", 7, "not with marked"),
        ("id:abc", 3, "abc is not a valid id"),
        ("id:-1", 3, "is not a valid id"),
        ("tx:1,99999999999999999999", 5, "is not a valid id"),
        ("id:..", 3, "is not a valid id"),
        ("id:3..1", 3, "smaller number goes first"),
        ("id>1,2", 5, "takes one value"),
        ("new.x>1|2", 8, "takes one value"),
        ("new.x>null", 6, "in quotes it is a text"),
        ("new.x>a*", 6, "in quotes it is a text"),
        ("new.x:1e99999999999999999999", 6, "too large"),
        ("new.x:1..1e99999999999999999999", 6, "too large"),
        ("id<0", 3, "is not a valid id"),
        ("id>9223372036854775807", 3, "is not a valid id"),
        ("new.x*:1", 4, "not be a pattern"),
        ("table>orders", 5, "table goes with : = !="),
        ("since!=5m", 5, "since goes with : ="),
        ("since:tomorrow", 6, "tomorrow is not a valid time"),
        ("since:25:00", 6, "is not a valid time"),
        ("since:2026-13-01", 6, "is not a valid time"),
        ("since:2026-08-22T", 6, "is not a valid time"),
        ("since:0001-01-01", 6, "is not a valid time"),
        ("since:999999999w", 6, "is not a valid time"),
        ("at:16:00..x", 3, "x is not a valid time"),
        ("at:2026-08-22..2026-08-21", 3, "ends before it begins"),
        ("/a(b/", 2, "invalid regular expression: missing )"),
        ("/abc", 0, "never closed"),
        ("/api/orders", 5, "space is missing"),
        ('"a"b', 3, "space is missing"),
        ('new."x:1', 4, "space is missing"),
        ("(" * (MAX_DEPTH + 1) + "a", MAX_DEPTH, "nested deeper"),
    ],
)
def test_a_mistake_is_shown_at_its_place(text: str, position: int, says: str) -> None:
    with pytest.raises(FilterError) as raised:
        parse(text, now=NOW)

    assert says in raised.value.message
    assert raised.value.position == position
    assert str(raised.value).splitlines()[-1].index("^") == position + 2


# ── The conditions and their text ────────────────────────────────────────────────────────────────────────────────────


def test_a_filter_is_made_of_plain_values() -> None:
    condition = parse("table:orders|st* -op:I,U (id:7.. or new.a.b>=1.50) since:2026-08-22T14:00Z x").condition

    assert condition == And(
        (
            Names("table", (Value("orders"), Value("st*", "glob"))),
            Not(Kinds("IU")),
            Or((Numbers("id", ((7, None),)), Column("new", ("a", "b"), ">=", (Value("1.50", "number"),)))),
            Time("since", datetime(2026, 8, 22, 14, 0, tzinfo=UTC)),
            Text("x"),
        )
    )


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        ("TABLE=orders|'stock room'", 'table:orders,"stock room"'),
        ("not (op:D,delete,insert)", "-op:I,D"),
        ("is:data", "op:I,U,D,T"),
        ("tx>5", "xid:6.."),
        ("a and (b and (c or (d or e)))", "a b (c or d or e)"),
        ("(a b) or c", "a b or c"),
        ("-(a b) -(a or b)", "-(a b) -(a or b)"),
        ("'or' \"a b\" new.status", '"or" "a b" new.status'),
        ('new.x:"null",null,"5",5,a..b,"a..b"', 'new.x:"null",null,"5",5,a..b,"a..b"'),
        ("since:5m", "since:2026-08-22T13:58:21+00:00"),
        ("at:16:01..16:03", "since:2026-08-22T14:01:00+00:00 until:2026-08-22T14:04:00+00:00"),
        (r"/a\/b c/i", r"/a\/b c/i"),
        ("is!=extension is:extension|data", "-is:extension (op:I,U,D,T or is:extension)"),
        ('new."a.b"."x".0!=1', 'new."a.b".x.0!=1'),
    ],
)
def test_a_filter_has_one_canonical_text(text: str, canonical: str) -> None:
    assert str(parse(text, now=NOW)) == canonical


@pytest.mark.parametrize("known", FIELDS, ids=lambda known: known.name)
def test_every_field_has_an_example_that_works(known: Any) -> None:
    example = parse(known.example, now=NOW)

    assert isinstance(example, Filter)
    assert any(name + sign in known.example for name in (known.name, *known.aliases) for sign in ":>.")
    for sign in known.operators:
        with pytest.raises(FilterError, match="value is missing"):
            parse(f"{known.name}{sign}")


def test_a_regex_python_warns_about_is_read_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        parse("/[[a]b]/ /[[a]c]/i").matches(UPDATE)


# ── For all filters ──────────────────────────────────────────────────────────────────────────────────────────────────

quoted = st.text(max_size=8).map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
bare = st.from_regex(r"[A-Za-z0-9_.*?+:/-]{1,8}", fullmatch=True)
values = st.lists(
    st.one_of(quoted, bare, st.sampled_from(["null", "true", "42", "-1.5e3", "1..5", "a..b", "paid", "p*"])),
    min_size=1,
    max_size=3,
).map(",".join)
integers = st.integers(0, 2**63 - 1)
conditions = st.one_of(
    st.tuples(st.sampled_from(["table:", "user!=", "app:", "tag:", "col:", "query:"]), values).map("".join),
    st.tuples(
        st.sampled_from(["new", "old", "new.status", "old.total", 'new."a \\"b"', "new.tags.0", "pk"]),
        st.sampled_from([":", "!="]),
        values,
    ).map("".join),
    st.tuples(st.sampled_from(["new.total>", "pk<=", "old.status>="]), quoted | integers.map(str)).map("".join),
    st.tuples(st.sampled_from(["id:", "xid:", "tx!=", "id>", "xid<=", "id<"]), integers.map(str)).map("".join),
    st.lists(st.sampled_from("IUDTS"), min_size=1).map(lambda letters: "op:" + ",".join(letters)),
    st.sampled_from(
        [
            "since:5m",
            "until:14:00",
            "at:16:01..16:03",
            "at!=2026-08-22",
            "at>2026-08-22T14:00Z",
            "is:ddl",
            "is:extension",
        ]
    ),
    st.sampled_from(["paid", "orders", "/pa.d/", "/PA/i", r"/\//", "42"]),
    st.text(min_size=1, max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False)),
)
filters = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(" ".join),
        st.lists(inner, min_size=2, max_size=3).map(" or ".join),
        inner.map(lambda text: f"-({text})"),
        inner.map(lambda text: f"({text})"),
    ),
    max_leaves=6,
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("paid"))
rows = st.dictionaries(
    st.sampled_from(["id", "status", "total", "tags", "x"]),
    st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner), max_leaves=4),
).map(json.dumps)
texts = st.one_of(st.none(), rows, st.text(max_size=20))
records = st.builds(
    Record,
    id=integers,
    xid=integers,
    at=st.datetimes().map(datetime.isoformat) | st.sampled_from([UPDATE.at, ""]),
    kind=st.sampled_from("IUDTS"),
    table_schema=st.none() | st.text(max_size=5),
    table_name=st.none() | st.sampled_from(["orders", 'public."Orders"']) | st.text(max_size=5),
    session_user=st.none() | st.text(max_size=5),
    application_name=st.none() | st.text(max_size=5),
    query=st.none() | st.text(max_size=20),
    old_data=texts,
    new_data=texts,
    ddl=texts,
)


def read_or_none(text: str) -> Filter | None:
    try:
        return parse(text, now=NOW)
    except FilterError as error:
        if not 0 <= error.position <= len(text):
            pytest.fail(f"the place {error.position} is not in the text")
        return None


@given(filters)
def test_the_canonical_text_parses_to_an_equal_filter(text: str) -> None:
    if one := read_or_none(text):
        assert parse(str(one)) == one
        assert str(parse(str(one))) == str(one)


@given(st.text(alphabet=st.sampled_from("a1*?:=<>!|,.-/\\\"'() \nornotandwidtablesince")) | st.text())
def test_any_text_is_read_or_refused_and_survives_the_round_trip(text: str) -> None:
    if one := read_or_none(text):
        assert parse(str(one)) == one


@given(filters, records)
def test_not_is_the_complement_and_nothing_is_raised(text: str, record: Record) -> None:
    one = read_or_none(text)
    other = read_or_none(f"not ({text})")

    assert (one is None) == (other is None)
    if one and other:
        assert one.matches(record) != other.matches(record)


@given(filters, filters, records)
def test_a_space_is_and_and_or_is_or(left: str, right: str, record: Record) -> None:
    one, other = read_or_none(left), read_or_none(right)

    if one and other:
        both, either = parse(f"({left}) ({right})", now=NOW), parse(f"{left} or {right}", now=NOW)
        assert both.matches(record) == (one.matches(record) and other.matches(record))
        assert either.matches(record) == (one.matches(record) or other.matches(record))


@given(st.sampled_from(["status", "total", "tags", "x"]), scalars.map(json.dumps) | scalars.map(str), records)
def test_looking_at_the_raw_text_first_changes_no_answer(name: str, text: str, record: Record) -> None:
    value, absent = Value.of(text), Value("in no row")

    alone = Filter(Column("new", (name,), "=", (value,)))
    with_another = Filter(
        Column("new", (name,), "=", (value, absent))
    )  # of several, none is looked for in the raw text

    assert alone.matches(record) == with_another.matches(record)


@pytest.mark.parametrize(
    ("asked", "depends"),
    [
        ({"where": "since:5m"}, True),
        ({"where": "op:I or (until:14:00 -user:etl)"}, True),
        ({"where": "at:14:00..14:05"}, True),
        ({"since": "1h"}, True),
        ({"until": "14:00"}, True),
        ({"where": "since:2026-08-22 op:U", "since": "oldest", "until": "2026-08-22T14:00"}, False),
    ],
)
def test_where_times_count_from_is_asked_only_when_one_does(asked, depends) -> None:
    calls = []

    found = chosen(**asked, now=lambda: calls.append(1) or NOW)

    assert bool(calls) == depends
    assert (found == chosen(**asked, now=lambda: NOW + timedelta(days=3))) == (not depends)
    assert chosen("since:5m", now=lambda: NOW) == parse("since:5m", now=NOW)
