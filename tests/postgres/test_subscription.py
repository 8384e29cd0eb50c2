"""What a subscription applies, and its first copy, is captured where the settings say so."""

import json
import os
import select
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.delivery.worker import Worker
from pg_events.demo.server import FAST, Server, binaries
from tests.conftest import GivenServer, fresh_database
from tests.postgres.choosing import ITEMS, TREE, Build, changes_of_tables, findings, table

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

    assert changes_of_tables(pair.subscriber) == [
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
    assert changes_of_tables(pair.subscriber) == [("I", "item", None, {"id": n, "v": "x"}) for n in (1, 2, 3)]


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

    found = changes_of_tables(pair.subscriber)
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


def test_what_is_chosen_holds_for_replicated_changes_of_tables(pair: Pair, build: Build) -> None:
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

    assert changes_of_tables(pair.subscriber) == [
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
    found = changes_of_tables(pair.subscriber)
    assert [new["id"] for kind, _, _, new in found if kind == "I"] == [*range(1, 2001), 4001, 4002]
    assert [(kind, new["id"], new["v"]) for kind, _, _, new in found[2002:]] == [("U", 1, "y")]


TWO_PHASE = "copy_data = false, two_phase = true"


def test_a_subscription_that_prepares_transactions_is_captured_with_the_wake_up_off(pair: Pair, build: Build) -> None:
    pair.create(ITEMS)
    settings: dict[str, Any] = {"capture_replicated": ("*",), "notify": False}
    build(pair.url, **settings)
    pair.subscribe(TWO_PHASE)

    pair.publish("begin; insert into item values (1, 'a'); prepare transaction 'two'")
    assert changes_of_tables(pair.subscriber) == []
    assert (
        len(pair.subscriber.execute("select from pg_prepared_xacts where database = current_database()").fetchall())
        == 1
    )
    pair.publish("commit prepared 'two'")

    assert changes_of_tables(pair.subscriber) == [("I", "item", None, {"id": 1, "v": "a"})]
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
        "a subscription prepares transactions here (two_phase): it fails repeatedly at one that has notified a worker"
    ]

    # It tries again and again: as soon as nobody sleeps it goes on.
    pair.subscriber.execute("select setval('pgevents.sleeper', 0)")
    pair.publisher.execute("set synchronous_commit = remote_apply")
    pair.publish("commit prepared 'two'")
    assert [new["id"] for _, _, _, new in changes_of_tables(pair.subscriber)] == [1, 2]
