"""Several workers of one name: every event once a row's order, whoever joins, ends or is killed."""

import random
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.delivery import shares
from pg_events.delivery.row_key import SLOTS, RowKeys
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Worker
from pg_events.event import Record
from tests.waiting import Arrivals, until

pytestmark = pytest.mark.usefixtures("accounts")

SECONDS = 60
SEED = 7

CALLBACK = """
import json, os
PG_EVENTS_DATABASE_URL = {url!r}
PG_EVENTS_LEASE_SECONDS = {lease}
PG_EVENTS_RETRY_SECONDS = 0
_file = os.open({file!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def callback(payload, attempt):
    event = json.loads(payload)
    row = event.get("new_data") or event["old_data"]
    os.write(_file, f"{{event['id']}} {{row['id']}} {{row['version']}} {{attempt}} {{os.getpid()}}\\n".encode())
    os.fsync(_file)

PG_EVENTS_DATA_UPDATE_CALLBACK = callback
"""


class Workers:
    """Worker processes of one consumer, and the file their callbacks write."""

    def __init__(self, folder: Path, url: str, lease: float = 60) -> None:
        self._folder = folder
        self._file = folder / "delivered"
        self._file.touch()
        (folder / "several.py").write_text(CALLBACK.format(url=url, lease=lease, file=str(self._file)))
        self.running: list[subprocess.Popen[bytes]] = []
        self.ended: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "pg_events", "worker", "--from", "oldest", "--settings", "several"],
            cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.running.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
        process.send_signal(number)
        process.wait(SECONDS)
        self.running.remove(process)

    def delivered(self) -> list[tuple[int, int, int, int, int]]:
        """Event, row, version, attempt and process of each call, in the order of the calls."""
        return [tuple(map(int, line.split())) for line in self._file.read_text().splitlines()]  # type: ignore[misc]

    def close(self) -> None:
        for process in [*self.running]:
            self.kill(process)


@pytest.fixture
def workers(tmp_path: Path, built_database_url: str) -> Iterator[Callable[..., Workers]]:
    made: list[Workers] = []

    def make(**options: Any) -> Workers:
        made.append(Workers(tmp_path, built_database_url, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def slots_of_workers(db: psycopg.Connection) -> list[int]:
    """How many slots each running worker has."""
    rows = db.execute(
        "select sum(cardinality(s.slots)) from pgevents.running_worker r join pgevents.share s on s.worker = r.id group by r.id"
    ).fetchall()
    return sorted(row[0] for row in rows)


def assert_every_slot_is_in_one_share(db: psycopg.Connection) -> None:
    rows = db.execute("select slot from pgevents.share, unnest(slots) slot order by slot").fetchall()
    assert [row[0] for row in rows] == list(range(SLOTS))


def change(db: psycopg.Connection, rows: int, chance: random.Random, versions: dict[int, int]) -> None:
    row = chance.randrange(rows)
    versions[row] = versions.get(row, 0) + 1
    db.execute(
        "insert into account values (%s, %s) on conflict (id) do update set version = excluded.version",
        [row, versions[row]],
    )


def assert_in_order(delivered: list[tuple[int, ...]]) -> None:
    """A row's versions arrive for the first time one after the other."""
    first: dict[int, list[int]] = defaultdict(list)
    for _, row, version, *_ in delivered:
        if version not in first[row]:
            first[row].append(version)
    for row, versions in first.items():
        assert versions == sorted(versions), row


def test_workers_that_are_killed_and_started_lose_nothing_and_keep_the_order_of_each_row(
    db: psycopg.Connection, workers: Callable[..., Workers]
) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    versions: dict[int, int] = {}
    several = workers()
    for _ in range(3):
        several.start()

    until(lambda: len(slots_of_workers(db)) == 3)
    for _ in range(4):
        done = len(several.delivered())
        for _ in range(150):
            change(db, 40, chance, versions)
        until(lambda: len(several.delivered()) > done + 5)  # noqa: B023 - called before the next round
        several.kill(chance.choice(several.running))
        several.start()
    committed = {(row, version) for row, last in versions.items() for version in range(1, last + 1)}
    until(lambda: {line[1:3] for line in several.delivered()} >= committed)

    delivered = several.delivered()
    assert {line[1:3] for line in delivered} == committed
    assert_in_order(delivered)
    assert_every_slot_is_in_one_share(db)


def test_the_work_is_divided_evenly_and_again_when_one_ends(
    db: psycopg.Connection, workers: Callable[..., Workers]
) -> None:
    several = workers()
    for _ in range(3):
        several.start()
    until(lambda: slots_of_workers(db) == [21, 21, 22])
    for number in range(300):
        db.execute("insert into account values (%s, 1)", [number])
    until(lambda: len(several.delivered()) == 300)

    assert len({line[-1] for line in several.delivered()}) == 3

    several.kill(several.running[0])
    until(lambda: slots_of_workers(db) == [32, 32])
    several.kill(several.running[0], signal.SIGTERM)
    until(lambda: slots_of_workers(db) == [64])
    # And what was put together is one share again, which costs one row to save.
    until(lambda: db.execute("select count(*) from pgevents.share").fetchone() == (1,))
    # What the killed one had not saved yet may have come twice.
    assert sorted({line[1] for line in several.delivered()}) == list(range(300))


def test_a_worker_that_was_stopped_loses_its_rows_when_its_lease_runs_out_and_is_refused_when_it_wakes(
    db: psycopg.Connection, workers: Callable[..., Workers]
) -> None:
    several = workers(lease=2)
    frozen = several.start()
    db.execute("insert into account values (0, 0)")
    until(lambda: len(several.delivered()) == 1)
    frozen.send_signal(signal.SIGSTOP)
    several.start()
    for number in range(1, 50):
        db.execute("insert into account values (%s, 1)", [number])

    until(lambda: len(several.delivered()) >= 50)
    frozen.send_signal(signal.SIGCONT)
    until(lambda: slots_of_workers(db) == [32, 32])

    assert {line[1] for line in several.delivered()} == set(range(50))
    assert_every_slot_is_in_one_share(db)


def test_after_a_kill_between_the_callback_and_the_save_the_event_comes_once_more_as_attempt_2(
    db: psycopg.Connection, workers: Callable[..., Workers], tmp_path: Path
) -> None:
    several = workers()
    with (tmp_path / "several.py").open("a") as file:
        file.write(
            "import pathlib, signal\n"
            "def callback_and_die(payload, attempt):\n"
            "    callback(payload, attempt)\n"
            "    if attempt == 1 and json.loads(payload)['new_data']['id'] == 1:\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "PG_EVENTS_DATA_UPDATE_CALLBACK = callback_and_die\n"
        )
    for number in range(3):
        db.execute("insert into account values (%s, 1)", [number])

    several.start().wait(SECONDS)
    several.start()
    until(lambda: any(line[1] == 2 for line in several.delivered()))

    calls = [(row, attempt) for _, row, _, attempt, _ in several.delivered()]
    # The first was not saved either: both were called by the worker that died.
    assert calls == [(0, 1), (1, 1), (0, 2), (1, 2), (2, 2)]


def test_a_long_callback_keeps_its_rows(db: psycopg.Connection, built_database_url: str) -> None:
    began, release = threading.Event(), threading.Event()
    seen: list[str] = []

    def callback(payload: str) -> None:
        seen.append(payload)
        began.set()
        release.wait(SECONDS)

    settings = Settings(built_database_url, data_update_callback=callback, lease_seconds=1)
    db.execute("insert into account values (1, 1)")
    one = Worker(settings, start=OLDEST)
    thread = threading.Thread(target=one.run, daemon=True)
    thread.start()
    assert began.wait(SECONDS)
    other = Worker(settings)
    second = threading.Thread(target=other.run, daemon=True)
    second.start()

    def renewed() -> bool:
        row = db.execute("select bool_and(lease_until > started_at + interval '3 s') from pgevents.worker").fetchone()
        return row == (True,)

    until(renewed)
    release.set()
    for worker, running in ((one, thread), (other, second)):
        worker.stop()
        running.join(SECONDS)

    assert len(seen) == 1
    assert other.report.delivered == 0


def test_many_workers_that_start_together_share_the_rows(db: psycopg.Connection, built_database_url: str) -> None:
    seen = Arrivals()
    settings = Settings(built_database_url, data_update_callback=lambda payload: seen.append(1))
    every = [Worker(settings, start=OLDEST) for _ in range(12)]
    threads = [threading.Thread(target=one.run, daemon=True) for one in every]
    for thread in threads:
        thread.start()
    until(lambda: len(slots_of_workers(db)) == len(every))
    for number in range(200):
        db.execute("insert into account values (%s, 1)", [number])
    seen.wait(200)
    for one in every:
        one.stop()
    for thread in threads:
        thread.join(SECONDS)

    assert len(seen) == 200
    assert max(slots for slots in [one.report.delivered for one in every]) < 100
    assert_every_slot_is_in_one_share(db)


def test_a_share_is_taken_by_one_worker_however_many_try_at_once(
    db: psycopg.Connection, built_database_url: str
) -> None:
    takers, rounds = 12, 25
    db.execute("insert into pgevents.consumer (name, system_identifier) values ('default', '')")
    add = "insert into pgevents.worker (consumer, name, lease_until) values ('default', '', 'infinity') returning id"
    ids = [row[0] for _ in range(takers) if (row := db.execute(add).fetchone())]
    barrier = threading.Barrier(takers)
    taken: list[list[int]] = [[] for _ in range(rounds)]

    def take(worker: int) -> None:
        with psycopg.connect(built_database_url, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
            for number in range(rounds):
                if barrier.wait(SECONDS) == 0:
                    db.execute("delete from pgevents.share")
                    db.execute(
                        "insert into pgevents.share (consumer, slots, snapshot)"
                        " select 'default', '{}', pg_current_snapshot() from generate_series(1, 12)"
                    )
                barrier.wait(SECONDS)
                while rows := connection.execute(shares.sql.text("share_take.sql"), ["default", worker]).fetchall():
                    taken[number].append(rows[0][0])
                barrier.wait(SECONDS)

    threads = [threading.Thread(target=take, args=(worker,)) for worker in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)

    assert [len(each) for each in taken] == [len(set(each)) for each in taken] == [12] * rounds


def test_events_of_other_workers_are_passed_by_without_a_save_for_each_though_one_died_before_them(
    db: psycopg.Connection, built_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves, seen = list[shares.Share](), list[str]()
    save = shares.Shares.save

    def counted(self: shares.Shares, share: shares.Share, *connection: Any) -> None:
        saves.append(share)
        save(self, share, *connection)

    settings = Settings(built_database_url, data_update_callback=seen.append)
    Worker(settings).run(once=True)
    db.execute("update pgevents.share set slots = array[7], interruptions = 1")
    db.execute("insert into account select generate_series(1, 500), 0")
    monkeypatch.setattr(shares.Shares, "save", counted)

    Worker(settings).run(once=True)

    assert 0 < len(seen) < 50
    assert len(seen) <= len(saves) < 100


# --- what a row is ------------------------------------------------------------------------------------------------


def record(kind: str = "I", table: str = "account", old: str | None = None, new: str | None = None) -> Record:
    return Record(1, 1, "", kind, "public", table, None, None, None, old, new, None)


def row_keys(db: psycopg.Connection, url: str) -> RowKeys:
    db.execute("insert into pgevents.consumer (name, system_identifier) values ('default', '') on conflict do nothing")

    def ask(question: str, parameters: Any) -> list[tuple[Any, ...]]:
        return psycopg.RawCursor(db).execute(shares.sql.text(question), parameters).fetchall()

    return RowKeys(ask, "default")


def test_events_of_one_row_have_one_key_and_others_another(db: psycopg.Connection, built_database_url: str) -> None:
    keys = row_keys(db, built_database_url)

    inserted = keys.key(record("I", new='{"id":1,"version":1}'))
    updated = keys.key(record("U", old='{"id":1,"version":1}', new='{"id":2,"version":2}'))
    deleted = keys.key(record("D", old='{"id":1,"version":2}'))
    other = keys.key(record("I", new='{"id":11,"version":1}'))
    emptied = keys.key(record("T"))

    assert inserted == updated == deleted
    assert len({inserted, other, emptied}) == 3


def test_the_rows_of_a_table_without_a_key_are_not_told_apart(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute("create table bare (id integer)")
    keys = row_keys(db, built_database_url)

    found = {keys.key(record("I", "bare", new=f'{{"id":{number}}}')) for number in range(9)}

    assert len(found | {keys.key(record("T", "bare"))}) == 1


def test_workers_agree_on_a_key_whatever_ddl_runs_between_them(db: psycopg.Connection, built_database_url: str) -> None:
    first, second = row_keys(db, built_database_url), row_keys(db, built_database_url)
    event = record("I", new='{"id":1,"version":5}')
    before = first.key(event)
    db.execute("alter table account drop constraint account_pkey")
    db.execute("alter table account add primary key (version)")

    assert second.key(event) == before


def test_digits_that_floats_would_lose_tell_rows_apart(db: psycopg.Connection, built_database_url: str) -> None:
    keys = row_keys(db, built_database_url)

    numbers = ("0.1000000000000000000000000001", "0.1000000000000000000000000002", "1e400", "12345678901234567890")

    assert len({keys.key(record(new=f'{{"id":{number}}}')) for number in numbers}) == 4


@pytest.mark.parametrize("deep", ["[" * 5000 + "]" * 5000, '{"a":' * 5000 + '"]}:,\\"{"' + "}" * 5000])
def test_the_key_of_a_row_is_read_however_deep_its_values_are_nested(
    db: psycopg.Connection, built_database_url: str, deep: str
) -> None:
    db.execute('create table deep (data json, "i:,{d" text, more json, number integer, primary key (number, "i:,{d"))')
    keys = row_keys(db, built_database_url)
    row = '{{"data":{0},"i:,{{d":"\\u00e4\\"]}}","more":{0},"number":7}}'

    shallow, nested = (keys.key(record(table="deep", new=row.format(data))) for data in ('"x"', deep))

    assert shallow == nested == '["public", "deep", "7", "\\u00e4\\"]}"]'


def test_a_key_that_is_itself_nested_deep_tells_rows_apart(db: psycopg.Connection, built_database_url: str) -> None:
    db.execute("create table deep (id jsonb primary key)")
    keys = row_keys(db, built_database_url)

    found = [keys.key(record(table="deep", new=f'{{"id":{"[" * n}{"]" * n}}}')) for n in (5000, 5000, 5001)]

    assert found[0] == found[1] != found[2]
