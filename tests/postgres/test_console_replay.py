"""What the console can replay of a database: the log, what a worker gave up, what is on the screen; and where it is kept."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pg_events.config.settings import Settings
from pg_events.delivery.shares import OLDEST
from pg_events.delivery.worker import Worker
from pg_events.filter import parser as filters
from pg_events.playback import runs
from pg_events.playback.control import Pace
from pg_events.playback.job import failures, resumed
from pg_events_tui.model.backend import DatabaseFeed
from pg_events_tui.model.store import Store
from pg_events_tui.replay.loading import Origin
from pg_events_tui.replay.session import Replay
from pg_events_tui.replay.sources import Origins, filtered

HANDLERS = """
import json

def on_item(payload):
    row = json.loads(payload)["new_data"]
    if row["id"] in (2, 4):
        raise ValueError(row["id"])
"""


@pytest.fixture
def settings(built_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "item_handlers.py").write_text(HANDLERS)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Settings(built_database_url, data_update_callback="item_handlers.on_item", max_attempts=1, retry_seconds=0.0)


@pytest.fixture(autouse=True)
def five_items(db: psycopg.Connection, items: None) -> None:
    db.execute("insert into item select n, 1 from generate_series(1, 5) n")


@pytest.fixture
def store(settings: Settings, db: psycopg.Connection) -> Iterator[Store]:
    """What the console holds of them."""
    assert settings.database_url is not None
    found = Store()
    with DatabaseFeed(settings.database_url, wake_up=False) as feed:
        found.append(feed.recent(100))
    yield found
    found.close()


Done = Callable[[Origin], Replay]


@pytest.fixture
def planned() -> Iterator[Done]:
    """A replay with its plan made."""
    made: list[Replay] = []

    def plan(origin: Origin) -> Replay:
        replay = Replay(origin, Pace(stop_on_error=False))
        made.append(replay)
        replay.load()
        replay.wait(60)
        assert replay.planned is not None
        return replay

    yield plan
    for replay in made:
        replay.close()
        replay.wait(10)


def rows(replay: Replay) -> list[int]:
    return [json.loads(replay.queue.payload(row))["new_data"]["id"] for row in range(len(replay.queue))]


def played(replay: Replay) -> Replay:
    replay.is_real = True
    replay.play()
    replay.wait(60)
    assert not replay.problem
    return replay


def test_the_log_is_queued_and_narrowed(settings: Settings, store: Store, planned: Done) -> None:
    origin = Origins(settings, store, None).log()

    assert rows(planned(origin)) == [1, 2, 3, 4, 5]
    assert rows(planned(filtered(origin, filters.parse("new.id>3")))) == [4, 5]


def test_the_plan_tells_what_failed_and_what_has_changed(
    settings: Settings, store: Store, db: psycopg.Connection, planned: Done
) -> None:
    Worker(settings, start=OLDEST).run(once=True)
    db.execute("alter table item drop column version")

    replay = planned(Origins(settings, store, None).log())

    assert replay.planned is not None
    assert len(replay.planned.failed) == 2
    assert all("ValueError" in words for words in replay.planned.failed.values())
    assert replay.planned.drift == ["public.item has changed since: - version"]


def test_what_a_worker_gave_up_is_replayed_from_its_copy(
    settings: Settings, store: Store, db: psycopg.Connection, planned: Done
) -> None:
    Worker(settings, start=OLDEST).run(once=True)
    db.execute("truncate pgevents.event")

    replay = planned(Origins(settings, store, None).failed())

    assert rows(replay) == [2, 4]


def test_a_run_of_the_console_is_gone_on_with_by_others(settings: Settings, store: Store, planned: Done) -> None:
    origins = Origins(settings, store, None)
    chosen = [store.row_of_id(store.id(row)) for row in range(store.first, store.end)][:4]

    replay = played(planned(origins.marked([row for row in chosen if row is not None])))

    (run,) = runs.kept()
    assert [outcome.ok for outcome in run.outcomes()] == [True, False, True, False]
    assert replay.kept == run
    assert run.asked.database is not None
    assert [item.id for item in failures(run, settings).open().items()] == [
        outcome.id for outcome in run.failures().values()
    ]
    assert len([*resumed(run, settings).open().items()]) == 4  # these four, not the fifth


def test_a_kept_run_of_another_database_is_refused(settings: Settings, store: Store, planned: Done) -> None:
    origins = Origins(settings, store, None)
    played(planned(origins.event(store.first)))
    other = Origins(Settings("postgresql://nowhere/else"), store, None)

    with pytest.raises(Exception, match="replays the log of"):
        other.run(runs.kept()[0])


def test_what_is_not_wanted_any_more_is_not_read_to_its_end(settings: Settings, store: Store) -> None:
    going, seen = threading.Event(), list[int]()

    def items():
        source = Origins(settings, store, None).log().job.open()
        for item in source.items():
            seen.append(item.id)
            if len(seen) == 2:
                going.set()
                closed.wait(30)
            yield item

    closed = threading.Event()
    replay = Replay(Origin("slow", Origins(settings, store, None).log().job, items), Pace())
    replay.load()
    assert going.wait(30)
    replay.close()
    closed.set()
    replay.wait(30)

    assert len(seen) == 2
    assert replay.planned is None
