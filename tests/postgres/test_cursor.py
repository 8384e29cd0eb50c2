"""The snapshot cursor against many writers, and against the two cursors that look as good and are not.

The doubles are here to be seen failing: if the writers ever stop provoking what breaks them, these tests say so.
"""

import itertools
import json
import random
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from pg_events import sql
from pg_events.errors import DatabaseUnreachable
from pg_events.event import Record, parse
from pg_events.log.listener import EVERYTHING, Cursor, Listener

WRITERS = 10
TRANSACTIONS = 40
ROWS = 12


class IdReader:
    """The obvious cursor: everything with an id above the last one seen."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._last = 0

    def poll(self) -> list[tuple[int, str]]:
        rows = self._connection.execute(
            "select id, new_data::text from pgevents.log where id > %s and kind <> 'S' order by id", [self._last]
        ).fetchall()
        if rows:
            self._last = rows[-1][0]
        return rows

    def close(self) -> None:
        self._connection.close()


class HorizonReader:
    """The popular repair: only what is older than every running transaction, in the order of transaction and id."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._last = (0, 0)

    def poll(self) -> list[tuple[int, str]]:
        rows = self._connection.execute(
            "select e.id, e.new_data::text, e.xid::text::bigint from pgevents.log e where e.kind <> 'S'"
            " and e.xid < pg_snapshot_xmin(pg_current_snapshot()) and (e.xid, e.id) > (%s::text::xid8, %s)"
            " order by e.xid, e.id",
            [str(self._last[0]), self._last[1]],
        ).fetchall()
        if rows:
            self._last = (rows[-1][2], rows[-1][0])
        return [(row[0], row[1]) for row in rows]

    def close(self) -> None:
        self._connection.close()


class SnapshotReader:
    """Ours."""

    def __init__(self, url: str, page_events: int = 1000) -> None:
        self._listener = Listener(url, Cursor(EVERYTHING), page_events=page_events)
        self._listener.connect()

    def poll(self) -> list[tuple[int, str]]:
        return [(record.id, record.new_data or "") for record in self._listener.poll() if record.kind != "S"]

    def close(self) -> None:
        self._listener.close()


@dataclass
class Shared:
    """What the writers did: (row, version) of every committed change, noted when the commit had returned."""

    committed: list[tuple[int, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def write(url: str, seed: int, shared: Shared) -> None:
    """Random transactions on few rows: changes, savepoints rolled back, whole transactions rolled back, pauses."""
    chance = random.Random(seed)
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(TRANSACTIONS):
            changes: list[tuple[int, int]] = []
            fails = chance.random() < 0.15
            connection.execute("begin")
            # In one order, so that the writers do not deadlock.
            for row in sorted(chance.sample(range(ROWS), chance.randint(1, 4))):
                change(connection, row, changes)
                if chance.random() < 0.3:
                    connection.execute("savepoint s")
                    change(connection, row, [])
                    connection.execute("rollback to savepoint s")
                if chance.random() < 0.3:
                    connection.execute("savepoint t")
                    change(connection, row, changes)
                    connection.execute("release savepoint t")
                connection.execute("select pg_sleep(%s)", [chance.choice([0, 0, 0.001, 0.01])])
            connection.execute("rollback" if fails else "commit")
            if not fails:
                with shared.lock:
                    shared.committed += changes


def change(connection: psycopg.Connection, row: int, changes: list[tuple[int, int]]) -> None:
    found = connection.execute(
        "update account set version = version + 1 where id = %s returning version", [row]
    ).fetchone()
    assert found is not None
    changes.append((row, found[0]))


def hold(url: str, begun: threading.Event, release: threading.Event, shared: Shared) -> None:
    """A transaction that takes an id and a transaction id early and commits when the others are done."""
    with psycopg.connect(url, autocommit=True) as connection:
        changes: list[tuple[int, int]] = []
        connection.execute("begin")
        change(connection, ROWS, changes)
        begun.set()
        release.wait()
        # A row that the others have changed since: its change is newer, its transaction id is older.
        change(connection, 0, changes)
        connection.execute("commit")
        with shared.lock:
            shared.committed += changes


def lost_repeated_disordered(seen: list[tuple[int, str]], shared: Shared) -> tuple[int, int, int]:
    delivered: dict[int, list[int]] = defaultdict(list)
    for _, new_data in seen:
        row = parse_row(new_data)
        delivered[row["id"]].append(row["version"])
    pairs = {(row, version) for row, versions in delivered.items() for version in versions}
    lost = len(set(shared.committed) - pairs)
    repeated = len(seen) - len({number for number, _ in seen})
    disordered = sum(
        later <= earlier for versions in delivered.values() for earlier, later in itertools.pairwise(versions)
    )
    return lost, repeated, disordered


def parse_row(new_data: str) -> dict[str, int]:
    return json.loads(new_data)


@pytest.fixture
def accounts_url(built_database_url: str) -> str:
    with psycopg.connect(built_database_url, autocommit=True) as connection:
        connection.execute("create table account (id integer primary key, version integer not null)")
        connection.execute("set session_replication_role = replica")  # the rows themselves are no part of the test
        connection.execute("insert into account select i, 0 from generate_series(0, %s) i", [ROWS])
    return built_database_url


def run_writers(
    url: str, readers: dict[str, Callable[[], list[tuple[int, str]]]]
) -> tuple[Shared, dict[str, list[tuple[int, str]]]]:
    shared = Shared()
    begun, release = threading.Event(), threading.Event()
    holder = threading.Thread(target=hold, args=(url, begun, release, shared))
    holder.start()
    begun.wait()
    writers = [threading.Thread(target=write, args=(url, seed, shared)) for seed in range(WRITERS)]
    for writer in writers:
        writer.start()
    seen: dict[str, list[tuple[int, str]]] = {name: [] for name in readers}
    while any(writer.is_alive() for writer in writers):
        for name, poll in readers.items():
            seen[name] += poll()
    release.set()
    holder.join()
    for name, poll in readers.items():
        while page := poll():
            seen[name] += page
    return shared, seen


def test_every_committed_change_arrives_once_and_in_the_order_of_its_row(accounts_url: str) -> None:
    ours, paged = SnapshotReader(accounts_url), SnapshotReader(accounts_url, page_events=7)
    by_id, by_horizon = IdReader(accounts_url), HorizonReader(accounts_url)

    shared, seen = run_writers(
        accounts_url, {"ours": ours.poll, "paged": paged.poll, "id": by_id.poll, "horizon": by_horizon.poll}
    )
    for reader in (ours, paged, by_id, by_horizon):
        reader.close()

    assert len(shared.committed) > 500
    assert lost_repeated_disordered(seen["ours"], shared) == (0, 0, 0)
    assert lost_repeated_disordered(seen["paged"], shared) == (0, 0, 0)
    assert len(seen["ours"]) == len(seen["paged"]) == len(shared.committed)
    # The same writers, read with the two others: the id loses events, the horizon breaks the order of a row.
    assert lost_repeated_disordered(seen["id"], shared)[0] > 0
    assert lost_repeated_disordered(seen["horizon"], shared)[2] > 0


def test_an_event_with_a_low_id_that_commits_late_is_delivered(accounts_url: str) -> None:
    reader, by_id = SnapshotReader(accounts_url), IdReader(accounts_url)
    with psycopg.connect(accounts_url) as slow, psycopg.connect(accounts_url, autocommit=True) as quick:
        slow.execute("update account set version = 1 where id = 1")
        quick.execute("update account set version = 1 where id = 2")

        first = reader.poll(), by_id.poll()
        slow.commit()
        second = reader.poll(), by_id.poll()

    assert [len(page) for page in first] == [1, 1]
    assert len(second[0]) == 1
    assert second[1] == [], "the double no longer loses it: this test proves nothing"
    reader.close()
    by_id.close()


def test_a_row_changed_by_a_younger_transaction_first_stays_in_order(accounts_url: str) -> None:
    reader, by_horizon = SnapshotReader(accounts_url), HorizonReader(accounts_url)
    with psycopg.connect(accounts_url) as elder, psycopg.connect(accounts_url, autocommit=True) as younger:
        elder.execute("update account set version = 1 where id = 1")
        younger.execute("update account set version = 1 where id = 2")
        elder.execute("update account set version = 2 where id = 2")
        elder.commit()

        ours = [parse_row(data) for _, data in reader.poll()]
        horizon = [parse_row(data) for _, data in by_horizon.poll()]

    assert [row["version"] for row in ours if row["id"] == 2] == [1, 2]
    assert [row["version"] for row in horizon if row["id"] == 2] == [2, 1], "the double no longer fails"
    reader.close()
    by_horizon.close()


def test_a_running_transaction_above_the_snapshots_xmax_with_low_ids_is_delivered(accounts_url: str) -> None:
    # pg_snapshot_xmax is the latest *completed* transaction + 1. One that runs can have an id above it, and hold ids of
    # events below everything that is delivered meanwhile.
    reader = SnapshotReader(accounts_url)
    with psycopg.connect(accounts_url) as running, psycopg.connect(accounts_url, autocommit=True) as other:
        running.execute("update account set version = 1 where id = 1")
        assert reader.poll() == []
        other.execute("update account set version = 1 where id = 2")
        assert len(reader.poll()) == 1
        running.commit()

        assert len(reader.poll()) == 1
    reader.close()


@pytest.mark.parametrize("stop_after", [1, 2, 5, 13])
def test_a_reader_that_starts_again_from_a_saved_cursor_goes_on_where_it_stopped(
    accounts_url: str, stop_after: int
) -> None:
    with psycopg.connect(accounts_url, autocommit=True) as connection:
        connection.execute("update account set version = version + 1")
        connection.execute("update account set version = version + 1 where id < 4")
    with Listener(accounts_url, Cursor(EVERYTHING), page_events=4) as whole:
        every = [record.id for page in whole.pages() for record in page]

    got: list[int] = []
    cursor = Cursor(EVERYTHING)
    while True:
        with Listener(accounts_url, cursor, page_events=4) as listener:
            records: list[Record] = []
            for page in listener.pages():
                records += page
                if len(records) >= stop_after:
                    break
            if not records:
                break
            # Stopped in the middle of a page: what came after it was read and not dealt with.
            kept = min(stop_after, len(records))
            last_page_begins = len(records) - len(page)
            if kept <= last_page_begins:
                kept = last_page_begins + 1
            got += [record.id for record in records[:kept]]
            cursor = listener.cursor_after(records[kept - 1])

    assert got == every


def test_a_backlog_is_read_in_pages_without_gaps_or_repeats(accounts_url: str) -> None:
    with psycopg.connect(accounts_url, autocommit=True) as connection:
        connection.execute("insert into account select i, 0 from generate_series(100, 5099) i")
        connection.execute("delete from account where id >= 100")

    with Listener(accounts_url, Cursor(EVERYTHING), page_events=300) as listener:
        pages = list(listener.pages())

    ids = [record.id for page in pages for record in page if record.kind != "S"]
    assert len(ids) == len(set(ids)) == 10_000
    assert ids == sorted(ids)
    assert max(len(page) for page in pages) == 300


def test_a_reader_without_a_cursor_starts_after_what_is_visible(accounts_url: str) -> None:
    with psycopg.connect(accounts_url) as slow, psycopg.connect(accounts_url, autocommit=True) as quick:
        quick.execute("update account set version = 1 where id = 1")
        slow.execute("update account set version = 1 where id = 2")
        with Listener(accounts_url) as listener:
            assert listener.poll() == []
            slow.commit()
            quick.execute("update account set version = 1 where id = 3")

            rows = [parse(record.payload).new_data["id"] for record in listener.poll()]  # type: ignore[union-attr]

    assert rows == [2, 3]


def test_recent_gives_the_last_events_and_goes_on_after_them(accounts_url: str) -> None:
    with psycopg.connect(accounts_url, autocommit=True) as connection:
        for version in range(1, 6):
            connection.execute("update account set version = %s where id = 1", [version])
        with Listener(accounts_url) as listener:
            history = listener.recent(3)
            connection.execute("update account set version = 6 where id = 1")
            fresh = listener.poll()

    assert [parse_row(record.new_data or "")["version"] for record in [*history, *fresh]] == [3, 4, 5, 6]


def test_recent_gives_fewer_events_where_their_rows_are_large(accounts_url: str) -> None:
    with psycopg.connect(accounts_url, autocommit=True) as connection:
        connection.execute("create table document (id integer, body text)")
        for number in range(1, 5):
            connection.execute("insert into document values (%s, repeat('x', 100000))", [number])
        with Listener(accounts_url) as listener:
            history = listener.recent(100, limit_bytes=150_000)
            connection.execute("insert into document values (5, '')")
            fresh = listener.poll()

    assert [parse_row(record.new_data or "")["id"] for record in [*history, *fresh]] == [3, 4, 5]


@pytest.mark.parametrize("page_events", [1000, 5])
def test_a_link_lost_while_texts_are_fetched_skips_no_page(accounts_url: str, page_events: int) -> None:
    class CutOff(Listener):
        """Its link is cut each time before it asks for a statement's text for the first time."""

        cuts = 0

        def _rows(self, question: str, parameters: Any) -> list[tuple[Any, ...]]:
            if question == "statements.sql" and not self._statements and self.cuts < 2:
                self.cuts += 1
                with psycopg.connect(accounts_url, autocommit=True) as killer:
                    killer.execute("select pg_terminate_backend(%s, 5000)", [self.connection.info.backend_pid])
            return super()._rows(question, parameters)

    with CutOff(accounts_url, page_events=page_events) as listener, psycopg.connect(accounts_url) as connection:
        connection.execute("update account set version = 1 /* " + "long " * 100 + "*/")
        connection.commit()
        seen: list[Any] = []
        while len(seen) <= ROWS:
            try:
                page = listener.poll()
            except DatabaseUnreachable:
                listener.connect()
                continue
            assert page, f"only {len(seen)} came"
            seen += page

    assert listener.cuts == 2
    assert sorted(json.loads(record.new_data)["id"] for record in seen) == list(range(ROWS + 1))


def test_a_look_with_an_old_transaction_open_does_not_walk_the_log_by_ids(accounts_url: str) -> None:
    with psycopg.connect(accounts_url) as old, psycopg.connect(accounts_url, autocommit=True) as connection:
        old.execute("select pg_current_xact_id()")
        connection.execute("truncate pgevents.event")
        connection.execute("insert into pgevents.event (kind) select 'I' from generate_series(1, 1000)")
        connection.execute("vacuum analyze pgevents.event")  # all of one transaction, as far as the planner knows
        with Listener(accounts_url) as listener:
            snapshot = listener.cursor.snapshot
        connection.execute("set enable_seqscan = off; set plan_cache_mode = force_generic_plan")
        with psycopg.RawCursor(connection) as cursor:
            plan = cursor.execute("explain " + sql.text("window.sql"), (snapshot, 1001), prepare=True).fetchall()

    assert not [line for (line,) in plan if "event_id_index" in line]
