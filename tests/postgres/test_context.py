"""What the application says about a transaction: from its setting, or the statement's comment, to the payload."""

import json
from collections.abc import Iterator

import psycopg
import pytest

from pg_events import DataEvent, parse
from pg_events.event import Record
from pg_events.event import record as read
from pg_events.filter.parser import parse as parse_filter
from pg_events.log.listener import Listener
from pg_events.log.retained import Retained


@pytest.fixture
def db(built_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(built_database_url) as connection:
        connection.execute("create table note (id integer primary key, body text)")
        connection.commit()
        yield connection


@pytest.fixture
def listener(built_database_url: str, db: psycopg.Connection) -> Iterator[Listener]:
    listener = Listener(built_database_url)
    listener.connect()
    try:
        yield listener
    finally:
        listener.close()


def say(db: psycopg.Connection, context: str) -> None:
    db.execute("select set_config('pgevents.context', %s, true)", [context])


def events(listener: Listener) -> list[Record]:
    return [record for page in listener.pages() for record in page if record.kind != "S"]


def test_every_kind_of_event_has_the_context_of_its_transaction(db: psycopg.Connection, listener: Listener):
    say(db, '{"user": 42, "request": "r-1"}')
    db.execute("insert into note values (1, 'a')")
    db.execute("insert into note select i, 'b' from generate_series(2, 300) i")
    db.execute("update note set body = 'c' where id < 3")
    db.execute("delete from note where id = 2")
    db.execute("truncate note")
    db.execute("alter table note add column more text")
    db.commit()
    records = [record for page in listener.pages() for record in page]
    assert {record.kind for record in records} == set("IUDTS")
    made = [record for record in records if record.kind != "S" or "CREATE" not in (record.ddl or "")]
    assert {record.context for record in made} == {'{"user": 42, "request": "r-1"}'}
    assert {json.loads(record.payload)["context"]["user"] for record in made} == {42}


def test_a_transaction_without_a_context_has_none_after_one_that_had_one(db: psycopg.Connection, listener: Listener):
    say(db, '{"user": 1}')
    db.execute("insert into note values (1)")
    db.commit()
    db.execute("insert into note values (2)")
    db.rollback()
    db.execute("insert into note values (3)")
    db.commit()
    first, second = events(listener)
    assert (first.context, second.context) == ('{"user": 1}', None)
    assert "context" not in json.loads(second.payload)


def test_a_savepoint_that_is_rolled_back_takes_its_context_along(db: psycopg.Connection, listener: Listener):
    say(db, '{"user": 1}')
    with db.transaction(force_rollback=True):
        say(db, '{"user": 2}')
        db.execute("insert into note values (1)")
    db.execute("insert into note values (2)")
    db.commit()
    assert [record.context for record in events(listener)] == ['{"user": 1}']


@pytest.mark.parametrize(
    "context",
    [
        "no JSON", "{", "[1]", "42", '"text"', "null", '{"a": NaN}', '{"a": Infinity}', '{"a":' * 500 + "1" + "}" * 500,
        "'); drop table note; --", "\x1b[31m red", "ü€😀", '{"a": "\\ud800"}', "x" * 10_000_000, '{"a": "' + "y" * 5000 + '"}',
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_text_and_never_fails_the_write(
    db: psycopg.Connection, listener: Listener, context: str
):
    say(db, context)
    db.execute("insert into note values (1)")
    db.execute("insert into note values (2), (3)")
    db.commit()
    records = events(listener)
    assert [record.context for record in records] == [context[:4096]] * 3
    said = json.loads(records[0].payload)["context"]
    assert said == (json.loads(context) if context == '{"a": "\\ud800"}' else context[:4096])
    event = parse(records[0].payload)
    assert event.context == said


def test_a_row_trigger_and_a_redacted_table_keep_the_context(url: str, build):
    with psycopg.connect(url) as db:
        db.execute("create table by_row (id integer)")
        db.execute("create table secret (id integer, name text)")
        db.execute("create function nothing() returns trigger language plpgsql as 'begin return null; end'")
        db.execute("create trigger follows after insert on by_row for each row execute function nothing()")
        db.commit()
        build(url, row_triggers=("by_row",), redact={"secret": {"name": "mask"}}, query_characters=0)
        say(db, '{"user": 7}')
        db.execute("insert into by_row values (1), (2)")
        db.execute("insert into secret values (1, 'x')")
        db.commit()
        found = db.execute("select context, query from pgevents.log where kind = 'I'").fetchall()
    assert found == [('{"user": 7}', None)] * 3


def test_a_comment_at_the_end_of_a_statement_is_read(db: psycopg.Connection, listener: Listener):
    comment = "/*route='%2Forders%2F%7Bid%7D',traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01'*/"
    db.execute(f"insert into note values (1, 'a') {comment}")
    db.execute(f"insert into note values (%s, %s) {comment.replace('%', '%%')};", [2, "b"], prepare=True)
    db.execute(f"insert into note select 3, '{'x' * 20_000}' {comment}")
    db.execute("insert into note values (4, 'no comment at the end /*route=''x''*/')")
    db.commit()
    records = events(listener)
    tags = [parse(record.payload).comment for record in records]
    wanted = {
        "route": "/orders/{id}",
        "traceparent": "00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01",
    }
    assert tags == [wanted, wanted, wanted, {}]
    assert len(records[2].query or "") == 8192


FILTERS = [
    "ctx.user:42", "ctx.user:43", "ctx.user!=42", "-ctx.user:42", "ctx.user>41", "ctx.user:42.0", "ctx.user:42e0",
    "ctx.route:/orders", "ctx.route:/o*",
    "ctx.deep.list:2", "ctx:only*", "ctx:42", 'ctx:"only text"', "ctx.missing:1", "ctx.user:null", 'ctx."a b":1', "checkout",
    "/only.text/",
]  # fmt: skip


@pytest.mark.parametrize("text", FILTERS)
def test_the_server_finds_what_python_finds(db: psycopg.Connection, listener: Listener, text: str):
    contexts = [
        None, "", '{"user": 42}', '{"user": "42"}', '{"user": 42.0}', '{"user": 4.2e1}',
        '{"us\\u0065r": 42}', "only text", '{"user": null}',
        '{"deep": {"list": [1, 2]}, "a b": 1}', '{"app": "checkout"}',
    ]  # fmt: skip
    comments = ["", " /*route='%2Forders'*/", " /*user='42',app='checkout'*/"]
    for number, context in enumerate(contexts):
        if context is not None:
            say(db, context)
        for place, comment in enumerate(comments):
            db.execute(f"insert into note values ({number * 10 + place}){comment}")
            db.execute(
                f"insert into note values ({number * 10 + place + 5000}), ({number * 10 + place + 9000}){comment}"
            )
        db.commit()
    for _ in listener.pages():
        pass
    everything = [*Retained(listener, parse_filter("op:I"))]
    assert len(everything) == 99
    wanted = parse_filter(f"op:I ({text})")
    found = [*Retained(listener, wanted)]
    assert found == [record for record in everything if wanted.matches(record)]
    assert found or text in ("ctx.user:43", "ctx.missing:1")


def test_the_context_is_in_the_log_for_people(db: psycopg.Connection):
    say(db, '{"user": 1}')
    db.execute("insert into note values (1)")
    db.commit()
    assert db.execute("select context::json ->> 'user' from pgevents.log where kind = 'I'").fetchone() == ("1",)


def test_a_payload_is_read_back_with_its_context(db: psycopg.Connection, listener: Listener):
    for context in ('{"user": {"id": 1}}', "only text"):
        say(db, context)
        db.execute("insert into note values (1) on conflict do nothing")
        db.execute("update note set body = 'x'")
        db.commit()
    for record in events(listener):
        assert read(record.payload) == record
        assert isinstance(parse(record.payload), DataEvent)
