"""What a filter lets through is the same, whether PostgreSQL is asked or Python."""

import json
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Composed

from pg_events.db.connection import connect
from pg_events.event import Record
from pg_events.filter import sql
from pg_events.filter.conditions import (
    And,
    Changed,
    Column,
    Condition,
    Key,
    Kinds,
    Names,
    Not,
    Numbers,
    Or,
    Query,
    Regex,
    Tag,
    Text,
    Time,
)
from pg_events.filter.parser import Filter, parse
from pg_events.filter.values import Value
from pg_events.log.listener import Listener
from pg_events.log.retained import Retained

NOON = datetime(2026, 8, 22, 12, tzinfo=UTC)

# Few words, so that they meet; some that two languages take differently.
WORDS = (
    "paid",
    "PAID",
    "a%b_c",
    "straße",
    "STRASSE",
    "\u212a",
    "k",
    "",
    "null",
    "true",
    "1",
    "1.0",
    "10",
    "é",
    "\\",
    '"',
)
NUMBERS = ("1", "1.0", "1e0", "-0", "10", "0.1", "100", "1" * 80, "1e400", "2.50", "9e-7")
COLUMNS = ("id", "status", "Status", "total", "straße")
NAMES = ("orders", "Orders", "straße", "STRASSE", "a%b_c", "\u212a", "k", 'od"d', "x.y", "")
OTHER_JSON = (
    "null",
    "true",
    "false",
    r'"\u0000"',
    r'"\ud800"',
    r'"p\u0061id"',
    "[]",
    '["paid", 1]',
    '{"status": "paid"}',
)


def kept_records(number: int) -> list[Record]:
    """Events of every kind with every odd value, the same at each call."""
    choose = random.Random(7)

    def value() -> str:
        word = choose.choice(WORDS)
        spelt = json.dumps(word), json.dumps(word, ensure_ascii=False)
        return choose.choice([*spelt, *spelt, choose.choice(NUMBERS), choose.choice(OTHER_JSON)])

    def row() -> str:
        names = choose.sample(COLUMNS, choose.randint(0, 3))
        return "{" + ", ".join(f"{json.dumps(name, ensure_ascii=False)}:{value()}" for name in names) + "}"

    def record(kind: str) -> Record:
        tag = choose.choice(["ALTER TABLE", "Straße"])
        old = row() if kind in "UD" else None
        new = (old if choose.random() < 0.2 else row()) if kind in "IU" else None
        return Record(
            id=choose.randint(1, 12),
            xid=choose.randint(3, 9),
            at=(NOON + timedelta(seconds=choose.randint(-2, 2), microseconds=choose.randint(0, 1))).isoformat(),
            kind=kind,
            table_schema=choose.choice(["public", "Shop", "x", None]),
            table_name=choose.choice([*NAMES, None]),
            session_user=choose.choice([*NAMES, None]),
            application_name=choose.choice([*NAMES, None]),
            query=choose.choice([*WORDS, None]),
            old_data=old,
            new_data=new or (row() if kind == "I" else None),
            ddl=json.dumps({"command_tag": tag}) if kind == "S" else None,
            context=choose.choice([None, None, row(), row(), *WORDS]),
        )

    return [record(choose.choice("IIUUUDDTSE")) for _ in range(number)]


texts = st.sampled_from(WORDS) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3)
numbers = st.sampled_from(NUMBERS)
names = st.sampled_from(NAMES)


def columns_values() -> st.SearchStrategy[Value]:
    plain = st.sampled_from([word for word in WORDS if word]).map(Value.of) | texts.map(Value)
    ends = numbers.filter(lambda number: len(number) < 20)
    return (
        plain
        | numbers.map(Value.of)
        | st.sampled_from(["p*", "*1*", "??", "tru?", "*"]).map(Value.of)
        | st.builds(lambda low, high: Value.of(f"{low}..{high}"), ends, ends)
        | st.sampled_from(["a..q", "é..z", "null", "true", "false"]).map(Value.of)
    )


def name_values() -> st.SearchStrategy[tuple[Value, ...]]:
    one = names.map(Value) | st.sampled_from(["*", "o*", "?", "*.orders", "public.*"]).map(Value.name)
    return st.lists(one, min_size=1, max_size=2).map(tuple)


@st.composite
def columns(draw: st.DrawFn) -> Condition:
    operator = draw(st.sampled_from(["=", "!=", ">", ">=", "<", "<="]))
    if operator in ("=", "!="):
        values = tuple(draw(st.lists(columns_values(), min_size=1, max_size=2)))
    else:
        values = (draw(columns_values().filter(lambda value: value.form in ("text", "number"))),)
    if draw(st.booleans()):
        path = draw(st.lists(st.sampled_from([*COLUMNS, "0"]), max_size=2).map(tuple))
        return Column(draw(st.sampled_from(["new", "old", "ctx"])), path, operator, values)
    return Key(operator, values)


limit = st.integers(1, 12) | st.none()
limits = st.tuples(limit, limit).filter(any)
moments = st.integers(-2, 2).map(lambda seconds: NOON + timedelta(seconds=seconds))
leaves = (
    st.sets(st.sampled_from("IUDTSE"), min_size=1).map(lambda kinds: Kinds("".join(k for k in "IUDTSE" if k in kinds)))
    | st.builds(Numbers, st.sampled_from(["id", "xid"]), st.lists(limits, min_size=1, max_size=2).map(tuple))
    | st.builds(Names, st.sampled_from(["table", "event", "user", "app"]), name_values())
    | st.builds(Time, st.sampled_from(["since", "until"]), moments)
    | name_values().map(Query)
    | texts.filter(bool).map(Text)
    | st.just(Regex("paid"))
    | columns()
    | columns()
    | st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=2).map(lambda c: Changed(tuple(map(Value, c))))
    | st.just(Tag((Value("alter table"),)))
)
conditions = st.recursive(
    leaves,
    lambda inner: (
        inner.map(Not)
        | st.lists(inner, max_size=3).map(tuple).map(And)
        | st.lists(inner, max_size=3).map(tuple).map(Or)
    ),
    max_leaves=4,
)

INSERT = """
insert into pgevents.event
    (id, xid, at, kind, table_schema, table_name, session_user_name, application_name, query, old_data, new_data, ddl,
    context, number)
values (%s, %s::text::xid8, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


KEPT = kept_records(400)


@pytest.fixture(scope="module")
def log(server: Any, built_template: str) -> Iterator[psycopg.Connection]:
    """A log of its own, with `KEPT` in it."""
    url = server.create_database(f"filter_sql_{os.getpid()}", built_template)
    with connect(url, application_name="test") as connection:
        connection.execute("drop index pgevents.event_xid")
        fill(connection, KEPT)
        yield connection


def fill(log: psycopg.Connection, records: list[Record]) -> None:
    log.execute("truncate pgevents.event")
    log.execute("alter table pgevents.event add if not exists number serial")
    log.cursor().executemany(INSERT, [(*record, number) for number, record in enumerate(records)])


def held(log: psycopg.Connection, condition: SQL | Composed) -> set[int]:
    """The numbers of the events on which it holds."""
    return {row[0] for row in log.execute(SQL("select e.number from pgevents.event e where {}").format(condition))}


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conditions)
def test_sql_lets_through_what_python_does_and_its_negation_never_less(
    log: psycopg.Connection, condition: Condition
) -> None:
    matches = Filter(condition).matches

    right = {number for number, record in enumerate(KEPT) if matches(record)}

    most, least = sql.bounds(condition)
    assert right <= held(log, most)
    assert held(log, least) <= right
    assert right <= held(log, sql.where_indexed(condition))
    assert right <= held(log, sql.where_rows(condition))


@pytest.mark.parametrize(
    "text",
    [
        "table:orders", "-table:orders", "table:shop.*", "op:U,D", "is:ddl", "-is:ddl", "is:extension", "user:app", "-app:check*",
        "new.status:paid", "new.total>100", "old.status:new|paid", "pk:42", "pk:1..50", "new.status!=paid",
        "since:2026-08-22", "id:3..", "tx:7", "query:update", "col:status", '"free text"',
        "ctx.user:42", "ctx.user:42 op:U",
        "table:orders op:U (new.total>100 or new.status:paid) -user:etl",
    ],
)  # fmt: skip
def test_what_a_usual_filter_does_not_want_never_travels(log: psycopg.Connection, text: str) -> None:
    """The bound is of use: of plain ASCII data it lets through no more than what is wanted."""
    row = Record(
        1, 7, "2026-08-21T10:00:00+00:00", "U", "public", "stock", "etl", "job", "call x()",
        '{"sku":7,"amount":1}', '{"sku":7,"amount":2}', None, '{"user":7}',
    )  # fmt: skip
    wanted = row._replace(
        id=3, at="2026-08-22T10:00:00+00:00", table_schema="shop", table_name="orders", session_user="app",
        application_name="checkout", query="update …", old_data='{"id":42,"status":"new","total":99.5}',
        new_data='{"id":42,"status":"paid","total":112.50,"note":"free text"}',
        context='{"user":42}',
    )  # fmt: skip
    kept = [row, wanted, row._replace(id=4, kind="S", old_data=None, new_data=None, ddl='{"command_tag":"DROP TABLE"}')]
    asked = parse(text)

    with log.transaction(force_rollback=True):
        fill(log, kept)
        through = held(log, sql.where(asked.condition))

    right = {number for number, record in enumerate(kept) if asked.matches(record)}
    is_schema = 2
    assert through - {is_schema} == right - {is_schema}


def test_a_row_that_postgresql_cannot_take_apart_is_read_all_the_same(built_database_url: str) -> None:
    deep = "[" * 7000 + "]" * 7000
    with connect(built_database_url, application_name="test") as connection:
        connection.execute("truncate pgevents.event")
        connection.execute("set max_stack_depth = '6MB'")
        for value in (deep, '"paid"'):
            connection.execute(
                "insert into pgevents.event (kind, table_schema, table_name, new_data) values ('I', 'public', 't', %s)",
                [f'{{"status":{value}}}'],
            )

    with Listener(built_database_url, wake_up=False) as listener:
        listener.connection.execute("set max_stack_depth = '100kB'")
        found = list(Retained(listener, parse("new.status:paid")))

    assert [record.new_data for record in found] == ['{"status":"paid"}']


def test_a_late_statement_of_an_early_time_is_in_the_range(built_database_url: str) -> None:
    """Ids and times do not rise strictly together."""
    with connect(built_database_url, application_name="test") as connection:
        connection.execute("truncate pgevents.event")
        for number, minutes in ((10, 1), (11, 30), (12, 2), (13, 31), (14, 3)):
            connection.execute(
                "insert into pgevents.event (id, kind, at) values (%s, 'I', now() - make_interval(mins => %s))",
                [number, minutes],
            )

    def found(text: str) -> list[int]:
        with Listener(built_database_url, wake_up=False) as listener:
            return [record.id for record in Retained(listener, parse(text))]

    assert found("since:10m") == [10, 12, 14]
    assert found("until:10m") == [11, 13]
    assert found("since:40m until:150s") == [11, 13, 14]


def test_only_the_range_of_a_time_is_read(built_database_url: str) -> None:
    with connect(built_database_url, application_name="test") as connection:
        connection.execute("truncate pgevents.event")
        connection.execute(
            "insert into pgevents.event (id, kind, at)"
            " select n, 'I', now() - make_interval(secs => 1000 - n) from generate_series(1, 1000) n"
        )

    with Listener(built_database_url, wake_up=False) as listener:
        log = Retained(listener, parse("since:100s"))

    assert (900 <= log.first_id <= 902, log.last_id) == (True, 1000)


def test_a_reader_goes_on_where_its_link_was_lost(built_database_url: str) -> None:
    with connect(built_database_url, application_name="test") as connection:
        connection.execute("truncate pgevents.event")
        connection.execute("insert into pgevents.event (kind) select 'I' from generate_series(1, 300)")
        expected = [row[0] for row in connection.execute("select id from pgevents.event order by id")]

    with Listener(built_database_url, wake_up=False) as listener:
        log = Retained(listener, parse(""))
        pages = log.pages()
        found = [record.id for record in next(pages)]
        listener.connect()
        found += [record.id for record in log]

    assert found == expected
