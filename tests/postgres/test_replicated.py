"""What a subscription applies, and what is written as a replica, is captured where the settings say so; once, like all else."""

import json
import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pg_events import build as core
from pg_events import catalog, choice
from pg_events.connection import connect
from pg_events.demo.server import FAST, Server, binaries
from pg_events.examination import examine
from pg_events.settings import Settings
from pg_events.worker import Worker
from tests.conftest import GivenServer, fresh_database
from tests.postgres.choosing import Build, plan

Change = tuple[str, str, Any, Any]

ITEMS = "create table item (id integer primary key, v text)"
TREE = """
    create table tree (id integer primary key, v text) partition by range (id);
    create table low partition of tree for values from (0) to (10);
    create table high partition of tree for values from (10) to (20);
"""


def changes(db: psycopg.Connection) -> list[Change]:
    """Data events since the last look: letter, table, old row, new row."""
    found = db.execute(
        "select kind, table_name, old_data, new_data from pgevents.log where kind <> 'S' order by id"
    ).fetchall()
    db.execute("delete from pgevents.event")
    return found


def table(url: str, name: str, **settings: Any) -> catalog.Table:
    """As `status` sees it after a build with those settings."""
    with connect(url, application_name="test") as connection:
        found = catalog.tables(connection, choices=choice.written(Settings(url, **settings)))
    return next(table for table in found if table.name == name)


def triggers(db: psycopg.Connection) -> list[tuple[str, str, str]]:
    return db.execute(
        "select tgrelid::regclass::text, tgname, tgenabled::text from pg_trigger where not tgisinternal order by 1, 2"
    ).fetchall()


@contextmanager
def as_replica(db: psycopg.Connection) -> Iterator[None]:
    db.execute("set session_replication_role = replica")
    yield
    db.execute("set session_replication_role = origin")


def findings(url: str, **settings: Any) -> list[str]:
    return [one.text for one in examine(Settings(url, **settings)) if one.name == "settings" and one.state == "problem"]


# --- a subscription -----------------------------------------------------------------------------------------------


SUBSCRIPTION = "shop_copy"


class Pair:
    """Two databases of one server, of which one subscribes to all tables of the other."""

    def __init__(self, server: Server, publisher_url: str, url: str) -> None:
        self._server = server
        self._publisher_url = publisher_url
        self.url = url
        self.publisher = psycopg.connect(publisher_url, autocommit=True)
        self.subscriber = psycopg.connect(url, autocommit=True)

    def create(self, tables: str) -> None:
        for connection in (self.publisher, self.subscriber):
            connection.execute(tables.encode())

    def subscribe(self, options: str = "copy_data = false", publication: str = "") -> None:
        self.publisher.execute(f"create publication p for all tables {publication}".encode())
        self.publisher.execute(
            "select pg_create_logical_replication_slot(%s, 'pgoutput', false, %s)",
            [SUBSCRIPTION, "two_phase" in options],
        )
        # In one server the command cannot make the slot: it would wait for its own transaction to end.
        self.subscriber.execute(
            f"create subscription {SUBSCRIPTION} connection '{self._publisher_url}' publication p"
            f" with (create_slot = false, {options})".encode()
        )
        # Who commits here waits from now on until the subscription has applied that.
        self.publisher.execute("set synchronous_commit = remote_apply")

    def publish(self, *statements: str) -> None:
        """Carry them out and wait until the subscriber has applied them."""
        for statement in statements:
            self.publisher.execute(statement.encode())

    def close(self) -> None:
        if self.subscriber.execute("select from pg_subscription where subname = %s", [SUBSCRIPTION]).rowcount:
            for command in ("alter {} disable", "alter {} set (slot_name = none)", "drop {}"):
                self.subscriber.execute(command.format(f"subscription {SUBSCRIPTION}").encode())
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            connection.execute("select pg_terminate_backend(active_pid, 10000) from pg_replication_slots where active")
            connection.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
        self.publisher.close()
        self.subscriber.close()


@pytest.fixture(scope="module")
def logical_server(server: Server | GivenServer) -> Iterator[Server]:
    programs = binaries(server.major)
    if isinstance(server, GivenServer) or programs is None:
        pytest.skip("needs a server of its own, with wal_level = logical")
    settings = FAST | {
        "wal_level": "logical",
        "synchronous_standby_names": SUBSCRIPTION,
        "logical_decoding_work_mem": "64kB",  # larger transactions are streamed
        "wal_retrieve_retry_interval": "100ms",  # when a subscription tries again
    }
    with Server(programs, settings=settings) as own:
        yield own


@pytest.fixture
def pair(logical_server: Server) -> Iterator[Pair]:
    with fresh_database(logical_server) as publisher, fresh_database(logical_server) as subscriber:
        found = Pair(logical_server, publisher, subscriber)
        try:
            yield found
        finally:
            found.close()


def test_what_a_subscription_applies_is_captured_where_the_settings_say_so(pair: Pair, build: Build) -> None:
    pair.create(f"{ITEMS}; create table other (id integer primary key)")
    build(pair.url, capture_replicated=("public.item",))
    pair.subscribe()

    pair.publish(
        "insert into other values (1)",
        "insert into item values (1, 'a'), (2, 'b')",
        "update item set v = upper(v)",
        "delete from item where id = 1",
        "truncate item",
    )

    assert changes(pair.subscriber) == [
        ("I", "item", None, {"id": 1, "v": "a"}),
        ("I", "item", None, {"id": 2, "v": "b"}),
        # A publisher sends the old row only where its table has REPLICA IDENTITY FULL: the subscriber's own is meant.
        ("U", "item", {"id": 1, "v": "a"}, {"id": 1, "v": "A"}),
        ("U", "item", {"id": 2, "v": "b"}, {"id": 2, "v": "B"}),
        ("D", "item", {"id": 1, "v": "A"}, None),
        ("T", "item", None, None),
    ]
    assert f"but not what the subscription {SUBSCRIPTION} applies" in table(pair.url, "other").reason
    assert table(pair.url, "item", capture_replicated=("public.item",)).reason == "replicated changes, too"


def test_the_first_copy_is_captured_and_wakes_a_sleeper(pair: Pair, build: Build) -> None:
    pair.create(ITEMS)
    pair.publisher.execute("insert into item select n, 'x' from generate_series(1, 3) n")
    build(pair.url, capture_replicated=("*",))
    with psycopg.connect(pair.url, autocommit=True) as reader:
        reader.execute("listen pgevents")
        pair.subscriber.execute("select setval('pgevents.sleeper', extract(epoch from now())::bigint + 60)")

        pair.subscribe("copy_data = true")

        # First for the DDL that this was, then for the copy.
        assert [notify.payload for notify in reader.notifies(timeout=60, stop_after=2)] == ["", ""]
    assert changes(pair.subscriber) == [("I", "item", None, {"id": n, "v": "x"}) for n in (1, 2, 3)]


def test_an_event_of_a_subscription_says_who_applied_it_and_has_no_query(pair: Pair, build: Build) -> None:
    pair.create(ITEMS)
    build(pair.url, capture_replicated=("*",))
    pair.subscribe()
    found: list[str] = []
    Worker(Settings(pair.url, found.append)).run(once=True)

    pair.publish("insert into item values (1, 'a')", "update item set v = 'b'")
    pair.subscriber.execute("set application_name = here; update item set v = 'c'")
    Worker(Settings(pair.url, found.append)).run(once=True)

    events = [json.loads(payload) for payload in found]
    assert [(event["method"], event["new_data"]["v"], "query" in event) for event in events] == [
        ("INSERT", "a", False), ("UPDATE", "b", False), ("UPDATE", "c", True)
    ]  # fmt: skip
    assert [event["application_name"] for event in events] == ["", "", "here"]
    assert {event["session_user"] for event in events} == {"postgres"}


@pytest.mark.parametrize("publication", ["", " with (publish_via_partition_root)"])
def test_a_partitioned_subscribers_events_have_the_roots_name(pair: Pair, build: Build, publication: str) -> None:
    pair.create(TREE)
    build(pair.url, capture_replicated=("public.tree",))
    pair.subscribe(publication=publication)

    pair.publish("insert into tree values (1, 'a'), (11, 'k')", "update tree set id = 12 where id = 1", "truncate tree")

    found = changes(pair.subscriber)
    assert found[:4] == [
        ("I", "tree", None, {"id": 1, "v": "a"}),
        ("I", "tree", None, {"id": 11, "v": "k"}),
        # So it is sent, or so it tells triggers.
        ("D", "tree", {"id": 1, "v": "a"}, None),
        ("I", "tree", None, {"id": 12, "v": "a"}),
    ]
    assert {(kind, name) for kind, name, *_ in found[4:]} == (
        {("T", "tree")} if publication else {("T", "low"), ("T", "high")}
    )


def test_what_is_chosen_holds_for_replicated_changes(pair: Pair, build: Build) -> None:
    pair.create("create table users (id integer primary key, name text, email text, pin text)")
    settings: dict[str, Any] = {
        "exclude_columns": {"users": ("pin",)},
        "redact": {"users": {"email": "mask"}},
        "when": {"users": "new.id > 0"},
        "skip_unchanged": ("*",),
        "capture_replicated": ("users",),
    }
    build(pair.url, **settings)
    pair.subscribe()

    pair.publish(
        "insert into users values (-1, 'n', 'secret', 'secret'), (1, 'n', 'secret', 'secret')",
        "update users set pin = 'other'",
        "update users set name = 'm'",
        "delete from users",
    )

    assert changes(pair.subscriber) == [
        ("I", "users", None, {"id": 1, "name": "n", "email": "***"}),
        ("U", "users", {"id": 1, "name": "n", "email": "***"}, {"id": 1, "name": "m", "email": "***"}),
        ("D", "users", {"id": -1, "name": "m", "email": "***"}, None),
        ("D", "users", {"id": 1, "name": "m", "email": "***"}, None),
    ]


@pytest.mark.parametrize("streaming", ["on", "parallel"])
def test_a_transaction_that_is_streamed_while_it_runs_is_captured_as_it_commits(
    pair: Pair, build: Build, streaming: str
) -> None:
    if streaming == "parallel" and pair.publisher.info.server_version < 16_00_00:
        pytest.skip("PostgreSQL has it since 16")
    pair.create(ITEMS)
    build(pair.url, capture_replicated=("*",))
    pair.subscribe(f"copy_data = false, streaming = {streaming}")
    rows = "insert into item select n, repeat('x', 100) from generate_series({}, {}) n"

    pair.publish("begin", rows.format(1, 2000), "savepoint s", rows.format(2001, 4000), "rollback to s")
    pair.publish(rows.format(4001, 4002), "update item set v = 'y' where id = 1", "commit")

    streamed = pair.publisher.execute("select stream_txns from pg_stat_replication_slots").fetchall()
    assert streamed == [(1,)]
    found = changes(pair.subscriber)
    assert [new["id"] for kind, _, _, new in found if kind == "I"] == [*range(1, 2001), 4001, 4002]
    assert [(kind, new["id"], new["v"]) for kind, _, _, new in found[2002:]] == [("U", 1, "y")]


TWO_PHASE = "copy_data = false, two_phase = true"


def test_a_subscription_that_prepares_transactions_is_captured_with_the_wake_up_off(pair: Pair, build: Build) -> None:
    pair.create(ITEMS)
    settings: dict[str, Any] = {"capture_replicated": ("*",), "wake_up": False}
    build(pair.url, **settings)
    pair.subscribe(TWO_PHASE)

    pair.publish("begin; insert into item values (1, 'a'); prepare transaction 'two'")
    assert changes(pair.subscriber) == []
    assert (
        len(pair.subscriber.execute("select from pg_prepared_xacts where database = current_database()").fetchall())
        == 1
    )
    pair.publish("commit prepared 'two'")

    assert changes(pair.subscriber) == [("I", "item", None, {"id": 1, "v": "a"})]
    assert findings(pair.url, **settings) == []


def test_a_subscription_cannot_prepare_a_transaction_that_woke_somebody_and_the_doctor_says_so(
    pair: Pair, build: Build
) -> None:
    pair.create(ITEMS)
    build(pair.url, capture_replicated=("*",))
    pair.subscribe(TWO_PHASE)
    pair.publish("insert into item values (1, 'a')")
    (worker,) = pair.subscriber.execute(
        "select pid from pg_stat_subscription where subname = %s", [SUBSCRIPTION]
    ).fetchall()[0]
    ended = os.pidfd_open(worker)

    pair.subscriber.execute("select setval('pgevents.sleeper', extract(epoch from now())::bigint + 600)")
    pair.publisher.execute("set synchronous_commit = off")
    pair.publish("begin; insert into item values (2, 'b'); prepare transaction 'two'")
    assert select.select([ended], [], [], 60)[0] == [ended]
    os.close(ended)
    assert findings(pair.url, capture_replicated=("*",)) == [
        "a subscription prepares transactions here (two_phase): it fails, again and again, at one that woke a worker"
    ]

    # It tries again and again: as soon as nobody sleeps it goes on.
    pair.subscriber.execute("select setval('pgevents.sleeper', 0)")
    pair.publisher.execute("set synchronous_commit = remote_apply")
    pair.publish("commit prepared 'two'")
    assert [new["id"] for _, _, _, new in changes(pair.subscriber)] == [1, 2]


# --- local sessions -----------------------------------------------------------------------------------------------


WRITES = """
    insert into {0} select n, 'x' from generate_series(1, 3) n;
    update {0} set v = 'y' where id < 3;
    delete from {0} where id = 3;
    truncate {0};
"""
LETTERS = ["I", "I", "I", "U", "U", "D", "T"]


@pytest.mark.parametrize("name", ["item", "tree", "item row by row"])
def test_everybody_elses_writes_are_captured_once_as_before(
    db: psycopg.Connection, url: str, build: Build, name: str
) -> None:
    db.execute(f"{ITEMS}; {TREE}".encode())
    settings: dict[str, Any] = {"by_row": ("item",)} if name.endswith("by row") else {}
    name = name.partition(" ")[0]
    build(url, **settings)
    before = [trigger for trigger in triggers(db) if "truncate" not in trigger[1]]

    build(url, **settings, capture_replicated=("*",))
    db.execute(WRITES.format(name).encode())

    assert [kind for kind, *_ in changes(db)] == LETTERS
    assert [trigger for trigger in triggers(db) if "O" in trigger[2]] == before
    with as_replica(db):
        db.execute(WRITES.format(name).encode())
    assert [kind for kind, *_ in changes(db)] == LETTERS


def test_what_is_written_as_a_replica_is_not_captured_unless_the_settings_say_so(
    db: psycopg.Connection, url: str, build: Build
) -> None:
    db.execute(f"{ITEMS}; {TREE}".encode())
    build(url, capture_replicated=("tree",))

    with as_replica(db):
        db.execute((WRITES.format("item") + WRITES.format("tree")).encode())

    assert [(kind, name) for kind, name, *_ in changes(db)] == [(kind, "tree") for kind in LETTERS]


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ((), ["fires no trigger and is not recorded"]),
        (("item",), ["fires no trigger and is not recorded, but on tables of PG_EVENTS_CAPTURE_REPLICATED"]),
        (("*",), []),
    ],
)
def test_the_doctor_knows_whose_writes_are_missed(
    role: str, db: psycopg.Connection, url: str, build: Build, chosen: tuple[str, ...], says: list[str]
) -> None:
    build(url, capture_replicated=chosen)
    db.execute(
        sql.SQL("alter role {} in database {} set session_replication_role = replica").format(
            sql.Identifier(role), sql.Identifier(db.info.dbname)
        )
    )

    found = findings(url, capture_replicated=chosen)

    assert [text.partition(f"{role}: what they write ")[2] for text in found] == says


@pytest.mark.parametrize("chosen", [("*",), ()])
def test_a_restore_that_disables_triggers_is_not_captured_and_leaves_them_as_they_were(
    server: Server, db: psycopg.Connection, url: str, build: Build, chosen: tuple[str, ...]
) -> None:
    db.execute(ITEMS)
    build(url, capture_replicated=chosen)
    db.execute("insert into item values (1, 'a')")
    before = triggers(db)
    programs = binaries(server.major)
    if programs is None or not (programs / "pg_dump").exists():
        pytest.skip("needs pg_dump")
    dump = subprocess.run(
        [programs / "pg_dump", "--data-only", "--table=item", "--disable-triggers", url],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    db.execute("delete from item; delete from pgevents.event")

    subprocess.run([programs / "psql", "-q", url], input=dump, capture_output=True, check=True)

    assert changes(db) == []
    assert triggers(db) == before
    assert plan(url, capture_replicated=chosen).steps == ()


def test_where_no_event_trigger_looks_a_restore_leaves_drift_and_captures_nothing_twice(
    db: psycopg.Connection, url: str, build: Build
) -> None:
    db.execute(ITEMS)
    build(url, capture_replicated=("*",))
    before = triggers(db)
    for name in catalog.EVENT_TRIGGERS:
        db.execute(f"alter event trigger {name} disable".encode())

    db.execute("alter table item disable trigger all; alter table item enable trigger all")
    db.execute(WRITES.format("item").encode())

    assert [kind for kind, *_ in changes(db)] == LETTERS
    found = table(url, "item", capture_replicated=("*",))
    assert found.state == "outdated"
    assert "truncate, replicated: not as" in found.reason
    for name in catalog.EVENT_TRIGGERS:
        db.execute(f"alter event trigger {name} enable".encode())
    assert not build(url, capture_replicated=("*",)).failed
    assert triggers(db) == before


# --- the setting --------------------------------------------------------------------------------------------------


def test_who_takes_the_setting_away_has_the_triggers_of_before(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute(f"{ITEMS}; {TREE}".encode())
    build(url)
    before = triggers(db)

    build(url, capture_replicated=("*",))
    assert {name for _, name, fires in triggers(db) if fires in "AR"} == {
        "00_pgevents_replicated", "00_pgevents_truncate"
    }  # fmt: skip
    assert plan(url, capture_replicated=("*",)).steps == ()
    assert table(url, "item").state == "outdated"

    build(url)

    assert triggers(db) == before
    assert plan(url).steps == ()


def test_a_teardown_leaves_no_trigger(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute(f"{ITEMS}; {TREE}".encode())
    build(url, capture_replicated=("*",))

    with connect(url, application_name="test") as connection:
        made = core.teardown_plan(connection)
    assert not core.apply(url, made).failed

    assert triggers(db) == []


@pytest.mark.parametrize("fires", ["always", "replica"])
def test_a_trigger_that_somebody_else_lets_fire_for_replicas_is_put_right(
    db: psycopg.Connection, url: str, build: Build, fires: str
) -> None:
    db.execute(ITEMS)
    change = f'alter table item enable {fires} trigger "00_pgevents_insert"'.encode()

    db.execute(change)
    assert ("item", "00_pgevents_insert", "O") in triggers(db)

    for name in catalog.EVENT_TRIGGERS:
        db.execute(f"alter event trigger {name} disable".encode())
    db.execute(change)
    assert table(url, "item").state == "outdated"
    build(url)
    assert ("item", "00_pgevents_insert", "O") in triggers(db)


def test_triggers_that_somebody_disables_stay_so_until_the_next_build(
    db: psycopg.Connection, url: str, build: Build
) -> None:
    db.execute(ITEMS)
    build(url, capture_replicated=("*",))
    before = triggers(db)

    db.execute("alter table item disable trigger all")

    assert {fires for _, _, fires in triggers(db)} == {"D"}
    assert table(url, "item", capture_replicated=("*",)).state == "disabled"
    build(url, capture_replicated=("*",))
    assert triggers(db) == before


def test_tables_made_later_and_partitions_are_captured_so(db: psycopg.Connection, url: str, build: Build) -> None:
    build(url, capture_replicated=("public.*",))

    db.execute(f"{ITEMS}; {TREE}".encode())
    db.execute("create table late (id integer primary key, v text)")
    db.execute("alter table tree attach partition late for values from (20) to (30)")

    with as_replica(db):
        db.execute("insert into item values (1, 'a'); insert into tree values (1, 'a'), (21, 'u')")
    assert [(kind, name) for kind, name, *_ in changes(db)] == [("I", "item"), ("I", "tree"), ("I", "tree")]
    assert plan(url, capture_replicated=("public.*",)).steps == ()


def test_a_build_that_is_told_only_the_database_keeps_it(db: psycopg.Connection, url: str, build: Build) -> None:
    db.execute(ITEMS)
    build(url, capture_replicated=("item",), by_row=("item",))
    before = triggers(db)

    build(url, only_database=True)

    assert triggers(db) == before


def test_a_role_that_does_not_own_the_table_is_told_who_must(role: str, url: str, db: psycopg.Connection) -> None:
    db.execute(ITEMS)
    owner = db.execute("select nspowner::regrole::text from pg_namespace where nspname = 'pgevents'").fetchone()
    assert owner is not None
    db.execute(
        sql.SQL("grant create on database {} to {}").format(sql.Identifier(db.info.dbname), sql.Identifier(role))
    )
    db.execute("drop event trigger pgevents_schema_changed; drop event trigger pgevents_schema_dropped")
    db.execute("drop schema pgevents cascade")
    db.execute(sql.SQL("grant trigger on item to {}").format(sql.Identifier(role)))

    own = psycopg.conninfo.make_conninfo(url, user=role)
    with connect(own, application_name="test") as connection:
        made = core.make_plan(connection, Settings(own, capture_replicated=("*",)))
    failed = core.apply(own, made).failed

    assert {reason for _, reason in failed} == {"must be owner of table item; remedy: run it as the table's owner"}
