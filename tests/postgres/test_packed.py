"""The rows of one statement stand folded in the log, and everybody who reads it sees an event for each."""

import json
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from pg_events import sql
from pg_events.config.settings import Settings
from pg_events.delivery.worker import Worker
from pg_events.event import MAX_PACKED, Record
from pg_events.filter import sql as filter_sql
from pg_events.filter.parser import parse as parse_filter
from pg_events.log.listener import EVERYTHING, Cursor, Listener
from pg_events.log.retained import Retained
from pg_events.testing.capture import capture

pytestmark = pytest.mark.usefixtures("documents")


def read(url: str, page_events: int = 1000) -> list[Record]:
    with Listener(url, Cursor(EVERYTHING), page_events=page_events) as listener:
        return [record for page in listener.pages() for record in page]


def rows(db: psycopg.Connection) -> list[tuple[int, int | None]]:
    """Id and number of events of each row of the log."""
    return db.execute("select id, folded from pgevents.event order by id").fetchall()


def test_a_statement_of_many_rows_takes_few_rows_of_the_log(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute("insert into t select i, 'short' from generate_series(1, 1000) i")
    db.execute("update t set body = 'longer' where id <= 300")
    db.execute("delete from t where id > 300")

    assert len(rows(db)) < 100
    records = read(built_database_url)
    assert [record.kind for record in records] == ["I"] * 1000 + ["U"] * 300 + ["D"] * 700
    ids = [record.id for record in records]
    assert ids == sorted(set(ids))
    for record in records:
        old, new = (json.loads(text) if text else None for text in (record.old_data, record.new_data))
        if record.kind == "U":
            assert (old["id"], old["body"], new["body"]) == (new["id"], "short", "longer")
    assert [json.loads(record.new_data or record.old_data or "")["id"] for record in records] == [
        *range(1, 1001), *range(1, 301), *range(301, 1001),
    ]  # fmt: skip
    assert {record.query for record in records[1000:1300]} == {"update t set body = 'longer' where id <= 300"}


def test_a_row_of_the_log_has_room_for_its_events_ids(db: psycopg.Connection) -> None:
    db.execute("insert into t (id) select generate_series(1, 1000)")
    db.execute("insert into t (id) values (2000)")
    db.execute("insert into t (id) select generate_series(3001, 3350)")

    found = rows(db)

    assert max(events or 1 for _, events in found) == MAX_PACKED
    for (first, events), (following, _) in pairwise(found):
        assert first + (events or 1) <= following
    assert sum(events or 1 for _, events in found) == 1351


def test_large_rows_are_not_folded_and_do_not_fill_the_memory(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute("insert into t select i, repeat(md5(i::text), 10000) from generate_series(1, 3) i")
    db.execute("insert into t select i, repeat(md5(i::text), i) from generate_series(100, 180) i")

    records = read(built_database_url)

    assert rows(db)[:3] == [(record.id, None) for record in records[:3]]
    assert [len(json.loads(record.new_data or "")["body"]) for record in records] == [
        *[320_000] * 3, *(32 * n for n in range(100, 181)),
    ]  # fmt: skip


HOSTILE = [
    "\x1e", "\\u001e", '","', '"}\x1e{"', "\n", "\r\n,\n {", "'", "\\", "é\u2028", "{}", "", "\x1f", "null", "%s", "[red]",
]  # fmt: skip


def test_no_value_can_be_taken_for_what_parts_the_rows(db: psycopg.Connection, built_database_url: str) -> None:
    raw = [json.dumps(value, indent=1) for value in HOSTILE] + ['{"a":\n\n [1,\r\n2]}', "[]", "null"]
    with db.cursor() as cursor:
        cursor.execute(
            "insert into t select row_number() over (), b, r::json from unnest(%s::text[], %s::text[]) u (b, r)",
            [HOSTILE + [None] * 3, raw],
        )
        cursor.execute("update t set id = id + 1000")

    inserted = read(built_database_url)[: len(raw)]
    updated = read(built_database_url)[len(raw) :]

    assert [json.loads(record.new_data or "")["body"] for record in inserted] == HOSTILE + [None] * 3
    assert [json.loads(record.new_data or "")["raw"] for record in updated] == [json.loads(text) for text in raw]
    assert [record.old_data for record in updated] == [record.new_data for record in inserted]
    assert db.execute("select old_data::text from pgevents.log where kind = 'U' order by id").fetchall() == [
        (record.old_data,) for record in updated
    ]


def statements(db: psycopg.Connection, seed: int) -> None:
    """Statements of one row and of many, large and small, some of them in one transaction."""
    chance = random.Random(seed)
    top = 0
    for _ in range(12):
        with db.transaction():
            for _ in range(chance.randint(1, 3)):
                many, wide = chance.choice([1, 2, 7, 40, 230]), chance.choice([0, 3, 60])
                db.execute(
                    "insert into t select i, repeat(md5(i::text), %s) from generate_series(%s::integer, %s) i",
                    [wide, top + 1, top + many],
                )
                top += many
                db.execute("update t set body = body || '!' where id %% %s = 0", [chance.choice([1, 5, 9999])])
                db.execute("delete from t where id %% %s = 0", [chance.choice([3, 9999])])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_page_and_every_place_to_go_on_from_gives_the_same_events(
    db: psycopg.Connection, built_database_url: str, seed: int
) -> None:
    statements(db, seed)
    every = read(built_database_url, 100_000)
    assert db.execute("select id, old_data::text, new_data::text from pgevents.log order by id").fetchall() == [
        (record.id, record.old_data, record.new_data) for record in every
    ]

    for page_events in (1, 7, 100, 333, 1000):
        assert read(built_database_url, page_events) == every
    chance = random.Random(seed)
    with Listener(built_database_url, Cursor(EVERYTHING), page_events=500) as listener:
        listener.poll()
        places = chance.sample(range(len(every)), 12)
        for place, cursor in [(place, listener.cursor_after(every[place])) for place in places]:
            listener.cursor = cursor
            assert [record for page in listener.pages() for record in page] == every[place + 1 :]
        assert listener.recent(77) == every[-77:]
        assert listener.recent(10**6) == every


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("", lambda _: True),
        ("new.id:17", lambda e: e.new_data and json.loads(e.new_data)["id"] == 17),
        ("op:D", lambda e: e.kind == "D"),
        ("id:{a}..{b}", lambda e: True),
        ("id:{a}", lambda e: True),
        ("id:..{b}", lambda e: True),
        ("-id:{a}..{b}", lambda e: True),
        ("table:t op:I,U", lambda e: e.kind in "IU"),
        ("-table:t or op:D", lambda e: e.kind == "D"),
        ("table:public.*", lambda e: True),
        ('"17"', lambda e: "17" in f"{e.new_data} {e.old_data} {e.query}"),
        ('-"17" op:D', lambda e: e.kind == "D"),
        ("query:delete", lambda e: "delete" in (e.query or "")),
        ("-query:delete new.id>40", lambda e: "delete" not in (e.query or "")),
    ],
)
def test_what_is_kept_is_found_within_folded_rows(
    db: psycopg.Connection, built_database_url: str, text: str, chosen: Callable[[Record], bool]
) -> None:
    statements(db, 5)
    every = read(built_database_url)
    a, b = every[len(every) // 3].id, every[len(every) // 2].id
    wanted = parse_filter(text.format(a=a, b=b))

    for after in (0, a):
        with Listener(built_database_url) as listener:
            found = list(Retained(listener, wanted, after))
        assert found == [record for record in every if wanted.matches(record) and chosen(record) and record.id > after]


@pytest.mark.parametrize("text", ["nowhere", "query:nowhere", "table:elsewhere nowhere"])
def test_the_text_of_a_statement_is_looked_up_once_a_row_of_the_log(
    db: psycopg.Connection, built_database_url: str, text: str
) -> None:
    db.execute("insert into t (id) select generate_series(1, 2000)")
    number_of_rows = len(rows(db))
    assert number_of_rows <= 40

    with Listener(built_database_url) as listener:
        looked_up = "select pg_stat_get_xact_numscans('pgevents.statement_id'::regclass)"
        with listener.connection.transaction():
            assert list(Retained(listener, parse_filter(text))) == []
            found = listener.connection.execute(looked_up).fetchone()

    assert found is not None
    # One more: planning can look at an end of the index.
    assert found[0] in ((0,) if text.startswith("table:") else (number_of_rows, number_of_rows + 1))


def test_a_range_of_ids_is_looked_for_in_the_rows_that_can_hold_it(db: psycopg.Connection) -> None:
    db.execute("insert into t (id) select generate_series(1, 500)")
    db.execute("insert into t (id) values (501)")
    ids = [number for (number,) in db.execute("select id from pgevents.log order by id")]

    for number in ids[::37]:
        for text in (f"id:{number}", f"id:{number}..", f"-id:{number}"):
            condition = parse_filter(text).condition
            of_rows = filter_sql.where_indexed(condition)
            question = psycopg.sql.SQL(sql.text("retained_range.sql")).format(wanted=of_rows)
            first, last = db.execute(question).fetchone() or (0, 0)
            right = [one for one in ids if (one == number) == (text[0] != "-") or (text[-1] == "." and one > number)]
            assert first <= right[0]
            assert right[-1] <= last


def test_a_consumer_is_behind_by_events_and_not_by_rows(db: psycopg.Connection, built_database_url: str) -> None:
    def waiting() -> Any:
        row = db.execute(sql.text("consumers.sql"), prepare=False).fetchone()
        assert row is not None
        return row[5]

    Worker(Settings(database_url=built_database_url, data_update_callback=lambda _: None), "reader").run(once=True)
    db.execute("insert into t (id) select generate_series(1, 250)")
    assert waiting() == 250

    ids = [number for (number,) in db.execute("select id from pgevents.log order by id")]
    db.execute(
        "update pgevents.share set window_end = pg_current_snapshot(), position = %s where consumer = 'reader'",
        [ids[41]],
    )

    assert waiting() == 208


def test_a_worker_that_stops_amid_a_folded_row_goes_on_amid_it(db: psycopg.Connection, built_database_url: str) -> None:
    got: list[int] = []

    def callback(payload: str) -> None:
        got.append(json.loads(payload)["new_data"]["id"])
        if got[-1] == 1042:
            worker.stop()

    settings = Settings(database_url=built_database_url, data_update_callback=callback)
    Worker(settings, "reader").run(once=True)
    db.execute("insert into t (id) select generate_series(1, 1250)")

    worker = Worker(settings, "reader")
    worker.run()
    assert got == list(range(1, 1043))
    Worker(settings, "reader").run(once=True)

    assert got == list(range(1, 1251))


def test_a_test_sees_folded_events(db: psycopg.Connection, built_database_url: str) -> None:
    with capture(built_database_url) as captured:
        db.execute("insert into t (id) select generate_series(1, 150)")

    assert [event.row["id"] for event in captured] == list(range(1, 151))  # type: ignore[union-attr]


def test_columns_that_are_computed_are_folded_too(db: psycopg.Connection, built_database_url: str) -> None:
    if db.info.server_version < 180000:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    db.execute("create table c (id integer, twice integer generated always as (id * 2) virtual)")
    db.execute("delete from pgevents.event")
    db.execute("insert into c select generate_series(1, 120)")
    db.execute("update c set id = id + 1")

    records = read(built_database_url)

    assert len(rows(db)) < 24
    assert [json.loads(record.new_data or "")["twice"] for record in records] == [
        *range(2, 242, 2), *range(4, 244, 2),
    ]  # fmt: skip
