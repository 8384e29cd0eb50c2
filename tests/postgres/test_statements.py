"""Every kind of statement that changes rows: one event for each row that was changed, with the right pair.

Two things judge: the changes that are listed for a statement, and the rows themselves. Carried out on a copy of the rows
as they were, the events must lead to the rows as they are, each finding the row as it says it was.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.db.connection import connect
from pg_events.triggers import catalog, rules
from tests.conftest import fresh_database

Row = tuple[Any, ...]
Change = tuple[str, str, *tuple[Row, ...]]
"""Letter, table, and the row before or after, or both."""

TABLES = """
    create table item (id integer primary key, v text);
    create table part (
        id integer primary key,
        item integer references item on delete cascade on update cascade,
        other integer references item on delete set null on update set default
    );
    create table child (more integer) inherits (item);
    create table tree (id integer, v text) partition by range (id);
    create table low partition of tree for values from (0) to (10);
    create table high partition of tree for values from (10) to (20);
    create view seen as select * from item where v <> 'hidden';
    insert into item values (1, 'a'), (2, 'b'), (3, 'c');
    insert into part values (10, 1, null), (11, 2, 1), (12, null, 2);
    insert into child values (7, 'g', 70);
    insert into tree values (1, 'a'), (11, 'k');
"""
NAMES = ("item", "part", "child", "tree")

WAYS = {
    "statement by statement": "select",
    # A user's trigger that follows each row has the whole tree captured by row.
    "row by row": """
        create function follow() returns trigger language plpgsql as 'begin return null; end';
        create trigger follow after insert or update or delete on item for each row execute function follow();
        create trigger follow after insert or update or delete on part for each row execute function follow();
        create trigger follow after insert or update or delete on tree for each row execute function follow();
    """,
    "row by row, as asked": "select",
    # Columns whose spelling depends on settings have another function.
    "with such columns": "alter table item add x real; alter table part add x real; alter table tree add x real",
    "with options": "select",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "with options": {"when": {"*": "true"}},
    "row by row, as asked": {"row_triggers": ("*",)},
}


@dataclass(frozen=True)
class Case:
    statement: str
    changes: tuple[Change, ...]
    before: str = "select"
    since: int = 0
    """PostgreSQL has it since that major."""
    by_row: tuple[Change, ...] | None = None
    """The changes, where they are others when the rows are captured one by one."""


CHANGING = "begin new.v := upper(new.v); return new; end"
DROPPING = "begin return case when new.v = 'no' then null else new end; end"


def trigger(body: str, table: str = "item", events: str = "insert or update") -> str:
    return (
        f"create function mine() returns trigger language plpgsql as $$ {body} $$;"
        f" create trigger mine before {events} on {table} for each row execute function mine()"
    )


CASES = {
    "merge with every action": Case(
        "merge into item i using (values (1, 'x'), (2, 'y'), (3, 'z'), (4, 'n'), (5, 'nothing')) s (id, v) on i.id = s.id"
        " when matched and s.id = 1 then update set v = s.v"
        " when matched and s.id = 2 then delete"
        " when matched then do nothing"
        " when not matched and s.v = 'n' then insert values (s.id, s.v)"
        " when not matched then do nothing",
        (
            ("U", "item", (1, "a"), (1, "x")), ("D", "item", (2, "b")), ("I", "item", (4, "n")),
            ("D", "part", (11, 2, 1)), ("U", "part", (12, None, 2), (12, None, None)),
        ),
    ),
    "merge by source": Case(
        "merge into tree t using (values (1)) s (id) on t.id = s.id"
        " when matched then update set v = 'both' when not matched by source then delete",
        (("U", "tree", (1, "a"), (1, "both")), ("D", "tree", (11, "k"))),
        since=17,
    ),
    "merge of nothing": Case("merge into item i using item s on false when matched then delete", ()),
    "insert on conflict do update": Case(
        "insert into item values (1, 'A'), (4, 'd'), (2, 'b') on conflict (id) do update set v = excluded.v"
        " where item.v <> excluded.v",
        (("U", "item", (1, "a"), (1, "A")), ("I", "item", (4, "d"))),
    ),
    "insert on conflict do nothing": Case(
        "insert into item values (1, 'A'), (4, 'd'), (4, 'e') on conflict do nothing", (("I", "item", (4, "d")),)
    ),
    "a key that is changed under those who refer to it": Case(
        "update item set id = 21 where id = 1",
        (
            ("U", "item", (1, "a"), (21, "a")),
            ("U", "part", (10, 1, None), (10, 21, None)),
            ("U", "part", (11, 2, 1), (11, 2, None)),
        ),
    ),
    "a delete that cascades and sets null": Case(
        "delete from item where id <= 2",
        (
            ("D", "item", (1, "a")), ("D", "item", (2, "b")), ("D", "part", (10, 1, None)),
            ("U", "part", (11, 2, 1), (11, 2, None)), ("D", "part", (11, 2, None)), ("U", "part", (12, None, 2), (12, None, None)),
        ),
    ),
    "a trigger that changes rows before": Case(
        "insert into item values (4, 'd'); update item set v = 'x' where id = 1",
        (("I", "item", (4, "D")), ("U", "item", (1, "a"), (1, "X"))),
        before=trigger(CHANGING),
    ),
    "a trigger that drops rows before": Case(
        "insert into item values (4, 'no'), (5, 'yes'); update item set v = case id when 1 then 'no' else 'y' end where id < 3",
        (("I", "item", (5, "yes")), ("U", "item", (2, "b"), (2, "y"))),
        before=trigger(DROPPING),
    ),
    "a trigger that forbids deletes": Case(
        "delete from item", (), before=trigger("begin return null; end", events="delete") + "; delete from child"
    ),
    "a trigger that changes another row before": Case(
        "update item set v = 'x' where id = 1",
        (("U", "item", (3, "c"), (3, "c!")), ("U", "item", (1, "a"), (1, "x"))),
        before=trigger(
            "begin if new.id = 1 then update item set v = v || '!' where id = 3; end if; return new; end", events="update"
        ),
    ),
    "a rule in place of the statement": Case(
        "delete from item where id = 3",
        (("U", "item", (3, "c"), (3, "gone")),),
        before="create rule instead as on delete to item do instead update item set v = 'gone' where id = old.id",
    ),
    "a rule beside the statement": Case(
        "insert into item values (4, 'd')",
        (("I", "item", (4, "d")), ("I", "tree", (4, "d"))),
        before="create rule also as on insert to item do also insert into tree values (new.id, new.v)",
    ),
    "a view that can be written to": Case(
        "update seen set v = 'B' where id = 2; insert into seen values (4, 'd'); delete from seen where id = 3",
        (("U", "item", (2, "b"), (2, "B")), ("I", "item", (4, "d")), ("D", "item", (3, "c"))),
    ),
    "one table twice in one statement": Case(
        "with one as (update item set v = 'x' where id = 1 returning id), two as (insert into item values (4, 'd')),"
        " three as (update item set v = 'y' where id = 2) insert into item select 5, 'e' from one",
        (
            ("U", "item", (1, "a"), (1, "x")), ("U", "item", (2, "b"), (2, "y")), ("I", "item", (4, "d")),
            ("I", "item", (5, "e")),
        ),
    ),
    "rows that are taken from one and put into another": Case(
        "with gone as (delete from item where id = 3 returning *) insert into tree select id, v from gone",
        (("D", "item", (3, "c")), ("I", "tree", (3, "c"))),
    ),
    "parent and children at once": Case(
        "update item set v = v || '+' where id in (1, 7)",
        (("U", "item", (1, "a"), (1, "a+")), ("U", "child", (7, "g", 70), (7, "g+", 70))),
    ),
    "the parent alone": Case("delete from only item where id in (3, 7)", (("D", "item", (3, "c")),)),
    "rows that move between partitions": Case(
        "update tree set id = (id + 10) % 20",
        (("U", "tree", (1, "a"), (11, "a")), ("U", "tree", (11, "k"), (1, "k"))),
        # So PostgreSQL tells the triggers that follow each row.
        by_row=(("D", "tree", (1, "a")), ("I", "tree", (11, "a")), ("D", "tree", (11, "k")), ("I", "tree", (1, "k"))),
    ),
    "writes to partitions themselves": Case(
        "insert into low values (2, 'b'); update low set v = 'B' where id = 2; delete from high",
        (("I", "tree", (2, "b")), ("U", "tree", (2, "b"), (2, "B")), ("D", "tree", (11, "k"))),
    ),
    "a savepoint that is taken back": Case(
        "insert into item values (4, 'd'); savepoint s; update item set v = 'x'; rollback to s; delete from item where id = 3",
        (("I", "item", (4, "d")), ("D", "item", (3, "c"))),
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=list(WAYS))
def way(request: pytest.FixtureRequest, server: Any, build: Callable[..., Any]) -> Iterator[tuple[str, str]]:
    """A way to capture, and the URL of a database whose tables are captured that way."""
    with fresh_database(server) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(TABLES)
            connection.execute(WAYS[request.param].encode())
        assert not build(url, **OPTIONS.get(request.param, {})).failed
        yield request.param, url


@pytest.fixture
def db(way: tuple[str, str]) -> Iterator[psycopg.Connection]:
    """In a transaction that is rolled back when the test ends."""
    with psycopg.connect(way[1]) as connection:
        yield connection
        connection.rollback()


def rows(db: psycopg.Connection) -> dict[str, list[Row]]:
    """Table -> its rows, without those of tables that inherit from it and without columns that only stand for others."""
    return {
        name: [
            tuple(value for column, value in row.items() if column != "x")
            for (row,) in db.execute(f"select row_to_json(r) from {'' if name == 'tree' else 'only '}{name} r".encode())
        ]
        for name in NAMES
    }


def changes(db: psycopg.Connection) -> list[Change]:
    found = db.execute(
        "select kind, table_name, old_data, new_data from pgevents.log where kind <> 'S' order by id"
    ).fetchall()
    return [
        (kind, name, *(tuple(v for c, v in data.items() if c != "x") for data in pair if data is not None))
        for kind, name, *pair in found
    ]


def carried_out(before: dict[str, list[Row]], changes: list[Change]) -> dict[str, list[Row]]:
    """The rows after the changes. Fails when a change does not find the row as it says it was."""
    after = {name: list(found) for name, found in before.items()}
    for kind, name, *pair in changes:
        if kind != "I":
            after[name].remove(pair[0])
        if kind != "D":
            after[name].append(pair[-1])
    return after


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_row_that_was_changed_is_one_event_with_the_right_pair(
    db: psycopg.Connection, way: tuple[str, str], case: Case
) -> None:
    if db.info.server_version // 10_000 < case.since:
        pytest.skip(f"PostgreSQL has it since {case.since}")
    db.execute(case.before.encode())
    db.execute("delete from pgevents.event")
    before = rows(db)

    db.execute(case.statement.encode())

    found = changes(db)
    expected = case.by_row if way[0].startswith("row by row") and case.by_row is not None else case.changes
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert {name: sorted(left, key=repr) for name, left in carried_out(before, found).items()} == {
        name: sorted(left, key=repr) for name, left in rows(db).items()
    }


MERGE_THAT_MOVES = (
    "merge into tree t using (values (1, 12), (11, 2), (5, null)) s (id, to_id) on t.id = s.id"
    " when matched and to_id is not null then update set id = s.to_id"
)
MERGES_THAT_MOVE: dict[str, tuple[str, str]] = {
    "update": (MERGE_THAT_MOVES, ""),
    "update or insert": (f"{MERGE_THAT_MOVES} when not matched and to_id is null then insert values (id, 'e')", "I"),
    "update or delete": (f"{MERGE_THAT_MOVES} when matched then delete", "D"),
    "update, insert or delete": (
        f"{MERGE_THAT_MOVES} when matched then delete when not matched then insert values (id, 'e')", "DI"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "seen_halves"), MERGES_THAT_MOVE.values(), ids=MERGES_THAT_MOVE)
def test_rows_that_a_merge_moves_to_another_partition_are_seen_or_status_says_that_they_are_not(
    db: psycopg.Connection, way: tuple[str, str], statement: str, seen_halves: str
) -> None:
    """PostgreSQL shows that a row left its partition to what follows DELETE, and that it came to what follows INSERT; and
    to statement triggers only if the MERGE has such an action."""
    with connect(way[1], application_name="test") as connection:
        choices = rules.written(Settings(**OPTIONS.get(way[0], {})))
        (tree,) = (table for table in catalog.tables(connection, choices=choices) if table.name == "tree")
    before = rows(db)
    db.execute("delete from pgevents.event")

    db.execute(statement.encode())

    seen = changes(db)
    inserted = {("I", "tree", (5, "e"))} if "insert" in statement else set[Change]()
    halves = {("D", "tree", (1, "a")), ("I", "tree", (12, "a")), ("D", "tree", (11, "k")), ("I", "tree", (2, "k"))}
    if way[0].startswith("row by row"):
        assert set(seen) == halves | inserted
        assert sorted(carried_out(before, seen)["tree"]) == sorted(rows(db)["tree"])
    else:
        assert set(seen) == {half for half in halves if half[0] in seen_halves} | inserted
        assert "but not rows that a MERGE moves to another partition" in tree.reason
    assert len(seen) == len(set(seen))
